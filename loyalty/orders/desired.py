"""Bring an order to its desired state: lines, returns, payment and cancellation at once."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from loyalty.earning.rules import Award, OrderLine
from loyalty.earning.services import take
from loyalty.engine.activity import (
    LevelAtReturn,
    asks_of_return,
    count_activity,
    rise,
    tier_body,
)
from loyalty.engine.commands import Ask, Decision, Kind
from loyalty.engine.session import MemberWork, Session
from loyalty.errors import OrderConflict, ValidationFailed
from loyalty.ledger import rules as ledger
from loyalty.members.services import require
from loyalty.orders.brought import asks_to_reverse, follow_referral
from loyalty.orders.reading import award_for, check_order, new_order, read_lines
from loyalty.orders.repaid import asks_payers, paid_with, payers, repay
from loyalty.orders.returns import claw_back, release
from loyalty.orders.rows import order_by_ref, put_claim, put_order
from loyalty.orders.rules import (
    OrderRecord,
    all_returned,
    find_line,
    kept_points,
    line_json,
    net_spend,
    order_scope,
    part_of,
    quantity_text,
    quantity_units,
    returned_of,
    same_lines,
    share_of,
    take_part,
)
from loyalty.orders.schemas import LineState, PutOrder, Returned
from loyalty.orders.services import (
    asks_of_earner,
    award_paid,
    check_owner,
    earn_member,
    find_order,
    give_award,
    money,
    remember_order,
    tell_recorded,
    with_issued,
)
from loyalty.programs.currencies import parse_amount
from loyalty.programs.expiry import local_day
from loyalty.programs.rules import PublishedProgram
from loyalty.rewards.issuing import issue_due


def _decide_put(session: Session, decision: Decision) -> tuple[int, dict[str, Any]]:
    request: PutOrder = decision.payload
    order = request.body.order
    if order.ref is not None and order.ref != request.ref:
        raise ValidationFailed(
            errors=[{"pointer": "/order/ref", "message": "is not the ref in the path"}]
        )
    check_owner(session, decision, request.body.member)
    scope = order_scope(order.store, order.channel)
    record = find_order(session, scope, request.ref)
    if record is None:
        return _put_new(session, decision, request)
    work = decision.work
    if work is None or work.member_id != record.member_id:
        raise OrderConflict(f"The order {request.ref} belongs to another member.")
    require(decision)
    if request.body.revision <= record.revision:
        return 200, order_body(work, record, points=0)
    if order.currency != record.currency or order.occurred_at != record.occurred_at:
        check_order(session, order)
    return 200, _bring_to(work, record, request)


def _put_new(session: Session, decision: Decision, request: PutOrder) -> tuple[int, dict[str, Any]]:
    order = request.body.order
    check_order(session, order)
    lines = read_lines(session.program, order.lines)
    _check_returned(session.program, order.lines, lines)
    work = earn_member(session, decision, request.body.member)
    award = award_for(work, request.body.member, order, lines)
    ledger.check_room(work.books, award.points)
    record = new_order(work, order, ref=request.ref, lines=lines)
    record.revision = request.body.revision
    record.state = order.state
    changed, level = False, work.level
    if order.state == "paid":
        changed = _award_new(work, record, award, order.lines)
    else:
        record.lines = _with_returns(work.program, record.lines, order.lines)
        record.net_amount = net_spend(record.lines)
        tell_recorded(work, record)
    repay(work, record, paid_with(request.body.member, record.ref), request.also)
    put_order(work, record)
    put_claim(work, record)
    remember_order(work, record)
    kept = record.points - record.clawed_back
    brought = follow_referral(work, request.body.member, record)
    issued = issue_due(work, level_before=level, collected=kept > 0, order=record.ref)
    body = order_body(work, record, points=kept, changed=changed)
    return 201, body | brought | with_issued(issued)


def _check_returned(
    program: PublishedProgram, lines: Sequence[LineState], sold: Sequence[OrderLine]
) -> None:
    for line, bought in zip(lines, sold, strict=True):
        if line.returned is not None:
            _check_part(program, line.returned, bought)


def _check_part(program: PublishedProgram, returned: Returned, bought: OrderLine) -> None:
    if quantity_units(returned.quantity) > quantity_units(bought.quantity):
        message = "more came back than was bought"
        raise ValidationFailed(
            f"Line {bought.line}: {message}.",
            errors=[{"pointer": "/order/lines", "message": message}],
        )
    if returned.amount is not None:
        try:
            paid_back = parse_amount(returned.amount, program.currency_scale)
            if paid_back * bought.amount < 0:
                raise ValueError("what was paid back has another sign than what was paid")
        except ValueError as wrong:
            errors = [{"pointer": "/order/lines", "message": str(wrong)}]
            raise ValidationFailed(errors=errors) from None


def _with_returns(
    program: PublishedProgram, known: Sequence[dict[str, Any]], wanted: list[LineState]
) -> list[dict[str, Any]]:
    """Write an order's lines with what came back of each, more or less than was known.

    In all, also where an earlier state told what was paid back: it is not told by what changed.
    """
    lines = [dict(line) for line in known]
    for state in wanted:
        line, told = find_line(lines, state.line), state.returned
        units = quantity_units(told.quantity) if told else 0
        if told and told.amount is not None:
            total = parse_amount(told.amount, program.currency_scale)
        else:
            total = share_of(line, before=0, units=units)
        amount = total - line.get("returned_amount", 0)
        part = part_of(line, units=units - returned_of(line), amount=amount)
        if part.units or part.amount:
            take_part(part)
    return lines


def _award_new(work: MemberWork, record: OrderRecord, award: Award, lines: list[LineState]) -> bool:
    """Award a fresh paid order without what has come back of it; return whether a tier rose."""
    for line, points in zip(record.lines, award.line_points, strict=True):
        line["points"] = points
    record.lines = _with_returns(work.program, record.lines, lines)
    record.net_amount = net_spend(record.lines)
    _, points, orders = _worth(record.lines)
    return award_paid(work, record, award, points=points, orders=orders)[1]


def _counts(record: OrderRecord) -> tuple[int, int, int]:
    """Give what the order counts for now: spend, points, orders."""
    if record.state != "paid":
        return 0, 0, 0
    return net_spend(record.lines), record.points - record.clawed_back, _worth(record.lines)[2]


def _worth(lines: list[dict[str, Any]]) -> tuple[int, int, int]:
    """Give what lines are worth without what came back: spend, points, orders."""
    return net_spend(lines), sum(map(kept_points, lines)), 0 if all_returned(lines) else 1


def _bring_to(work: MemberWork, record: OrderRecord, request: PutOrder) -> dict[str, Any]:
    """Change an order that is known to what it should be, points and sums included."""
    order = request.body.order
    before = _counts(record)
    day_before = record.day
    lines = read_lines(work.program, order.lines)
    _check_returned(work.program, order.lines, lines)
    never_paid = record.transaction_number is None
    kept, level = record.points - record.clawed_back, work.level
    wanted = _wanted(work, record, request, lines)
    change = (_worth(wanted.lines)[1] if order.state == "paid" else 0) - kept
    ledger.check_room(work.books, max(0, change))
    _become(work, record, request, wanted)
    repay(work, record, paid_with(request.body.member, record.ref), request.also)
    if change > 0 or (never_paid and order.state == "paid"):
        record.points += change
        give_award(work, record, wanted.award, points=change)
    elif change < 0:
        claw_back(work, record, -change, ref=record.ref, explanation={})
    changed = _recount(work, record, request, day_before, before)
    _tell_changed(work, record, change)
    put_order(work, record)
    remember_order(work, record)
    brought = follow_referral(work, request.body.member, record)
    issued = issue_due(work, level_before=level, collected=change > 0, order=record.ref)
    body = order_body(work, record, points=change, changed=changed)
    return body | brought | with_issued(issued)


class Wanted(NamedTuple):
    """What an order is to be.

    Attributes:
        is_anew: The award counts: lines changed, or it is paid only now. Else what it earned stays.
        lines: With what came back of them.
    """

    award: Award
    is_anew: bool
    lines: list[dict[str, Any]]


def _wanted(
    work: MemberWork, record: OrderRecord, request: PutOrder, lines: tuple[OrderLine, ...]
) -> Wanted:
    """Work out what an order is to be, and change nothing yet: it may still be refused."""
    order = request.body.order
    is_paid, was_paid = order.state == "paid", record.state == "paid"
    never_paid = record.transaction_number is None
    released = any("back" in entry for entry in record.taken)  # others may have had it since
    is_anew = never_paid or not same_lines(record.lines, lines) or (is_paid and not was_paid)
    is_anew = is_anew or released
    award = award_for(
        work,
        request.body.member,
        order,
        lines,
        counted=_counts(record)[2],
        but_taken=record.taken if is_anew or not is_paid else [],
    )
    known = record.lines
    if is_anew:
        known = [line_json(*earned) for earned in zip(lines, award.line_points, strict=True)]
    return Wanted(award, is_anew, _with_returns(work.program, known, order.lines))


def _become(work: MemberWork, record: OrderRecord, request: PutOrder, wanted: Wanted) -> None:
    """Make an order what it is to be, with what it takes of limits and budgets."""
    order = request.body.order
    is_paid = order.state == "paid"
    if wanted.is_anew or not is_paid:
        release(work, record)
    if wanted.is_anew:
        record.taken = take(work, wanted.award) if is_paid else []
    record.lines = wanted.lines
    if all_returned(record.lines):
        release(work, record)
    record.day = local_day(order.occurred_at, work.program.timezone)
    record.occurred_at = order.occurred_at
    record.revision, record.state = request.body.revision, order.state
    record.net_amount = net_spend(record.lines)


def _recount(
    work: MemberWork,
    record: OrderRecord,
    request: PutOrder,
    day_before: Any,
    before: tuple[int, int, int],
) -> bool:
    level = LevelAtReturn(work, request.body.member)
    spend, points, orders = before
    count_activity(work, day=day_before, spend=-spend, points=-points, orders=-orders)
    spend, points, orders = _counts(record)
    count_activity(work, day=record.day, spend=spend, points=points, orders=orders)
    return level.follow(order=record.ref) or rise(work, kind="earn", order=record.ref)


def _tell_changed(work: MemberWork, record: OrderRecord, change: int) -> None:
    if record.state == "cancelled" or change < 0:
        work.event(
            "order.returned",
            {
                "ref": record.ref,
                "state": record.state,
                "net_amount": money(work, record.net_amount),
                "currency": record.currency,
                "complete": record.state == "cancelled" or all_returned(record.lines),
            },
            kind="order",
            order=record.ref,
        )
    else:
        tell_recorded(work, record)


def order_body(
    work: MemberWork, record: OrderRecord, *, points: int, changed: bool = False
) -> dict[str, Any]:
    """Describe an order in its present state.

    Args:
        points: By how much this command changed what the order is worth to the member.
    """
    return {
        "id": work.public_id("ord", record.number),
        "ref": record.ref,
        "member": str(work.member_id),
        "store": record.store or None,
        "channel": record.channel or None,
        "state": record.state,
        "revision": record.revision,
        "occurred_at": record.occurred_at.isoformat(),
        "currency": record.currency,
        "net_amount": money(work, record.net_amount),
        "points": record.points - record.clawed_back,
        "points_changed": points,
        "lines": [_line_body(line) for line in record.lines],
        "balance": work.books.wallet.as_balance(),
        "tier": tier_body(work, changed=changed),
    }


def _line_body(line: dict[str, Any]) -> dict[str, Any]:
    return {
        "line": line["line"],
        "points": line["points"],
        "returned": quantity_text(returned_of(line)),
        "clawed_back": line.get("clawed_back", 0),
    }


def _asks_put(request: PutOrder, program: PublishedProgram) -> list[Ask]:
    order = request.body.order
    asks = [order_by_ref(order_scope(order.store, order.channel), request.ref)]
    asks.append(paid_with(request.body.member, request.ref))
    asks += asks_payers(request.also)
    asks += asks_of_return(request.body.member, program)
    asks += asks_to_reverse(request.body.member, request.ref)
    return asks + asks_of_earner(program, request.body.member, order.occurred_at)


PUT_ORDER = Kind(
    "put_order",
    member=lambda request: request.body.member,
    decide=_decide_put,
    asks=_asks_put,
    others=lambda request: payers(request.also),
)
