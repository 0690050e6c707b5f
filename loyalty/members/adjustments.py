"""Change points by hand; many at once need a second person."""

from typing import Any

from loyalty.engine.commands import REF, Ask, Decision, Kind, Read
from loyalty.engine.load import MEMBER_OF, PERSON, spendable_lots
from loyalty.engine.session import MemberWork, Session
from loyalty.engine.writing import Table
from loyalty.errors import (
    ApprovalRequired,
    InsufficientPoints,
    NotFound,
    OwnRequest,
    RequestDecided,
    ValidationFailed,
)
from loyalty.ledger import rules as ledger
from loyalty.ledger.buckets import Bucket
from loyalty.members.identifiers import MemberRef
from loyalty.members.schemas import AdjustRequest, DecideAdjustment
from loyalty.members.services import grant, require
from loyalty.programs.rules import PublishedProgram

REQUEST = Table(
    "loyalty_adjustmentrequest",
    {
        "member_id": "uuid",
        "number": "bigint",
        "program_id": "int",
        "points": "bigint",
        "reason": "text",
        "expires_at": "timestamptz",
        "state": "text",
        "requested_by": "text",
        "requested_at": "timestamptz",
        "decided_by": "text",
        "decision_reason": "text",
    },
)

DECIDED = Table(
    "loyalty_adjustmentrequest",
    {
        "member_id": "uuid",
        "number": "bigint",
        "state": "text",
        "decided_by": "text",
        "decided_at": "timestamptz",
        "decision_reason": "text",
        "transaction_number": "bigint",
    },
    update=(
        "UPDATE loyalty_adjustmentrequest AS a SET state = r.state, decided_by = r.decided_by,"
        " decided_at = r.decided_at, decision_reason = r.decision_reason,"
        " transaction_number = r.transaction_number FROM {rows}"
        " WHERE a.member_id = r.member_id AND a.number = r.number"
    ),
)

REQUESTED = Read(
    "requested adjustment",
    """
SELECT r.ord, a.points, a.reason, a.expires_at, a.state, a.requested_by FROM {questions}
JOIN loyalty_adjustmentrequest AS a
    ON a.member_id = r.member_id AND a.number = r.number AND a.program_id = $1
""",
    {"member_id": "uuid", "number": "bigint"},
)

# By whom points were adjusted in the last 24 hours, without what a second person approved; by an
# index of adjustments alone, so that neither a long history nor many small ones hide any.
# OFFSET 0: the person is looked up once, and their adjustments by them, whatever is joined.
ADJUSTED = Read(
    "adjusted lately",
    f"""
SELECT r.ord, t.actor, sum(abs(t.points))::bigint
FROM {{questions}}
CROSS JOIN LATERAL (SELECT {MEMBER_OF} AS member_id OFFSET 0) AS x
CROSS JOIN LATERAL {PERSON} AS o (member_id)
CROSS JOIN LATERAL (
    SELECT t.actor, t.points FROM loyalty_ledgertransaction AS t
    WHERE t.member_id = o.member_id AND t.kind = 'adjust'
        AND t.recorded_at > (SELECT clock_timestamp() - interval '1 day')
        AND t.explanation->'approved_by' IS NULL
    OFFSET 0
) AS t
GROUP BY r.ord, t.actor
""",
    REF,
)


def adjusted_lately(ref: MemberRef) -> Ask:
    """Ask how many points each person adjusted for a member in the last 24 hours.

    What was adjusted for a member who was merged into this one counts: a merge is no way around.
    """
    return Ask(ADJUSTED, tuple(ref))


def requested(member_id: Any, number: int) -> Ask:
    """Ask for an adjustment that waits for a second person."""
    return Ask(REQUESTED, (member_id, number))


def _decide_adjust(session: Session, decision: Decision) -> tuple[int, dict[str, Any]]:
    work = require(decision)
    request: AdjustRequest = decision.payload
    _check_limit(work, request)
    number = change_points(work, request, {})
    work.adjusted += abs(request.points)
    return 201, {
        "id": work.public_id("txn", number),
        "kind": "adjust",
        "member": str(work.member_id),
        "points": request.points,
        "reason": request.reason,
        "actor": session.principal.name,
        "balance": work.books.wallet.as_balance(),
    }


def _check_limit(work: MemberWork, request: AdjustRequest) -> None:
    """Refuse more than one person may adjust for a member in 24 hours, in parts or at once.

    What this run has adjusted counts by the member, under whatever name it was asked for.
    """
    limit = work.program.points.adjustment_limit
    if limit is None:
        return
    session = work.session
    sums: dict[str, int] = dict(session.found(adjusted_lately(request.member)))
    before = sums.get(session.principal.name, 0) + work.adjusted
    if before + abs(request.points) > limit:
        raise ApprovalRequired(
            f"{limit:,} points may be adjusted for a member in 24 hours without a second person;"
            f" {before:,} were.",
            limit=limit,
            adjusted=before,
        )


