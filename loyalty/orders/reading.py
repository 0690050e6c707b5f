"""Read an order as it was sent: is it acceptable, what are its lines, what would it earn."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from loyalty.earning.rules import Award, OrderLine, Purchase, calculate_points
from loyalty.earning.services import earner_of
from loyalty.engine.commands import MemberRef
from loyalty.engine.session import MemberWork, Session
from loyalty.errors import (
    CurrencyMismatch,
    OccurredAtOutOfRange,
    StoreUnknown,
    ValidationFailed,
)
from loyalty.orders.rules import (
    OrderRecord,
    line_json,
    net_spend,
    order_scope,
    same_lines,
)
from loyalty.orders.schemas import Line, Order, OrderState
from loyalty.programs.currencies import parse_amount
from loyalty.programs.expiry import local_day, local_time
from loyalty.programs.rules import PublishedProgram

AHEAD = timedelta(minutes=5)


def check_order(session: Session, order: Order | OrderState) -> None:
    """Refuse an order of another currency, of an unknown store, or from another time.

    Raises:
        CurrencyMismatch, StoreUnknown, OccurredAtOutOfRange: As their names say.
    """
    program = session.program
    if order.currency != program.currency:
        raise CurrencyMismatch(f"The program's currency is {program.currency}.")
    check_place(session, order.store, order.occurred_at)


def check_place(session: Session, store: str | None, occurred_at: datetime) -> None:
    """Refuse what happened at an unknown store, or at another time.

    Raises:
        StoreUnknown, OccurredAtOutOfRange: As their names say.
    """
    program = session.program
    if store is not None and store not in program.stores:
        raise StoreUnknown(f"This program has no store {store}.", store=store)
    late = session.now - occurred_at
    if not -AHEAD <= late <= timedelta(days=program.points.accept_late_days):
        raise OccurredAtOutOfRange(
            f"occurred_at may lie {program.points.accept_late_days} days back and 5 minutes ahead.",
            accept_late_days=program.points.accept_late_days,
        )


def read_lines(program: PublishedProgram, lines: Sequence[Line]) -> tuple[OrderLine, ...]:
    """Read the lines' amounts into minor units of the program's currency.

    Raises:
        ValidationFailed: An amount has more decimals than the currency.
    """
    found, scale = [], program.currency_scale
    for index, line in enumerate(lines):
        try:
            amount = parse_amount(line.amount, scale)
        except ValueError as wrong:
            pointer = f"/order/lines/{index}/amount"
            errors = [{"pointer": pointer, "message": str(wrong)}]
            raise ValidationFailed(errors=errors) from None
        category, brand = line.category or "", line.brand or ""
        quantity = _sold(line.quantity, amount)
        found.append(OrderLine(line.line, line.sku, quantity, amount, category, brand))
    return tuple(found)


def _sold(quantity: str, amount: int) -> str:
    """Take for one piece what some scales and pumps sell with quantity 0: it can come back."""
    return quantity if amount <= 0 or quantity.strip("0.") else "1"


def award_for(
    work: MemberWork,
    ref: MemberRef,
    order: Order | OrderState,
    lines: tuple[OrderLine, ...],
    *,
    counted: int = 0,
    but_taken: Sequence[dict[str, Any]] = (),
) -> Award:
    """Calculate what an order earns under the rules in force on its day.

    Args:
        counted: 1 where the order is among the member's orders already.
        but_taken: What it took of limits and budgets before, if it gives that back.
    """
    local = local_time(order.occurred_at, work.program.timezone)
    purchase = Purchase(
        store=order.store or "",
        channel=order.channel or "",
        day=local.date(),
        hour=local.hour,
        lines=lines,
    )
    earner = earner_of(work, ref, purchase.day, but_orders=counted, but_taken=but_taken)
    return calculate_points(program=work.program, purchase=purchase, earner=earner)


def is_as_recorded(
    record: OrderRecord, order: Order | OrderState, lines: Sequence[OrderLine]
) -> bool:
    """Tell whether an order says after parsing what is recorded: `1.0` and `1.00` are the same."""
    return (
        (order.store or "", order.channel or "") == (record.store, record.channel)
        and (order.occurred_at, order.currency) == (record.occurred_at, record.currency)
        and same_lines(record.lines, lines)
    )


def new_order(
    work: MemberWork, order: Order | OrderState, *, ref: str, lines: tuple[OrderLine, ...]
) -> OrderRecord:
    """Make a record that has earned nothing yet."""
    day = local_day(order.occurred_at, work.program.timezone)
    recorded = [line_json(line, 0) for line in lines]
    return OrderRecord(
        member_id=work.member_id,
        scope=order_scope(order.store, order.channel),
        number=work.next_number(),
        ref=ref,
        store=order.store or "",
        channel=order.channel or "",
        state="paid",
        revision=0,
        occurred_at=order.occurred_at,
        day=day,
        currency=order.currency,
        net_amount=net_spend(recorded),
        lines=recorded,
        points=0,
        clawed_back=0,
        returns={},
        transaction_number=None,
        awarded_to=None,
        program_version=work.program.version,
        recorded_at=work.now,
        is_new=True,
    )
