"""Take back what returned lines earned, and bring an order to its desired state."""

import hashlib
from typing import Any

from loyalty.earning.rules import OrderLine
from loyalty.engine.activity import count_activity, rise, tier_body
from loyalty.engine.commands import Ask, Decision, Kind, MemberRef
from loyalty.engine.load import lot_of
from loyalty.engine.session import MemberWork, Session
from loyalty.errors import (
    OccurredAtOutOfRange,
    OrderCancelled,
    OrderConflict,
    OrderNotFound,
    ReturnConflict,
    ValidationFailed,
)
from loyalty.ledger import rules as ledger
from loyalty.ledger.clawback import ClawedBack
from loyalty.ledger.clawback import claw_back as claw_back_points
from loyalty.members.rows import owner_of
from loyalty.members.services import require
from loyalty.orders.rows import order_by_ref, put_claim, put_order
from loyalty.orders.rules import (
    OrderRecord,
    Part,
    all_returned,
    content_of,
    find_line,
    line_json,
    net_spend,
    order_scope,
    part_of,
    quantity_text,
    quantity_units,
    same_lines,
    take_part,
)
from loyalty.orders.schemas import LineState, PutOrder, ReturnOrder, ReturnRequest
from loyalty.orders.services import (
    AHEAD,
    award_for,
    check_order,
    content_hash,
    earn_member,
    find_order,
    give_award,
    money,
    new_order,
    read_lines,
    record_paid,
    remember_order,
    tell_recorded,
)
from loyalty.programs.currencies import parse_amount
from loyalty.programs.expiry import local_day
from loyalty.programs.rules import PublishedProgram


def claw_back(
    work: MemberWork, record: OrderRecord, points: int, *, ref: str, explanation: dict[str, Any]
) -> ClawedBack:
    """Take points of an order back, newest lot first, with ledger transaction and event."""
    if points <= 0:
        return ClawedBack()
    lots = [lot_of(lot) for lot in record.lots]
    work.add_lots(lots)
    own = sorted((work.books.lots[lot.number] for lot in lots), key=lambda lot: -lot.number)
    number = work.next_number()
    taken = claw_back_points(
        work.books,
        transaction=number,
        lots=own,
        points=points,
        policy=work.program.points.clawback,
        now=work.now,
    )
    record.clawed_back += points
    work.transaction(
        "claw_back",
        number=number,
        points=-taken.total,
        source_ref=ref,
        store=record.store,
        order_number=record.number,
        reverses=record.transaction_number,
        explanation={**explanation, "debt": taken.debt, "written_off": taken.written_off},
    )
    work.event(
        "points.clawed_back",
        {
            "transaction": work.public_id("txn", number),
            "points": points,
            "debt": taken.debt,
            "written_off": taken.written_off,
            "from_other_lots": taken.from_others,
        },
        kind="return",
        order=record.ref,
    )
    return taken


def _explain(work: MemberWork, parts: list[Part], taken: ClawedBack) -> list[dict[str, Any]]:
    found = [
        {
            "line": part.line["line"],
            "points": -part.points,
            "because": f"{quantity_text(part.units)} of {part.line['quantity']} came back;"
            f" the line earned {part.line['points']} points",
        }
        for part in parts
    ]
    if taken.debt:
        found.append(
            {
                "points": taken.debt,
                "because": f"{taken.debt} of these points were spent; the member owes them,"
                " and the next earn repays them",
            }
        )
    if taken.written_off:
        because = f"{taken.written_off} of these points were spent and are written off"
        found.append({"points": taken.written_off, "because": because})
    return found


# A return as an increment


def _order_ref(scope: str, ref: str) -> MemberRef:
    return ("order", f"{scope}/{ref}")


def _scope_of(request: ReturnOrder) -> str:
    return order_scope(request.store, None) if request.store else ""


def the_order(session: Session, scope: str, ref: str) -> OrderRecord:
    """Give the one recorded order with that ref.

    Raises:
        OrderNotFound: There is none yet; a till may try again later with the same key.
        ValidationFailed: There are several; the store must be told.
    """
    if len(session.found(order_by_ref(scope, ref))) > 1:
        raise ValidationFailed(f"Several orders have the ref {ref}; add ?store=CODE to the path.")
    record = find_order(session, scope, ref)
    if record is None:
        raise OrderNotFound(f"No order {ref} is known yet; send the order first, then its return.")
    return record


