"""Races at the tills, with real connections; PostgreSQL is the only referee."""

import random
import threading
import time
from collections import Counter
from datetime import datetime, timedelta

import pytest

from loyalty.engine.commands import Command
from loyalty.engine.run import run
from loyalty.ledger.audit import audit
from loyalty.nightly.services import SETTLE, OneMember
from tests.concurrency.tills import at_once, deadlocks, statuses
from tests.factories import (
    Clock,
    Reply,
    Till,
    balance_of,
    connect,
    database_time,
    install_clock,
    open_till,
    rows,
    unique,
)


@pytest.fixture
def till() -> Till:
    return open_till()


def proved(till: Till, *cards: str) -> None:
    """Audit these members."""
    ids = [till.ids[card] for card in cards]
    assert [found.rows for found in audit(members=ids) if found.rows] == []


def test_one_receipt_is_awarded_once_under_twenty_keys(till: Till):
    """Scenario 2: tills that lost their key send the same receipt again."""
    card, ref, at = till.member(), unique("o"), database_time()
    copies = [lambda: till.earn(card, ref, "12.00", at=at) for _ in range(20)]
    replies = at_once(copies)
    assert statuses(replies) == {200: 19, 201: 1}
    assert {reply.id for reply in replies} == {replies[0].id}
    assert balance_of(till.ids[card])["available"] == 12
    proved(till, card)


def test_one_key_has_one_effect_at_twenty_tills(till: Till):
    """Scenario 1, inside one node: 19 replays, byte for byte."""
    card, key = till.member(), unique("k")
    replies = at_once([lambda: till.adjust(card, 7, key=key)] * 20)
    assert len({reply.raw for reply in replies}) == 1
    assert sum(not reply.replayed for reply in replies) == 1
    assert balance_of(till.ids[card])["available"] == 7


def test_an_order_comes_back_once_of_two_returns_at_once(till: Till):
    """Scenario 26: 500 orders × 2 full returns under other keys and refs: 500 succeed."""
    card = till.member()
    orders = [unique("o") for _ in range(500)]
    till.send(*(till.earning(card, ref, "10.00") for ref in orders))
    things = [lambda ref=ref: till.take_back(ref, unique("r")) for ref in orders for _ in "ab"]
    random.shuffle(things)
    replies = at_once(things, tills=12)
    assert statuses(replies) == {201: 500, 409: 500}
    refused = {reply.code for reply in replies if reply.status == 409}
    assert refused == {"reversal_exceeds_original"}
    taken = rows("SELECT count(*), o.points + sum(t.points), o.points - o.clawed_back"
                 " FROM loyalty_order AS o JOIN loyalty_ledgertransaction AS t"
                 " ON t.member_id = o.member_id AND t.order_number = o.number"
                 " WHERE o.member_id = %s AND t.kind = 'claw_back'"
                 " GROUP BY o.number, o.points, o.clawed_back",
                 till.ids[card])  # fmt: skip
    assert taken == [(1, 0, 0)] * 500
    assert balance_of(till.ids[card])["available"] == 0
    proved(till, card)


def test_one_return_is_taken_once_under_two_keys(till: Till):
    """Scenario 26: the same return again answers the first one."""
    card, order, at = till.member(), unique("o"), database_time()
    till.earn(card, order, "10.00")
    replies = at_once([lambda: till.take_back(order, "r1", at=at)] * 8)
    assert statuses(replies) == {200: 7, 201: 1}
    assert balance_of(till.ids[card])["available"] == 0


def test_the_last_reward_is_sold_once_at_a_hundred_tills():
    """Scenario 30."""
    mug = {"code": "mug", "name": "Mug", "cost": 10, "gives": {"product": "mug"}, "stock": 1}
    till = open_till(rewards=[mug])
    cards = [unique("c") for _ in range(100)]
    till.send(*(till.enrolling(card) for card in cards))
    till.send(*(till.adjusting(card, 10) for card in cards))
    replies = at_once([lambda card=card: till.redeem(card, reward="mug") for card in cards])
    assert statuses(replies) == {201: 1, 409: 99}
    assert {reply.code for reply in replies if reply.status == 409} == {"reward_sold_out"}
    left = rows("SELECT remaining FROM loyalty_rewardstock WHERE program_id = %s",
                till.program.pk)  # fmt: skip
    assert left == [(0,)]


def test_fifty_redemptions_of_25_from_100_points_are_four(till: Till):
    """Scenario 31."""
    card = till.member(100)
    replies = at_once([lambda: till.redeem(card, points=25)] * 50)
    assert statuses(replies) == {201: 4, 409: 46}
    assert {reply.code for reply in replies if reply.status == 409} == {"insufficient_points"}
    assert balance_of(till.ids[card])["available"] == 0
    proved(till, card)


