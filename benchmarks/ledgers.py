"""A large ledger beside a small one: the same calls, and the audit.

A ledger is made of one member with real orders, who is copied (benchmarks/copies.py).
"""

import re
from collections.abc import Sequence
from functools import partial

import psycopg

from benchmarks import tills
from benchmarks.copies import copy_member
from benchmarks.rounds import Plan, Row, Sample, absolute, interleave, play, ratio
from benchmarks.stage import Site, Stage

ORDERS = 10
POSTINGS = ORDERS + 1  # and the points of the start
MODEL = 0


def ledger(stage: Stage, plan: Plan) -> list[Row]:
    """A ledger with many postings beside one with few; then the audit of the large one."""
    small = _with_postings(stage, "engine-small", plan.small)
    big = _with_postings(stage, "engine-big", plan.big)
    rows = []
    for kind in ("earn", "balance"):
        print(f"  {kind}")
        seen = _compare(stage, plan, kind, [(big, plan.big), (small, plan.small)])
        what = f"{kind}: time, {plan.big:,} postings to {plan.small:,}"
        rows.append(ratio(what, seen[big.name], seen[small.name], _mean, "<= 1.3"))
    return [*rows, _audit(big, plan)]


def _mean(sample: Sample) -> float:
    return sample.mean


def _compare(
    stage: Stage, plan: Plan, kind: str, sites: Sequence[tuple[Site, int]]
) -> dict[str, list[Sample]]:
    def side(site: Site, postings: int) -> Sample:
        members = _some(postings)
        asked = partial(play, stage, site, kind, members=members, connections=2)
        # Each member once: what is measured is the size of the ledger, not the disk at first sight.
        # Before each round, since a system that is short of memory lets go what rests meanwhile.
        asked(seconds=60, most=len(members))
        return asked(seconds=plan.seconds)

    return interleave(plan.rounds, {site.name: partial(side, site, n) for site, n in sites})


def _some(postings: int) -> list[int]:
    """Choose members from everywhere in the ledger."""
    members = postings // POSTINGS
    step = max(1, members // tills.MEMBERS)
    return list(range(tills.MEMBERS, tills.MEMBERS + members, step))


def _with_postings(stage: Stage, name: str, postings: int) -> Site:
    site = stage.site(name)
    play(stage, site, "earn", seconds=60, most=ORDERS, members=[MODEL], connections=1)
    print(f"  making {postings:,} postings", flush=True)
    with psycopg.connect(site.database_url, autocommit=True) as connection:
        copy_member(connection, tills.card(MODEL), postings // POSTINGS)
    return site


def _audit(site: Site, plan: Plan) -> Row:
    rates = []
    for _ in range(min(plan.rounds, 3)):
        told = site.run("manage.py", "audit_ledger")
        found = re.search(r"([\d,]+) postings a second", told)
        if found is None or "The ledger is proved" not in told:
            raise SystemExit(f"The audit failed:\n{told}")
        rates.append(float(found[1].replace(",", "")))
    return absolute("audit_ledger: postings a second", rates, ">= 200,000", "/s")
