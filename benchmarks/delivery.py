"""What a CRM's backlog costs a till while one worker drains it, and how fast it drains."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import httpx
import psycopg

from benchmarks import machine
from benchmarks.rounds import Plan, Row, Sample, absolute, interleave, play, ratio
from benchmarks.stage import ROOT, Site, Stage
from config.embedded import ValkeyServer
from config.isolation import popen_arguments
from config.workers import beat_command, worker_command, worker_niceness

DELIVERED = "SELECT count(*) FROM crm_sync_delivery WHERE state = 'delivered'"
# Waiting, not handed to the lanes yet, or without a position: what the tills did is sent as well.
LEFT = """
SELECT (SELECT count(*) FROM crm_sync_delivery WHERE state = 'pending')
    + (SELECT count(*) FROM loyalty_outboxevent WHERE position IS NULL)
    + (SELECT count(*) FROM loyalty_outboxevent, crm_sync_relay AS relay
       WHERE loyalty_outboxevent.position > relay.position)
"""
HAPPENED = """
SELECT count(*) FROM loyalty_outboxevent AS event, crm_sync_relay AS relay
WHERE event.position > relay.live_from
"""
SLICE_SECONDS = 5


def delivery(stage: Stage, plan: Plan) -> list[Row]:
    """Earns of one till: alone, and beside a backlog that one worker drains to its end."""
    engine = stage.site("engine-crm")
    backlog = 5 * plan.history
    with _worker(stage, engine, backlog) as worker:
        beside_till: list[Drained] = []

        def alone() -> Sample:
            worker.freeze()
            return play(stage, engine, "earn", seconds=plan.seconds, connections=1)

        def beside() -> Sample:
            with worker.at_work(beside_till.append):
                return play(stage, engine, "earn", seconds=plan.seconds, connections=1)

        alone()
        seen = interleave(plan.rounds, {"alone": alone, "draining": beside})
        undisturbed = worker.drain()
        arrived, happened = worker.arrived(), worker.count(HAPPENED)
    lost = happened - arrived["events"]
    print(f"  {happened:,} events: {lost:,} lost, {arrived['too_early']:,} before their turn,")
    print(f"  {arrived['repeats']:,} more than once")
    what = f"earn: p95 of a till, beside {backlog:,} deliveries to alone"
    return [
        ratio(what, seen["draining"], seen["alone"], lambda sample: sample.p95, "<= 1.1"),
        absolute(
            "deliveries of one worker, beside the till", [d.rate for d in beside_till], unit="/s"
        ),
        absolute("deliveries of one worker", [d.rate for d in undisturbed], ">= 100", "/s"),
        absolute("a delivery: CPU of the worker", [d.cpu for d in undisturbed], unit="ms"),
        absolute("a delivery: CPU of PostgreSQL", [d.postgres for d in undisturbed], unit="ms"),
        absolute("deliveries lost, or before their turn", [lost + arrived["too_early"]], "<= 0"),
    ]


@dataclass(frozen=True, slots=True)
class Drained:
    """What a worker did in a while: deliveries a second, and milliseconds of CPU for each.

    Attributes:
        cpu, postgres: Of the worker itself, and of PostgreSQL, whoever else uses it.
    """

    rate: float
    cpu: float
    postgres: float


class _Worker:
    """One worker and its beat, which can be stopped where they are."""

    def __init__(
        self, stage: Stage, engine: Site, url: str, processes: list[subprocess.Popen[bytes]]
    ) -> None:
        self._stage = stage
        self._engine = engine
        self._url = url
        self._processes = processes

    def freeze(self) -> None:
        """Let them stand still."""
        self._signal(signal.SIGSTOP)

    @contextmanager
    def at_work(self, tell: Callable[[Drained], None]) -> Iterator[None]:
        """Let them work meanwhile, and tell what they did."""
        self._signal(signal.SIGCONT)
        before, began = (self.count(DELIVERED), *self._cpu()), time.perf_counter()
        yield
        seconds = time.perf_counter() - began
        count, cpu, postgres = (
            b - a for a, b in zip(before, (self.count(DELIVERED), *self._cpu()), strict=True)
        )
        each = 1000 / max(count, 1)
        tell(Drained(count / seconds, cpu * each, postgres * each))
        self.freeze()

    def drain(self, *, patience: float = 30) -> list[Drained]:
        """Let them work until all is delivered, or nothing is for a while; tell each 5 s."""
        found: list[Drained] = []
        still = 0.0
        while (left := self.count(LEFT)) and still < patience:
            with self.at_work(found.append):
                time.sleep(SLICE_SECONDS)
            print(f"    {left:>6,} left, {found[-1].rate:.0f}/s", flush=True)
            still = 0.0 if found[-1].rate else still + SLICE_SECONDS
        return found[:-1] or found  # the last one is not full

    def arrived(self) -> dict[str, int]:
        """Ask the destination what it has seen."""
        counts: dict[str, int] = httpx.get(self._url).json()
        return counts

    def count(self, question: str) -> int:
        """Ask the database."""
        with psycopg.connect(self._engine.database_url) as connection:
            found = connection.execute(question).fetchone()  # type: ignore[call-overload]
        return int(found[0]) if found else 0

    def _cpu(self) -> tuple[float, float]:
        workers = sum(machine.cpu_seconds(process.pid) for process in self._processes)
        return workers, machine.cpu_seconds(self._stage.postgres_pid)

    def _signal(self, number: signal.Signals) -> None:
        for process in self._processes:
            os.kill(process.pid, number)


@contextmanager
def _worker(stage: Stage, engine: Site, backlog: int) -> Iterator[_Worker]:
    """Start a destination, let deliveries wait for it, and start a worker."""
    with ExitStack() as running:
        sink = _start(running, [sys.executable, "-m", "benchmarks.sink"], engine.environment)
        assert sink.stdout is not None
        url = f"http://127.0.0.1:{int(sink.stdout.readline())}/"
        engine.run("-m", "benchmarks.engine.backlog", url, str(backlog))
        # As autovacuum does, a minute after rows came; a backlog of a day has long been counted.
        with psycopg.connect(engine.database_url, autocommit=True) as session:
            session.execute("VACUUM ANALYZE")
        valkey = ValkeyServer(stage.folder / "valkey", "benchmark-only")
        valkey.start()
        running.callback(valkey.stop)
        env = {**engine.environment, "REDIS_URL": valkey.url(), "CRM_ALLOW_PRIVATE_ADDRESSES": "on"}
        both = [
            _start(running, worker_command(), env, niceness=worker_niceness()),
            _start(running, beat_command(), env),
        ]
        worker = _Worker(stage, engine, url, both)
        until = time.monotonic() + 180
        while not worker.count(DELIVERED):
            if time.monotonic() > until:
                raise SystemExit("The worker delivers nothing.")
            time.sleep(0.2)
        yield worker


def _start(
    running: ExitStack, command: list[str], env: dict[str, str], *, niceness: int = 0
) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(
        command,
        env=env,
        cwd=ROOT,
        stdout=subprocess.PIPE if "benchmarks.sink" in command else subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **popen_arguments(niceness=niceness),
    )

    def end() -> None:
        process.kill()
        process.wait()

    running.callback(end)
    return process
