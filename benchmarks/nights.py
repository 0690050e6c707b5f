"""What a night costs: lots that all end at once, a tenth of them, and a till meanwhile."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
from tqdm import tqdm

from benchmarks import machine, tills
from benchmarks.copies import copy_member
from benchmarks.rounds import Plan, Row, Sample, absolute, interleave, play, ratio, ratios
from benchmarks.stage import ROOT, Site, Stage
from config.isolation import popen_arguments

MODEL = tills.card(90_000_000)
DONE = "SELECT members, finished_at IS NOT NULL FROM loyalty_nightlystep WHERE name = 'points'"
USUAL_RATE = 5_000  # lots a second
LEFT = "SELECT count(*) FROM loyalty_lot WHERE available > 0 AND expires_at <= now()"


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """What the night did while no till earned.

    Attributes:
        server, postgres: Milliseconds of CPU for each lot.
        peak: The most memory that its process had, in MB.
    """

    rate: float
    server: float
    postgres: float
    peak: float


def night(stage: Stage, plan: Plan) -> list[Row]:
    """Lots that expire tonight, of a member each; a till that earns beside the night, and alone."""
    lots = 10 * plan.history
    # About half of it is left then, to be seen undisturbed.
    seconds = min(plan.seconds, lots / USUAL_RATE / 2 / plan.rounds)
    few = _expire(stage, _with_ended_lots(stage, "engine-night-small", plan.history))
    engine = _with_ended_lots(stage, "engine-night-big", lots)
    engine.start()
    with _Night.of(stage, engine) as work:
        work.freeze()

        def alone() -> Sample:
            return play(stage, engine, "earn", seconds=seconds, connections=1)

        def beside() -> Sample:
            with work.at_work():
                return play(stage, engine, "earn", seconds=seconds, connections=1)

        alone()
        seen = interleave(plan.rounds, {"alone": alone, "beside": beside})
        many = work.finish()
    _check(engine)
    return [
        absolute("night: lots a second", [many.rate], unit="/s"),
        absolute(f"night: minutes for {lots:,} lots", [lots / many.rate / 60], "<= 5", "min"),
        absolute("night: a lot, CPU of the worker", [many.server], unit="ms"),
        absolute("night: a lot, CPU of PostgreSQL", [many.postgres], unit="ms"),
        absolute(f"night: memory for {lots:,} lots", [many.peak], unit="MB"),
        Row(
            f"night: memory, {lots:,} lots to {plan.history:,}",
            *ratios([many.peak], [few.peak]),
            "<= 1.1",
        ),
        ratio("earn: p95 of a till, beside the night to alone", seen["beside"], seen["alone"],
              lambda sample: sample.p95),
    ]  # fmt: skip


def _with_ended_lots(stage: Stage, name: str, lots: int) -> Site:
    site = stage.empty_site(name)
    site.prepare()
    site.run("-m", "benchmarks.engine.past", MODEL, "1")
    print(f"  making {lots:,} lots that have ended", flush=True)
    ended = {"expires_at": f"'{datetime.now(UTC) - timedelta(hours=1)}'::timestamptz"}
    changed = {"loyalty_lot": ended, "loyalty_expirytotal": ended}
    with psycopg.connect(site.database_url, autocommit=True) as connection:
        copy_member(connection, MODEL, lots, changed)
    return site


def _expire(stage: Stage, site: Site) -> Undisturbed:
    with _Night.of(stage, site) as work:
        found = work.finish()
    _check(site)
    return found


def _check(site: Site) -> None:
    with psycopg.connect(site.database_url) as connection:
        left = connection.execute(LEFT.encode()).fetchone()
    if left != (0,) or "The ledger is proved" not in site.run("manage.py", "audit_ledger"):
        raise SystemExit(f"{site.name}: the night has left {left} lots.")


class _Night:
    """The process of a night, which can be stopped where it is."""

    def __init__(self, stage: Stage, site: Site, process: "subprocess.Popen[str]") -> None:
        self._stage = stage
        self._process = process
        self._database = psycopg.connect(site.database_url, autocommit=True)
        self._bar = tqdm(total=self._count(LEFT), unit=" lots", file=sys.stderr, disable=None)

    @classmethod
    @contextmanager
    def of(cls, stage: Stage, site: Site) -> Iterator["_Night"]:
        """Start it, wait until it is at work, and leave nothing of it behind."""
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.engine.night"],
            env=site.environment,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=(site.folder / f"{site.name}.night.log").open("wb"),
            text=True,
            **popen_arguments(),
        )
        work = cls(stage, site, process)
        try:
            while not work.done() and process.poll() is None:
                time.sleep(0.1)
            yield work
        finally:
            process.kill()
            process.wait()
            work._bar.close()
            work._database.close()

    def done(self) -> int:
        """Tell how many lots are done."""
        count = self._count(DONE)
        self._bar.update(count - self._bar.n)
        return count

    def freeze(self) -> None:
        """Let it stand still."""
        os.kill(self._process.pid, signal.SIGSTOP)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Let it work meanwhile."""
        os.kill(self._process.pid, signal.SIGCONT)
        yield
        self.done()
        self.freeze()

    def finish(self) -> Undisturbed:
        """Let it work to its end with nobody in its way."""
        os.kill(self._process.pid, signal.SIGCONT)
        before, began = self.done(), time.perf_counter()
        server, postgres = self._cpu()
        while not self._ended():
            time.sleep(0.05)
        count, seconds = self.done() - before, time.perf_counter() - began
        server, postgres = (
            now - then for now, then in zip(self._cpu(), (server, postgres), strict=True)
        )
        told, _ = self._process.communicate(timeout=600)
        if self._process.returncode:
            raise SystemExit(f"The night failed with {self._process.returncode}.")
        found = Undisturbed(
            count / seconds, server * 1000 / count, postgres * 1000 / count, int(told) / 1024 / 1024
        )
        print(f"    {found.rate:7.0f} lots/s  CPU {found.server:.2f} + {found.postgres:.2f} ms"
              f"  {found.peak:.0f} MB", flush=True)  # fmt: skip
        return found

    def _cpu(self) -> tuple[float, float]:
        return (
            machine.cpu_seconds(self._process.pid),
            machine.cpu_seconds(self._stage.postgres_pid),
        )

    def _ended(self) -> bool:
        found = self._database.execute(DONE.encode()).fetchone()
        return bool(found and found[1]) or self._process.poll() is not None

    def _count(self, query: str) -> int:
        found = self._database.execute(query.encode()).fetchone()
        return int(found[0]) if found else 0
