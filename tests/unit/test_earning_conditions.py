"""Each condition of an earning rule: when it holds, when it does not, and what is said of both."""

from typing import Any

import pytest

from tests.unit.earning_basket import BASE, basket, earn, why


def bonus(when: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"code": "plus", "bonus": 50, "when": when}]


# condition, circumstances in which it holds, others in which it does not, both sentences
CONDITIONS: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], str, str]] = [
    (
        {"sku": ["sku-1", "sku-9"]},
        {},
        {"lines": ()},
        "50 points for a purchase of product sku-1 or sku-9",
        "no line of product sku-1 or sku-9",
    ),
    (
        {"channel": ["web", "app"]},
        {"channel": "app"},
        {"channel": "pos"},
        "50 points for an order through app or web",
        "not through app or web",
    ),
    (
        {"weekday": ["sun", "sat"]},
        {"at": "2026-11-22 00:00"},
        {"at": "2026-11-23 00:00"},
        "50 points for an order on Saturday or Sunday",
        "not on Saturday or Sunday",
    ),
    (
        {"hour": {"from": 16, "to": 18}},
        {"at": "2026-11-21 17:59"},
        {"at": "2026-11-21 18:00"},
        "50 points for an order between 16:00 and 18:00",
        "not between 16:00 and 18:00",
    ),
    (
        {"hour": {"from": 22, "to": 2}},
        {"at": "2026-11-21 01:59"},
        {"at": "2026-11-21 02:00"},
        "50 points for an order between 22:00 and 02:00",
        "not between 22:00 and 02:00",
    ),
    (
        {"hour": {"from": 22, "to": 24}},
        {"at": "2026-11-21 23:10"},
        {"at": "2026-11-21 00:10"},
        "50 points for an order between 22:00 and 24:00",
        "not between 22:00 and 24:00",
    ),
    (
        {"order_amount_max": "20.00"},
        {},
        {"lines": basket("20.01")},
        "50 points for an order up to 20.00 USD",
        "the order is above 20.00 USD",
    ),
    (
        {"tier": ["gold", "silver"]},
        {"level": "gold"},
        {"level": "bronze"},
        "50 points for an order at Gold or Silver",
        "the member is not at Gold or Silver",
    ),
    (
        {"segment": ["vip", "guests"]},
        {"segments": ["guests", "other"]},
        {"segments": ["other"]},
        "50 points for an order in segment guests or vip",
        "the member is not in segment guests or vip",
    ),
    (
        {"not_in_segment": ["staff"]},
        {"segments": ["vip"]},
        {"segments": ["vip", "staff"]},
        "50 points for an order outside segment staff",
        "the member is in segment staff",
    ),
    (
        {"member_age_days": {"max": 30}},
        {"joined": "2026-10-22"},
        {"joined": "2026-10-21"},
        "50 points for an order in the first 30 days as a member",
        "the member joined more than 30 days ago",
    ),
    (
        {"member_age_days": {"min": 1}},
        {"joined": "2026-11-20"},
        {"joined": "2026-11-21"},
        "50 points for an order after 1 day as a member",
        "the member joined less than 1 day ago",
    ),
    (
        {"nth_order": {"is": 3}},
        {"orders": 2},
        {"orders": 3},
        "50 points for an order as the 3rd order",
        "it is not the member's 3rd order",
    ),
    (
        {"nth_order": {"every": 10}},
        {"orders": 19},
        {"orders": 20},
        "50 points for an order as each 10th order",
        "it is not one of each 10 orders",
    ),
    (
        {"birthday": "day"},
        {"born": "1984-11-21"},
        {"born": "1984-11-22"},
        "50 points for an order on the birthday",
        "it is not the member's birthday",
    ),
    (
        {"birthday": "month"},
        {"born": "1984-11-30"},
        {"born": None},
        "50 points for an order in the birthday month",
        "it is not the month of the member's birthday",
    ),
]


