"""Returns that come too early or without a store, and points that paid for what came back."""

from datetime import timedelta
from typing import Any

import pytest

from loyalty.ledger import rules as ledger
from loyalty.ledger.audit import audit
from loyalty.orders.models import Order
from tests.factories import STORE, Clock, Till, balance_of, line, open_till, rows, unique
from tests.people import merge


@pytest.fixture
def till(clock: Clock) -> Till:
    return open_till()


def available(till: Till, card: str) -> int:
    return int(balance_of(till.ids[card])["available"])


def proved(till: Till) -> None:
    ids = list(till.ids.values())
    assert [found for found in audit(members=ids) if found.rows] == []


def test_a_return_before_its_order_is_matched_when_it_is_sent_again(till: Till, clock: Clock):
    """Scenario 28: in 20 pairs the return comes first; the balances end up the same."""
    for number in range(20):
        card, ref = till.member(), unique("o")
        lines = [line("1", f"{number + 5}.00"), line("2", "7.50", "3")]
        earn = till.earning(card, ref, lines=lines, at=clock.now)
        back = till.returning(ref, "r1", {"2": "2"})
        early = till.send(back)[0]
        assert (early.status, early.code, early.retry) == (404, "order_not_found", "same_key")
        first, late = till.send(earn)[0], till.send(back)[0]  # the same command, the same key
        assert (first.status, late.status, late.replayed) == (201, 201, False)

        other, ordered = till.member(), unique("o")
        till.earn(other, ordered, lines=lines, at=clock.now)
        till.take_back(ordered, "r1", {"2": "2"})
        assert available(till, card) == available(till, other)
    proved(till)


def test_a_return_before_its_order_in_one_batch_too(till: Till):
    """Scenario 28: commands of a batch take effect in their order."""
    card, ref = till.member(), unique("o")
    back = till.returning(ref, "r1")
    early, earned = till.send(back, till.earning(card, ref, "9.00"))
    assert (early.code, earned.points) == ("order_not_found", 9)
    assert till.send(back)[0].clawed_back == 9


def test_a_return_without_a_store_asks_which_where_a_batch_has_two(till: Till):
    one, two, ref = till.member(), till.member(), unique("o")
    other_store = till.earning(two, ref, "8.00", store="310")
    said = [till.earning(one, ref, "5.00"), other_store, till.returning(ref, "r1", store=None)]
    assert [reply.status for reply in till.send(*said)] == [201, 201, 422]
    assert (available(till, one), available(till, two)) == (5, 8)
    assert till.take_back(ref, "r1", store="310").clawed_back == 8


def test_a_return_without_a_store_finds_the_only_order_of_the_batch(till: Till):
    card, ref = till.member(), unique("o")
    _, back = till.send(till.earning(card, ref, "5.00"), till.returning(ref, "r1", store=None))
    assert (back.status, back.clawed_back) == (201, 5)


def test_a_return_keeps_its_reason_and_answers_the_level(till: Till):
    till.again(tiers={**till.document["tiers"], "on_return": "recalculate"})
    card, ref = till.member(), unique("o")
    till.earn(card, ref, lines=[line("1", "250.00"), line("2", "10.00")])
    back = till.take_back(ref, "r1", reason="Too small")
    assert (back.tier["code"], back.tier["changed"]) == ("bronze", True)
    found = rows(
        "SELECT reason FROM loyalty_ledgertransaction WHERE member_id = %s AND kind = 'claw_back'",
        till.ids[card],
    )
    assert found == [("Too small",)]


def test_a_return_that_comes_again_with_another_reason_is_the_same(till: Till, clock: Clock):
    card, ref = till.member(), unique("o")
    till.earn(card, ref, "10.00")
    first = till.take_back(ref, "r1", reason="Too small", at=clock.now)
    again = till.take_back(ref, "r1", reason="Too large", at=clock.now)
    assert (first.status, again.status, again.clawed_back) == (201, 200, 10)
    assert available(till, card) == 0 and not again.tier["changed"]


