"""Earns, redemptions and many tills: the engine beside the baseline and the floor."""

from collections.abc import Sequence

from benchmarks import machine
from benchmarks.rounds import Plan, Row, Sample, absolute, interleave, play, ratio
from benchmarks.stage import Stage


def _rate(sample: Sample) -> float:
    return sample.rate


def _cpu(sample: Sample) -> float:
    return sample.cpu


def _p99(sample: Sample) -> float:
    return sample.p99


def _compare(stage: Stage, plan: Plan, kind: str, names: Sequence[str]) -> dict[str, list[Sample]]:
    sites = {name: stage.site(name) for name in names}
    for site in sites.values():
        play(stage, site, kind, seconds=plan.seconds / 2)
    return interleave(
        plan.rounds,
        {
            name: lambda site=site: play(stage, site, kind, seconds=plan.seconds)
            for name, site in sites.items()
        },
    )


def earn(stage: Stage, plan: Plan) -> list[Row]:
    """Earns at 8 tills: plain, floor, engine."""
    seen = _compare(stage, plan, "earn", ["plain", "floor", "engine"])
    engine, plain, floor = seen["engine"], seen["plain"], seen["floor"]
    return [
        absolute("earn: plain", [s.rate for s in plain], unit="/s"),
        absolute("earn: floor", [s.rate for s in floor], unit="/s"),
        absolute("earn: engine", [s.rate for s in engine], unit="/s"),
        absolute("earn: engine, CPU of the server", [s.server for s in engine], unit="ms"),
        absolute("earn: engine, CPU of PostgreSQL", [s.postgres for s in engine], unit="ms"),
        ratio("earn: rate, engine to plain", engine, plain, _rate, ">= 3"),
        ratio("earn: CPU, engine to plain", engine, plain, _cpu, "<= 0.33"),
        ratio("earn: p99, engine to plain", engine, plain, _p99, "<= 1"),
        ratio("earn: rate, engine to floor", engine, floor, _rate, ">= 0.5"),
        absolute("memory of one web process under load", _memory(stage), "<= 150", "MB"),
    ]


def _memory(stage: Stage) -> list[float]:
    workers = machine.family(stage.site("engine").pid)[1:]
    return [machine.resident_bytes(pid) / 1024 / 1024 for pid in workers]


def redeem(stage: Stage, plan: Plan) -> list[Row]:
    """Redemptions at 8 tills: plain, engine."""
    seen = _compare(stage, plan, "redeem", ["plain", "engine"])
    engine, plain = seen["engine"], seen["plain"]
    return [
        absolute("redeem: engine", [s.rate for s in engine], unit="/s"),
        ratio("redeem: rate, engine to plain", engine, plain, _rate, ">= 3"),
        ratio("redeem: CPU, engine to plain", engine, plain, _cpu, "<= 0.33"),
        ratio("redeem: p99, engine to plain", engine, plain, _p99, "<= 1"),
    ]
