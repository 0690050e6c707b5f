"""Points that expire by inactivity: what moves their one date, and what its end leaves behind."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from psycopg import Error

from loyalty.engine.load import spendable_lots
from loyalty.ledger.audit import audit
from loyalty.nightly.services import run_night
from loyalty.programs.expiry import last_day
from tests.factories import Clock, Till, balance_of, connect, line, open_till, rows, unique
from tests.people import merge, unmerge

JULY = datetime(2027, 7, 16, 4, tzinfo=UTC)  # the end of 15 July in New York: joined on 15 January
AUGUST = datetime(2027, 8, 16, 4, tzinfo=UTC)
FEBRUARY = datetime(2027, 2, 15, 15, tzinfo=UTC)
EXPIRY = {"expiry": {"inactivity_months": 6}}
RULES = [
    {"code": "base", "points": 1, "per": "1.00"},
    {"code": "review", "bonus": 5, "trigger": "activity", "activity": "review"},
]


@pytest.fixture
def till(clock: Clock) -> Till:
    return open_till(points=EXPIRY, earning_rules=RULES)


def until(till: Till, card: str) -> datetime | None:
    return rows("SELECT slides_until FROM loyalty_memberstate WHERE member_id = %s",
                till.ids[card])[0][0]  # fmt: skip


def lots(till: Till, card: str) -> list[tuple[int, datetime | None]]:
    """What each lot has, and the end that is written in it."""
    return rows("SELECT available, expires_at FROM loyalty_lot WHERE member_id = %s"
                " ORDER BY number", till.ids[card])  # fmt: skip


def available(till: Till, card: str) -> int:
    return balance_of(till.ids[card])["available"]


def night(till: Till, clock: Clock) -> None:
    run_night(till.program.pk, today=clock.now.date())


def prove(till: Till, *cards: str) -> None:
    found = audit(members=[till.ids[card] for card in cards])
    assert [finding.rows for finding in found if finding.rows] == []


Act = Callable[[Till, str, Clock], object]


def _hold_and_void(till: Till, card: str, clock: Clock) -> None:
    till.void(till.redeem(card, points=5, capture=False).id)


CARRY: dict[str, Act] = {
    "a purchase": lambda till, card, clock: till.earn(card, unique("o"), "10.00"),
    "a purchase that earns nothing": lambda till, card, _: till.earn(card, unique("o"), "0.10"),
    "an order's desired state": lambda till, card, _: till.put(
        card, unique("o"), 1, [line("1", "3.00")]
    ),
    "a redemption": lambda till, card, _: till.redeem(card, points=5),
    "a hold, also if it is let go": _hold_and_void,
}
LEAVE: dict[str, Act] = {
    "an adjustment": lambda till, card, _: till.adjust(card, 10),
    "a deduction": lambda till, card, _: till.adjust(card, -10),
    "an order that is not paid": lambda till, card, _: till.put(
        card, unique("o"), 1, [line("1", "3.00")], state="open"
    ),
    "a refusal": lambda till, card, _: till.redeem(card, points=10_000),
    "a frozen account": lambda till, card, _: till.freeze(card),
    "a night": lambda till, card, clock: night(till, clock),
}


@pytest.mark.parametrize("act", CARRY.values(), ids=CARRY)
def test_what_a_member_does_carries_all_points_on(till: Till, clock: Clock, act: Act):
    anna = till.member(100)
    till.earn(anna, unique("o"), "20.00")
    assert until(till, anna) == JULY
    clock.set(FEBRUARY)
    act(till, anna, clock)
    assert until(till, anna) == AUGUST
    assert {ends for _, ends in lots(till, anna)} == {None}
    prove(till, anna)


@pytest.mark.parametrize("act", LEAVE.values(), ids=LEAVE)
def test_what_happens_to_a_member_does_not(till: Till, clock: Clock, act: Act):
    anna = till.member(100)
    clock.set(FEBRUARY)
    act(till, anna, clock)
    assert until(till, anna) == JULY
    prove(till, anna)


def test_neither_a_return_nor_a_reversal_takes_the_date_back(till: Till, clock: Clock):
    anna, order = till.member(100), unique("o")
    clock.set(FEBRUARY)
    till.earn(anna, order, "10.00")
    used = till.redeem(anna, points=5)
    clock.move(timedelta(days=60))
    till.take_back(order, "r1")
    till.reverse(used.id)
    assert until(till, anna) == AUGUST


def test_a_late_order_never_shortens_and_may_come_too_late(till: Till, clock: Clock):
    anna, ben = till.member(100), till.member()
    clock.set(FEBRUARY)
    till.earn(anna, unique("o"), "10.00")
    late = till.earn(anna, unique("o"), "7.00", at=FEBRUARY - timedelta(days=300))
    assert (late.status, late.points, until(till, anna)) == (201, 7, AUGUST)
    assert datetime.fromisoformat(late.expires_at) == AUGUST
    clock.set(AUGUST)
    night(till, clock)
    assert until(till, ben) is None
    lost = till.earn(ben, unique("o"), "7.00", at=FEBRUARY)
    assert (lost.body["status"], available(till, ben), until(till, ben)) == ("expired", 0, None)
    prove(till, anna, ben)


class TestTheEnd:
    def test_takes_everything_at_once_and_a_new_wait_begins(self, till: Till, clock: Clock):
        anna = till.member(100)
        till.earn(anna, unique("o"), "20.00")
        clock.set(JULY - timedelta(microseconds=1))
        night(till, clock)
        assert available(till, anna) == 120
        clock.set(JULY)
        night(till, clock)
        assert (available(till, anna), until(till, anna)) == (0, None)
        assert lots(till, anna) == [(0, JULY), (0, JULY)]
        assert till.adjust(anna, 30).status == 201  # nobody waits: as if joining
        assert until(till, anna) == datetime(2028, 1, 17, 5, tzinfo=UTC)
        prove(till, anna)

    def test_comes_before_the_visit_that_would_have_carried_on(self, till: Till, clock: Clock):
        anna = till.member(100)
        clock.set(JULY)
        assert till.redeem(anna, points=50).code == "insufficient_points"
        assert till.earn(anna, unique("o"), "20.00").balance["available"] == 20
        assert until(till, anna) == datetime(2028, 1, 17, 5, tzinfo=UTC)
        told = rows("SELECT type FROM loyalty_outboxevent WHERE member_id = %s ORDER BY sequence",
                    till.ids[anna])  # fmt: skip
        assert [type_ for (type_,) in told][-3:] == [
            "points.expired", "points.earned", "order.recorded",
        ]  # fmt: skip
        prove(till, anna)

    def test_is_kept_by_points_that_come_back_later(self, till: Till, clock: Clock):
        anna = till.member(100)
        used = till.redeem(anna, points=40)
        clock.set(JULY)
        till.earn(anna, unique("o"), "20.00")
        till.reverse(used.id)
        assert available(till, anna) == 20
        prove(till, anna)

    def test_is_nobodys_who_has_no_points(self, till: Till, clock: Clock):
        anna = till.member()
        clock.set(JULY)
        night(till, clock)
        assert until(till, anna) is None
        kinds = rows("SELECT kind FROM loyalty_ledgertransaction WHERE member_id = %s",
                     till.ids[anna])  # fmt: skip
        assert kinds == []


def test_held_points_outlive_it_and_come_back_for_a_grace(clock: Clock):
    clock.set(datetime(2027, 1, 31, 15, tzinfo=UTC))
    points = {"expiry": {"inactivity_months": 1}, "hold_minutes": 43_200, "lapsed": "grace"}
    till = open_till(points=points)
    anna = till.member(100)
    held = till.redeem(anna, points=30, capture=False)
    clock.set(datetime(2027, 3, 1, 5, tzinfo=UTC))  # a month after 31 January: all of February
    night(till, clock)
    assert (available(till, anna), balance_of(till.ids[anna])["held"]) == (0, 30)
    assert till.void(held.id).balance["available"] == 30
    assert lots(till, anna) == [(0, clock.now), (30, clock.now + timedelta(days=14))]
    prove(till, anna)


def test_an_end_of_its_own_stays_and_pays_in_its_turn(till: Till, clock: Clock):
    early, late = JULY - timedelta(days=60), JULY + timedelta(days=300)
    anna = till.member(10, ends=late)
    till.adjust(anna, 20, ends=early)
    till.earn(anna, unique("o"), "30.00")
    assert lots(till, anna) == [(10, late), (20, early), (30, None)]
    till.redeem(anna, points=45)  # what ends first pays first: 20, then 25 of what slides
    assert lots(till, anna) == [(10, late), (0, early), (5, None)]
    clock.set(JULY)
    night(till, clock)
    assert available(till, anna) == 10
    prove(till, anna)


def test_a_batch_that_moves_the_date_reads_more_lots_where_the_order_changes(
    till: Till, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(spendable_lots.__kwdefaults__, "most", 2)
    anna = till.member(5, ends=JULY + timedelta(days=10))
    for _ in range(3):
        till.adjust(anna, 5)
    clock.set(FEBRUARY)
    replies = till.send(till.earning(anna, unique("o"), "1.00"), till.redeeming(anna, points=7))
    assert [reply.status for reply in replies] == [201, 201]
    assert [points for points, _ in lots(till, anna)] == [0, 3, 5, 5, 1]
    prove(till, anna)


class TestWhenTheProgramChanges:
    def test_dates_that_were_told_hold(self, clock: Clock):
        till = open_till(points={"expiry": {"months": 3}})
        anna = till.member(100)
        told = lots(till, anna)
        till.again(points={**till.document["points"], **EXPIRY})
        clock.set(FEBRUARY)
        till.earn(anna, unique("o"), "10.00")
        assert lots(till, anna) == [*told, (10, None)]
        till.again(points={**till.document["points"], "expiry": {"months": 12}})
        clock.move(timedelta(days=30))
        till.earn(anna, unique("o"), "10.00")
        assert until(till, anna) == AUGUST  # it stands still
        assert lots(till, anna)[2][1] == datetime(2028, 3, 18, 4, tzinfo=UTC)
        clock.set(AUGUST)
        night(till, clock)
        assert available(till, anna) == 10
        prove(till, anna)

    def test_fewer_months_shorten_nobodys_date(self, till: Till, clock: Clock):
        anna = till.member(100)
        till.again(points={**till.document["points"], "expiry": {"inactivity_months": 1}})
        clock.set(FEBRUARY)
        till.earn(anna, unique("o"), "10.00")
        assert until(till, anna) == JULY
        clock.set(JULY - timedelta(days=10))
        till.earn(anna, unique("o"), "10.00")
        assert until(till, anna) == datetime(2027, 8, 7, 4, tzinfo=UTC)


def test_merged_members_are_carried_by_what_both_did(till: Till, clock: Clock):
    old, new = till.member(30), till.member(50)
    used = till.redeem(old, points=10)
    clock.set(FEBRUARY)
    till.earn(old, unique("o"), "5.00")
    assert merge(till, old, new).status == 200
    assert (until(till, old), until(till, new)) == (None, AUGUST)
    prove(till, old, new)
    till.reverse(used.id)
    assert (available(till, new), until(till, new)) == (85, AUGUST)
    assert unmerge(till, old).status == 200
    assert (until(till, old), until(till, new)) == (AUGUST, AUGUST)
    prove(till, old, new)
    clock.set(AUGUST)
    night(till, clock)
    assert available(till, old) == available(till, new) == 0
    prove(till, old, new)


@pytest.mark.parametrize("before", ["nothing", "a night", "a visit"])
@pytest.mark.parametrize(("lapsed", "back"), [("expire", 0), ("grace", 10)])
def test_what_was_used_before_a_merge_ends_with_the_survivors_points(
    clock: Clock, before: str, lapsed: str, back: int
):
    till = open_till(points={**EXPIRY, "lapsed": lapsed}, earning_rules=RULES)
    old, new = till.member(30), till.member()
    used = till.redeem(old, points=30)
    assert merge(till, old, new).status == 200
    clock.set(JULY)
    if before == "a night":
        night(till, clock)
    earned = till.earn(new, unique("o"), "7.00").points if before == "a visit" else 0
    assert till.reverse(used.id, points=10).balance["available"] == earned + back
    assert lots(till, old)[0] == (0, JULY)
    ends = clock.now + timedelta(days=14)
    assert [end for _, end in lots(till, new)] == [None] * bool(earned) + [ends] * bool(back)
    prove(till, old, new)


@pytest.mark.parametrize("ended", ["before", "in between", "after", "not yet"])
@pytest.mark.parametrize("by", ["a night", "itself"])
def test_what_was_used_before_two_merges_ends_when_those_points_did(
    clock: Clock, ended: str, by: str
):
    """Whose wait had ended when they were merged on had it end for whom they took over, too."""
    till = open_till(points={**EXPIRY, "lapsed": "expire"}, earning_rules=RULES)
    first, second, third = till.member(30), till.member(), till.member()
    used = till.redeem(first, points=30)
    moments = {"before": 0, "in between": 1, "after": 2, "not yet": 3}
    for step in range(3):
        if step == moments[ended]:
            clock.set(JULY)
            if by == "a night":
                night(till, clock)
        if step < 2:
            giver, taker = ((first, second), (second, third))[step]
            assert merge(till, giver, into=taker).status == 200
    is_over = ended != "not yet"
    assert till.reverse(used.id, points=10).balance["available"] == (0 if is_over else 10)
    if is_over:
        assert lots(till, first)[0] == (0, JULY)
    prove(till, first, second, third)
    clock.set(AUGUST)
    night(till, clock)
    assert available(till, third) == 0
    prove(till, first, second, third)


def test_the_notice_comes_again_for_the_new_date(clock: Clock):
    till = open_till(points={**EXPIRY, "expiring_notice_days": [30]})
    anna = till.member(100)

    def told() -> list[object]:
        return rows("SELECT data->>'points', data->>'expires_at', data->>'last_day'"
                    " FROM loyalty_outboxevent WHERE member_id = %s"
                    " AND type = 'points.expiring' ORDER BY sequence",
                    till.ids[anna])  # fmt: skip

    clock.set(JULY - timedelta(days=20))
    night(till, clock)
    night(till, clock)
    assert told() == [("100", JULY.isoformat(), "2027-07-15")]
    till.redeem(anna, points=40)
    later = until(till, anna)
    assert later is not None
    clock.set(later - timedelta(days=5))
    night(till, clock)
    ends = last_day(later, "America/New_York").isoformat()
    assert told()[1:] == [("60", later.isoformat(), ends)]


@pytest.mark.parametrize(
    ("change", "is_refused"),
    [("expires_at = now()", False), ("expires_at = now(), available = 5000", True),
     ("slides = false", True), ("expires_at = NULL, origin = number", True)],
)  # fmt: skip
def test_only_its_end_is_ever_written_into_a_sliding_lot(till: Till, change: str, is_refused: bool):
    anna = till.member(100)
    statement = f"UPDATE loyalty_lot SET {change} WHERE member_id = %s"
    with connect() as session, session.transaction(force_rollback=True):
        if is_refused:
            with pytest.raises(Error, match="is refused"):
                session.execute(statement.encode(), [till.ids[anna]])
        else:
            session.execute(statement.encode(), [till.ids[anna]])
            with pytest.raises(Error, match="is refused"):
                session.execute(statement.encode(), [till.ids[anna]])