@pytest.mark.parametrize(
    ("when", "holds", "fails", "applied", "refused"),
    CONDITIONS,
    ids=["-".join(when) + str(n) for n, (when, *_) in enumerate(CONDITIONS)],
)
def test_a_condition(
    when: dict[str, Any], holds: dict[str, Any], fails: dict[str, Any], applied: str, refused: str
) -> None:
    if "lines" in fails and not fails["lines"]:
        fails = {"lines": basket("20.00", "1.00")[1:]}

    award = earn(bonus(when), **holds)
    assert (award.points, why(award, "plus")) == (50, applied)

    award = earn(bonus(when), **fails)
    assert (award.points, why(award, "plus")) == (0, refused)


@pytest.mark.parametrize(
    ("born", "day", "points"),
    [
        ("1992-02-29", "2028-02-29", 50),
        ("1992-02-29", "2028-02-28", 0),
        ("1992-02-29", "2027-02-28", 50),
        ("1992-02-29", "2027-03-01", 0),
        ("1992-02-29", "2100-02-28", 50),
        ("1992-02-28", "2028-02-28", 50),
        ("1992-02-28", "2027-02-28", 50),
        ("1992-12-31", "2026-12-31", 50),
    ],
)
def test_who_was_born_on_29_february(born: str, day: str, points: int) -> None:
    assert earn(bonus({"birthday": "day"}), at=f"{day} 12:00", born=born).points == points


def test_all_conditions_must_hold_and_the_first_that_does_not_is_told() -> None:
    when = {"weekday": ["sat"], "tier": ["gold"], "category": ["PRODUCE"]}
    lines = basket("PRODUCE 4.00")

    assert earn(bonus(when), lines, level="gold").points == 50
    assert why(earn(bonus(when), lines), "plus") == "the member is not at Gold"
    assert why(earn(bonus(when), level="gold"), "plus") == "no line in PRODUCE"


def test_an_order_from_before_joining_is_of_a_new_member() -> None:
    award = earn(bonus({"member_age_days": {"max": 7}}), joined="2026-12-24")

    assert award.points == 50


def test_a_multiplier_says_its_conditions_too() -> None:
    rules = [BASE, {"code": "double", "multiply": "2", "when": {"weekday": ["sat"]}}]

    award = earn(rules)

    assert award.points == 40
    assert why(award, "double") == "20 base points count 2 times on Saturday"


def test_of_many_products_a_few_are_named() -> None:
    award = earn(bonus({"sku": [f"x{n}" for n in range(1, 10)]}))

    assert why(award, "plus") == "no line of product x1, x2, x3, x4, x5 or 4 others"


class TestGroups:
    DOUBLE = {"code": "double", "multiply": "2", "group": "week"}
    TRIPLE_PRODUCE = {
        "code": "triple", "multiply": "3", "group": "week", "when": {"category": ["PRODUCE"]}
    }  # fmt: skip

    def test_only_the_best_of_a_group_counts(self) -> None:
        rules = [BASE, self.DOUBLE, self.TRIPLE_PRODUCE]

        award = earn(rules, basket("10.00", "PRODUCE 10.00"))
        assert award.points == 20 + 20
        assert why(award, "triple") == (
            "double is at least as good, and only the best of week counts"
        )

        award = earn(rules, basket("5.00", "PRODUCE 15.00"))
        assert award.points == 20 + 30

    def test_what_is_in_no_group_or_another_one_adds_up(self) -> None:
        other = {"code": "other", "multiply": "2", "group": "weekend"}
        free = {"code": "free", "multiply": "2"}

        assert earn([BASE, self.DOUBLE, other, free]).points == 20 * 4

    def test_one_whose_conditions_do_not_hold_does_not_compete(self) -> None:
        award = earn([BASE, self.DOUBLE, self.TRIPLE_PRODUCE])

        assert (award.points, why(award, "triple")) == (40, "no line in PRODUCE")
