"""What a CRM's backlog of a day costs tills while one worker drains it, and how fast it drains."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

import httpx
import psycopg

from benchmarks import machine, tills
from benchmarks.copies import copy_member
from benchmarks.rounds import Plan, Row, Sample, absolute, interleave, p95_ratio, play
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
UNDER_WAY = "SELECT count(*) FROM crm_sync_lane WHERE lease_until >= now()"
SLICE_SECONDS = 5
SETTLED_SECONDS = 1.0
# Of one core: 120 deliveries a second at 2 ms, the worker's and PostgreSQL's together.
SHARE_OF_A_PACED_WORKER = 0.25
# How many, and how long each rests between an answer and its next earn.
TILLS = {"one till without a rest": (1, 0.0), "4 tills that rest for 40 ms": (4, 0.04)}


def delivery(stage: Stage, plan: Plan) -> list[Row]:
    """Earns of tills beside a worker: with nothing to send, and draining a day's backlog."""
    return [row for crm in CRMS for row in _beside(stage, plan, crm)]


def _beside(stage: Stage, plan: Plan, kind: "Crm") -> list[Row]:
    engine = stage.site(f"engine-{kind.adapter}")
    backlog = 5 * plan.history
    rows: list[Row] = []
    beside_tills: list[Drained] = []
    print(f"  {kind.name}, {backlog:,} deliveries waiting")
    with _destination(stage, engine, kind, backlog) as crm:
        with _worker(stage, crm) as worker:
            for who, (connections, rest) in TILLS.items():
                earns = partial(
                    *(play, stage, engine, "earn"),
                    **{"seconds": plan.seconds, "connections": connections, "rest": rest},
                )
                sides = {
                    "nothing to send": partial(worker.at_rest, earns),
                    "draining": partial(worker.at_work, earns, beside_tills.append),
                }
                if kind.is_compared:
                    sides["neighbour"] = partial(worker.beside_neighbour, earns)
                rows += _p95s(f"{kind.name}: p95 of {who}", interleave(plan.rounds, sides))
        with _worker(stage, crm, CRM_DELIVERIES_PER_SECOND="0") as worker:
            hurried = worker.drain()
        arrived, happened = crm.arrived(), crm.count(HAPPENED)
        own = crm.cpu_seconds() * 1000 / max(arrived["events"], 1)
    lost = happened - arrived["events"]
    print(f"  {happened:,} events: {lost:,} lost, {arrived['too_early']:,} before their turn,")
    print(
        f"  {arrived['repeats']:,} more than once; {own:.2f} ms of the destination's CPU for each"
    )
    costs = {"the worker": [d.cpu for d in hurried], "PostgreSQL": [d.postgres for d in hurried]}
    return [
        *rows,
        absolute(f"{kind.name}: sent beside tills", [d.rate for d in beside_tills], ">= 100", "/s"),
        absolute(f"{kind.name}: sent without a pace", [d.rate for d in hurried], unit="/s"),
        *(absolute(f"{kind.name}: CPU of {who}, each", of, unit="ms") for who, of in costs.items()),
        absolute(f"{kind.name}: lost, or before its turn", [lost + arrived["too_early"]], "<= 0"),
    ]


def _p95s(what: str, seen: dict[str, list[Sample]]) -> list[Row]:
    at_rest = seen["nothing to send"]
    rows = [p95_ratio(f"{what}, backlog to none", seen["draining"], at_rest, "<= 1.1")]
    if "neighbour" in seen:
        beside = f"{what}, beside one that only computes to none"
        rows.append(p95_ratio(beside, seen["neighbour"], at_rest))
    return rows


@dataclass(frozen=True, slots=True)
class Crm:
    """What a backlog waits for.

    Attributes:
        server: The module that is it.
        has_profiles: Its members have to be there, and it is told where each stands.
        is_compared: With a process that only computes.
    """

    name: str
    adapter: str
    server: str
    has_profiles: bool = False
    is_compared: bool = False


CRMS = (
    Crm("a webhook", "webhook", "benchmarks.sink", is_compared=True),
    Crm("a CRM that takes batches", "segment", "benchmarks.batches", has_profiles=True),
)


@dataclass(frozen=True, slots=True)
class Drained:
    """What a worker did in a while: deliveries a second, and milliseconds of CPU for each.

    Attributes:
        cpu, postgres: Of the worker itself, and of PostgreSQL, whoever else uses it.
    """

    rate: float
    cpu: float
    postgres: float


@dataclass(frozen=True, slots=True)
class _Destination:
    """A CRM that was down, with what waits for it."""

    engine: Site
    url: str
    pid: int

    def cpu_seconds(self) -> float:
        """Tell the CPU that it has taken itself: in life it is somebody else's."""
        return machine.cpu_seconds(self.pid)

    def arrived(self) -> dict[str, int]:
        """Ask it what it has seen."""
        counts: dict[str, int] = httpx.get(self.url).json()
        return counts

    def count(self, question: str) -> int:
        """Ask the database."""
        with psycopg.connect(self.engine.database_url) as connection:
            found = connection.execute(question).fetchone()  # type: ignore[call-overload]
        return int(found[0]) if found else 0

    def enable(self, *, is_enabled: bool) -> None:
        """Let it be sent to, or be paused, as in the admin."""
        with psycopg.connect(self.engine.database_url) as connection:
            connection.execute("UPDATE crm_sync_connection SET is_enabled = %s", [is_enabled])


