"""What a reward gives, and what points are worth that pay. Pure."""

from fractions import Fraction
from typing import Any

from loyalty.errors import PaymentNotAllowed, ValidationFailed
from loyalty.programs.currencies import format_amount, parse_amount
from loyalty.programs.rewards import Reward
from loyalty.programs.rules import PublishedProgram


def read_order_amount(program: PublishedProgram, text: str | None) -> int | None:
    """Read an order's amount into minor units.

    Raises:
        ValidationFailed: It has more decimals than the currency.
    """
    if text is None:
        return None
    try:
        return parse_amount(text, program.currency_scale)
    except ValueError as wrong:
        raise _wrong("order_amount", str(wrong)) from None


def what_it_gives(
    program: PublishedProgram, reward: Reward, order_amount: int | None = None
) -> dict[str, Any]:
    """Say what a reward gives, as the till and the member see it.

    Args:
        order_amount: Minor units of the order that a percentage is of; None where nobody said.
    """
    if reward.gives == "amount_off":
        return money_off(program, reward.amount)
    if reward.gives == "store_credit":
        return {"store_credit": _money(program, reward.amount), "currency": program.currency}
    if reward.gives == "percent_off":
        return _percent_off(program, reward, order_amount)
    return {reward.gives: reward.what}


def _percent_off(
    program: PublishedProgram, reward: Reward, order_amount: int | None
) -> dict[str, Any]:
    """Give the percentage, its most, and the amount of it where the order's is known."""
    gives = {"percent_off": reward.percent, "currency": program.currency}
    if reward.amount:
        gives["max_amount"] = _money(program, reward.amount)
    if order_amount is not None:
        off = percent_of(order_amount, reward.percent)
        gives["amount_off"] = _money(program, min(off, reward.amount) if reward.amount else off)
    return gives


def percent_of(amount: int, percent: str) -> int:
    """Give a percentage of an amount in minor units, to the nearest, halves up."""
    part = amount * Fraction(percent) / 100
    return (2 * part.numerator + part.denominator) // (2 * part.denominator)


def money_off(program: PublishedProgram, amount: int) -> dict[str, Any]:
    """Say that an amount is taken off the bill."""
    return {"amount_off": _money(program, amount), "currency": program.currency}


def _money(program: PublishedProgram, amount: int) -> str:
    return format_amount(amount, program.currency_scale)


def worth(program: PublishedProgram, points: int) -> int:
    """Convert points that pay into minor units, rounded down: nobody is paid for a part."""
    return points * program.points.value_amount // program.points.value_points


def most_to_pay(program: PublishedProgram, order_amount: int) -> int:
    """Give the most points that may pay for an order: of its share, in whole steps."""
    policy = program.points
    share = order_amount * Fraction(policy.pay.max_share or 100) / 100
    points = int(share * policy.value_points / policy.value_amount)
    return points - points % policy.pay.step


def check_payment(program: PublishedProgram, points: int, order_amount: int | None) -> int:
    """Tell what points that pay are worth, in minor units.

    Args:
        order_amount: Minor units; None where the till did not say it.

    Raises:
        PaymentNotAllowed: With what is allowed.
        ValidationFailed: The order's amount is needed, or the points are worth nothing.
    """
    pay = program.points.pay
    if order_amount is None and pay.max_share is not None:
        raise _wrong("order_amount", f"is needed: points pay at most {pay.max_share} % of it")
    most = most_to_pay(program, order_amount) if order_amount is not None else None
    if points < pay.least or points % pay.step or (most is not None and points > most):
        raise _payment_not_allowed(program, most)
    amount = worth(program, points)
    if amount == 0:
        raise _wrong("points", "is worth less than the least coin")
    return amount


def _payment_not_allowed(program: PublishedProgram, most: int | None) -> PaymentNotAllowed:
    pay = program.points.pay
    said = [f"at least {pay.least} points" if pay.least > 1 else ""]
    said.append(f"in steps of {pay.step}" if pay.step > 1 else "")
    said.append(f"at most {most} for this order" if most is not None else "")
    facts: dict[str, Any] = {
        "min": pay.least,
        "step": pay.step,
        "max": most,
        "max_share": pay.max_share,
    }
    if most is not None and most < pay.least:
        return PaymentNotAllowed("This order is too small to pay with points.", **facts)
    return PaymentNotAllowed(f"Allowed are {', '.join(filter(None, said))}.", **facts)


def _wrong(field: str, message: str) -> ValidationFailed:
    errors = [{"pointer": f"/{field}", "message": message}]
    return ValidationFailed(f"{field} {message}.", errors=errors)
