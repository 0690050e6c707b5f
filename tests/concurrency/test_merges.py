"""Merges while tills go on, with real connections; PostgreSQL is the only referee."""

import random
from collections.abc import Callable

import pytest

from loyalty.errors import Overloaded
from loyalty.ledger.audit import audit
from tests.concurrency.tills import at_once, deadlocks, statuses
from tests.factories import Reply, Till, balance_of, open_till, rows, unique
from tests.people import merge, unmerge


@pytest.fixture
def till() -> Till:
    return open_till()


def proved(till: Till) -> None:
    """Audit everybody of the program."""
    found = rows("SELECT member_id FROM loyalty_memberstate WHERE program_id = %s", till.program.pk)
    ids = [row[0] for row in found]
    assert [finding for finding in audit(members=ids) if finding.rows] == []


def members(till: Till, many: int, points: int) -> list[str]:
    """Enrol many with so many points, in two batches."""
    cards = [unique("c") for _ in range(many)]
    joined = till.send(*(till.enrolling(card) for card in cards))
    till.ids.update({card: reply.id for card, reply in zip(cards, joined, strict=True)})
    till.send(*(till.adjusting(card, points) for card in cards))
    return cards


def available(till: Till) -> dict[str, int]:
    """Read everybody's balance, by card."""
    found = rows("SELECT member_id::text, available FROM loyalty_wallet WHERE member_id = ANY(%s)",
                 list(till.ids.values()))  # fmt: skip
    balances = dict(found)
    return {card: balances[member] for card, member in till.ids.items()}


def test_a_redemption_lands_before_a_merge_or_follows_to_the_survivor(till: Till):
    """Scenario 34: 200 merges, each among a redemption, an earn, a hold and an adjustment."""
    before = deadlocks()
    pairs = list(zip(members(till, 200, 100), members(till, 200, 10), strict=True))

    def hold_and_void(card: str) -> Reply:
        hold = till.redeem(card, points=7, capture=False)
        assert till.void(hold.id).status == 200
        return hold

    things: list[Callable[[], Reply]] = []
    for old, new in pairs:
        said: list[Callable[[], Reply]] = [
            lambda old=old, new=new: merge(till, old, new),
            lambda old=old: till.redeem(old, points=30),
            lambda old=old: till.earn(old, unique("o"), "5.00"),
            lambda old=old: hold_and_void(old),
            lambda new=new: till.adjust(new, 1),
        ]
        things += random.sample(said, len(said))
    replies = at_once(things, tills=10)
    refused = {reply.code for reply in replies if reply.status == 409}
    assert refused <= {"member_has_holds"}
    assert all(reply.status in (200, 201, 409) for reply in replies)
    left = available(till)
    met_a_hold = [pair for pair in pairs if left[pair[0]]]
    assert len(met_a_hold) == [reply.code for reply in replies if reply.status == 409].count(
        "member_has_holds"
    )
    for pair in met_a_hold:
        merge(till, *pair)
    left = available(till)
    assert {left[old] for old, _ in pairs} == {0}
    assert {left[new] for _, new in pairs} == {100 + 10 - 30 + 5 + 1}
    assert deadlocks() == before
    proved(till)


def test_a_into_b_and_b_into_a_at_once_is_one_merge(till: Till):
    """Scenario 35: 20 pairs, both ways at once."""
    before = deadlocks()
    pairs = [(till.member(5), till.member(7)) for _ in range(20)]
    things = [
        lambda one=one, other=other: merge(till, one, other)
        for pair in pairs
        for one, other in (pair, pair[::-1])
    ]
    replies = at_once(things, tills=8)
    assert statuses(replies) == {200: 20, 409: 20}
    assert {reply.code for reply in replies if reply.status == 409} == {"same_member"}
    for pair in pairs:
        both = sorted(balance_of(till.ids[card])["available"] for card in pair)
        assert both == [0, 12]
    assert deadlocks() == before
    proved(till)


def earn_one(till: Till, card: str) -> Reply:
    reply: Reply = till.earn(card, unique("o"), "1.00")
    return reply


def test_a_ring_of_merges_and_their_undoing_neither_deadlocks_nor_loses_a_point(till: Till):
    before = deadlocks()
    cards = [till.member(10) for _ in range(6)]

    def status_of(do: Callable[..., Reply], *said: str) -> int:
        try:
            return do(till, *said).status
        except Overloaded as busy:  # all others move meanwhile: an honest "again, with this key"
            return busy.status

    def stir(card: str) -> list[int]:
        into = random.choice([other for other in cards if other != card])
        done = [status_of(merge, card, into), status_of(earn_one, card)]
        return [*done, status_of(unmerge, card)]

    found = at_once([lambda card=card: stir(card) for card in cards * 8], tills=8)
    said = [status for some in found for status in some]
    assert set(said) <= {200, 201, 409, 503}
    total = sum(balance_of(till.ids[card])["available"] for card in cards)
    assert total == 6 * 10 + said.count(201)
    assert deadlocks() == before
    proved(till)
