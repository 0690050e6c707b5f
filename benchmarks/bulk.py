"""Many at once: batches over HTTP, beside single earns and beside COPY."""

import hashlib
import json
import secrets
import time
from collections.abc import Iterator

import psycopg

from benchmarks import machine, tills
from benchmarks.rounds import Plan, Row, Sample, absolute, interleave, play, ratio
from benchmarks.stage import Site, Stage


def batch(stage: Stage, plan: Plan) -> list[Row]:
    """Batches of 1,000 earns, single earns, and COPY with a set-based insert."""
    engine, floor = stage.site("engine"), stage.site("floor")
    play(stage, engine, "batch", seconds=0, connections=2)
    seen = interleave(
        plan.rounds,
        {
            "single": lambda: play(stage, engine, "earn", seconds=plan.seconds),
            "batch": lambda: play(stage, engine, "batch", seconds=plan.seconds, connections=2),
            "copy": lambda: copy_in(stage, floor, seconds=plan.seconds),
        },
    )
    batches = seen["batch"]
    return [
        absolute("batch: earns", [_earns(s) for s in batches], unit="/s"),
        ratio("batch: rate, batches to single earns", batches, seen["single"], _earns, ">= 10"),
        ratio("batch: rate, batches to COPY and insert", batches, seen["copy"], _earns, ">= 0.3"),
    ]


def _earns(sample: Sample) -> float:
    return sample.rate * sample.earns


def copy_in(stage: Stage, site: Site, *, seconds: float) -> Sample:
    """Bring earns in by COPY, 1,000 a transaction, and write the floor's five tables from them."""
    busy, postgres = machine.busy_seconds(), machine.cpu_seconds(stage.postgres_pid)
    own, started = time.process_time(), time.perf_counter()
    times: list[float] = []
    with psycopg.connect(site.database_url) as connection:
        while time.perf_counter() - started < seconds:
            begun = time.perf_counter()
            _copy_once(connection, secrets.token_hex(6))
            times.append(time.perf_counter() - begun)
    passed = time.perf_counter() - started
    own = time.process_time() - own
    postgres = machine.cpu_seconds(stage.postgres_pid) - postgres
    strangers = machine.share(machine.busy_seconds() - busy - own - postgres, passed)
    return Sample.of(
        times,
        seconds=passed,
        server=0.0,
        postgres=postgres,
        client=own,
        strangers=strangers,
        earns=tills.BATCH,
    )


def _copy_once(connection: psycopg.Connection, prefix: str) -> None:
    with connection.cursor().copy("COPY incoming FROM STDIN") as copy:
        for row in _incoming(prefix):
            copy.write_row(row)
    connection.execute("SELECT floor_earn_incoming()")
    connection.execute("TRUNCATE incoming")
    connection.commit()


def _incoming(prefix: str) -> Iterator[tuple[object, ...]]:
    why = json.dumps([{"rule": "base", "points": tills.POINTS}])
    for number in range(tills.BATCH):
        key = f"{prefix}{number:08d}"
        yield key, hashlib.sha256(key.encode()).digest(), tills.card(number), key, tills.POINTS, why