def change_points(work: MemberWork, request: AdjustRequest, explanation: dict[str, Any]) -> int:
    """Give or take points by hand; return the number of the ledger transaction.

    Raises:
        ValidationFailed: They would end before they begin.
        InsufficientPoints: More would be taken than there are.
    """
    if request.expires_at is not None and request.expires_at <= work.now:
        raise ValidationFailed(
            "expires_at is in the past.",
            errors=[{"pointer": "/expires_at", "message": "lies in the future"}],
        )
    if request.points < 0:
        return _take(work, request, explanation)
    return grant(
        work,
        kind="adjust",
        points=request.points,
        explanation=explanation,
        reason=request.reason,
        ends_at=request.expires_at,
    )


def _take(work: MemberWork, request: AdjustRequest, explanation: dict[str, Any]) -> int:
    points = -request.points
    uses = ledger.choose_lots(work.books, points=points, now=work.now)
    number = work.next_number()
    ledger.spend(work.books, transaction=number, uses=uses, to=Bucket.REVOKED)
    work.transaction(
        "adjust", number=number, points=-points, reason=request.reason, explanation=explanation
    )
    work.event(
        "points.adjusted",
        {"points": -points, "transaction": work.public_id("txn", number)},
        kind="adjust",
    )
    return number


def _asks_adjust(request: AdjustRequest, program: PublishedProgram) -> list[Ask]:
    asks = [spendable_lots(request.member)] if request.points < 0 else []
    if program.points.adjustment_limit is not None:
        asks.append(adjusted_lately(request.member))
    return asks


ADJUST = Kind(
    "adjust", member=lambda request: request.member, decide=_decide_adjust, asks=_asks_adjust
)


# With a second person


def _decide_request(session: Session, decision: Decision) -> tuple[int, dict[str, Any]]:
    work = require(decision)
    request: AdjustRequest = decision.payload
    available = work.books.wallet.available
    if request.points < -available:
        raise InsufficientPoints(
            f"{-request.points} points are needed and {available} are available.",
            needed=-request.points,
            available=available,
            missing=-request.points - available,
        )
    number = work.next_number()
    work.rows.put(
        REQUEST,
        {
            "member_id": work.member_id,
            "number": number,
            "program_id": work.program.id,
            "points": request.points,
            "reason": request.reason,
            "expires_at": request.expires_at,
            "state": "open",
            "requested_by": session.principal.name,
            "requested_at": work.now,
            "decided_by": "",
            "decision_reason": "",
        },
    )
    return 201, {"id": work.public_id("req", number), "state": "open", "points": request.points}


REQUEST_ADJUSTMENT = Kind(
    "request_adjustment", member=lambda request: request.member, decide=_decide_request
)


def _decide_decision(session: Session, decision: Decision) -> tuple[int, dict[str, Any]]:
    decided: DecideAdjustment = decision.payload
    found = session.found(requested(decided.account, decided.number))
    if not found:
        raise NotFound("There is no such request.")
    points, reason, expires_at, state, requested_by = found[0]
    if state != "open":
        raise RequestDecided(f"This request was already {state}.")
    actor = session.principal.name
    if decided.approve and actor == requested_by:
        raise OwnRequest()
    work = require(decision) if decided.approve else decision.work
    if work is None:
        raise NotFound("There is no such request.")
    transaction = None
    if decided.approve:
        request = AdjustRequest.model_construct(
            member=decided.member, points=points, reason=reason, expires_at=expires_at
        )
        why = {"requested_by": requested_by, "approved_by": actor, "approval": decided.reason}
        transaction = change_points(work, request, why)
    to = "approved" if decided.approve else "declined"
    work.rows.put(
        DECIDED,
        {
            "member_id": decided.account,
            "number": decided.number,
            "state": to,
            "decided_by": actor,
            "decided_at": work.now,
            "decision_reason": decided.reason,
            "transaction_number": transaction,
        },
    )
    return 200, {"state": to, "balance": work.books.wallet.as_balance()}


def _asks_decision(decided: DecideAdjustment, program: PublishedProgram) -> list[Ask]:
    return [requested(decided.account, decided.number), spendable_lots(decided.member)]


DECIDE_ADJUSTMENT = Kind(
    "decide_adjustment",
    member=lambda decided: decided.member,
    decide=_decide_decision,
    asks=_asks_decision,
)
