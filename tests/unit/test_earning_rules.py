"""What an order earns, rule by rule, with the sentences that explain it."""

from dataclasses import replace
from datetime import date
from fractions import Fraction
from typing import Any

import pytest

from loyalty.earning.rules import (
    Award,
    Earner,
    Occasion,
    OrderLine,
    Purchase,
    calculate_points,
    occasion_awards,
)
from loyalty.programs.rules import (
    Conditions,
    EarningRule,
    PointsPolicy,
    PublishedProgram,
    TierLevel,
    TierPolicy,
)

BASE = EarningRule("base", "base", points=1, per=100)
LEVELS = (
    TierLevel("bronze", "Bronze", 0),
    TierLevel("silver", "Silver", 25_000, Fraction(5, 4)),
    TierLevel("gold", "Gold", 100_000, Fraction(3, 2)),
)


def program(*rules: EarningRule, rounding: Any = "down", **changes: Any) -> PublishedProgram:
    published = PublishedProgram(
        id=1,
        code="grocer",
        name="Grocer Rewards",
        version=1,
        timezone="America/New_York",
        currency="USD",
        currency_scale=2,
        points=PointsPolicy(name="points", rounding=rounding),
        stores={"309": "Main Street"},
        earning_rules=rules,
        tiers=TierPolicy(levels=LEVELS),
        rewards={},
    )
    return replace(published, **changes)


def line(amount: int, category: str = "GROCERY", brand: str = "National") -> OrderLine:
    return OrderLine("1", "940996", "1", amount, category, brand)


def earn(
    published: PublishedProgram,
    *lines: OrderLine,
    level: str | None = None,
    store: str = "309",
    day: date = date(2017, 1, 28),
) -> Award:
    purchase = Purchase(store=store, channel="pos", day=day, lines=lines)
    earner = Earner(level=level or "")
    return calculate_points(program=published, purchase=purchase, earner=earner)


def test_the_example_of_the_program_file() -> None:
    """docs/program_file.md, How an order's points come about."""
    produce = Conditions(category=frozenset({"PRODUCE"}))
    published = program(
        BASE,
        EarningRule("double-produce", "multiplier", multiply=Fraction(2), when=produce),
        EarningRule("plus-50", "bonus", bonus=50, when=Conditions(order_amount_min=2_000)),
    )

    award = earn(published, line(1_000), line(1_550, "PRODUCE"), line(-400, ""), level="silver")

    assert (award.points, award.base_points, award.line_points) == (89, 21, (30, 59, 0))
    assert [(entry["rule"], entry["points"], entry["because"]) for entry in award.explanation] == [
        ("base", 21, "1 point per 1.00 USD of 21.50 USD"),
        ("double-produce", 13, "13 base points in PRODUCE count 2 times"),
        ("plus-50", 50, "50 points for an order from 20.00 USD"),
        ("tier:silver", 5, "21 base points count 1.25 times at Silver"),
    ]


