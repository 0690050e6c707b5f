"""Members bring members: joining with a code, the order that counts, and its return."""

from datetime import timedelta
from typing import Any

import pytest

from loyalty.engine.look import look
from loyalty.members.identifiers import MemberRef
from loyalty.nightly.services import engine_principal, settle_referrals
from loyalty.referrals.rows import converted_referrals
from tests.factories import Clock, balance_of, line, rows, unique
from tests.integration.referrals.friends import (
    BRING,
    converted,
    join,
    open_shop,
    pair,
    points_of,
    proved,
    told,
)
from tests.people import erase

CREATED = ("referral.created", None)


def test_a_friend_joins_with_a_code_and_buys(clock: Clock):
    till = open_shop()
    ada = join(till)
    typed = f" {ada.referral_code[:4].lower()}-{ada.referral_code[4:]}"
    ben = join(till, typed)
    assert (ada.referrer, ben.referrer) == (None, ada.id)
    assert ben.referral_code != ada.referral_code
    assert told(till, ada.card) == []
    settle_referrals()
    assert told(till, ada.card) == [CREATED]

    small = till.earn(ben.card, unique("o"), "19.99")
    assert "referral" not in small.body
    first = till.earn(ben.card, unique("o"), "25.00")
    assert first.points == 25
    because = "100 points for a first purchase as somebody's friend from 20.00 USD"
    assert first.referral == {
        "points": 100,
        "status": "available",
        "explanation": [{"rule": "welcome-friend", "points": 100, "because": because}],
        "not_applied": [],
    }
    assert first.balance["available"] == 19 + 25 + 100
    assert "referral" not in till.earn(ben.card, unique("o"), "25.00").body
    assert points_of(till, ada.card) == 0
    for _ in range(2):
        settle_referrals()
    assert points_of(till, ada.card) == 200
    assert told(till, ada.card) == [CREATED, ("referral.converted", 200)]
    found = rows(
        "SELECT kind, source, explanation->'referral'->>'friend',"
        " explanation->'applied'->0->>'because' FROM loyalty_ledgertransaction"
        " WHERE member_id = %s",
        ada.id,
    )
    because = "200 points for a friend's first purchase from 20.00 USD"
    assert found == [("earn", "nightly", ben.id, because)]
    proved(till)


@pytest.mark.parametrize("at_the_till", ["earn", "redeem"])
def test_a_referrer_who_comes_by_has_the_points_at_once(clock: Clock, at_the_till: str):
    till = open_shop()
    ada, ben = pair(till)
    till.earn(ben, unique("o"), "20.00")
    if at_the_till == "earn":
        assert till.earn(ada, unique("o"), "5.00").balance["available"] == 205
    else:
        assert till.redeem(ada, points=200).status == 201
    settle_referrals()
    assert told(till, ada) == [CREATED, ("referral.converted", 200)]
    assert balance_of(till.ids[ada])["lifetime_earned"] in (200, 205)


def test_a_refused_redemption_gives_nothing_yet_and_loses_nothing(clock: Clock):
    till = open_shop()
    ada, ben = pair(till)
    till.earn(ben, unique("o"), "20.00")
    assert till.redeem(ada, points=201).code == "insufficient_points"
    assert told(till, ada) == []
    settle_referrals()
    assert points_of(till, ada) == 200


def test_a_return_of_the_whole_order_takes_back_what_both_got(clock: Clock):
    till = open_shop()
    ada, ben = pair(till)
    order = unique("o")
    lines = [line("1", "30.00", quantity="3")]
    till.earn(ben, order, lines=lines)
    settle_referrals()
    till.redeem(ada, points=150)
    till.take_back(order, "r1", {"1": "2"})
    assert points_of(till, ben) == 110  # most of it may still stand: the award was for the order
    back = till.take_back(order, "r2")
    assert back.explanation[-1] == {
        "points": -100,
        "because": "nothing is left of the order, and so nothing of what came for being brought",
    }
    assert points_of(till, ben) == 0
    for _ in range(2):
        settle_referrals()
    assert (points_of(till, ada), balance_of(till.ids[ada])["debt"]) == (0, 150)
    counted = [("referral.converted", 200), ("referral.reversed", 200)]
    assert told(till, ada) == [CREATED, *counted]
    till.earn(ben, unique("o"), "50.00")  # a referral counts once
    settle_referrals()
    assert told(till, ada) == [CREATED, *counted]
    proved(till)


def test_points_are_pending_as_long_as_those_of_the_order(clock: Clock):
    till = open_shop(points={"maturity_days": 14})
    ada, ben, order = converted(till)
    for card, points in ((ada, 200), (ben, 120)):
        assert balance_of(till.ids[card])["pending"] == points
    till.take_back(order, "r1")
    settle_referrals()
    for card in (ada, ben):
        assert (balance_of(till.ids[card])["pending"], points_of(till, card)) == (0, 0)
    clock.move(timedelta(days=20))
    again, friend, _ = converted(till)
    clock.move(timedelta(days=15))
    assert till.redeem(again, points=200).status == till.redeem(friend, points=120).status == 201
    proved(till)


