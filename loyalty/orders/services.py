"""Record an order and award its points; the same for a preview."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson

from loyalty.earning.lots import new_lot, status_of
from loyalty.earning.rules import Award
from loyalty.earning.services import asks_to_earn, take
from loyalty.engine.activity import count_activity, rise, tier_body
from loyalty.engine.commands import Ask, Decision, Kind, MemberRef, ReadAgain
from loyalty.engine.inactivity import carry_on
from loyalty.engine.load import lot_of
from loyalty.engine.session import MemberWork, Session
from loyalty.errors import (
    MemberNotFound,
    OrderConflict,
)
from loyalty.http.ids import encode_id
from loyalty.ledger import rules as ledger
from loyalty.members.rows import owner_of
from loyalty.members.services import create_member, require
from loyalty.orders.brought import asks_of_referrals, follow_referral
from loyalty.orders.reading import (
    award_for,
    check_order,
    is_as_recorded,
    new_order,
    read_lines,
)
from loyalty.orders.rows import order_by_ref, put_claim, put_order
from loyalty.orders.rules import OrderRecord, order_scope
from loyalty.orders.schemas import EarnOrder
from loyalty.programs.currencies import format_amount
from loyalty.programs.rules import PublishedProgram
from loyalty.referrals.settling import settle_referrals
from loyalty.rewards.issuing import issue_due


def give_award(work: MemberWork, record: OrderRecord, award: Award, *, points: int) -> str:
    """Give points of an order as a new lot, with its ledger transaction and event.

    Args:
        points: What is given now: the whole award, or what a changed order earns more.

    Returns:
        The status of the points: available, pending, expired, or none.
    """
    carry_on(work, record.occurred_at)
    number = work.next_number()
    record.transaction_number = record.transaction_number or number
    explanation = {"applied": award.explanation, "not_applied": award.not_applied}
    record.explanation = record.explanation or explanation
    status = "none"
    lot = None
    if points:
        lot = new_lot(work, record.occurred_at, order_number=record.number)
        ledger.earn(work.books, transaction=number, lot=lot, points=points, now=work.now)
        status = status_of(lot, work)
    work.transaction(
        "earn",
        number=number,
        points=points,
        occurred_at=record.occurred_at,
        source_ref=record.ref,
        store=record.store,
        order_number=record.number,
        explanation=explanation,
    )
    if lot is not None:
        record.lots.append(lot)
        _tell_earned(work, record, award, number, points, status)
    if status == "expired":
        _tell_expired(work, record, number, points)
    return status


def _tell_earned(
    work: MemberWork,
    record: OrderRecord,
    award: Award,
    number: int,
    points: int,
    status: str,
) -> None:
    lot = record.lots[-1]
    work.event(
        "points.pending" if status == "pending" else "points.earned",
        {
            "transaction": work.public_id("txn", number),
            "points": points,
            "store": record.store or None,
            "active_at": lot.active_at,
            "expires_at": lot.expires_at,
        },
        kind="earn",
        order=record.ref,
        rules=[entry["rule"] for entry in award.explanation],
        occurred_at=record.occurred_at,
    )


def _tell_expired(work: MemberWork, record: OrderRecord, number: int, points: int) -> None:
    """Tell that a late order's points had expired before they came in."""
    data = {"points": points, "transaction": work.public_id("txn", number)}
    work.event("points.expired", data, kind="earn", order=record.ref)


def tell_recorded(work: MemberWork, record: OrderRecord) -> None:
    """Tell that an order came in, whether it earned points or not."""
    work.event(
        "order.recorded",
        {
            "ref": record.ref,
            "store": record.store or None,
            "channel": record.channel or None,
            "state": record.state,
            "net_amount": money(work, record.net_amount),
            "currency": record.currency,
            "lines": len(record.lines),
            "points": record.points,
        },
        kind="earn",
        order=record.ref,
        occurred_at=record.occurred_at,
    )


def money(work: MemberWork, minor: int) -> str:
    """Write minor units as the decimal string of answers."""
    return format_amount(minor, work.program.currency_scale)


def find_order(session: Session, scope: str, ref: str) -> OrderRecord | None:
    """Give the recorded order with that ref in that scope, or None."""
    found = session.found(order_by_ref(scope, ref))
    if not found:
        return None
    record = found[0]
    return record if isinstance(record, OrderRecord) else order_of(record)


def order_of(row: Sequence[Any]) -> OrderRecord:
    """Make an order of its columns as read."""
    *values, taken, explanation, lots = row
    record = OrderRecord(*values)
    record.taken = orjson.loads(taken)
    record.lines = orjson.loads(values[12])
    record.returns = orjson.loads(values[15])
    record.explanation = orjson.loads(explanation) if explanation else {}
    record.lots = [lot_of(lot) for lot in orjson.loads(lots)] if lots else []
    return record


def remember_order(work: MemberWork, record: OrderRecord) -> None:
    """Let later commands of the run find the order as it is now, and its member by it."""
    session = work.session
    session.remember(order_by_ref(record.scope, record.ref), [record])
    # Without a store the ref may name others of the same number: a return must say which.
    anywhere = order_by_ref("", record.ref)
    others = [found for found in session.found(anywhere) if _scope_in(found) != record.scope]
    session.remember(anywhere, [*others, record])
    for scope in (record.scope, ""):
        session.members.setdefault(("order", f"{scope}/{record.ref}"), work)


