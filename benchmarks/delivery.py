"""What a CRM's backlog costs a till while one worker drains it, and how fast it drains."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import psycopg

from benchmarks import machine
from benchmarks.rounds import Plan, Row, Sample, absolute, interleave, play, ratio
from benchmarks.stage import ROOT, Site, Stage
from config.embedded import ValkeyServer
from config.isolation import popen_arguments
from config.launcher import beat_command, worker_command

DELIVERED = "SELECT count(*) FROM crm_sync_delivery WHERE state = 'delivered'"


def delivery(stage: Stage, plan: Plan) -> list[Row]:
    """Earns of one till: alone, and beside a backlog that one worker drains."""
    engine = stage.site("engine-crm")
    backlog = 5 * plan.history
    with _worker(stage, engine, backlog) as worker:
        worker.freeze()
        beside_till: list[Drained] = []

        def alone() -> Sample:
            worker.freeze()
            return play(stage, engine, "earn", seconds=plan.seconds, connections=1)

        def beside() -> Sample:
            with worker.at_work(beside_till.append):
                return play(stage, engine, "earn", seconds=plan.seconds, connections=1)

        alone()
        seen = interleave(plan.rounds, {"alone": alone, "draining": beside})
        undisturbed: list[Drained] = []
        for _ in range(plan.rounds):
            with worker.at_work(undisturbed.append):
                time.sleep(plan.seconds)
        left = backlog - worker.delivered()
    print(f"  {max(left, 0):,} of {backlog:,} deliveries were left at the end")
    what = f"earn: p95 of a till, beside {backlog:,} deliveries to alone"
    return [
        ratio(what, seen["draining"], seen["alone"], lambda sample: sample.p95, "<= 1.1"),
        absolute(
            "deliveries of one worker, beside the till", [d.rate for d in beside_till], unit="/s"
        ),
        absolute("deliveries of one worker", [d.rate for d in undisturbed], ">= 100", "/s"),
        absolute("a delivery: CPU of the worker", [d.cpu for d in undisturbed], unit="ms"),
    ]


@dataclass(frozen=True, slots=True)
class Drained:
    """What a worker did in a while: deliveries a second, and milliseconds of its CPU for each."""

    rate: float
    cpu: float


class _Worker:
    """One worker and its beat, which can be stopped where they are."""

    def __init__(self, engine: Site, processes: list[subprocess.Popen[bytes]]) -> None:
        self._engine = engine
        self._processes = processes

    def freeze(self) -> None:
        """Let them stand still."""
        self._signal(signal.SIGSTOP)

    @contextmanager
    def at_work(self, tell: Callable[[Drained], None]) -> Iterator[None]:
        """Let them work meanwhile, and tell what they did."""
        self._signal(signal.SIGCONT)
        before, began, cpu = self.delivered(), time.perf_counter(), self._cpu()
        yield
        count, seconds = self.delivered() - before, time.perf_counter() - began
        tell(Drained(count / seconds, (self._cpu() - cpu) * 1000 / max(count, 1)))
        self.freeze()

    def delivered(self) -> int:
        """Count what has arrived."""
        with psycopg.connect(self._engine.database_url) as connection:
            found = connection.execute(DELIVERED).fetchone()
        return int(found[0]) if found else 0

    def _cpu(self) -> float:
        return sum(machine.cpu_seconds(process.pid) for process in self._processes)

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
        valkey = ValkeyServer(stage.folder / "valkey", "benchmark-only")
        valkey.start()
        running.callback(valkey.stop)
        env = {**engine.environment, "REDIS_URL": valkey.url(), "CRM_ALLOW_PRIVATE_ADDRESSES": "on"}
        both = [_start(running, command, env) for command in (worker_command(), beat_command())]
        worker = _Worker(engine, both)
        until = time.monotonic() + 60
        while not worker.delivered():
            if time.monotonic() > until:
                raise SystemExit("The worker delivers nothing.")
            time.sleep(0.2)
        yield worker


def _start(
    running: ExitStack, command: list[str], env: dict[str, str]
) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(
        command,
        env=env,
        cwd=ROOT,
        stdout=subprocess.PIPE if "benchmarks.sink" in command else subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **popen_arguments(),
    )

    def end() -> None:
        process.kill()
        process.wait()

    running.callback(end)
    return process
