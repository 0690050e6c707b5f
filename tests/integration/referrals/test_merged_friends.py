"""Members who bring members and are merged with others: whose the points and limits are then."""

from datetime import timedelta

import pytest

from loyalty.nightly.services import settle_referrals
from tests.factories import Clock, Till, balance_of, rows, unique
from tests.integration.referrals.friends import (
    code_of,
    converted,
    join,
    open_shop,
    pair,
    points_of,
    proved,
    told,
)
from tests.people import merge, unmerge


def test_who_goes_on_for_a_referrer_gets_what_was_theirs(clock: Clock):
    till = open_shop()
    ada, ben = pair(till)
    other = till.member()
    order = unique("o")
    till.earn(ben, order, "20.00")
    merge(till, ada, other)
    settle_referrals()
    assert points_of(till, other) == 200
    last = till.member()
    merge(till, other, last)
    till.take_back(order, "r1")
    settle_referrals()
    assert (points_of(till, last), balance_of(till.ids[last])["debt"]) == (0, 0)
    proved(till)


def test_a_merge_that_is_taken_back_takes_the_points_along(clock: Clock):
    till = open_shop()
    ada, _, order = converted(till)
    other = till.member()
    merge(till, ada, other)
    unmerge(till, ada)
    assert points_of(till, ada) == 200
    till.take_back(order, "r1")
    settle_referrals()
    assert (points_of(till, ada), balance_of(till.ids[ada])["debt"]) == (0, 0)
    proved(till)


@pytest.mark.parametrize("through", [0, 1])
def test_a_limit_that_comes_back_while_merged_is_whose_gift_it_was(clock: Clock, through: int):
    """Also where the survivor was merged on, and that was taken back."""
    till = open_shop({"limit": {"times": 2, "per": "year"}})
    ada, _, order = converted(till)
    eve, _, _ = converted(till)
    others = [till.member() for _ in range(through)]
    merge(till, ada, eve)
    for other in others:
        merge(till, eve, other)
    till.take_back(order, "r1")
    settle_referrals()
    for _ in others:
        unmerge(till, eve)
    unmerge(till, ada)
    assert [uses(till, card) for card in (ada, eve, *others)] == [0, 1, *[0] * through]


def test_a_limit_that_came_back_before_a_merge_did_not_come_back_in_it(clock: Clock):
    till = open_shop({"limit": {"times": 2, "per": "year"}})
    ada, _, order = converted(till)
    eve, _, _ = converted(till)
    till.take_back(order, "r1")
    settle_referrals()
    merge(till, ada, eve)
    unmerge(till, ada)
    assert [uses(till, card) for card in (ada, eve)] == [0, 1]


def uses(till: Till, card: str) -> int:
    query = "SELECT coalesce(sum(times), 0) FROM loyalty_ruleuse WHERE member_id = %s"
    return int(rows(query, till.ids[card])[0][0])


def test_nobody_brings_themselves_by_a_merge(clock: Clock):
    till = open_shop()
    ada, ben = pair(till)
    merge(till, ben, ada)
    assert "referral" not in till.earn(ada, unique("o"), "50.00").body

    till.earn(second := join(till, code_of(till, ada)).card, unique("o"), "50.00")
    merge(till, second, ada)  # before Ada was told
    settle_referrals()
    assert [type_ for type_, _ in told(till, ada)] == []
    assert points_of(till, ada) == 50 + 50 + 100


@pytest.mark.parametrize("who_goes", ["friend", "referrer"])
def test_no_merge_keeps_points_of_an_order_that_came_back(clock: Clock, who_goes: str):
    till = open_shop()
    ada, ben, order = converted(till)
    one, other = (ben, ada) if who_goes == "friend" else (ada, ben)
    merge(till, one, other)
    assert points_of(till, other) == 20 + 100 + 200
    till.take_back(order, "r1")
    settle_referrals()
    assert (points_of(till, other), balance_of(till.ids[other])["debt"]) == (0, 0)
    assert told(till, other)[-1] == ("referral.reversed", 200)
    proved(till)


def test_who_was_brought_twice_before_a_merge_loses_and_gets_each_once(clock: Clock):
    till = open_shop()
    ada = join(till)
    ben = join(till, ada.referral_code)
    clock.move(timedelta(days=1))
    again = join(till, ada.referral_code)
    till.earn(again.card, "first", "20.00")
    merge(till, again.card, ben.card)
    earned, back = till.send(
        till.earning(ben.card, "second", "30.00"), till.returning("first", "r1")
    )
    assert earned.referral["points"] == 100
    assert back.explanation[-1]["points"] == -100
    assert points_of(till, ben.card) == 30 + 100
    settle_referrals()
    assert points_of(till, ada.card) == 200
    proved(till)


def test_a_member_from_before_is_not_brought_by_joining_again(clock: Clock):
    till = open_shop()
    ada, old = join(till), till.member()
    clock.move(timedelta(days=1))
    new = join(till, ada.referral_code)
    merge(till, new.card, old)
    assert "referral" not in till.earn(old, unique("o"), "50.00").body
    third = join(till, ada.referral_code).card
    clock.move(timedelta(days=1))
    lost_card = till.member()
    merge(till, third, lost_card)
    assert till.earn(lost_card, unique("o"), "50.00").referral["points"] == 100


def test_points_given_while_merged_stay_with_the_survivor_as_all_else(clock: Clock):
    till = open_shop()
    ada, ben = pair(till)
    other = till.member(7)
    merge(till, ada, other)
    till.earn(ben, "first", "20.00")
    settle_referrals()
    unmerge(till, ada)
    till.take_back("first", "r1")
    settle_referrals()
    assert (points_of(till, other), points_of(till, ada)) == (207, 0)
    assert balance_of(till.ids[ada])["debt"] == 0
    assert told(till, ada)[-1] == ("referral.reversed", 0)
    proved(till)
