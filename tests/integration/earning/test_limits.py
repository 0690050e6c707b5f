"""Limits at the till: counted in the write, given back when the whole order comes back."""

import pytest

from tests.factories import Till, line, open_till, rows

BASE = {"code": "base", "points": 1, "per": "1.00"}
PLUS = {"code": "plus", "bonus": 50, "limit": {"times": 1, "per": "ever"}}
CAPPED = {"code": "capped", "points": 1, "per": "1.00", "limit": {"points": 25, "per": "year"}}


@pytest.fixture
def till() -> Till:
    return open_till(earning_rules=[BASE, PLUS])


def uses(till: Till, card: str) -> list[tuple[str, int, int]]:
    return [
        tuple(row)
        for row in rows(
            "SELECT rule, times, points FROM loyalty_ruleuse WHERE member_id = %s ORDER BY rule",
            till.ids[card],
        )
    ]


def test_a_limit_counts_across_orders_and_within_a_batch(till: Till):
    card = till.member()

    first, second = till.send(till.earning(card, "o1"), till.earning(card, "o2"))

    assert (first.points, second.points) == (60, 10)
    assert {"rule": "plus", "because": "the limit of 1 time in all is used up"} in (
        second.not_applied
    )
    assert till.earn(card, "o3").points == 10
    assert uses(till, card) == [("plus", 1, 50)]
    assert till.earn(till.member(), "o4").points == 60


def test_a_capped_rule_is_reduced_and_says_so():
    till = open_till(earning_rules=[CAPPED])
    card = till.member()
    till.earn(card, "o1", "20.00")

    reply = till.earn(card, "o2", "20.00")

    assert reply.points == 5
    assert reply.explanation[0]["because"] == (
        "1 point per 1.00 USD of 20.00 USD; 20 reduced to 5 by the limit of 25 points per year"
    )


def test_a_limit_comes_back_with_the_whole_order_and_not_with_a_part(till: Till):
    card = till.member()
    till.earn(card, "o1", lines=[line("1", "10.00"), line("2", "10.00")])
    till.take_back("o1", "r1", {"1": "1"})
    assert till.earn(card, "o2").points == 10

    till.take_back("o1", "r2", {"2": "1"})

    assert uses(till, card) == [("plus", 0, 0)]
    assert till.earn(card, "o3").points == 60


def test_a_return_and_an_earn_in_one_batch_see_each_other(till: Till):
    card = till.member()
    till.earn(card, "o1")

    _, again = till.send(till.returning("o1", "r1"), till.earning(card, "o2"))

    assert again.points == 60
    assert uses(till, card) == [("plus", 1, 50)]


def test_an_order_that_changes_keeps_what_it_took(till: Till):
    card = till.member()
    till.put(card, "o1", 1, [line("1", "10.00")])

    assert till.put(card, "o1", 2, [line("1", "12.00")]).points == 62
    assert uses(till, card) == [("plus", 1, 50)]

    till.put(card, "o1", 3, [line("1", "12.00")], state="cancelled")
    assert uses(till, card) == [("plus", 0, 0)]
    assert till.earn(card, "o2").points == 60

    assert till.put(card, "o1", 4, [line("1", "12.00")]).points == 12
    assert uses(till, card) == [("plus", 1, 50)]


def test_an_order_that_is_not_returned_after_all_takes_of_its_limits_again(till: Till):
    card = till.member()
    back = {"returned": {"quantity": "1"}}
    till.put(card, "o1", 1, [line("1", "10.00")])
    till.put(card, "o1", 2, [line("1", "10.00", **back)])
    assert till.earn(card, "o2").points == 60

    again = till.put(card, "o1", 3, [line("1", "10.00")])

    assert again.points == 10
    assert uses(till, card) == [("plus", 1, 50)]
    till.take_back("o2", "r1")
    till.put(card, "o1", 4, [line("1", "10.00", **back)])
    assert till.put(card, "o1", 5, [line("1", "10.00")]).points == 10
    assert uses(till, card) == [("plus", 0, 0)]
