"""Codes at many tills at once: each is handed out once, and the last ones are not lost."""

from loyalty.rewards.pools import count_codes, load_codes
from tests.concurrency.tills import at_once, deadlocks, statuses
from tests.factories import Till, open_till, rows, unique


def shop(codes: int, members: int, points: int = 10) -> tuple[Till, list[str]]:
    it = {"code": "it", "name": "It", "cost": 10, "gives": {"code_from_pool": "cinema"}}
    till = open_till(rewards=[it])
    *_, _ = load_codes(till.program.pk, "cinema", [f"C-{n}" for n in range(codes)])
    cards = [unique("c") for _ in range(members)]
    till.send(*(till.enrolling(card) for card in cards))
    till.send(*(till.adjusting(card, points) for card in cards))
    return till, cards


def test_a_hundred_tills_get_a_hundred_different_codes():
    till, cards = shop(codes=100, members=100)
    before = deadlocks()
    replies = at_once([lambda c=card: till.redeem(c, reward="it") for card in cards], tills=25)
    assert statuses(replies) == {201: 100}
    assert {reply.gives["code"] for reply in replies} == {f"C-{n}" for n in range(100)}
    assert count_codes(till.program.pk, "cinema")["given"] == 100
    lows = rows(
        "SELECT data->>'left' FROM loyalty_outboxevent"
        " WHERE program_id = %s AND type = 'reward.stock_low'",
        till.program.pk,
    )
    assert len(lows) <= 2  # told once for each number, however many tills see it
    assert deadlocks() == before


def test_the_last_codes_go_to_those_who_can_pay_though_others_ask_at_the_same_time():
    """A refused till holds a code for a moment; for the others it is not sold out."""
    till, poor = shop(codes=3, members=24, points=1)
    rich = [till.member(10) for _ in range(3)]
    things = [
        lambda c=card: till.redeem(c, reward="it") for card in [*poor[:12], *rich, *poor[12:]]
    ]
    replies = at_once(things, tills=27)
    assert statuses(replies) == {201: 3, 409: 24}
    assert {reply.member for reply in replies if reply.status == 201} == {
        till.ids[card] for card in rich
    }
    assert count_codes(till.program.pk, "cinema")["given"] == 3


def test_a_levels_last_codes_go_to_whoever_comes_first_and_each_earn_succeeds():
    it = {"code": "it", "name": "It", "cost": 10, "gives": {"code_from_pool": "cinema"}}
    silver = {"code": "silver", "from": "250.00", "benefits": {"rewards": ["it"]}}
    tiers = {"levels": [{"code": "bronze", "from": "0"}, silver]}
    till = open_till(rewards=[it], tiers=tiers)
    *_, _ = load_codes(till.program.pk, "cinema", ["C-1", "C-2", "C-3"])
    cards = [till.member() for _ in range(8)]
    replies = at_once([lambda c=card: till.earn(c, unique("o"), "250.00") for card in cards])
    assert statuses(replies) == {201: 8}
    issued = [one["gives"]["code"] for reply in replies for one in reply.body.get("issued", [])]
    assert sorted(issued) == ["C-1", "C-2", "C-3"]
    assert count_codes(till.program.pk, "cinema")["given"] == 3
    missed = rows("SELECT data->>'reason' FROM loyalty_outboxevent"
                  " WHERE program_id = %s AND type = 'reward.missed'", till.program.pk)  # fmt: skip
    assert missed == [("sold_out",)] * 5
