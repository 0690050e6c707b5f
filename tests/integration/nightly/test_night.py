"""The night: twice is once, late is the same, and everything in its order."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from loyalty.nightly.models import NightlyRun
from loyalty.nightly.services import lapse_holds, run_night, run_nightly
from tests.factories import Clock, Till, balance_of, open_till, rows, unique

NOON = datetime(2027, 1, 15, 17, 0, tzinfo=UTC)  # in New York


def events(till: Till, card: str, *skipped: str) -> list[str]:
    found = rows(
        "SELECT type FROM loyalty_outboxevent WHERE member_id = %s ORDER BY sequence",
        till.ids[card],
    )
    return [row[0] for row in found if row[0] not in ("member.enrolled", *skipped)]


def night(till: Till, clock: Clock) -> NightlyRun:
    day = clock.now.astimezone(till_zone(till)).date()
    return run_night(till.program.pk, today=day)


def till_zone(till: Till) -> Any:
    from zoneinfo import ZoneInfo

    return ZoneInfo(till.document["timezone"])


def fingerprint(till: Till) -> list[Any]:
    """Everything that a night could change, except that members were looked at."""
    tables = ("lot", "ledgertransaction", "hold", "redemption")
    counts = [
        rows(f"SELECT count(*), md5(string_agg(t::text, ',' ORDER BY t.member_id, t.number))"
             f" FROM loyalty_{table} AS t WHERE t.program_id = %s", till.program.pk)
        for table in tables
    ]  # fmt: skip
    told = rows("SELECT count(*) FROM loyalty_outboxevent WHERE program_id = %s", till.program.pk)
    tiers = rows("SELECT member_id, level, grace_until FROM loyalty_membertier"
                 " WHERE program_id = %s ORDER BY 1", till.program.pk)  # fmt: skip
    return [*counts, told, tiers]


def busy_program(clock: Clock) -> tuple[Till, list[str]]:
    """Members with everything that a night does: to mature, to expire, to tell, to judge."""
    till = open_till(
        points={"maturity_days": 3, "expiry": {"months": 1}, "expiring_notice_days": [30, 7]}
    )
    cards = [till.member(20, ends=clock.now + timedelta(days=n)) for n in range(1, 9)]
    for card in cards:
        till.earn(card, unique("o"), "300.00")
        till.redeem(card, points=5, capture=False)
    return till, cards


class TestANightThatIsRunTwice:
    def test_changes_nothing_the_second_time(self, clock: Clock):
        clock.set(NOON)
        till, _ = busy_program(clock)
        for _ in range(6):
            clock.move(timedelta(days=1))
            lapse_holds()
            night(till, clock)
            before = fingerprint(till)
            lapse_holds()
            night(till, clock)
            assert fingerprint(till) == before

    def test_is_noted_once(self, clock: Clock):
        clock.set(NOON)
        till = open_till()
        night(till, clock)
        night(till, clock)
        assert NightlyRun.objects.filter(program_id=till.program.pk).count() == 1


def test_after_days_without_a_night_all_is_as_if_none_was_missed(clock: Clock):
    clock.set(NOON)
    every, every_card = busy_program(clock)
    late, late_card = busy_program(clock)
    for _ in range(9):
        clock.move(timedelta(days=1))
        lapse_holds()
        night(every, clock)
    night(late, clock)
    for one, other in zip(every_card, late_card, strict=True):
        balance, missed = balance_of(every.ids[one]), balance_of(late.ids[other])
        del balance["seq"], missed["seq"]
        assert balance == missed


def test_points_mature_then_expire_then_tiers_then_notices(clock: Clock):
    """One member for whom everything is due in the same night, after weeks."""
    clock.set(NOON)
    till = open_till(points={"maturity_days": 3, "expiry": {"months": 1}}, tiers=_tiers(30))
    anna = till.member(20, ends=clock.now + timedelta(days=1))
    till.earn(anna, unique("o"), "300.00")
    clock.move(timedelta(days=366))
    till.adjust(anna, 40, ends=clock.now + timedelta(days=5))
    clock.move(timedelta(hours=1))
    before = len(events(till, anna))
    night(till, clock)
    assert events(till, anna)[before:] == ["tier.downgrade_warning", "points.expiring"]
    kinds = [row[0] for row in rows("SELECT kind FROM loyalty_ledgertransaction"
             " WHERE member_id = %s ORDER BY number", till.ids[anna])]  # fmt: skip
    assert kinds == ["adjust", "earn", "mature", "expire", "adjust"]


def _tiers(grace_days: int) -> dict[str, Any]:
    return {
        "qualify_by": "spend",
        "window": {"rolling_months": 12},
        "levels": [
            {"code": "bronze", "from": "0"},
            {"code": "silver", "from": "250.00"},
            {"code": "gold", "from": "1000.00"},
        ],
        "downgrade": "one_level",
        "grace_days": grace_days,
    }


def level_of(till: Till, card: str) -> str:
    found = rows("SELECT level FROM loyalty_membertier WHERE member_id = %s", till.ids[card])
    return str(found[0][0])


class TestALevelThatIsNoLongerReached:
    """Gold on 15 January 2027 for one purchase; the purchase leaves the window a year later."""

    def gold(self, clock: Clock) -> tuple[Till, str]:
        clock.set(NOON)
        till = open_till(tiers=_tiers(30))
        anna = till.member()
        till.earn(anna, unique("o"), "1200.00")
        clock.set(datetime(2028, 1, 14, 17, 0, tzinfo=UTC))
        night(till, clock)
        assert (level_of(till, anna), events(till, anna, "order.recorded")[-1]) == (
            "gold",
            "tier.upgraded",
        )
        clock.move(timedelta(days=1))
        return till, anna

    def test_is_warned_about_keeps_for_the_grace_and_falls_one_level(self, clock: Clock):
        till, anna = self.gold(clock)
        for _ in range(31):
            night(till, clock)
            assert level_of(till, anna) == "gold"
            clock.move(timedelta(days=1))
        assert events(till, anna).count("tier.downgrade_warning") == 1
        night(till, clock)
        assert (level_of(till, anna), events(till, anna)[-1]) == ("silver", "tier.downgraded")

    def test_is_renewed_by_a_purchase_in_the_grace(self, clock: Clock):
        till, anna = self.gold(clock)
        night(till, clock)
        till.earn(anna, unique("o"), "1000.00")
        clock.move(timedelta(days=1))
        night(till, clock)
        assert (level_of(till, anna), events(till, anna)[-1]) == ("gold", "tier.renewed")
        clock.move(timedelta(days=60))
        night(till, clock)
        assert level_of(till, anna) == "gold"


class TestNotices:
    def test_each_period_tells_once_and_the_nearest_only(self, clock: Clock):
        clock.set(NOON)
        till = open_till(points={"expiring_notice_days": [30, 7]})
        anna = till.member(50, ends=clock.now + timedelta(days=40))
        told = []
        for _ in range(41):
            night(till, clock)
            told.append(events(till, anna).count("points.expiring"))
            clock.move(timedelta(days=1))
        assert told[9] == 0
        assert told[10] == told[31] == 1
        assert told[33] == told[40] == 2

    def test_what_was_spent_meanwhile_is_not_told(self, clock: Clock):
        clock.set(NOON)
        till = open_till(points={"expiring_notice_days": [30]})
        anna = till.member(50, ends=clock.now + timedelta(days=20))
        till.redeem(anna, points=50)
        night(till, clock)
        assert "points.expiring" not in events(till, anna)


@pytest.mark.usefixtures("others_closed")
class TestWhichNightsAreDue:
    @pytest.mark.parametrize(
        ("moment", "due"),
        [
            (datetime(2027, 1, 15, 6, 59, tzinfo=UTC), False),  # 01:59 in New York
            (datetime(2027, 1, 15, 7, 0, tzinfo=UTC), True),
            (datetime(2027, 1, 16, 4, 59, tzinfo=UTC), True),  # 23:59
        ],
    )
    def test_from_two_in_the_morning_of_the_program(
        self, clock: Clock, moment: datetime, due: bool
    ):
        clock.set(moment)
        till = open_till()
        done = [run for run in run_nightly() if run.program_id == till.program.pk]
        assert bool(done) is due
        again = [run for run in run_nightly() if run.program_id == till.program.pk]
        assert again == []
