"""A program over the orders of a period: exact where nothing changed, and honest where it did."""

import random
from datetime import date, timedelta
from typing import Any

import pytest

from loyalty.nightly.services import run_night, settle_referrals
from loyalty.programs.selectors import published_program
from loyalty.trials.evaluation import evaluate
from tests.factories import Clock, Till, database_time, line, open_till, rows
from tests.integration.referrals.friends import join, open_shop

LEVELS = [
    {"code": "bronze", "from": "0"},
    {"code": "silver", "from": "100.00", "earn_multiplier": "1.5"},
    {"code": "gold", "from": "300.00", "earn_multiplier": "2"},
]


def busy_document(**changes: Any) -> dict[str, Any]:
    """Describe a program in which everything moves: expiry, maturity, tiers that fall."""
    return {
        "points": {
            "name": "points",
            "expiry": {"months": 1},
            "maturity_days": 3,
            "clawback": "within_balance",
            "unknown_member": "enrol",
        },
        "earning_rules": [
            {"code": "base", "points": 1, "per": "1.00"},
            {"code": "double-produce", "multiply": "2", "when": {"category": ["PRODUCE"]}},
            {
                "code": "big",
                "bonus": 20,
                "when": {"order_amount_min": "40.00"},
                "limit": {"times": 2, "per": "month"},
            },
            {"code": "third", "bonus": 30, "when": {"nth_order": {"every": 4}}},
            {"code": "welcome", "bonus": 25, "trigger": "member.enrolled"},
        ],
        "tiers": {
            "qualify_by": "spend",
            "window": {"rolling_months": 1},
            "levels": LEVELS,
            "downgrade": "one_level",
            "grace_days": 5,
        },
        **changes,
    }


def live_a_while(till: Till, clock: Clock, *, days: int, seed: int) -> None:
    """Let some members shop, return, redeem and be away for some months."""
    dice = random.Random(seed)
    cards = [till.member() for _ in range(4)]
    orders: list[tuple[str, str]] = []
    held: list[str] = []
    for day in range(days):
        clock.move(timedelta(days=1))
        run_night(till.program.pk, today=clock.now.date())
        for card in dice.sample(cards, dice.choice((0, 1, 1, 2))):
            clock.move(timedelta(minutes=7))
            shop(till, dice, card, f"o-{day}-{card}")
            orders.append((card, f"o-{day}-{card}"))
        if orders and dice.random() < 0.25:
            clock.move(timedelta(minutes=7))
            _, ref = dice.choice(orders)
            till.take_back(ref, f"r-{day}", {"2": "1"})
        if dice.random() < 0.2:
            clock.move(timedelta(minutes=7))
            till.adjust(dice.choice(cards), dice.choice((15, -5)))
        if dice.random() < 0.4:
            clock.move(timedelta(minutes=7))
            capture = dice.random() < 0.6
            answer = till.redeem(dice.choice(cards), points=dice.choice((5, 30)), capture=capture)
            if answer.status == 201:
                held.append(answer.id)
        if held and dice.random() < 0.3:
            clock.move(timedelta(minutes=7))
            undo = till.reverse if dice.random() < 0.5 else till.void
            undo(held.pop(dice.randrange(len(held))))
    clock.move(timedelta(days=1))
    run_night(till.program.pk, today=clock.now.date())  # nothing that is due is left


def shop(till: Till, dice: random.Random, card: str, ref: str) -> None:
    lines = [
        line("1", f"{dice.randrange(1, 60)}.{dice.randrange(100):02d}"),
        line("2", f"{dice.randrange(1, 30)}.00", quantity="3", category="PRODUCE"),
    ]
    answer = till.earn(card, ref, lines=lines)
    assert answer.status == 201, answer.body


def try_live(till: Till, begin: date, end: date) -> dict[str, Any]:
    live = published_program(till.program.pk)
    return evaluate(live, live, begin=begin, end=end, now=database_time())


def test_points_that_expire_by_inactivity_do_so_again(clock: Clock):
    points = {**busy_document()["points"], "expiry": {"inactivity_months": 1}, "maturity_days": 0}
    till = open_till(**busy_document(points=points, tiers=None))
    cards = [till.member() for _ in range(3)]
    dice = random.Random(7)
    for day in range(0, 150, 10):
        clock.move(timedelta(days=10))
        run_night(till.program.pk, today=clock.now.date())
        for card, gap in zip(cards, (10, 50, 20), strict=True):
            if day % gap == 0:
                shop(till, dice, card, f"o-{day}-{card}")
        till.adjust(cards[1], 9)  # which carries nothing on
        till.redeem(cards[2], points=5)
    today = clock.now.date()
    whole = try_live(till, today - timedelta(days=400), today)
    for found in (whole, try_live(till, today - timedelta(days=55), today)):
        assert found["outstanding"]["happened"] == found["outstanding"]["tried"]
        assert found["expired"]["happened"] == found["expired"]["tried"] > 0
        assert found["unaffordable"] == {}


@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_live_gives_exactly_what_the_ledger_has(clock: Clock, seed: int):
    till = open_till(**busy_document())
    live_a_while(till, clock, days=46, seed=seed)
    today = clock.now.date()
    for begin in (today - timedelta(days=400), today - timedelta(days=25)):
        found = try_live(till, begin, today)
        for month in found["months"]:
            assert month["happened"] == month["tried"], month
            assert month["rises"]["happened"] == month["rises"]["tried"], month
            assert month["falls"]["happened"] == month["falls"]["tried"], month
        for rule in found["rules"]:
            assert rule["happened"] == rule["tried"], rule
        assert found["members"]["gain"] == found["members"]["lose"] == 0
        assert found["outstanding"]["happened"] == found["outstanding"]["tried"]
        assert found["unaffordable"] == {}
        assert all(level["happened"] == level["tried"] for level in found["levels"])
    everything = try_live(till, today - timedelta(days=400), today)
    orders = rows("SELECT count(*) FROM loyalty_order WHERE program_id = %s", till.program.pk)
    assert everything["orders"] == orders[0][0]
    assert everything["expired"]["happened"] == everything["expired"]["tried"] > 0
    assert sum(month["falls"]["tried"] for month in everything["months"]) > 0


def test_points_of_a_referral_stay_as_they_were_given_and_taken(clock: Clock):
    till = open_shop(points={"maturity_days": 14})
    ada = join(till)
    ben = join(till, ada.referral_code)
    till.earn(ada.card, "a1", "5.00")
    till.earn(ben.card, "b1", "20.00")
    clock.move(timedelta(days=1))
    till.earn(ben.card, "b2", "7.00")
    till.take_back("b1", "r1")  # before any of them can be used
    settle_referrals()
    clock.move(timedelta(days=20))
    run_night(till.program.pk, today=clock.now.date())
    today = clock.now.date()
    found = try_live(till, today - timedelta(days=60), today)
    assert found["outstanding"]["happened"] == found["outstanding"]["tried"] == 12
    assert found["unaffordable"] == {}
