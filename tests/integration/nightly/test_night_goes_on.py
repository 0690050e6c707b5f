"""A night that was cut short, that fails for one member, that was missed: it goes on."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from loyalty.nightly.models import NightlyRun
from loyalty.nightly.services import run_night, run_nightly
from tests.factories import Clock, Till, balance_of, connect, open_till, rows, unique

NOON = datetime(2027, 1, 15, 17, 0, tzinfo=UTC)  # in New York
YEAR = {
    "window": "calendar_year",
    "levels": [{"code": "bronze", "from": "0"}, {"code": "silver", "from": "250.00"}],
}


def told(till: Till, card: str, type_: str) -> list[dict[str, Any]]:
    found = rows(
        "SELECT data::text FROM loyalty_outboxevent WHERE member_id = %s AND type = %s"
        " ORDER BY sequence",
        till.ids[card],
        type_,
    )
    return [json.loads(row[0]) for row in found]


def night(till: Till, clock: Clock) -> NightlyRun:
    return run_night(till.program.pk, today=clock.now.date())


def steps_of(record: NightlyRun) -> dict[str, tuple[int, int, int]]:
    return {s.name: (s.members, s.changed, s.errors) for s in record.steps.all()}


def test_the_record_says_what_each_step_did(clock: Clock):
    clock.set(NOON)
    till = open_till(points={"inactive_notice_days": [1]})
    for days in (1, 1, 20):
        till.member(20, ends=clock.now + timedelta(days=days))
    clock.move(timedelta(days=1))
    record = night(till, clock)
    assert steps_of(record) == {
        "points": (2, 2, 0),
        "rewards": (0, 0, 0),
        "tiers": (0, 0, 0),
        "occasions": (0, 0, 0),
        "expiring": (1, 1, 0),
        "inactive": (3, 3, 0),
    }
    assert record.finished_at is not None


def test_a_night_that_was_cut_short_goes_on_behind_its_last_page(clock: Clock):
    """As a killed worker leaves it: a step done, the next one half way."""
    clock.set(NOON)
    till = open_till()
    cards = [till.member(20, ends=clock.now + timedelta(days=1)) for _ in range(3)]
    first, *others = sorted(cards, key=lambda card: till.ids[card])
    clock.move(timedelta(days=2))
    record = NightlyRun.objects.create(
        program_id=till.program.pk,
        day=clock.now.date(),
        since=clock.now.date(),
        started_at=clock.now,
        updated_at=clock.now,
    )
    record.steps.create(position=0, name="points", after=till.ids[first], members=1, changed=1)
    again = night(till, clock)
    assert again.pk == record.pk
    assert steps_of(again)["points"] == (3, 3, 0)
    assert balance_of(till.ids[first])["available"] == 20
    assert [balance_of(till.ids[card])["available"] for card in others] == [0, 0]


def test_a_member_who_cannot_be_judged_keeps_the_night_from_nobody(clock: Clock):
    clock.set(NOON)
    till = open_till(tiers=YEAR)
    anna, ben, cleo = till.member(), till.member(), till.member()
    for card in (anna, ben, cleo):
        till.earn(card, unique("o"), "300.00")
    rows(
        "UPDATE loyalty_membertier SET since = '0001-01-01 00:00+00', valid_until = NULL"
        " WHERE member_id = %s",
        till.ids[ben],
    )
    clock.set(datetime(2028, 12, 10, 17, 0, tzinfo=UTC))
    record = night(till, clock)
    assert steps_of(record)["tiers"] == (3, 2, 1)
    step = record.steps.get(name="tiers")
    assert step.error.startswith("OverflowError")
    for card in (anna, cleo):
        assert len(told(till, card, "tier.downgrade_warning")) == 1


def test_only_one_worker_runs_a_night_at_a_time(clock: Clock, others_closed: None):
    clock.set(NOON)
    till = open_till()
    with connect() as other:
        other.execute("SELECT pg_advisory_lock(4013, %s)", [till.program.pk])
        assert till.program.pk not in [run.program_id for run in run_nightly()]
        other.execute("SELECT pg_advisory_unlock(4013, %s)", [till.program.pk])
    assert till.program.pk in [run.program_id for run in run_nightly()]


@pytest.mark.parametrize("off_by", [timedelta(days=1), timedelta(hours=-1)])
def test_scenario_19_a_node_whose_clock_is_wrong_expires_nothing_early(
    clock: Clock, others_closed: None, off_by: timedelta
):
    clock.set(NOON)
    till = open_till()
    anna = till.member(20, ends=clock.now + timedelta(hours=12))
    with time_machine.travel(clock.now + off_by, tick=True):
        run_nightly()
        till.earn(anna, unique("o"), "1.00")
    assert balance_of(till.ids[anna])["available"] == 21
    days = NightlyRun.objects.filter(program_id=till.program.pk).values_list("day", flat=True)
    assert list(days) == [NOON.date()]
    posted = rows(
        "SELECT posted_at, seq FROM loyalty_posting WHERE member_id = %s ORDER BY seq",
        till.ids[anna],
    )
    assert posted == [(clock.now, 1), (clock.now, 2)]
    clock.move(timedelta(hours=15))
    run_nightly()
    assert balance_of(till.ids[anna])["available"] == 1


class TestExpiringNotices:
    def test_list_the_lots_with_their_dates(self, clock: Clock):
        clock.set(NOON)
        till = open_till(points={"expiring_notice_days": [30]})
        anna = till.member(50, ends=NOON + timedelta(days=20))
        till.adjust(anna, 5, ends=NOON + timedelta(days=10))
        night(till, clock)
        [data] = told(till, anna, "points.expiring")
        assert (data["points"], data["days"]) == (55, 30)
        assert [lot["points"] for lot in data["lots"]] == [5, 50]
        assert data["expires_at"] == data["lots"][0]["expires_at"]

    def test_come_once_also_long_before(self, clock: Clock):
        """Keys of commands are forgotten after 30 days; notices are not."""
        clock.set(NOON)
        till = open_till(points={"expiring_notice_days": [90]})
        anna = till.member(50, ends=NOON + timedelta(days=80))
        for days in (0, 1, 35, 35):
            clock.move(timedelta(days=days))
            night(till, clock)
            rows("DELETE FROM loyalty_idempotencykey WHERE client = 0")
        assert len(told(till, anna, "points.expiring")) == 1

    def test_tell_of_points_that_come_in_later(self, clock: Clock):
        clock.set(NOON)
        till = open_till(points={"expiring_notice_days": [30]})
        anna = till.member(50, ends=NOON + timedelta(days=20))
        night(till, clock)
        till.adjust(anna, 7, ends=NOON + timedelta(days=25))
        clock.move(timedelta(days=1))
        night(till, clock)
        assert [data["points"] for data in told(till, anna, "points.expiring")] == [50, 7]


class TestInactivity:
    def nights(self, till: Till, clock: Clock, days: int) -> None:
        for _ in range(days):
            clock.move(timedelta(days=1))
            night(till, clock)

    def test_is_told_once_after_so_many_days_and_again_after_a_return(self, clock: Clock):
        clock.set(NOON)
        till = open_till(points={"inactive_notice_days": [3]})
        anna = till.member()
        self.nights(till, clock, 2)
        assert told(till, anna, "member.inactive") == []
        self.nights(till, clock, 3)
        assert told(till, anna, "member.inactive") == [{"days": 3, "last_active_on": "2027-01-15"}]
        till.earn(anna, unique("o"), "5.00")
        self.nights(till, clock, 4)
        assert [d["last_active_on"] for d in told(till, anna, "member.inactive")] == [
            "2027-01-15",
            "2027-01-20",
        ]

    def test_a_redemption_counts_as_being_there(self, clock: Clock):
        clock.set(NOON)
        till = open_till(points={"inactive_notice_days": [3]})
        anna = till.member(20)
        clock.move(timedelta(days=2))
        till.redeem(anna, points=5)
        self.nights(till, clock, 2)
        assert told(till, anna, "member.inactive") == []

    def test_nights_that_were_missed_are_caught_up_and_no_others(self, clock: Clock):
        clock.set(NOON)
        till = open_till(points={"inactive_notice_days": [3]})
        long_ago = till.member()
        clock.move(timedelta(days=30))
        anna = till.member()
        night(till, clock)
        clock.move(timedelta(days=9))
        night(till, clock)
        assert len(told(till, anna, "member.inactive")) == 1
        assert told(till, long_ago, "member.inactive") == []