def _decide_return(session: Session, decision: Decision) -> tuple[int, dict[str, Any]]:
    request: ReturnOrder = decision.payload
    record = the_order(session, _scope_of(request), request.ref)
    work = require(decision)
    content = hashlib.sha256(content_of(request.body.model_dump(mode="json"))).hexdigest()
    known = record.returns.get(request.body.ref)
    if known is not None:
        if known["content"] != content:
            raise ReturnConflict(f"The return {request.body.ref} is recorded with other content.")
        return 200, {**known["answer"], "balance": work.books.wallet.as_balance()}
    _check_return(work, record, request.body)
    parts = [
        part_of(find_line(record.lines, line.line), units=quantity_units(line.quantity))
        for line in request.body.lines
    ]
    answer = _take_back(work, record, parts, request.body)
    record.returns[request.body.ref] = {"content": content, "answer": answer}
    put_order(work, record)
    remember_order(work, record)
    return 201, {**answer, "balance": work.books.wallet.as_balance()}


def _check_return(work: MemberWork, record: OrderRecord, request: ReturnRequest) -> None:
    if record.state == "cancelled":
        raise OrderCancelled()
    if request.occurred_at > work.now + AHEAD:
        raise OccurredAtOutOfRange("occurred_at may lie 5 minutes ahead at most.")
    if len(record.returns) >= 1000:
        raise ValidationFailed("An order takes 1,000 returns at most.")


def _take_back(
    work: MemberWork, record: OrderRecord, parts: list[Part], request: ReturnRequest
) -> dict[str, Any]:
    points = sum(part.points for part in parts)
    spent = net_spend(record.lines)
    for part in parts:
        take_part(part)
    explanation = {"lines": [{"line": p.line["line"], "points": -p.points} for p in parts]}
    taken = claw_back(work, record, points, ref=request.ref, explanation=explanation)
    spend = net_spend(record.lines) - spent
    record.net_amount += spend
    gone = all_returned(record.lines)
    count_activity(work, day=record.day, spend=spend, points=-points, orders=-1 if gone else 0)
    work.event(
        "order.returned",
        {
            "ref": record.ref,
            "return": request.ref,
            "lines": [{"line": p.line["line"], "quantity": quantity_text(p.units)} for p in parts],
            "amount": money(work, -spend),
            "currency": record.currency,
            "complete": gone,
        },
        kind="return",
        order=record.ref,
        occurred_at=request.occurred_at,
    )
    return {
        "order": record.ref,
        "return": request.ref,
        "member": str(work.member_id),
        "clawed_back": points,
        "debt": taken.debt,
        "written_off": taken.written_off,
        "reinstated": 0,
        "explanation": _explain(work, parts, taken),
    }


RETURN = Kind(
    "return",
    member=lambda request: _order_ref(_scope_of(request), request.ref),
    decide=_decide_return,
    asks=lambda request, program: [order_by_ref(_scope_of(request), request.ref)],
)


# An order as desired state


def _decide_put(session: Session, decision: Decision) -> tuple[int, dict[str, Any]]:
    request: PutOrder = decision.payload
    order = request.body.order
    if order.ref is not None and order.ref != request.ref:
        raise ValidationFailed(
            errors=[{"pointer": "/order/ref", "message": "is not the ref in the path"}]
        )
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
    if order.currency != session.program.currency:
        check_order(session, order)
    return 200, _bring_to(work, record, request)


def _put_new(session: Session, decision: Decision, request: PutOrder) -> tuple[int, dict[str, Any]]:
    order = request.body.order
    check_order(session, order)
    lines = read_lines(session.program, order.lines)
    for line in order.lines:
        _check_returned(session.program, line)
    work = earn_member(session, decision, request.body.member)
    award = award_for(work, order, lines)
    ledger.check_room(work.books, award.points)
    record = new_order(work, order, ref=request.ref, lines=lines)
    record.revision = request.body.revision
    record.state = order.state
    changed = False
    if order.state == "paid":
        changed = record_paid(work, record, award)[1]
        _apply_returned(work, record, order.lines)
    else:
        tell_recorded(work, record)
    put_order(work, record)
    put_claim(work, record)
    remember_order(work, record)
    kept = record.points - record.clawed_back
    return 201, order_body(work, record, points=kept, changed=changed)


def _check_returned(program: PublishedProgram, line: LineState) -> None:
    if line.returned is None:
        return
    whole = quantity_units(line.quantity)
    if quantity_units(line.returned.quantity) > whole:
        message = "more came back than was bought"
        raise ValidationFailed(
            f"Of line {line.line} {message}.",
            errors=[{"pointer": "/order/lines", "message": message}],
        )
    if line.returned.amount is not None:
        try:
            parse_amount(line.returned.amount, program.currency_scale)
        except ValueError as wrong:
            errors = [{"pointer": "/order/lines", "message": str(wrong)}]
            raise ValidationFailed(errors=errors) from None


