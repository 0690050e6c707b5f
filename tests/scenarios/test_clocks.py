"""Clocks that step back, and jobs that come late: scenario 20, and a hold that lapses late."""

from datetime import UTC, datetime, timedelta

import pytest

from loyalty.nightly.services import lapse_holds
from tests.factories import Clock, balance_of, open_till, rows, unique

NOON = datetime(2027, 1, 15, 12, 0, tzinfo=UTC)


def test_scenario_20_the_clock_of_the_database_steps_back(clock: Clock):
    clock.set(NOON)
    till = open_till()
    anna = till.member(10)
    clock.move(timedelta(hours=-1))
    assert till.earn(anna, unique("o"), "5.00").points == 5
    assert till.redeem(anna, points=15).status == 201
    clock.move(timedelta(hours=2))
    till.adjust(anna, 1)
    posted = rows(
        "SELECT seq, posted_at FROM loyalty_posting WHERE member_id = %s ORDER BY seq",
        till.ids[anna],
    )
    assert [seq for seq, _ in posted] == list(range(1, len(posted) + 1))
    times = [at for _, at in posted]
    assert times[:-1] == [NOON] * (len(times) - 1)
    assert times[-1] == NOON + timedelta(hours=1)


@pytest.mark.parametrize("lapsed", ["expire", "grace"])
def test_a_hold_that_lapses_late_lapses_as_of_its_own_end(clock: Clock, lapsed: str):
    """The lot lives when the hold ends; the job comes days later, when it no longer does."""
    clock.set(NOON)
    till = open_till(points={"lapsed": lapsed, "lapsed_grace_days": 14})
    anna = till.member(50, ends=NOON + timedelta(days=1))
    till.redeem(anna, points=30, capture=False)
    clock.move(timedelta(days=3))
    lapse_holds()
    assert balance_of(till.ids[anna])["available"] == 0
    kinds = rows(
        "SELECT kind, points FROM loyalty_ledgertransaction WHERE member_id = %s ORDER BY number",
        till.ids[anna],
    )
    assert [row for row in kinds if row[0] in ("lapse", "expire")] == [
        ("lapse", 30),
        ("expire", -50),
    ]


def test_a_hold_that_ends_after_its_lot_gives_back_by_the_programs_policy(clock: Clock):
    clock.set(NOON)
    till = open_till(points={"lapsed": "grace", "lapsed_grace_days": 14})
    anna = till.member(50, ends=NOON + timedelta(minutes=10))
    till.redeem(anna, points=30, capture=False)
    clock.move(timedelta(days=3))
    lapse_holds()
    assert balance_of(till.ids[anna])["available"] == 30
    ends = rows(
        "SELECT expires_at FROM loyalty_lot WHERE member_id = %s AND available > 0",
        till.ids[anna],
    )
    assert ends == [(NOON + timedelta(days=14, minutes=30),)]
