"""Rewards without a database: what they give, what points may pay, how a delivery goes on."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from loyalty.errors import FulfilmentConflict, PaymentNotAllowed, ValidationFailed
from loyalty.programs.compilation import compile_program
from loyalty.programs.document import validate
from loyalty.programs.rules import PublishedProgram
from loyalty.rewards.payment import check_payment, most_to_pay, percent_of, what_it_gives
from loyalty.rewards.rules import RedemptionState, check_fulfilment, reasons_against


def program(*rewards: dict[str, Any], currency: str = "USD", **points: Any) -> PublishedProgram:
    document = {
        "program": "p",
        "name": "P",
        "timezone": "UTC",
        "currency": currency,
        "points": points,
        "tiers": {"levels": [{"code": "bronze", "from": "0"}, {"code": "gold", "from": "100"}]},
        "rewards": list(rewards),
    }
    return compile_program(validate(document), id=1, version=1)


def reward(gives: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"code": "it", "name": "It", "cost": 100, "gives": gives, **more}


@pytest.mark.parametrize(
    ("gives", "order_amount", "given"),
    [
        ({"amount_off": "5"}, None, {"amount_off": "5.00", "currency": "USD"}),
        ({"product": "mug"}, None, {"product": "mug"}),
        ({"store_credit": "10.00"}, None, {"store_credit": "10.00", "currency": "USD"}),
        ({"custom": "massage-30"}, 2000, {"custom": "massage-30"}),
        ({"percent_off": "12.50"}, None, {"percent_off": "12.5", "currency": "USD"}),
        (
            {"percent_off": "10"},
            2345,
            {"percent_off": "10", "currency": "USD", "amount_off": "2.35"},
        ),
        (
            {"percent_off": 10, "max_amount": "2.00"},
            2345,
            {"percent_off": "10", "currency": "USD", "max_amount": "2.00", "amount_off": "2.00"},
        ),
    ],
)
def test_what_each_kind_gives(
    gives: dict[str, Any], order_amount: int | None, given: dict[str, Any]
) -> None:
    found = program(reward(gives))
    assert what_it_gives(found, found.rewards["it"], order_amount) == given


@pytest.mark.parametrize(
    ("amount", "percent", "part"),
    [(0, "10", 0), (5, "10", 1), (4, "10", 0), (999, "100", 999), (333, "33.33", 111)],
)
def test_a_percentage_is_rounded_to_the_nearest(amount: int, percent: str, part: int) -> None:
    assert percent_of(amount, percent) == part


# 100 points are worth 1.00, so one point is a cent.
@pytest.mark.parametrize(
    ("points", "order_amount", "allowed"),
    [(100, 10_000, True), (150, 300, True), (200, 300, False), (50, 10_000, False),
     (120, 10_000, False), (100, 200, True), (100, 199, False)],
)  # fmt: skip
def test_paying_with_points(points: int, order_amount: int, allowed: bool) -> None:
    found = program(pay={"min": 100, "step": 50, "max_share": "50"})
    if allowed:
        assert check_payment(found, points, order_amount) == points
        return
    with pytest.raises(PaymentNotAllowed) as refused:
        check_payment(found, points, order_amount)
    facts = refused.value.facts
    assert facts == {
        "min": 100,
        "step": 50,
        "max": most_to_pay(found, order_amount),
        "max_share": "50",
    }


def test_the_refusal_says_what_is_allowed() -> None:
    found = program(pay={"min": 100, "step": 50, "max_share": "50"})
    with pytest.raises(PaymentNotAllowed, match="at least 100 points, in steps of 50, at most 450"):
        check_payment(found, 500, 900)
    with pytest.raises(PaymentNotAllowed, match="too small to pay with points"):
        check_payment(found, 100, 150)


def test_a_share_needs_the_amount_of_the_order() -> None:
    with pytest.raises(ValidationFailed) as refused:
        check_payment(program(pay={"max_share": "50"}), 100, None)
    assert refused.value.errors[0]["pointer"] == "/order_amount"


def test_points_never_pay_more_than_the_order() -> None:
    assert check_payment(program(), 300, 300) == 300
    with pytest.raises(PaymentNotAllowed, match="at most 300"):
        check_payment(program(), 301, 300)


@pytest.mark.parametrize("order_amount", range(0, 400, 7))
@pytest.mark.parametrize("value", [{"points": 3, "amount": "0.07"}, {"points": 7, "amount": "3"}])
def test_the_most_that_may_pay_is_allowed_and_a_step_more_is_not(
    order_amount: int, value: dict[str, Any]
) -> None:
    found = program(value=value, pay={"step": 5, "max_share": "33.3"})
    most = most_to_pay(found, order_amount)
    if most:
        assert check_payment(found, most, order_amount) * 1000 <= order_amount * 333
    with pytest.raises(PaymentNotAllowed):
        check_payment(found, most + 5, order_amount)


def test_a_price_by_tier_decides_what_is_missing() -> None:
    found = program(reward({"product": "mug"}, cost={"default": 500, "gold": 400}))
    for level, missing in (("bronze", 100), ("gold", 0)):
        reasons = reasons_against(
            found,
            found.rewards["it"],
            available=400,
            level=level,
            used=0,
            remaining=None,
            today=date(2027, 1, 1),
        )
        assert [reason.facts["missing"] for reason in reasons] == [missing] * bool(missing)


STATES = ("ordered", "shipped", "delivered", "cancelled")
ALLOWED = {
    ("ordered", "shipped"),
    ("ordered", "delivered"),
    ("ordered", "cancelled"),
    ("shipped", "delivered"),
    ("shipped", "cancelled"),
}


@pytest.mark.parametrize("to", STATES[1:])
@pytest.mark.parametrize("at", ["", *STATES])
def test_a_delivery_goes_forward_only(at: str, to: str) -> None:
    now = datetime(2027, 1, 1, tzinfo=UTC)
    state = RedemptionState(
        1, "it", 100, 100, 0, "captured", {}, "", "", "", None, now, now, True, at
    )
    if (at, to) in ALLOWED:
        check_fulfilment(state, to)
        return
    with pytest.raises(FulfilmentConflict):
        check_fulfilment(state, to)