def test_points_that_paid_come_back_when_all_of_the_order_does(till: Till, clock: Clock):
    card, ref = till.member(), unique("o")
    ends = clock.now + timedelta(days=5)
    till.adjust(card, 300, ends=ends)
    till.redeem(card, points=200, order_ref=ref, store=STORE)
    till.redeem(card, reward="five-off", order_ref=ref, store=STORE)
    till.earn(card, ref, lines=[line("1", "10.00"), line("2", "4.00")])
    assert available(till, card) == 300 - 200 - 50 + 14
    assert till.take_back(ref, "r1", {"1": "1"}).reinstated == 0  # a part: nobody can say which
    whole = till.take_back(ref, "r2", {"2": "1"})
    assert (whole.reinstated, whole.clawed_back) == (200, 4)
    assert "200 points that paid for the order come back" in whole.explanation[-1]["because"]
    assert available(till, card) == 250  # the reward was used
    lots = rows("SELECT available, expires_at FROM loyalty_lot WHERE member_id = %s"
                " AND available > 0", till.ids[card])  # fmt: skip
    assert lots == [(250, ends)]
    proved(till)


def test_they_come_back_once_whoever_gives_them_back(till: Till):
    card, ref = till.member(300), unique("o")
    paid = till.redeem(card, points=200, order_ref=ref)
    till.earn(card, ref, "10.00")
    assert till.reverse(paid.id, 50).reinstated == 50
    assert till.take_back(ref, "r1").reinstated == 150
    assert till.reverse(paid.id).code == "already_reversed"
    assert available(till, card) == 300
    proved(till)


def test_a_cancelled_order_gives_them_back_too(till: Till, clock: Clock):
    card, ref = till.member(300), unique("o")
    lines = [line("1", "10.00")]
    till.put(card, ref, 1, lines, at=clock.now)
    till.redeem(card, points=100, order_ref=ref)
    till.put(card, ref, 2, lines, state="cancelled", at=clock.now)
    assert available(till, card) == 300
    till.put(card, ref, 3, lines, state="cancelled", at=clock.now)
    assert available(till, card) == 300
    proved(till)


def test_another_stores_order_of_the_same_number_is_not_meant(till: Till):
    card, ref = till.member(300), unique("o")
    till.redeem(card, points=100, order_ref=ref, store="310")
    till.earn(card, ref, "10.00")
    assert till.take_back(ref, "r1").reinstated == 0


@pytest.mark.parametrize("way", ["return", "cancel"])
def test_what_somebody_paid_before_they_were_merged_comes_to_the_survivor(
    till: Till, clock: Clock, way: str
):
    old, new, ref = till.member(300), till.member(), unique("o")
    lines = [line("1", "10.00")]
    paid = till.redeem(old, points=200, order_ref=ref, store=STORE)
    till.put(old, ref, 1, lines, at=clock.now)
    merge(till, old, new)

    if way == "return":
        assert till.take_back(ref, "r1").reinstated == 200
    else:
        till.put(new, ref, 2, lines, state="cancelled", at=clock.now)

    assert (available(till, old), available(till, new)) == (0, 300)
    assert till.reverse(paid.id).code == "already_reversed"
    proved(till)