def test_a_hold_is_captured_or_voided_and_never_both(till: Till):
    """Scenario 32: 300 races on 12 members, one terminal state each."""
    cards = [till.member(250) for _ in range(12)]
    holds = [(c, till.redeem(c, points=10, capture=False).id) for c in cards for _ in range(25)]
    things = []
    for _, hold in holds:
        pair = [lambda h=hold: till.capture(h), lambda h=hold: till.void(h)]
        random.shuffle(pair)
        things += pair
    replies = at_once(things, tills=12)
    assert statuses(replies) == {200: 300, 409: 300}
    for first, second in zip(replies[::2], replies[1::2], strict=True):
        assert sorted([first.status, second.status]) == [200, 409]
    for card in cards:
        balance = balance_of(till.ids[card])
        captured = rows("SELECT coalesce(sum(captured), 0) FROM loyalty_redemption"
                        " WHERE member_id = %s", till.ids[card])[0][0]  # fmt: skip
        assert balance["held"] == 0
        assert balance["available"] == 250 - captured
        ended = rows("SELECT count(*) FROM loyalty_ledgertransaction WHERE member_id = %s"
                     " AND kind IN ('capture', 'void') GROUP BY redemption_number",
                     till.ids[card])  # fmt: skip
        told = rows("SELECT count(*) FROM loyalty_outboxevent WHERE member_id = %s"
                    " AND type IN ('points.redeemed', 'points.released')"
                    " GROUP BY data::jsonb ->> 'redemption'", till.ids[card])  # fmt: skip
        assert ended == told == [(1,)] * 25
    proved(till, *cards)


def settle(till: Till, card: str) -> None:
    """Do what the night does for one member."""
    payload = OneMember(("id", till.ids[card]))
    run([Command(SETTLE, payload)], principal=till.principal)


def at_this_time(moment, thing):
    """Do it on a connection whose PostgreSQL says that it is this moment."""
    install_clock()
    Clock(moment)
    return thing()


def test_a_hold_lapses_or_is_captured_and_never_both(till: Till):
    """Scenario 33: capture a millisecond before its end against the lapse at its end."""
    for _ in range(25):
        card = till.member(40)
        hold = till.redeem(card, points=40, capture=False)
        end = _moment(hold.held_until)
        before = end - timedelta(milliseconds=1)
        captured, _ = at_once(
            [
                lambda b=before, h=hold.id: at_this_time(b, lambda: till.capture(h)),
                lambda e=end, c=card: at_this_time(e, lambda: settle(till, c)),
            ]
        )
        state = rows("SELECT state FROM loyalty_hold WHERE member_id = %s", till.ids[card])[0][0]
        assert (captured.status, state) in {(200, "captured"), (409, "lapsed")}
        balance = balance_of(till.ids[card])
        assert balance["available"] == (0 if state == "captured" else 40)
        proved(till, card)


def test_a_hold_is_not_captured_at_its_end_nor_beyond_its_points(till: Till):
    """Scenario 33: 409 hold_expired, 422 capture_exceeds_hold."""
    card = till.member(40)
    hold = till.redeem(card, points=30, capture=False)
    assert till.capture(hold.id, 31).code == "capture_exceeds_hold"
    late = at_once([lambda: at_this_time(_moment(hold.held_until), lambda: till.capture(hold.id))])[
        0
    ]
    assert (late.status, late.code) == (409, "hold_expired")


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_a_lot_is_redeemed_or_expires_and_never_both(till: Till):
    """Scenario 22: 500 are redeemed a microsecond before their end, and expire at the end."""
    end = database_time() + timedelta(days=1)
    cards = [unique("c") for _ in range(500)]
    enrolled = till.send(*(till.enrolling(card) for card in cards))
    till.ids |= {card: reply.id for card, reply in zip(cards, enrolled, strict=True)}
    till.send(*(till.adjusting(card, 50, ends=end) for card in cards))
    before = end - timedelta(microseconds=1)
    things = []
    for card in cards:
        pair = [
            lambda c=card: at_this_time(before, lambda: till.redeem(c, points=50)),
            lambda c=card: at_this_time(end, lambda: settle(till, c)),
        ]
        random.shuffle(pair)
        things += pair
    replies = [reply for reply in at_once(things, tills=8) if reply is not None]
    lots = rows("SELECT granted, redeemed, expired, available FROM loyalty_lot AS l"
                " JOIN loyalty_member AS m ON m.id = l.member_id WHERE m.program_id = %s",
                till.program.pk)  # fmt: skip
    ends = Counter(lots)
    assert set(ends) == {(50, 50, 0, 0), (50, 0, 50, 0)} and len(lots) == 500
    assert statuses(replies) == {201: ends[50, 50, 0, 0], 409: ends[50, 0, 50, 0]}
    proved(till, *cards)


