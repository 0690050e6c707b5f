"""A batch is many commands: each with its own key and its own outcome, each seeing the earlier."""

from datetime import timedelta

from tests.factories import Clock, balance_of, open_till, unique


def test_a_whole_visit_in_one_batch():
    till = open_till(points={"clawback": "within_balance"})
    card, order = unique("c"), unique("o")
    replies = till.send(
        till.enrolling(card),
        till.earning(card, order, "60.00"),
        till.redeeming(card, reward="five-off"),
        till.returning(order, "r1"),
        till.redeeming(card, points=1),
    )
    assert [reply.status for reply in replies] == [201, 201, 201, 201, 409]
    balance = balance_of(replies[0].id)
    assert (balance["available"], balance["debt"]) == (0, 0)


def test_a_key_that_was_not_kept_and_then_succeeds_is_kept():
    """Not found leaves no key; the same key later in the same batch does, and is stored."""
    till = open_till()
    card = unique("c")
    adjust = till.adjusting(card, 7, key="same")
    replies = till.send(adjust, till.enrolling(card), adjust, adjust)
    assert [reply.status for reply in replies] == [404, 201, 201, 201]
    assert [reply.replayed for reply in replies] == [False, False, False, True]
    assert till.send(adjust)[0].replayed
    assert balance_of(replies[1].id)["available"] == 7


def test_a_key_with_two_bodies_has_the_first():
    till = open_till()
    card = till.member()
    replies = till.send(till.adjusting(card, 7, key="same"), till.adjusting(card, 8, key="same"))
    assert [reply.status for reply in replies] == [201, 422]
    assert balance_of(till.ids[card])["available"] == 7


def test_a_refused_command_leaves_the_others_alone():
    till = open_till()
    card = till.member(10)
    replies = till.send(
        till.redeeming(card, points=11),
        till.redeeming(card, points=6),
        till.redeeming(card, points=6),
        till.adjusting("nobody", 5),
    )
    assert [reply.status for reply in replies] == [409, 201, 409, 404]
    assert balance_of(till.ids[card])["available"] == 4


def test_many_lots_pay_in_the_order_of_their_ends(clock: Clock):
    """150 lots, more than are read at first; a later command must not skip the unread ones."""
    till = open_till()
    card = till.member()
    ends = [clock.now + timedelta(days=n) for n in range(1, 151)]
    till.send(*(till.adjusting(card, 1, ends=end) for end in ends))
    replies = till.send(till.adjusting(card, 500), till.redeeming(card, points=140))
    assert [reply.status for reply in replies] == [201, 201]
    clock.set(ends[-1])
    assert till.redeem(card, points=501).available == 500
