"""Change points by hand."""

from typing import Any

from loyalty.engine.commands import Ask, Decision, Kind
from loyalty.engine.load import spendable_lots
from loyalty.engine.session import MemberWork, Session
from loyalty.errors import ValidationFailed
from loyalty.ledger import rules as ledger
from loyalty.ledger.buckets import Bucket
from loyalty.members.schemas import AdjustRequest
from loyalty.members.services import grant, require
from loyalty.programs.rules import PublishedProgram


def _decide_adjust(session: Session, decision: Decision) -> tuple[int, dict[str, Any]]:
    work = require(decision)
    request: AdjustRequest = decision.payload
    if request.expires_at is not None and request.expires_at <= work.now:
        raise ValidationFailed(
            "expires_at is in the past.",
            errors=[{"pointer": "/expires_at", "message": "lies in the future"}],
        )
    number = _give(work, request) if request.points > 0 else _take(work, request)
    return 201, {
        "id": work.public_id("txn", number),
        "kind": "adjust",
        "member": str(work.member_id),
        "points": request.points,
        "reason": request.reason,
        "actor": session.principal.name,
        "balance": work.books.wallet.as_balance(),
    }


def _give(work: MemberWork, request: AdjustRequest) -> int:
    return grant(
        work,
        kind="adjust",
        points=request.points,
        explanation={},
        reason=request.reason,
        ends_at=request.expires_at,
    )


def _take(work: MemberWork, request: AdjustRequest) -> int:
    points = -request.points
    uses = ledger.choose_lots(work.books, points=points, now=work.now)
    number = work.next_number()
    ledger.spend(work.books, transaction=number, uses=uses, to=Bucket.REVOKED)
    work.transaction("adjust", number=number, points=-points, reason=request.reason)
    work.event(
        "points.adjusted",
        {
            "points": -points,
            "transaction": work.public_id("txn", number),
            "reason": request.reason,
        },
        kind="adjust",
    )
    return number


def _asks_adjust(request: AdjustRequest, program: PublishedProgram) -> list[Ask]:
    return [spendable_lots(request.member)] if request.points < 0 else []


ADJUST = Kind(
    "adjust", member=lambda request: request.member, decide=_decide_adjust, asks=_asks_adjust
)