class _Worker:
    """One worker and its beat."""

    def __init__(
        self, stage: Stage, crm: _Destination, processes: list[subprocess.Popen[bytes]]
    ) -> None:
        self._stage = stage
        self._crm = crm
        self._processes = processes

    def at_rest(self, play: Callable[[], Sample]) -> Sample:
        """Let tills earn while nothing is to be sent: the connection is paused."""
        self._crm.enable(is_enabled=False)
        self._wait(lambda: self._crm.count(UNDER_WAY) == 0)
        return play()

    def at_work(self, play: Callable[[], Sample], tell: Callable[[Drained], None]) -> Sample:
        """Let tills earn while deliveries are sent, and tell what was."""
        self.begin()
        with self._measured(tell):
            return play()

    def beside_neighbour(self, play: Callable[[], Sample]) -> Sample:
        """Let tills earn while nothing is sent, and somebody takes as much of the cores."""
        command = [sys.executable, "-m", "benchmarks.neighbour", str(SHARE_OF_A_PACED_WORKER)]
        with ExitStack() as running:
            _start(running, command, {}, niceness=worker_niceness())
            return self.at_rest(play)

    def begin(self) -> None:
        """Let deliveries be sent, and wait until they are."""
        before = self._crm.count(DELIVERED)
        self._crm.enable(is_enabled=True)
        self._wait(lambda: self._crm.count(DELIVERED) > before)

    def drain(self, *, patience: float = 30) -> list[Drained]:
        """Let it work until all is delivered, or nothing is for a while; tell each 5 s."""
        found: list[Drained] = []
        still = 0.0
        self._crm.enable(is_enabled=True)
        while (left := self._crm.count(LEFT)) and still < patience:
            with self._measured(found.append):
                time.sleep(SLICE_SECONDS)
            print(f"    {left:>6,} left, {found[-1].rate:.0f}/s", flush=True)
            still = 0.0 if found[-1].rate else still + SLICE_SECONDS
        return found[:-1] or found  # the last one is not full

    @contextmanager
    def _measured(self, tell: Callable[[Drained], None]) -> Iterator[None]:
        before, began = (self._crm.count(DELIVERED), *self._cpu()), time.perf_counter()
        yield
        seconds = time.perf_counter() - began
        after = (self._crm.count(DELIVERED), *self._cpu())
        count, cpu, postgres = (b - a for a, b in zip(before, after, strict=True))
        each = 1000 / max(count, 1)
        tell(Drained(count / seconds, cpu * each, postgres * each))

    def _cpu(self) -> tuple[float, float]:
        workers = sum(machine.cpu_seconds(process.pid) for process in self._processes)
        return workers, machine.cpu_seconds(self._stage.postgres_pid)

    def _wait(self, is_so: Callable[[], bool]) -> None:
        until = time.monotonic() + 180
        while not is_so():
            if time.monotonic() > until:
                raise SystemExit("The worker does not do what it was asked for.")
            time.sleep(0.1)
        time.sleep(SETTLED_SECONDS)  # what was begun before has come to its end


@contextmanager
def _destination(stage: Stage, engine: Site, kind: Crm, backlog: int) -> Iterator[_Destination]:
    """Start a destination, and let deliveries wait for it."""
    with ExitStack() as running:
        server = _start(running, [sys.executable, "-m", kind.server], engine.environment)
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        if kind.has_profiles:
            anew = {"loyalty_outboxevent": {"position": "NULL"}}
            with psycopg.connect(engine.database_url, autocommit=True) as session:
                copy_member(session, tills.card(0), backlog // 2, anew)  # with two events
        engine.run("-m", "benchmarks.engine.backlog", kind.adapter, url, str(backlog))
        # As autovacuum does, a minute after rows came; a backlog of a day has long been counted.
        with psycopg.connect(engine.database_url, autocommit=True) as session:
            session.execute("VACUUM ANALYZE")
        yield _Destination(engine, url, server.pid)


@contextmanager
def _worker(stage: Stage, crm: _Destination, **settings: str) -> Iterator[_Worker]:
    """Start a worker with its beat, and wait until it delivers."""
    with ExitStack() as running:
        valkey = ValkeyServer(stage.folder / "valkey", "benchmark-only")
        valkey.start()
        running.callback(valkey.stop)
        env = {
            **crm.engine.environment,
            **{"REDIS_URL": valkey.url(), "CRM_ALLOW_PRIVATE_ADDRESSES": "on"},
            **settings,
        }
        both = [
            _start(running, worker_command(), env, niceness=worker_niceness()),
            _start(running, beat_command(), env),
        ]
        worker = _Worker(stage, crm, both)
        worker.begin()
        yield worker


def _tells_its_port(command: list[str]) -> bool:
    return any(kind.server in command for kind in CRMS)


def _start(
    running: ExitStack, command: list[str], env: dict[str, str], *, niceness: int = 0
) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(
        command,
        env=env,
        cwd=ROOT,
        stdout=subprocess.PIPE if _tells_its_port(command) else subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **popen_arguments(niceness=niceness),
    )

    def end() -> None:
        process.send_signal(signal.SIGTERM if "worker" in command else signal.SIGKILL)
        process.wait()

    running.callback(end)
    return process