def test_what_comes_back_to_a_full_balance_is_not_refused_half_way(
    till: Till, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    old, new, ref = till.member(300), till.member(100), unique("o")
    till.redeem(old, points=200, order_ref=ref, store=STORE)
    till.earn(old, ref, "10.00", at=clock.now)
    merge(till, old, new)
    monkeypatch.setattr(ledger, "POINTS_MAX", available(till, new))
    back = till.take_back(ref, "r1")
    proved(till)
    assert (back.status, back.reinstated) == (201, 200)
    assert (available(till, old), available(till, new)) == (0, 400)


def test_what_paid_in_the_same_batch_comes_back_too(till: Till):
    card, ref = till.member(300), unique("o")
    paying = till.redeeming(card, points=200, order_ref=ref)
    reward = till.redeeming(card, reward="five-off", order_ref=ref)
    back = till.returning(ref, "r1")

    *_, whole = till.send(till.earning(card, ref, "10.00"), paying, reward, back)

    assert (whole.status, whole.reinstated) == (201, 200)
    assert available(till, card) == 250
    proved(till)


def test_what_did_not_come_back_after_all_earns_what_it_earned(till: Till, clock: Clock):
    """Not more, where the order itself has raised the member's level."""
    card, ref = till.member(), unique("o")
    lines = [line("1", "300.00")]
    changes = [
        till.put(card, ref, revision, [{**lines[0], "returned": {"quantity": back}}], at=clock.now)
        for revision, back in enumerate("0101", 1)
    ]
    assert [reply.points_changed for reply in changes[1:]] == [-300, 300, -300]
    assert available(till, card) == 0
    proved(till)


@pytest.mark.parametrize(
    ("now", "net"),
    [({}, "10.00"), ({"returned": {"quantity": "1"}}, "5.00"),
     ({"returned": {"quantity": "2"}}, "0.00"),
     ({"returned": {"quantity": "1", "amount": "4.50"}}, "5.50")],
)  # fmt: skip
def test_what_came_back_is_worth_what_is_said_now_and_not_what_was_said_before(
    till: Till, clock: Clock, now: dict[str, Any], net: str
):
    card, ref = till.member(), unique("o")
    bought = line("1", "10.00", "2")
    first = {**bought, "returned": {"quantity": "1", "amount": "3.00"}}
    assert till.put(card, ref, 1, [first], at=clock.now).net_amount == "7.00"
    assert till.put(card, ref, 2, [{**bought, **now}], at=clock.now).net_amount == net
    proved(till)


@pytest.mark.parametrize(("paid", "back"), [("10.00", "-5.00"), ("-10.00", "5.00")])
def test_what_was_paid_back_never_makes_an_order_worth_more(till: Till, paid: str, back: str):
    card, ref = till.member(), unique("o")
    said = {**line("1", paid, "2"), "returned": {"quantity": "1", "amount": back}}
    refused = till.put(card, ref, 1, [said])
    assert (refused.status, refused.code) == (422, "validation_failed")
    assert "another sign" in refused.errors[0]["message"]


def test_of_an_order_of_which_nothing_came_back_nothing_is_kept_that_did(till: Till, clock: Clock):
    card, ref = till.member(), unique("o")
    said = {**line("1", "10.00"), "returned": {"quantity": "0"}}
    assert till.put(card, ref, 1, [said, line("2", "5.00")], at=clock.now).status == 201
    kept = Order.objects.get(member_id=till.ids[card]).lines
    assert [{*found} for found in kept] == [{"line", "sku", "quantity", "amount", "points"}] * 2


def test_points_held_for_an_order_that_comes_back_are_let_go(till: Till):
    card, ref = till.member(300), unique("o")
    hold = till.redeem(card, points=200, order_ref=ref, capture=False)
    till.earn(card, ref, "10.00")
    whole = till.take_back(ref, "r1")
    assert (whole.status, whole.reinstated) == (201, 0)
    assert (whole.balance["held"], whole.balance["available"]) == (0, 300)
    assert till.capture(hold.id).code == "hold_not_open"
    proved(till)


def test_a_hold_that_has_lapsed_by_then_is_left_alone(till: Till, clock: Clock):
    card, ref = till.member(300), unique("o")
    till.redeem(card, points=200, order_ref=ref, capture=False)
    till.earn(card, ref, "10.00")
    clock.move(timedelta(hours=2))
    assert till.take_back(ref, "r1").balance["available"] == 300
    proved(till)


def test_a_payment_without_a_store_is_of_neither_of_two_orders(till: Till):
    card, ref = till.member(300), unique("o")
    paid = till.redeem(card, points=200, order_ref=ref)
    till.earn(card, ref, "10.00")
    till.earn(card, ref, "10.00", store="310")
    assert till.take_back(ref, "r1").reinstated == 0
    assert till.reverse(paid.id).reinstated == 200
    proved(till)


def test_what_was_sold_without_a_quantity_comes_back_as_one_piece(till: Till, clock: Clock):
    card, ref = till.member(), unique("o")
    lines = [line("1", "10.00"), line("2", "7.00", "0"), line("3", "0.00", "0")]
    assert till.earn(card, ref, lines=lines, at=clock.now).points == 17
    assert till.take_back(ref, "r1").clawed_back == 10
    last = till.take_back(ref, "r2", {"2": "1"})
    assert (last.clawed_back, last.explanation[0]["because"]) == (
        7,
        "1 of 1 came back; the line earned 7 points",
    )
    assert till.take_back(ref, "r3", {"2": "1"}).code == "reversal_exceeds_original"

    other = unique("o")
    assert till.put(card, other, 1, [lines[1]], at=clock.now).points == 7
    back = {**lines[1], "returned": {"quantity": "1"}}
    assert till.put(card, other, 2, [back], at=clock.now).points == 0
    assert available(till, card) == 0
    proved(till)


def test_the_same_quantity_written_otherwise_is_the_same_order(till: Till, clock: Clock):
    card, ref = till.member(), unique("o")
    replies = [
        till.earn(card, ref, lines=[line("1", amount, quantity)], at=clock.now)
        for amount, quantity in (("5.00", "2"), ("5.0", "2.0"), ("5.00", "2.1"))
    ]
    assert [reply.status for reply in replies] == [201, 200, 409]
