"""Take back what returned lines earned, and bring an order to its desired state."""

import hashlib
from datetime import timedelta
from typing import Any

from loyalty.earning.services import give_back
from loyalty.engine.activity import LevelAtReturn, asks_of_return, count_activity, tier_body
from loyalty.engine.commands import Ask, Decision, Kind, MemberRef
from loyalty.engine.session import MemberWork, Session
from loyalty.errors import (
    OccurredAtOutOfRange,
    OrderCancelled,
    OrderNotFound,
    ReturnConflict,
    ValidationFailed,
)
from loyalty.ledger.clawback import ClawedBack
from loyalty.ledger.clawback import claw_back as claw_back_points
from loyalty.members.services import require
from loyalty.orders.brought import asks_to_reverse, reverse_referral
from loyalty.orders.reading import AHEAD
from loyalty.orders.repaid import asks_payers, paid_with, payers, repay
from loyalty.orders.rows import order_by_ref, put_order
from loyalty.orders.rules import (
    OrderRecord,
    Part,
    all_returned,
    content_of,
    find_line,
    net_spend,
    order_scope,
    part_of,
    quantity_text,
    quantity_units,
    take_part,
)
from loyalty.orders.schemas import ReturnOrder, ReturnRequest
from loyalty.orders.services import (
    find_order,
    money,
    remember_order,
)
from loyalty.programs.rules import PublishedProgram

# A refused return leaves the points: one till may be hours behind the other, or in another zone.
_BEFORE_THE_ORDER = timedelta(days=1)


def claw_back(
    work: MemberWork,
    record: OrderRecord,
    points: int,
    *,
    ref: str,
    explanation: dict[str, Any],
    reason: str = "",
) -> ClawedBack:
    """Take points of an order back, newest lot first, with ledger transaction and event."""
    if points <= 0:
        return ClawedBack()
    work.add_lots(record.lots)
    # From the books, not from what was read: a grace lot may have been made in this run.
    lots = [lot for lot in work.books.lots.values() if lot.order_number == record.number]
    own = sorted(lots, key=lambda lot: -lot.number)
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
        reason=reason,
        store=record.store,
        order_number=record.number,
        reverses=None if record.awarded_to else record.transaction_number,
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


def release(work: MemberWork, record: OrderRecord) -> None:
    """Give back what the order took of limits and budgets, once; note that it was given back."""
    give_back(work, record.taken)
    record.taken = [{**entry, "back": True} for entry in record.taken]


def _explain(
    work: MemberWork, parts: list[Part], taken: ClawedBack, back: int
) -> list[dict[str, Any]]:
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
    if back:
        because = f"{back} points that paid for the order come back, as nothing of it is left"
        found.append({"points": back, "because": because})
    return found


def _explain_referral(points: int) -> list[dict[str, Any]]:
    because = "nothing is left of the order, and so nothing of what came for being brought"
    return [{"points": -points, "because": because}] if points else []


# A return as an increment


def _order_ref(scope: str, ref: str) -> MemberRef:
    return ("order", f"{scope}/{ref}")


def _scope_of(request: ReturnOrder) -> str:
    if request.store is None and request.channel is None:
        return ""
    return order_scope(request.store, request.channel)


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
    known = record.returns.get(request.body.ref)
    if known is not None:
        if not _is_same(request, known):
            raise ReturnConflict(f"The return {request.body.ref} is recorded with other content.")
        return 200, known["answer"] | _as_now(work)
    _check_return(work, record, request.body)
    parts = [
        part_of(find_line(record.lines, line.line), units=quantity_units(line.quantity))
        for line in request.body.lines
    ]
    answer, fell = _take_back(work, record, parts, request)
    record.returns[request.body.ref] = {
        "content": _content_of(request),
        "answer": answer,
        # When it came, among the member's rows, and what: for a backtest, which returns it again.
        "after": work.number_seq,
        "units": _units(request),
        "by_hand": request.by_hand,
        "at": work.now.isoformat(),
        "by": work.session.principal.name,
        "reason": request.body.reason,
    }
    put_order(work, record)
    remember_order(work, record)
    return 201, answer | _as_now(work, fell=fell)


def _content_of(request: ReturnOrder) -> str:
    said = request.body.model_dump(mode="json", exclude={"reason"})
    return hashlib.sha256(content_of(said)).hexdigest()


def _units(request: ReturnOrder) -> dict[str, int]:
    return {line.line: quantity_units(line.quantity) for line in request.body.lines}


def _is_same(request: ReturnOrder, known: dict[str, Any]) -> bool:
    """Tell whether a return is the recorded one with its ref.

    Who writes one down by hand does not know when the till says that it was, nor in which order.
    """
    if request.by_hand or known.get("by_hand"):
        return bool(known["units"] == _units(request))
    return bool(known["content"] == _content_of(request))


def _as_now(work: MemberWork, *, fell: bool = False) -> dict[str, Any]:
    """Give what of an answer is not kept with the return: it is the member's, and goes on."""
    return {"balance": work.books.wallet.as_balance(), "tier": tier_body(work, changed=fell)}


def _check_return(work: MemberWork, record: OrderRecord, request: ReturnRequest) -> None:
    if record.state == "cancelled":
        raise OrderCancelled()
    if request.occurred_at > work.now + AHEAD:
        raise OccurredAtOutOfRange("occurred_at may lie 5 minutes ahead at most.")
    if request.occurred_at < record.occurred_at - _BEFORE_THE_ORDER:
        raise OccurredAtOutOfRange("occurred_at may lie a day before the order's at most.")
    if len(record.returns) >= 1000:
        raise ValidationFailed("An order takes 1,000 returns at most.")


def _take_back(
    work: MemberWork, record: OrderRecord, parts: list[Part], returned: ReturnOrder
) -> tuple[dict[str, Any], bool]:
    """Take parts back; give the answer, and whether the member's level fell with them."""
    request = returned.body
    paid = record.state == "paid"
    points = sum(part.points for part in parts) if paid else 0
    spent = net_spend(record.lines)
    for part in parts:
        take_part(part)
    paid_by = paid_with(_member_of(returned), record.ref)
    back = repay(work, record, paid_by, returned.also)
    explanation = {"lines": [{"line": p.line["line"], "points": -p.points} for p in parts]}
    taken = claw_back(
        work, record, points, ref=request.ref, explanation=explanation, reason=request.reason
    )
    spend = net_spend(record.lines) - spent
    record.net_amount += spend
    gone = all_returned(record.lines)
    brought = 0
    if gone:
        release(work, record)
        brought, _ = reverse_referral(work, _member_of(returned), record)
    level = LevelAtReturn(work, _member_of(returned))
    if paid:
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
    fell = level.follow(order=record.ref)
    answer = {
        "order": record.ref,
        "return": request.ref,
        "member": str(work.member_id),
        "clawed_back": points,
        "debt": taken.debt,
        "written_off": taken.written_off,
        "reinstated": back,
        "explanation": _explain(work, parts, taken, back) + _explain_referral(brought),
    }
    return answer, fell


def _member_of(request: ReturnOrder) -> MemberRef:
    return _order_ref(_scope_of(request), request.ref)


def _asks_return(request: ReturnOrder, program: PublishedProgram) -> list[Ask]:
    order = order_by_ref(_scope_of(request), request.ref)
    member = _member_of(request)
    asks = [order, paid_with(member, request.ref), *asks_of_return(member, program)]
    return asks + asks_to_reverse(member, request.ref) + asks_payers(request.also)


RETURN = Kind(
    "return",
    member=_member_of,
    decide=_decide_return,
    asks=_asks_return,
    others=lambda request: payers(request.also),
)