def _scope_in(found: Any) -> str:
    scope: str = found.scope if isinstance(found, OrderRecord) else found[1]
    return scope


# Earn


def check_owner(session: Session, decision: Decision, ref: MemberRef) -> None:
    """Have all read again if the card got its owner after the member was looked for.

    Raises:
        ReadAgain: It did.
    """
    if decision.work is None and session.found(owner_of(*ref)):
        raise ReadAgain


def earn_member(session: Session, decision: Decision, ref: MemberRef) -> MemberWork:
    """Give the member who earns; enrol them with this card where the program says so."""
    if decision.work is not None:
        work = require(decision)
        settle_referrals(work, ref)
        return work
    if session.program.points.unknown_member == "refuse" or ref[0] == "id":
        raise MemberNotFound()
    return create_member(session, identifiers=[ref])[0]


def earn_body(
    work: MemberWork, record: OrderRecord, *, status: str, changed: bool
) -> dict[str, Any]:
    """Describe an award as earn answers it."""
    lot = record.lots[0] if record.lots else None
    return {
        "id": encode_id(
            "txn", record.awarded_to or work.member_id, record.transaction_number or record.number
        ),
        "kind": "earn",
        "member": work.member_id,
        "order": record.ref,
        "points": record.points,
        "status": status,
        "active_at": lot and lot.active_at,
        "expires_at": lot and lot.expires_at,
        "balance": work.books.wallet.as_balance(),
        "tier": tier_body(work, changed=changed),
        "explanation": record.explanation.get("applied", []),
        "not_applied": record.explanation.get("not_applied", []),
    }


def _decide_earn(session: Session, decision: Decision) -> tuple[int, dict[str, Any]]:
    request: EarnOrder = decision.payload
    order = request.order
    check_order(session, order)
    check_owner(session, decision, request.member)
    lines = read_lines(session.program, order.lines)
    known = find_order(session, order_scope(order.store, order.channel), order.ref)
    if known is not None:
        return _known_order(decision, known, is_same=is_as_recorded(known, order, lines))
    work = earn_member(session, decision, request.member)
    award = award_for(work, request.member, order, lines)
    ledger.check_room(work.books, award.points)
    record = new_order(work, order, ref=order.ref, lines=lines)
    level = work.level
    status, changed = record_paid(work, record, award)
    put_claim(work, record)
    remember_order(work, record)
    brought = follow_referral(work, request.member, record)
    collected = award.points > 0
    issued = issue_due(work, level_before=level, collected=collected, order=record.ref)
    body = earn_body(work, record, status=status, changed=changed)
    return 201, body | brought | with_issued(issued)


def record_paid(work: MemberWork, record: OrderRecord, award: Award) -> tuple[str, bool]:
    """Write a new paid order with its award; return the points' status and whether a tier rose."""
    for line, points in zip(record.lines, award.line_points, strict=True):
        line["points"] = points
    return award_paid(work, record, award, points=award.points)


def award_paid(
    work: MemberWork, record: OrderRecord, award: Award, *, points: int, orders: int = 1
) -> tuple[str, bool]:
    """Give a new paid order's points and count it.

    Args:
        points: What its lines are worth, without those that have come back already.
        orders: 0 where everything has come back already.
    """
    record.points = points
    if orders:
        record.taken = take(work, award)
    status = give_award(work, record, award, points=points)
    tell_recorded(work, record)
    count_activity(work, day=record.day, spend=record.net_amount, points=points, orders=orders)
    changed = rise(work, kind="earn", order=record.ref)
    put_order(work, record)
    return status, changed


def with_issued(issued: list[dict[str, Any]]) -> dict[str, Any]:
    """Give what an answer says of rewards that came by themselves; nothing where none did."""
    return {"issued": issued} if issued else {}


def _known_order(
    decision: Decision, known: OrderRecord, *, is_same: bool
) -> tuple[int, dict[str, Any]]:
    """Answer an order that is recorded already: the original award, or a conflict."""
    work = decision.work
    if work is None or known.member_id != work.member_id or not is_same:
        raise OrderConflict(f"The order {known.ref} is recorded with other content.")
    status = status_of(known.lots[0], work) if known.lots else "none"
    return 200, earn_body(work, known, status=status, changed=False)


def _asks_earn(request: EarnOrder, program: PublishedProgram) -> list[Ask]:
    order = request.order
    return [
        order_by_ref(order_scope(order.store, order.channel), order.ref),
        *asks_of_earner(program, request.member, order.occurred_at),
    ]


def asks_of_earner(program: PublishedProgram, ref: MemberRef, occurred_at: datetime) -> list[Ask]:
    """List what must be known of whoever earns, or joins with what they bought."""
    asks = asks_to_earn(program, ref, occurred_at)
    asks += asks_of_referrals(program, ref)
    if program.points.unknown_member == "enrol" and ref[0] != "id":
        asks.append(owner_of(*ref))
    return asks


EARN = Kind("earn", member=lambda request: request.member, decide=_decide_earn, asks=_asks_earn)
