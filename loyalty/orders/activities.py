"""Record an activity (a review, a quiz, whatever a rule names) and award its points.

As an order without lines: no return takes it back, and it does not count towards tiers.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from loyalty.earning.lots import new_lot, status_of
from loyalty.earning.rules import Award, Occasion, calculate_activity
from loyalty.earning.services import earner_of, take
from loyalty.engine.activity import tier_body
from loyalty.engine.commands import Ask, Decision, Kind
from loyalty.engine.load import lot_of
from loyalty.engine.session import MemberWork, Session
from loyalty.errors import ActivityConflict, ActivityUnknown
from loyalty.http.ids import encode_id
from loyalty.ledger import rules as ledger
from loyalty.ledger.rules import LotState
from loyalty.orders import services
from loyalty.orders.reading import check_place
from loyalty.orders.rows import ACTIVITY_CLAIM, activity_by_ref
from loyalty.orders.rules import content_of
from loyalty.orders.schemas import Activity, EarnActivity, EarnRequest
from loyalty.orders.services import asks_of_earner, check_owner, earn_member, with_issued
from loyalty.programs.expiry import local_time
from loyalty.programs.rules import PublishedProgram
from loyalty.rewards.issuing import issue_due


@dataclass(frozen=True, slots=True)
class ActivityRecord:
    """An activity as recorded.

    Attributes:
        awarded_to: In whose ledger its award is; `member_id` is who goes on for them.
        lot: What it earned, as it is now; none where it earned nothing.
    """

    awarded_to: UUID
    member_id: UUID
    number: int
    content_hash: str
    points: int
    explanation: dict[str, Any]
    lot: LotState | None


def _record_of(row: Sequence[Any]) -> ActivityRecord:
    *values, explanation, found = row
    lot = lot_of(orjson.loads(found)) if found else None
    return ActivityRecord(*[*values, orjson.loads(explanation), lot])


def _decide(session: Session, decision: Decision) -> tuple[int, dict[str, Any]]:
    request: EarnActivity = decision.payload
    activity = request.activity
    known = session.program.activities
    if activity.type not in known:
        raise ActivityUnknown(
            f"No earning rule of this program names the activity {activity.type}.",
            activities=sorted(known),
        )
    check_place(session, activity.store, activity.occurred_at)
    check_owner(session, decision, request.member)
    found = session.found(activity_by_ref(activity.type, activity.ref))
    if found:
        return _known_activity(decision, activity, found[0])
    work = earn_member(session, decision, request.member)
    award = _award_for(work, request)
    ledger.check_room(work.books, award.points)
    record = _give(work, activity, award)
    session.remember(activity_by_ref(activity.type, activity.ref), [record])
    issued = issue_due(work, level_before=work.level, collected=award.points > 0)
    return 201, _body(work, activity, record) | with_issued(issued)


def _award_for(work: MemberWork, request: EarnActivity) -> Award:
    activity = request.activity
    local = local_time(activity.occurred_at, work.program.timezone)
    occasion = Occasion(
        day=local.date(),
        hour=local.hour,
        activity=activity.type,
        channel=activity.channel or "",
        store=activity.store or "",
        properties=activity.properties,
    )
    earner = earner_of(work, request.member, occasion.day)
    return calculate_activity(program=work.program, occasion=occasion, earner=earner)


def _give(work: MemberWork, activity: Activity, award: Award) -> ActivityRecord:
    """Write the ledger transaction, the lot, the claim and what is told of it."""
    number, lot = work.next_number(), None
    explanation = {"applied": award.explanation, "not_applied": award.not_applied}
    take(work, award)
    if award.points:
        lot = new_lot(work, activity.occurred_at)
        ledger.earn(work.books, transaction=number, lot=lot, points=award.points, now=work.now)
    work.transaction(
        "earn",
        number=number,
        points=award.points,
        occurred_at=activity.occurred_at,
        source_ref=activity.ref,
        store=activity.store or "",
        explanation={"activity": activity.type, **explanation},
    )
    if lot is not None:
        _tell(work, activity, award, number, lot)
    digest = _hash_of(activity)
    work.rows.put(
        ACTIVITY_CLAIM,
        {
            "program_id": work.program.id,
            "activity": activity.type,
            "ref": activity.ref,
            "member_id": work.member_id,
            "number": number,
            "lot_number": lot.number if lot else None,
            "content_hash": digest,
        },
    )
    me = work.member_id
    return ActivityRecord(me, me, number, digest, award.points, explanation, lot)


def _tell(work: MemberWork, activity: Activity, award: Award, number: int, lot: LotState) -> None:
    status = status_of(lot, work)
    named = {"activity": activity.type, "ref": activity.ref}
    data = {"points": award.points, "transaction": work.public_id("txn", number), **named}
    facts = {
        "store": activity.store,
        "active_at": lot.active_at,
        "expires_at": lot.expires_at,
    }
    work.event(
        "points.pending" if status == "pending" else "points.earned",
        {**data, **facts},
        kind="earn",
        rules=[entry["rule"] for entry in award.explanation],
        occurred_at=activity.occurred_at,
    )
    if status == "expired":
        work.event("points.expired", data, kind="earn")


def _hash_of(activity: Activity) -> str:
    """Hash what an activity says after parsing."""
    content = {
        "occurred_at": activity.occurred_at.timestamp(),
        "store": activity.store,
        "channel": activity.channel,
        "properties": activity.properties,
    }
    return hashlib.sha256(content_of(content)).hexdigest()


def _known_activity(
    decision: Decision, activity: Activity, found: Any
) -> tuple[int, dict[str, Any]]:
    """Answer an activity that is recorded already: the original award, or a conflict."""
    record = found if isinstance(found, ActivityRecord) else _record_of(found)
    work = decision.work
    is_same = record.content_hash == _hash_of(activity)
    if work is None or record.member_id != work.member_id or not is_same:
        raise ActivityConflict(
            f"The activity {activity.type} {activity.ref} is recorded with other content."
        )
    return 200, _body(work, activity, record)


def _body(work: MemberWork, activity: Activity, record: ActivityRecord) -> dict[str, Any]:
    lot = record.lot
    return {
        "id": encode_id("txn", record.awarded_to, record.number),
        "kind": "earn",
        "member": str(work.member_id),
        "order": None,
        "activity": {"type": activity.type, "ref": activity.ref},
        "points": record.points,
        "status": status_of(lot, work) if lot else "none",
        "active_at": lot and lot.active_at,
        "expires_at": lot and lot.expires_at,
        "balance": work.books.wallet.as_balance(),
        "tier": tier_body(work),
        "explanation": record.explanation.get("applied", []),
        "not_applied": record.explanation.get("not_applied", []),
    }


def _asks(request: EarnActivity, program: PublishedProgram) -> list[Ask]:
    activity = request.activity
    return [
        activity_by_ref(activity.type, activity.ref),
        *asks_of_earner(program, request.member, activity.occurred_at),
    ]


EARN_ACTIVITY = Kind("earn", member=lambda request: request.member, decide=_decide, asks=_asks)


def _kind_of(request: EarnRequest) -> Kind:
    return services.EARN if request.order is not None else EARN_ACTIVITY


# What POST /v1/earn does, by what it is about.
EARN = Kind(
    "earn",
    member=lambda request: request.member,
    decide=lambda session, decision: _kind_of(decision.payload).decide(session, decision),
    asks=lambda request, program: _kind_of(request).asks(request, program),
)