def test_who_waited_for_the_lock_beyond_the_end_of_a_lot_does_not_spend_it(till: Till):
    """Scenario 23: the clock is read after the lock."""
    card = till.member()
    end = database_time() + timedelta(seconds=1)
    till.adjust(card, 50, ends=end)
    replies: list[Reply] = []
    with connect() as other:
        with other.transaction():
            query = "SELECT 1 FROM loyalty_memberstate WHERE member_id = %s FOR NO KEY UPDATE"
            other.execute(query, [till.ids[card]])
            waiting = threading.Thread(
                target=lambda: replies.extend(at_once([lambda: till.redeem(card, points=50)]))
            )
            waiting.start()
            _wait_until(_somebody_waits_for_a_lock)
            assert database_time() < end
            _wait_until(lambda: database_time() > end)
        waiting.join(10)
    assert (replies[0].status, replies[0].code) == (409, "insufficient_points")


def _somebody_waits_for_a_lock() -> bool:
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    return rows(query)[0][0] > 0


def _wait_until(condition, seconds: float = 5) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.005)


class TestNothingDeadlocks:
    """Locks are taken in one order: keys, members, stock."""

    @pytest.fixture(autouse=True)
    def no_deadlock(self):
        before = deadlocks()
        yield
        assert deadlocks() == before

    def test_batches_with_the_same_members_in_other_orders(self, till: Till):
        cards = [till.member(1000) for _ in range(20)]

        def batch() -> list[Reply]:
            mixed = random.sample(cards, len(cards))
            said = [till.earning(card, unique("o"), "1.00") for card in mixed]
            said += [till.redeeming(card, points=1) for card in mixed]
            random.shuffle(said)
            return till.send(*said)

        replies = [reply for some in at_once([batch] * 40, tills=8) for reply in some]
        assert statuses(replies) == {201: 40 * 40}
        for card in cards:
            assert balance_of(till.ids[card])["available"] == 1000
        proved(till, *cards)

    def test_batches_with_the_same_keys_in_other_orders(self, till: Till):
        card = till.member()
        commands = [till.adjusting(card, 1) for _ in range(30)]
        things = [
            lambda mixed=mixed: till.send(*mixed)
            for mixed in [random.sample(commands, len(commands)) for _ in range(12)]
        ]
        replies = [reply for some in at_once(things, tills=8) for reply in some]
        assert sum(not reply.replayed for reply in replies) == 30
        assert balance_of(till.ids[card])["available"] == 30

    def test_two_popular_stocks_in_other_orders(self):
        rewards = [
            {"code": code, "name": code, "cost": 1, "gives": {"product": code}, "stock": 10_000}
            for code in ("cup", "mug")
        ]
        till = open_till(rewards=rewards)
        cards = [till.member(100) for _ in range(8)]

        def batch(card: str) -> list[Reply]:
            codes = random.sample(["cup", "mug"] * 5, 10)
            return till.send(*(till.redeeming(card, reward=code) for code in codes))

        things = [lambda card=card: batch(card) for card in cards for _ in range(5)]
        replies = [reply for some in at_once(things, tills=8) for reply in some]
        assert statuses(replies) == {201: 400}
        left = rows("SELECT sum(total - remaining) FROM loyalty_rewardstock"
                    " WHERE program_id = %s", till.program.pk)  # fmt: skip
        assert left == [(400,)]

    def test_enrolments_of_the_same_cards_in_other_orders(self, till: Till):
        for _ in range(5):
            cards = [unique("c") for _ in range(20)]
            things = [
                lambda mixed=mixed: till.send(*(till.enrolling(card) for card in mixed))
                for mixed in [random.sample(cards, 20) for _ in range(4)]
            ]
            replies = [reply for some in at_once(things) for reply in some]
            assert statuses(replies) == {201: 20, 409: 60}

    def test_the_same_receipts_for_other_members_in_other_orders(self, till: Till):
        cards, at = [till.member() for _ in range(4)], database_time()
        refs = [unique("o") for _ in range(20)]

        def batch(card: str) -> list[Reply]:
            mixed = random.sample(refs, len(refs))
            return till.send(*(till.earning(card, ref, "1.00", at=at) for ref in mixed))

        some = at_once([lambda card=card: batch(card) for card in cards])
        replies = [reply for each in some for reply in each]
        assert statuses(replies) == {201: 20, 409: 60}

    def test_eight_tills_for_one_member(self, till: Till):
        card = till.member(1000)
        said = [lambda: till.earn(card, unique("o"), "1.00"), lambda: till.redeem(card, points=1)]
        replies = at_once(said * 60, tills=8)
        assert statuses(replies) == {201: 120}
        assert balance_of(till.ids[card])["available"] == 1000
        proved(till, card)


def test_an_unknown_card_is_enrolled_once_by_two_tills():
    till = open_till(points={"unknown_member": "enrol"})
    for _ in range(10):
        card = unique("c")
        things = [lambda c=card: till.earn(c, unique("o"), "10.00")] * 2
        replies = at_once(things)
        assert statuses(replies) == {201: 2}
        assert replies[0].member == replies[1].member
        assert balance_of(replies[0].member)["available"] == 20
