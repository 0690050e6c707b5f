"""`make bench`: measure all of it, side by side, and print one table."""

import argparse
import os
import time
from collections.abc import Callable

from benchmarks import (
    bulk,
    delivery,
    earning,
    ledgers,
    machine,
    manyrules,
    members,
    nights,
    parsing,
    trials,
)
from benchmarks.rounds import Plan, Row, table
from benchmarks.stage import Stage

Measure = Callable[[Stage, Plan], list[Row]]

MEASURES: dict[str, Measure] = {
    "earn": earning.earn,
    "redeem": earning.redeem,
    "rules": manyrules.rules,
    "batch": bulk.batch,
    "history": members.history,
    "popular": members.popular,
    "delivery": delivery.delivery,
    "night": nights.night,
    "backtest": trials.backtest,
    "validation": parsing.validation,
    "ledger": ledgers.ledger,
}


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a first look, less certain")
    parser.add_argument("--only", action="append", choices=MEASURES, help="may be given again")
    parser.add_argument("--rounds", type=int, help="rounds of each side; 5, quick 2")
    parser.add_argument("--seconds", type=float, help="of each round; 4, quick 1")
    parser.add_argument(
        "--big",
        type=int,
        help="postings in the big ledger; 1,000,000, and a hundredth in the small",
    )
    asked = parser.parse_args()
    big = asked.big or (100_000 if asked.quick else 1_000_000)
    plan = Plan(
        rounds=asked.rounds or (2 if asked.quick else 5),
        seconds=asked.seconds or (1 if asked.quick else 4),
        big=big,
        small=big // 100,
        history=1_000 if asked.quick else 10_000,
    )
    _run(asked.only or list(MEASURES), plan)


def _run(names: list[str], plan: Plan) -> None:
    started = time.monotonic()
    rows: list[Row] = []
    with Stage() as stage:
        about = machine.described(stage.postgres_version)
        print(about)
        if os.getloadavg()[0] > 0.5 * machine.cores():
            print("This machine is busy with other things: look at the ratios only.")
        for name in names:
            print(f"\n{name}: {(MEASURES[name].__doc__ or '').strip()}", flush=True)
            rows += MEASURES[name](stage, plan)
    minutes = (time.monotonic() - started) / 60
    print(f"\n{table(rows)}\n\n{about}")
    print(f"{plan.rounds} rounds of {plan.seconds:g} s for each side; {minutes:.1f} minutes in all")


if __name__ == "__main__":
    main()
