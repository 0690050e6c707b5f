"""Campaigns: dated, in the program's days, and never beyond their budget."""

from typing import Any

import pytest

from loyalty.programs.problems import DocumentInvalid
from loyalty.programs.rules import PublishedProgram
from tests.unit.earning_basket import BASE, compiled, earn, why

PLUS = {"code": "spring-plus", "bonus": 50}


def spring(*rules: dict[str, Any], **changes: Any) -> PublishedProgram:
    campaign = {
        "code": "spring",
        "name": "Spring",
        "from": "2026-11-01",
        "to": "2026-11-30",
        "budget_points": 1000,
        "rules": list(rules) or [PLUS],
        **changes,
    }
    return compiled(BASE, campaigns=[campaign])


@pytest.mark.parametrize(
    ("day", "points", "because"),
    [
        ("2026-10-31", 20, "starts on 2026-11-01"),
        ("2026-11-01", 70, "50 points for an order"),
        ("2026-11-30", 70, "50 points for an order"),
        ("2026-12-01", 20, "ended on 2026-11-30"),
    ],
)
def test_both_days_are_in_it(day: str, points: int, because: str) -> None:
    award = earn(spring(), at=f"{day} 12:00", budgets={"spring": 1000})

    assert (award.points, why(award, "spring-plus")) == (points, because)


def test_an_award_names_its_campaign_and_takes_of_its_budget() -> None:
    award = earn(spring(), budgets={"spring": 1000})

    assert award.explanation[1]["campaign"] == "spring"
    assert [(taken.campaign, taken.points) for taken in award.taken] == [("spring", 50)]


def test_the_last_points_are_given_as_a_part() -> None:
    award = earn(spring(), budgets={"spring": 30})
    assert (award.points, why(award, "spring-plus")) == (
        50,
        "50 points for an order; 50 reduced to 30, the last of campaign Spring",
    )

    award = earn(spring(), budgets={"spring": 0})
    assert (award.points, why(award, "spring-plus")) == (
        20,
        "the budget of campaign Spring is used up",
    )


def test_or_not_at_all_where_the_campaign_says_so() -> None:
    award = earn(spring(when_short="skip"), budgets={"spring": 30})

    assert (award.points, why(award, "spring-plus")) == (
        20,
        "the budget of campaign Spring has only 30 points left",
    )


def test_rules_of_one_campaign_share_its_budget() -> None:
    double = {"code": "spring-double", "multiply": "2"}

    award = earn(spring(double, PLUS), budgets={"spring": 60})

    assert award.points == 20 + 20 + 40
    assert sum(taken.points for taken in award.taken) == 60


def test_without_a_budget_it_gives_without_end() -> None:
    program = compiled(
        BASE,
        campaigns=[{"code": "s", "from": "2026-11-01", "to": "2026-11-30", "rules": [PLUS]}],
    )

    assert (earn(program).points, earn(program).taken) == (70, ())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"to": "2026-10-01"}, "ends on 2026-10-01, before it starts on 2026-11-01"),
        ({"budget_points": 0}, "must be at least 1"),
        ({"rules": [BASE]}, '"base" is used twice; each code once'),
    ],
)
def test_what_it_cannot_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DocumentInvalid, match=message):
        spring(**changes)