def test_a_limit_reduces_and_comes_back_with_the_return(clock: Clock):
    till = open_shop({"limit": {"times": 1, "per": "year"}})
    ada, _, order = converted(till)
    code = rows("SELECT code FROM loyalty_referralcode WHERE member_id = %s", till.ids[ada])[0][0]

    def bring_another() -> None:
        till.earn(join(till, code).card, unique("o"), "20.00")
        settle_referrals()

    bring_another()
    assert points_of(till, ada) == 200
    assert [found for found in told(till, ada) if found != CREATED] == [
        ("referral.converted", 200),
        ("referral.converted", 0),
    ]
    till.take_back(order, "r1")
    settle_referrals()
    bring_another()
    assert points_of(till, ada) == 200
    clock.move(timedelta(days=365))
    bring_another()
    assert points_of(till, ada) == 400


def test_a_campaigns_budget_is_shared_by_both_sides(clock: Clock):
    campaign = {
        "code": "friends",
        "from": "2027-01-01",
        "to": "2027-12-31",
        "budget_points": 250,
        "rules": [{**BRING, "code": "b"}, {**BRING, "code": "w", "who": "friend", "bonus": 100}],
    }
    till = open_shop()
    till.again(earning_rules=[till.document["earning_rules"][0]], campaigns=[campaign])
    ada, ben, order = converted(till)
    assert (points_of(till, ben), points_of(till, ada)) == (120, 150)
    till.take_back(order, "r1")
    settle_referrals()
    query = "SELECT used FROM loyalty_campaignbudget WHERE program_id = %s"
    assert rows(query, till.program.pk) == [(0,)]


def test_a_code_that_nobody_has_and_ones_own_are_refused(clock: Clock):
    till = open_shop()
    ada = join(till, email="ada@example.com", phone="+4930123456")
    for wrong in ("BCDFGHJK", "--", "\x00"):
        unknown = join(till, wrong)
        assert (unknown.status, unknown.code) == (422, "referral_code_unknown")
    assert unknown.errors[0]["pointer"] == "/referred_by"
    other = open_shop()
    assert join(other, ada.referral_code).code == "referral_code_unknown"
    for mine in ({"email": "ada+2@example.com"}, {"email": "ADA@example.com "}):
        again = join(till, ada.referral_code, **mine)
        assert (again.status, again.code) in ((409, "self_referral"), (409, "identifier_taken"))
    erase(till, ada.card)
    assert join(till, ada.referral_code).code == "referral_code_unknown"


def test_an_order_counts_when_it_is_paid_and_no_more_when_it_is_cancelled(clock: Clock):
    till = open_shop()
    ada, ben = pair(till)
    lines = [line("1", "40.00")]
    assert "referral" not in till.put(ben, "w1", 1, lines, state="open").body
    assert till.put(ben, "w1", 2, lines).referral["points"] == 100
    assert points_of(till, ben) == 140
    # A payment that is open again takes the order's points, and may still be made.
    till.put(ben, "w1", 3, lines, state="open")
    settle_referrals()
    assert (points_of(till, ben), points_of(till, ada)) == (100, 200)
    assert "referral" not in till.put(ben, "w1", 4, lines).body
    assert points_of(till, ben) == 140
    till.put(ben, "w1", 5, lines, state="cancelled")
    settle_referrals()
    assert (points_of(till, ben), points_of(till, ada)) == (0, 0)
    assert [type_ for type_, _ in told(till, ada)] == [
        "referral.created",
        "referral.converted",
        "referral.reversed",
    ]
    proved(till)


def test_one_run_may_enrol_earn_and_return(clock: Clock):
    till = open_shop()
    ada = join(till)
    card = unique("c")
    enrol = till.enrolling(card)
    enrol.payload.referred_by = ada.referral_code
    replies = till.send(
        enrol,
        till.earning(card, "b1", "20.00"),
        till.earning(card, "b2", "30.00"),
        till.returning("b1", "r1"),
    )
    assert [reply.status for reply in replies] == [201] * 4
    assert "referral" in replies[1].body and "referral" not in replies[2].body
    assert replies[3].balance["available"] == 30
    settle_referrals()
    assert points_of(till, ada.card) == 0
    assert [type_ for type_, _ in told(till, ada.card)][1:] == [
        "referral.converted",
        "referral.reversed",
    ]
    proved(till)


def test_erasing_leaves_ids_only_and_gives_nothing_more(clock: Clock):
    till = open_shop()
    ada, ben = pair(till)
    till.earn(ben, unique("o"), "20.00")
    erase(till, ada)
    settle_referrals()
    assert points_of(till, ada) == 0
    assert rows("SELECT 1 FROM loyalty_referralcode WHERE member_id = %s", till.ids[ada]) == []
    erase(till, ben)
    found: Any = rows(
        "SELECT referrer_id::text, state FROM loyalty_referral WHERE member_id = %s", till.ids[ben]
    )
    assert found == [(till.ids[ada], "converted")]
    due = "SELECT count(*) FROM loyalty_referralstep WHERE program_id = %s AND settled_at IS NULL"
    assert rows(due, till.program.pk) == [(0,)]


def test_only_the_order_that_converted_reads_what_it_gave(clock: Clock):
    till = open_shop()
    _, ben, order = converted(till)
    principal, me = engine_principal(till.program.pk), MemberRef("card", ben)
    for ref, times in ((order, 1), (unique("o"), 0)):
        ask = converted_referrals(me, ref)
        session, _ = look(principal, me, [ask])
        assert len(session.found(ask)) == times


def test_an_order_from_before_the_day_of_joining_was_not_brought(clock: Clock):
    till = open_shop()
    _, ben = pair(till)
    before = till.earn(ben, unique("o"), "50.00", at=clock.now - timedelta(days=1))
    assert (before.status, "referral" in before.body) == (201, False)
    assert "referral" in till.earn(ben, unique("o"), "50.00").body
