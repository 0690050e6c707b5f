"""What a member's history costs, and what it costs when everybody wants the same member."""

from benchmarks.rounds import Plan, Row, Sample, interleave, play, ratio
from benchmarks.stage import Stage
from benchmarks.tills import BATCH

OLD, NEW, POPULAR = 11, 12, 13


def _mean(sample: Sample) -> float:
    return sample.mean


def history(stage: Stage, plan: Plan) -> list[Row]:
    """One member with many orders beside one with few."""
    engine = stage.site("engine")
    batches = plan.history // BATCH
    play(stage, engine, "batch", seconds=600, most=batches, members=[OLD], connections=1)
    rows = []
    for kind in ("earn", "redeem", "balance"):
        print(f"  {kind}")
        seen = interleave(
            plan.rounds,
            {
                name: lambda kind=kind, member=member: play(
                    stage,
                    engine,
                    kind,
                    seconds=plan.seconds / 2,
                    members=[member],
                    connections=1,
                )
                for name, member in (("old", OLD), ("new", NEW))
            },
        )
        what = f"{kind}: time, {plan.history:,} orders to a new member"
        rows.append(ratio(what, seen["old"], seen["new"], _mean, "<= 1.2"))
    return rows


def popular(stage: Stage, plan: Plan) -> list[Row]:
    """One member at 8 tills at once beside many members."""
    engine = stage.site("engine")
    seen = interleave(
        plan.rounds,
        {
            "one": lambda: play(stage, engine, "earn", seconds=plan.seconds, members=[POPULAR]),
            "many": lambda: play(stage, engine, "earn", seconds=plan.seconds),
        },
    )
    what = "earn: rate, one member at 8 tills to many members"
    return [ratio(what, seen["one"], seen["many"], lambda sample: sample.rate, ">= 0.3")]
