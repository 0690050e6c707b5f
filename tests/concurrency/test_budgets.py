"""A campaign's budget at many tills at once: never exceeded, and given out to the last point."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from loyalty.programs.problems import DocumentInvalid
from loyalty.programs.services import roll_back
from tests.concurrency.tills import at_once, deadlocks, statuses
from tests.factories import Till, connect, database_time, line, open_till, rows, unique

WAITS = "SELECT 1 FROM pg_locks WHERE NOT granted AND transactionid = pg_current_xact_id()::xid"


def campaign(budget: int, code: str = "spring") -> dict[str, Any]:
    today = database_time().date()
    return {
        "code": code,
        "from": str(today - timedelta(days=2)),
        "to": str(today + timedelta(days=2)),
        "budget_points": budget,
        "rules": [{"code": "plus", "bonus": 50}],
    }


def campaign_for(category: str) -> dict[str, Any]:
    """A campaign with a budget, called as the category that it is for."""
    rule = {"code": f"plus-{category}", "bonus": 5, "when": {"category": [category]}}
    return {**campaign(1_000, category), "rules": [rule]}


def used(till: Till) -> int:
    query = "SELECT used FROM loyalty_campaignbudget WHERE program_id = %s"
    return int(rows(query, till.program.pk)[0][0])


def test_fifty_tills_share_the_last_points_of_a_budget():
    till = open_till(campaigns=[campaign(1_030)])
    cards = [unique("c") for _ in range(50)]
    till.send(*(till.enrolling(card) for card in cards))
    before = deadlocks()

    replies = at_once([lambda c=card: till.earn(c, unique("o")) for card in cards], tills=25)

    assert statuses(replies) == {201: 50}
    given = sorted(reply.points - 10 for reply in replies)
    assert given == [0] * 29 + [30] + [50] * 20
    assert used(till) == 1_030
    assert deadlocks() == before


def test_several_budgets_are_locked_in_one_order_whatever_is_bought_first():
    """Goal: no deadlock. Method: while one row is held, the other must not be locked already."""
    till = open_till(campaigns=[campaign_for("a"), campaign_for("b")])
    rows("ANALYZE loyalty_campaignbudget")  # as autovacuum does in time: plans differ
    card = till.member()
    row = "SELECT 1 FROM loyalty_campaignbudget WHERE program_id = %s AND campaign = %s FOR UPDATE"

    def buy() -> list[int]:
        lines = [[line("1", "5.00", category=category)] for category in ("b", "a")]
        replies = till.send(*(till.earning(card, unique("o"), lines=each) for each in lines))
        connection.close()
        return [reply.points for reply in replies]

    with connect() as held, ThreadPoolExecutor(1) as pool:
        held.execute("BEGIN")
        held.execute(row, [till.program.pk, "a"])
        bought = pool.submit(buy)
        while not held.execute(WAITS).fetchall():
            assert not bought.done()
        with connect() as other:
            assert other.execute(f"{row} NOWAIT", [till.program.pk, "b"]).fetchall() == [(1,)]
        held.execute("ROLLBACK")
        assert bought.result() == [10, 10]


def test_a_batch_takes_and_a_cancelled_order_gives_back():
    till = open_till(campaigns=[campaign(120)])
    card = till.member()

    replies = till.send(*(till.earning(card, f"o{n}") for n in range(4)))

    assert [reply.points for reply in replies] == [60, 60, 30, 10]
    assert used(till) == 120
    till.take_back("o0", "r1")
    assert used(till) == 70
    assert till.earn(card, "o5").points == 60


def test_a_budget_can_be_raised_and_not_fall_below_what_is_given():
    till = open_till(campaigns=[campaign(120)])
    till.earn(till.member(), "o1")
    till.again(campaigns=[campaign(50)])
    with pytest.raises(DocumentInvalid, match="must be at least 50"):
        till.again(campaigns=[campaign(49)])
    assert till.earn(till.member(), "o2").points == 10
    till.again(campaigns=[campaign(80)])
    assert till.earn(till.member(), "o3").points == 40


def test_joining_takes_of_a_budget_by_whichever_way_somebody_joins():
    joining = [{"code": "hello", "bonus": 50, "trigger": "member.enrolled"}]
    plan = {**campaign(330), "rules": joining}
    till = open_till(campaigns=[plan], points={"unknown_member": "enrol"})
    cards = [unique("c") for _ in range(16)]
    at_once([lambda c=card: till.enrol(c) for card in cards[:8]], tills=8)
    at_once([lambda c=card: till.earn(c, unique("o")) for card in cards[8:12]], tills=4)
    till.send(*(till.enrolling(card) for card in cards[12:]))
    found = rows(
        "SELECT explanation->'applied'->0->>'because', points FROM loyalty_ledgertransaction"
        " WHERE program_id = %s AND explanation->'applied'->0->>'campaign' = 'spring'"
        " ORDER BY points",
        till.program.pk,
    )
    assert [points for _, points in found] == [30, *[50] * 6]
    assert found[0][0] == "50 points for joining; 50 reduced to 30, the last of campaign spring"
    assert used(till) == 330


def test_going_back_to_a_smaller_budget_leaves_it_used_up():
    till = open_till(campaigns=[campaign(60)])
    till.again(campaigns=[campaign(120)])
    card = till.member()
    till.send(*(till.earning(card, f"o{n}") for n in range(2)))
    roll_back(till.program, 1, actor="marta", reason="Too much")
    assert used(till) == 100
    assert till.earn(card, "o3").points == 10
