"""Levels through the engine: validities, returns that take them back, and what history says."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from loyalty.engine.look import look
from loyalty.nightly.services import run_night
from tests.factories import Clock, Till, open_till, rows, unique

LEVELS = [
    {"code": "bronze", "from": "0"},
    {"code": "silver", "from": "250.00"},
    {"code": "gold", "from": "1000.00", "benefits": {"perks": ["Free delivery"]}},
]
YEAR = {"window": "calendar_year", "levels": LEVELS}


def day(year: int, month: int, number: int) -> datetime:
    return datetime(year, month, number, 17, 0, tzinfo=UTC)


def night(till: Till, clock: Clock, at: datetime) -> None:
    clock.set(at)
    run_night(till.program.pk, today=at.date())


def tier(till: Till, card: str) -> tuple[str, str | None, str | None]:
    found = rows(
        "SELECT level, valid_until, grace_until FROM loyalty_membertier WHERE member_id = %s",
        till.ids[card],
    )
    level, valid, grace = found[0] if found else ("bronze", None, None)
    return level, valid and valid.isoformat(), grace and grace.isoformat()


def tier_events(till: Till, card: str) -> list[tuple[str, dict[str, Any]]]:
    found = rows(
        "SELECT type, data::text FROM loyalty_outboxevent"
        " WHERE member_id = %s AND type LIKE 'tier.%%' ORDER BY sequence",
        till.ids[card],
    )
    return [(type_, json.loads(data)) for type_, data in found]


def history(till: Till, card: str) -> list[tuple[Any, ...]]:
    return rows(
        "SELECT from_level, to_level, kind, valid_until::text FROM loyalty_tierchange"
        " WHERE member_id = %s ORDER BY number",
        till.ids[card],
    )


def test_the_example_of_the_program_file(clock: Clock):
    """docs/program_file.md: silver in 2026, warned in December 2027, renewed or lost."""
    clock.set(day(2026, 3, 10))
    till = open_till(tiers=YEAR)
    anna, ben, cleo = till.member(), till.member(), till.member()
    for card in (anna, ben, cleo):
        assert till.earn(card, unique("o"), "260.00").tier["valid_until"] == "2027-12-31"
    clock.set(day(2027, 6, 1))
    for card in (anna, ben, cleo):
        till.earn(card, unique("o"), "100.00")

    night(till, clock, day(2027, 11, 30))
    assert tier(till, anna) == ("silver", "2027-12-31", None)
    night(till, clock, day(2027, 12, 1))
    assert tier(till, anna) == ("silver", "2027-12-31", "2028-01-30")
    type_, data = tier_events(till, anna)[-1]
    assert type_ == "tier.downgrade_warning"
    assert data == {"level": "silver", "grace_until": "2028-01-30", "missing": "150.00"}

    clock.set(day(2027, 12, 31))
    till.earn(anna, unique("o"), "150.00")
    night(till, clock, day(2028, 1, 1))
    assert tier(till, anna) == ("silver", "2028-12-31", None)
    clock.set(day(2028, 1, 20))
    till.earn(ben, unique("o"), "250.00")
    night(till, clock, day(2028, 1, 21))
    assert tier(till, ben) == ("silver", "2029-12-31", None)
    night(till, clock, day(2028, 1, 30))
    assert tier(till, cleo) == ("silver", "2027-12-31", "2028-01-30")
    night(till, clock, day(2028, 1, 31))
    assert tier(till, cleo) == ("bronze", None, None)
    assert history(till, anna) == [
        ("bronze", "silver", "earn", "2027-12-31"),
        ("silver", "silver", "nightly", "2028-12-31"),
    ]
    assert [type_ for type_, _ in tier_events(till, cleo)] == [
        "tier.upgraded",
        "tier.downgrade_warning",
        "tier.downgraded",
    ]


class TestAReturn:
    @pytest.mark.parametrize(
        ("on_return", "window", "expected"),
        [
            ("keep", {"rolling_months": 12}, "gold"),
            ("recalculate", {"rolling_months": 12}, "silver"),
            ("recalculate", "calendar_year", "silver"),
        ],
    )
    def test_takes_a_level_back_only_as_the_program_says(
        self, clock: Clock, on_return: str, window: Any, expected: str
    ):
        clock.set(day(2027, 1, 15))
        till = open_till(tiers={"window": window, "levels": LEVELS, "on_return": on_return})
        anna = till.member()
        till.earn(anna, unique("o"), "300.00")
        order = unique("o")
        till.earn(anna, order, "800.00")
        assert tier(till, anna)[0] == "gold"
        assert till.take_back(order, "r1").status == 201
        assert tier(till, anna)[0] == expected

    def test_within_one_batch_sees_the_orders_before_it(self, clock: Clock):
        clock.set(day(2027, 1, 15))
        till = open_till(tiers={**YEAR, "on_return": "recalculate"})
        anna, order = till.member(), unique("o")
        replies = till.send(till.earning(anna, order, "300.00"), till.returning(order, "r1"))
        assert [reply.status for reply in replies] == [201, 201]
        assert tier(till, anna)[0] == "bronze"
        assert [type_ for type_, _ in tier_events(till, anna)] == [
            "tier.upgraded",
            "tier.downgraded",
        ]

    def test_of_a_cancelled_order_as_well(self, clock: Clock):
        clock.set(day(2027, 1, 15))
        till = open_till(tiers={**YEAR, "on_return": "recalculate"})
        anna, order = till.member(), unique("o")
        lines = [{"line": "1", "sku": "s", "quantity": "1", "amount": "300.00"}]
        till.put(anna, order, 1, lines)
        answer = till.put(anna, order, 2, lines, state="cancelled")
        assert (answer.tier["code"], answer.tier["changed"]) == ("bronze", True)

    def test_leaves_what_last_year_earned(self, clock: Clock):
        clock.set(day(2026, 6, 1))
        till = open_till(tiers={**YEAR, "on_return": "recalculate"})
        anna, order = till.member(), unique("o")
        till.earn(anna, unique("o"), "300.00")
        clock.set(day(2027, 2, 1))
        till.earn(anna, order, "300.00")
        till.take_back(order, "r1")
        assert tier(till, anna)[0] == "silver"


def test_a_member_is_told_what_the_level_gives_and_what_it_asks(clock: Clock):
    clock.set(day(2027, 1, 15))
    till = open_till(tiers=YEAR)
    anna = till.member()
    answer = till.earn(anna, unique("o"), "1200.00").tier
    assert answer["perks"] == ["Free delivery"]
    assert answer["to_stay"] == {"missing": "1000.00", "until": "2028-12-31"}
    assert (answer["valid_until"], answer["assigned"]) == ("2028-12-31", False)
    _, work = look(till.principal, ("card", anna))
    assert work.valid_until is not None
    assert work.valid_until - clock.now.date() > timedelta(days=700)
