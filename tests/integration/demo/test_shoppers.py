"""Shoppers decide by rules: the same receipts lead to the same redemptions."""

from collections import Counter
from datetime import datetime
from itertools import pairwise

from loyalty.demo.receipts import Receipt
from loyalty.demo.replay import share_out
from loyalty.demo.shoppers import MANNERS, Manner, Shopper, brings_back

REWARDS = {"coffee": 120, "five-off": 500}


def test_a_shopper_redeems_every_third_time_that_it_could():
    shopper = Shopper("2261", REWARDS)
    wishes = [shopper.wish(f"b{n}", shopper.cost) for n in range(9)]
    assert [bool(wish) for wish in wishes] == [False, False, True] * 3


def test_a_shopper_who_cannot_pay_waits():
    shopper = Shopper("2261", REWARDS)
    assert not any(shopper.wish(f"b{n}", shopper.cost - 1) for n in range(9))


def test_without_a_reward_for_everybody_nobody_redeems():
    assert Shopper("2261", {}).wish("b1", 10_000) is None


def test_every_reward_and_every_manner_has_its_shoppers():
    assert {Shopper(str(n), REWARDS).reward for n in range(50)} == set(REWARDS)
    manners = Counter()
    for n in range(300):
        shopper = Shopper(str(n), REWARDS)
        for visit in range(3):
            if wish := shopper.wish(f"{n}-{visit}", 1000):
                manners[wish.manner] += 1
    assert set(manners) == set(Manner) == set(MANNERS)


def test_about_one_basket_in_forty_comes_back():
    assert 150 < sum(brings_back(str(n)) for n in range(10_000)) < 350


def test_a_household_stays_at_one_till_in_its_order():
    receipts = [
        Receipt(str(n), str(n % 7), "309", datetime(2026, 1, 1 + n // 10)) for n in range(200)
    ]
    queues = share_out(receipts, 3)
    assert sum(map(len, queues)) == 200
    for queue in queues:
        assert all(a.purchased_at <= b.purchased_at for a, b in pairwise(queue))
    tills_of = Counter(
        household for queue in queues for household in {each.household for each in queue}
    )
    assert set(tills_of.values()) == {1}
    assert max(map(len, queues)) - min(map(len, queues)) < 60