class TestBaseRules:
    def test_the_example_of_the_documentation(self) -> None:
        produce = EarningRule(
            "double-produce",
            "multiplier",
            multiply=Fraction(2),
            when=Conditions(category=frozenset({"PRODUCE"})),
        )

        award = earn(program(BASE, produce), line(386), level="bronze")

        assert award.points == 3
        assert award.explanation == [
            {"rule": "base", "points": 3, "because": "1 point per 1.00 USD of 3.86 USD"}
        ]
        assert award.not_applied == [{"rule": "double-produce", "because": "no line in PRODUCE"}]

    @pytest.mark.parametrize(
        ("amount", "points"), [(0, 0), (99, 0), (100, 1), (199, 1), (200, 2), (10**12, 10**10)]
    )
    def test_counts_whole_steps_of_the_whole_order(self, amount: int, points: int) -> None:
        assert earn(program(BASE), line(amount)).points == points

    def test_steps_are_of_the_order_not_of_each_line(self) -> None:
        award = earn(program(BASE), line(60), line(60))

        assert (award.points, award.line_points) == (1, (1, 0))

    @pytest.mark.parametrize(("rounding", "points"), [("down", 1), ("nearest", 2), ("up", 2)])
    def test_proportional_points_are_rounded_once(self, rounding: str, points: int) -> None:
        rule = replace(BASE, steps="proportional")

        award = earn(program(rule, rounding=rounding), line(75), line(75))

        assert (award.points, award.explanation[0]["because"]) == (
            points,
            "1 point per 1.00 USD of 1.50 USD, in proportion",
        )

    @pytest.mark.parametrize(("amount", "points"), [(149, 1), (150, 2), (151, 2)])
    def test_nearest_takes_halves_up(self, amount: int, points: int) -> None:
        rule = replace(BASE, steps="proportional")

        assert earn(program(rule, rounding="nearest"), line(amount)).points == points

    def test_a_net_below_zero_earns_nothing(self) -> None:
        award = earn(program(BASE), line(500), line(-700))

        assert (award.points, award.line_points) == (0, (0, 0))
        assert award.explanation[0]["because"] == "1 point per 1.00 USD of 0.00 USD"

    def test_a_discount_line_reduces_the_order_and_gets_no_points(self) -> None:
        award = earn(program(BASE), line(1000), line(-300), line(500))

        assert (award.points, award.line_points) == (12, (8, 0, 4))

    def test_an_order_without_lines_earns_nothing(self) -> None:
        assert earn(program(BASE)).points == 0

    def test_equal_remainders_go_to_the_earlier_line(self) -> None:
        award = earn(program(BASE), line(67), line(67), line(66))

        assert award.line_points == (1, 1, 0)

    def test_several_base_rules_add_up_each_on_its_own_lines(self) -> None:
        fuel = EarningRule(
            "fuel", "base", points=2, per=500, when=Conditions(category=frozenset({"FUEL"}))
        )

        award = earn(program(BASE, fuel), line(300), line(1100, "fuel"))

        assert (award.points, award.line_points) == (18, (3, 15))
        assert award.explanation[1] == {
            "rule": "fuel",
            "points": 4,
            "because": "2 points per 5.00 USD of 11.00 USD in FUEL",
        }

    def test_a_rule_for_some_lines_never_counts_more_than_the_order(self) -> None:
        fuel = EarningRule(
            "fuel", "base", points=1, per=100, when=Conditions(category=frozenset({"FUEL"}))
        )

        assert earn(program(fuel), line(1000, "FUEL"), line(-400, "")).points == 6

    def test_yen_have_no_decimals(self) -> None:
        rule = replace(BASE, per=200)
        yen = program(rule, currency="JPY", currency_scale=0)

        award = earn(yen, line(1100))

        assert award.explanation[0]["because"] == "1 point per 200 JPY of 1100 JPY"
        assert award.points == 5


class TestMultipliers:
    def test_adds_to_the_lines_that_it_matches(self) -> None:
        double = EarningRule(
            "double", "multiplier", multiply=Fraction(2), when=Conditions(brand=frozenset({"OWN"}))
        )

        award = earn(program(BASE, double), line(500), line(500, brand="Own"))

        assert (award.points, award.base_points, award.line_points) == (15, 10, (5, 10))
        assert award.explanation[1]["because"] == "5 base points of brand OWN count 2 times"

    def test_ungrouped_multipliers_add_up_and_do_not_multiply_each_other(self) -> None:
        double = EarningRule("double", "multiplier", multiply=Fraction(2))
        triple = EarningRule("triple", "multiplier", multiply=Fraction(3))

        assert earn(program(BASE, double, triple), line(1000)).points == 10 + 10 + 20

    @pytest.mark.parametrize(("rounding", "points"), [("down", 12), ("nearest", 13), ("up", 13)])
    def test_a_fraction_is_rounded_once_per_rule(self, rounding: str, points: int) -> None:
        rule = EarningRule("more", "multiplier", multiply=Fraction(5, 4))

        assert earn(program(BASE, rule, rounding=rounding), line(500), line(500)).points == points

    def test_both_conditions_must_hold_for_the_same_line(self) -> None:
        when = Conditions(category=frozenset({"DAIRY"}), brand=frozenset({"OWN"}))
        rule = EarningRule("own-dairy", "multiplier", multiply=Fraction(2), when=when)

        award = earn(program(BASE, rule), line(500, "DAIRY"), line(500, "MEAT", "Own"))

        assert award.points == 10
        assert award.not_applied[0]["because"] == "no line in DAIRY of brand OWN"

    def test_says_when_there_is_nothing_to_multiply(self) -> None:
        rule = EarningRule("double", "multiplier", multiply=Fraction(2))

        award = earn(program(BASE, rule), line(99))

        assert award.not_applied == [
            {"rule": "double", "because": "there are no base points to multiply"}
        ]

    def test_works_on_base_points_wherever_it_stands_in_the_list(self) -> None:
        rule = EarningRule("double", "multiplier", multiply=Fraction(2))

        assert earn(program(rule, BASE), line(1000)).points == 20