def _parts_wanted(work: MemberWork, record: OrderRecord, lines: list[LineState]) -> list[Part]:
    """Work out what must come back of each line, or be given again, to be as desired."""
    parts = []
    for wanted in lines:
        line = find_line(record.lines, wanted.line)
        units = quantity_units(wanted.returned.quantity) if wanted.returned else 0
        amount = None
        if wanted.returned and wanted.returned.amount is not None:
            total = parse_amount(wanted.returned.amount, work.program.currency_scale)
            amount = total - line["returned_amount"]
        parts.append(part_of(line, units=units - line["returned"], amount=amount))
    return parts


def _apply_returned(work: MemberWork, record: OrderRecord, lines: list[LineState]) -> None:
    """Take back what the desired state says came back of a fresh order."""
    parts = _parts_wanted(work, record, lines)
    spent = net_spend(record.lines)
    for part in parts:
        take_part(part)
    points = sum(part.points for part in parts)
    spend = net_spend(record.lines) - spent
    record.net_amount += spend
    gone = all_returned(record.lines)
    claw_back(work, record, points, ref=record.ref, explanation={})
    count_activity(work, day=record.day, spend=spend, points=-points, orders=-1 if gone else 0)


def _counts(record: OrderRecord) -> tuple[int, int, int]:
    """Give what the order counts for now: spend, points, orders."""
    if record.state != "paid":
        return 0, 0, 0
    gone = all_returned(record.lines)
    return net_spend(record.lines), record.points - record.clawed_back, 0 if gone else 1


def _bring_to(work: MemberWork, record: OrderRecord, request: PutOrder) -> dict[str, Any]:
    """Change an order that is known to what it should be, points and sums included."""
    order = request.body.order
    before = _counts(record)
    day_before = record.day
    lines = read_lines(work.program, order.lines)
    for line in order.lines:
        _check_returned(work.program, line)
    award = award_for(work, order, lines)
    fresh = not same_lines(record.lines, lines) or record.state == "open"
    kept = record.points - record.clawed_back
    if fresh:
        _replace_lines(record, lines, award.line_points)
    _set_returned(work, record, order.lines)
    record.day = local_day(order.occurred_at, work.program.timezone)
    record.occurred_at = order.occurred_at
    record.revision, record.state = request.body.revision, order.state
    record.content_hash = content_hash(order, lines)
    record.net_amount = net_spend(record.lines)
    wanted = sum(line["points"] - line["clawed_back"] for line in record.lines)
    change = (wanted if order.state == "paid" else 0) - kept
    if change > 0:
        ledger.check_room(work.books, change)
        record.points += change
        give_award(work, record, award, points=change)
    elif change < 0:
        claw_back(work, record, -change, ref=record.ref, explanation={})
    changed = _recount(work, record, day_before, before)
    _tell_changed(work, record, change)
    put_order(work, record)
    remember_order(work, record)
    return order_body(work, record, points=change, changed=changed)


def _replace_lines(
    record: OrderRecord, lines: tuple[OrderLine, ...], points: tuple[int, ...]
) -> None:
    record.lines = [line_json(line, earned) for line, earned in zip(lines, points, strict=True)]


def _set_returned(work: MemberWork, record: OrderRecord, lines: list[LineState]) -> None:
    for part in _parts_wanted(work, record, lines):
        take_part(part)


def _recount(
    work: MemberWork, record: OrderRecord, day_before: Any, before: tuple[int, int, int]
) -> bool:
    spend, points, orders = before
    count_activity(work, day=day_before, spend=-spend, points=-points, orders=-orders)
    spend, points, orders = _counts(record)
    count_activity(work, day=record.day, spend=spend, points=points, orders=orders)
    return rise(work, kind="earn", order=record.ref)


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
        "returned": quantity_text(line["returned"]),
        "clawed_back": line["clawed_back"],
    }


def _asks_put(request: PutOrder, program: PublishedProgram) -> list[Ask]:
    order = request.body.order
    asks = [order_by_ref(order_scope(order.store, order.channel), request.ref)]
    if program.points.unknown_member == "enrol" and request.body.member[0] != "id":
        asks.append(owner_of(*request.body.member))
    return asks


PUT_ORDER = Kind(
    "put_order",
    member=lambda request: request.body.member,
    decide=_decide_put,
    asks=_asks_put,
)
