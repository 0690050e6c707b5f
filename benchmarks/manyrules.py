"""What many active rules cost a till."""

from benchmarks.rounds import Plan, Row, Sample, absolute, interleave, play, ratio
from benchmarks.stage import Site, Stage

FEW, MANY = 5, 200


def rules(stage: Stage, plan: Plan) -> list[Row]:
    """Earns under 200 active rules beside earns under 5."""
    sites = {number: _site(stage, number) for number in (FEW, MANY)}
    for site in sites.values():
        play(stage, site, "earn", seconds=plan.seconds / 2)
    seen = interleave(
        plan.rounds,
        {
            f"{number} rules": lambda site=site: play(stage, site, "earn", seconds=plan.seconds)
            for number, site in sites.items()
        },
    )
    many, few = seen[f"{MANY} rules"], seen[f"{FEW} rules"]
    return [
        absolute(f"earn: {MANY} rules, CPU of the server", [s.server for s in many], unit="ms"),
        absolute(f"earn: {FEW} rules, CPU of the server", [s.server for s in few], unit="ms"),
        ratio(f"earn: CPU, {MANY} rules to {FEW}", many, few, _cpu, "<= 1.2"),
    ]


def _cpu(sample: Sample) -> float:
    return sample.cpu


def _site(stage: Stage, number: int) -> Site:
    site = stage.site(f"engine-{number}-rules")
    site.run("-m", "benchmarks.engine.rules", str(number))
    return site