class TestBonuses:
    def test_is_shared_out_by_amount(self) -> None:
        rule = EarningRule("plus", "bonus", bonus=50)

        award = earn(program(BASE, rule), line(100), line(200))

        assert (award.points, award.line_points) == (53, (18, 35))
        assert award.explanation[1]["because"] == "50 points for an order"

    def test_is_not_multiplied(self) -> None:
        bonus = EarningRule("plus", "bonus", bonus=50)
        double = EarningRule("double", "multiplier", multiply=Fraction(2))

        assert (
            earn(program(BASE, bonus, double), line(1000), level="gold").points == 10 + 10 + 50 + 5
        )

    @pytest.mark.parametrize(("amount", "points"), [(2999, 0), (3000, 50), (3001, 50)])
    def test_needs_the_least_amount_of_the_order(self, amount: int, points: int) -> None:
        rule = EarningRule("plus", "bonus", bonus=50, when=Conditions(order_amount_min=3000))

        award = earn(program(rule), line(amount))

        assert award.points == points
        if points:
            assert award.explanation[0]["because"] == "50 points for an order from 30.00 USD"
        else:
            assert award.not_applied[0]["because"] == "the order is below 30.00 USD"

    def test_of_a_category_goes_to_its_lines_only(self) -> None:
        when = Conditions(category=frozenset({"PRODUCE", "DAIRY"}))
        rule = EarningRule("plus", "bonus", bonus=5, when=when)

        award = earn(program(rule), line(900), line(100, "Dairy"))

        assert award.line_points == (0, 5)
        assert award.explanation[0]["because"] == "5 points for a purchase in DAIRY or PRODUCE"

    def test_is_not_given_where_nothing_was_paid(self) -> None:
        rule = EarningRule("plus", "bonus", bonus=50)

        award = earn(program(rule), line(500), line(-500))

        assert (award.points, award.not_applied[0]["because"]) == (0, "nothing was paid for")


class TestConditionsOfTheOrder:
    def test_store(self) -> None:
        rule = EarningRule(
            "here", "bonus", bonus=5, when=Conditions(store=frozenset({"309", "12"}))
        )

        assert earn(program(rule), line(100)).explanation[0]["because"] == (
            "5 points for an order at store 309"
        )
        assert earn(program(rule), line(100), store="7").not_applied == [
            {"rule": "here", "because": "not at store 12 or 309"}
        ]
        assert earn(program(rule), line(100), store="").points == 0

    @pytest.mark.parametrize(
        ("day", "because"),
        [
            (date(2017, 2, 28), "starts on 2017-03-01"),
            (date(2017, 3, 1), None),
            (date(2017, 3, 31), None),
            (date(2017, 4, 1), "ended on 2017-03-31"),
        ],
    )
    def test_dates_include_both_ends(self, day: date, because: str | None) -> None:
        rule = replace(BASE, starts_on="2017-03-01", ends_on="2017-03-31")

        award = earn(program(rule), line(100), day=day)

        assert award.points == (0 if because else 1)
        assert [entry["because"] for entry in award.not_applied] == ([because] if because else [])


class TestTierMultiplier:
    @pytest.mark.parametrize(
        ("level", "points"),
        [(None, 10), ("bronze", 10), ("silver", 12), ("gold", 15), ("gone", 10)],
    )
    def test_works_on_the_base_points(self, level: str | None, points: int) -> None:
        assert earn(program(BASE), line(1000), level=level).points == points

    def test_is_explained(self) -> None:
        award = earn(program(BASE), line(1000), level="gold")

        assert award.explanation[1] == {
            "rule": "tier:gold",
            "points": 5,
            "because": "10 base points count 1.5 times at Gold",
        }


class TestEnrolment:
    def test_gives_the_bonus_of_rules_in_force(self) -> None:
        welcome = EarningRule("welcome", "bonus", bonus=100, trigger="member.enrolled")
        later = replace(welcome, code="later", starts_on="2017-06-01")

        award = occasion_awards(
            program=program(BASE, welcome, later),
            trigger="member.enrolled",
            occasion=Occasion(day=date(2017, 1, 28)),
            earner=Earner(),
        )

        assert award.points == 100
        assert award.explanation == [
            {"rule": "welcome", "points": 100, "because": "100 points for joining"}
        ]
        assert award.not_applied == [{"rule": "later", "because": "starts on 2017-06-01"}]

    def test_is_no_business_of_an_order(self) -> None:
        welcome = EarningRule("welcome", "bonus", bonus=100, trigger="member.enrolled")

        award = earn(program(BASE, welcome), line(100))

        assert (award.points, award.not_applied) == (1, [])
