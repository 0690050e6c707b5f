"""Rows as the admin's forms check them: the sentences of program files, at the right field."""

from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError

from loyalty.programs.models import (
    EarningRule,
    PartOfProgram,
    PointCurrency,
    Program,
    Reward,
    Store,
    TierLevel,
)


def refusal(row: PartOfProgram) -> dict[str, list[str]]:
    with pytest.raises(ValidationError) as caught:
        row.clean()
    return caught.value.message_dict


def test_what_is_published_is_clean(grocer: Program) -> None:
    rows: list[Any] = [grocer, grocer.points]
    for related in (grocer.stores, grocer.earning_rules, grocer.tier_levels, grocer.rewards):
        rows.extend(related.all())

    for row in rows:
        row.full_clean()
    assert len(rows) == 12


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"per": Decimal("1.005")}, "per", "1.005 has more than the 2 decimals of the currency"),
        ({"per": None}, NON_FIELD_ERRORS, "needs both points and per: 1 point per amount"),
        (
            {"when": {"store": ["a b"]}},
            "when",
            "store[0]: must begin with a letter or digit"
            " and have only letters, digits, '.', '_' and '-'",
        ),
        ({"when": {"order_amount_min": "-1"}}, "when", "order_amount_min: must not be negative"),
        (
            {"code": "tier:gold"},
            "code",
            "must begin with a letter or digit and have only letters, digits, '.', '_' and '-'",
        ),
        (
            {"kind": "multiplier", "multiply": Decimal("0.5")},
            "multiply",
            'must be from "1" to "1000"',
        ),
        ({"kind": "bonus"}, NON_FIELD_ERRORS, "needs either points and per, or multiply, or bonus"),
    ],
)
def test_an_earning_rule(
    grocer: Program, changes: dict[str, Any], field: str, message: str
) -> None:
    rule = grocer.earning_rules.get(code="base")
    for name, value in changes.items():
        setattr(rule, name, value)

    assert refusal(rule) == {field: [message]}


def test_fields_of_another_kind_do_not_count(grocer: Program) -> None:
    rule = grocer.earning_rules.get(code="base")
    rule.kind, rule.bonus = "bonus", 5

    rule.clean()

    assert rule.entry()["bonus"] == 5
    assert rule.entry()["points"] is None


def test_a_reward(grocer: Program) -> None:
    reward = grocer.rewards.get(code="five-off")
    reward.cost, reward.amount = 0, Decimal("5.001")

    assert refusal(reward) == {
        "cost": ["must be at least 1"],
        "amount": ["5.001 has more than the 2 decimals of the currency"],
    }


def test_a_level_in_the_unit_that_counts(grocer: Program) -> None:
    level = grocer.tier_levels.get(code="silver")
    level.threshold = Decimal("7.50")
    level.clean()

    level.program.qualify_by = "orders"

    assert refusal(level) == {"threshold": ["7.50 has more than the 0 decimals of the currency"]}


def test_points(grocer: Program) -> None:
    points = grocer.points
    points.expiry, points.expiry_dates, points.value_points = "dates", ["02-30"], 0

    assert refusal(points) == {
        "value_points": ["must be at least 1"],
        "expiry_dates": ['must be a month and a day in quotes, such as "03-31"'],
    }


def test_a_program(grocer: Program) -> None:
    grocer.timezone = "Mars/Olympus"
    assert "is not a time zone" in refusal(grocer)["timezone"][0]

    grocer.timezone, grocer.currency = "UTC", "EUR"
    assert refusal(grocer) == {
        "currency": ["The currency of a published program cannot change; start another program."]
    }


@pytest.mark.parametrize("model", [PointCurrency, Store, EarningRule, TierLevel, Reward])
def test_a_row_that_belongs_to_no_program_yet_is_only_refused_for_that(model: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        model().full_clean()
    assert "program" in refused.value.message_dict
    assert NON_FIELD_ERRORS not in refused.value.message_dict


def test_amounts_are_shown_as_they_were_typed(grocer: Program) -> None:
    assert str(grocer.earning_rules.get(code="base").per) == "1"
    assert str(grocer.tier_levels.get(code="gold").earn_multiplier) == "1.50"
    assert str(grocer.tier_levels.get(code="gold").threshold) == "1000"
