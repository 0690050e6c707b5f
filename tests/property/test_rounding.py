"""Scenario 37: whatever the basket and the rules, lines and returns add up to the award.

Goal: a return of all lines takes back exactly what the order earned, in one piece or in thirds.
Method: Hypothesis draws 1,000 programs and baskets, with corrections, discounts and several rules
at once; each basket is tried with ten sets of amounts, so 10,000 baskets in all.
"""

from datetime import date
from fractions import Fraction

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loyalty.earning.rules import (
    Earner,
    OrderLine,
    Purchase,
    calculate_points,
    points_of_part,
    share_out,
)
from loyalty.programs.rules import (
    Conditions,
    EarningRule,
    PointsPolicy,
    PublishedProgram,
    TierLevel,
    TierPolicy,
)

CATEGORIES = ["PRODUCE", "DAIRY", ""]

lines = st.builds(
    OrderLine,
    line=st.just("1"),
    sku=st.just("s"),
    quantity=st.just("1"),
    amount=st.integers(-2_000, 20_000),
    category=st.sampled_from(CATEGORIES),
    brand=st.sampled_from(["own", "other"]),
)
factors = st.builds(lambda percent: Fraction(percent, 100), st.integers(101, 400))
conditions = st.builds(
    Conditions,
    category=st.sets(st.sampled_from(CATEGORIES[:2])).map(frozenset),
    brand=st.sets(st.just("OWN")).map(frozenset),
    order_amount_min=st.none() | st.integers(0, 5_000),
)
rules = st.one_of(
    st.builds(
        EarningRule,
        code=st.just("base"),
        kind=st.just("base"),
        points=st.integers(1, 20),
        per=st.integers(1, 1_000),
        steps=st.sampled_from(["whole", "proportional"]),
        when=conditions,
    ),
    st.builds(
        EarningRule,
        code=st.just("multiplier"),
        kind=st.just("multiplier"),
        multiply=factors,
        when=conditions,
    ),
    st.builds(
        EarningRule,
        code=st.just("bonus"),
        kind=st.just("bonus"),
        bonus=st.integers(1, 500),
        when=conditions,
    ),
)
programs = st.builds(
    lambda rounding, found, factor: PublishedProgram(
        id=1,
        code="p",
        name="P",
        version=1,
        timezone="UTC",
        currency="USD",
        currency_scale=2,
        points=PointsPolicy(name="points", rounding=rounding),
        stores={},
        earning_rules=tuple(found),
        tiers=TierPolicy(levels=(TierLevel("gold", "Gold", 0, factor),)),
        rewards={},
    ),
    st.sampled_from(["down", "nearest", "up"]),
    st.lists(rules, max_size=5),
    factors,
)


@settings(max_examples=1_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(program=programs, basket=st.lists(lines, max_size=6))
def test_scenario_37_returns_of_all_lines_are_exactly_the_award(
    program: PublishedProgram, basket: list[OrderLine]
) -> None:
    for step in range(10):
        moved = [line._replace(amount=line.amount + 37 * step * n) for n, line in enumerate(basket)]
        check_that_all_comes_back(program, moved)


def check_that_all_comes_back(program: PublishedProgram, basket: list[OrderLine]) -> None:
    purchase = Purchase(store="1", channel="pos", day=date(2017, 1, 28), lines=tuple(basket))

    award = calculate_points(program=program, purchase=purchase, earner=Earner("gold"))

    assert sum(award.line_points) == award.points
    assert sum(entry["points"] for entry in award.explanation) == award.points
    for line, points in zip(basket, award.line_points, strict=True):
        assert points >= 0 if line.amount > 0 else points == 0
    in_thirds = [
        points_of_part(points=points, whole=3, before=done, part=1)
        for points in award.line_points
        for done in range(3)
    ]
    assert sum(in_thirds) == award.points


@given(
    points=st.integers(0, 10**9),
    weights=st.lists(st.integers(0, 10**9), min_size=1).filter(any),
)
def test_scenario_37_shares_sum_to_the_points_and_stay_within_one_of_their_due(
    points: int, weights: list[int]
) -> None:
    shares = share_out(points, weights)

    assert sum(shares) == points
    for share, weight in zip(shares, weights, strict=True):
        assert abs(Fraction(share) - Fraction(points * weight, sum(weights))) < 1


@given(points=st.integers(0, 10**9), parts=st.lists(st.integers(1, 10**6), min_size=1))
def test_scenario_37_parts_of_a_line_sum_to_its_points(points: int, parts: list[int]) -> None:
    whole, before, returned = sum(parts), 0, 0
    for part in parts:
        returned += points_of_part(points=points, whole=whole, before=before, part=part)
        before += part

    assert returned == points
