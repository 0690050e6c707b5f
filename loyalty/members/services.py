"""Enrol a member, change them, and give them points."""

from collections.abc import Collection, Iterable
from datetime import date, datetime
from typing import Any
from uuid import UUID

import orjson

from loyalty.earning.services import asks_of_occasion, welcome_award
from loyalty.engine.activity import tier_body
from loyalty.engine.commands import Ask, Decision, Kind, MemberRef
from loyalty.engine.ids import new_id
from loyalty.engine.inactivity import carry_on, lot_given
from loyalty.engine.session import MemberWork, Session
from loyalty.errors import (
    IdentifierTaken,
    MemberNotActive,
    MemberNotFound,
    ValidationFailed,
)
from loyalty.ledger import rules as ledger
from loyalty.ledger.rules import LotState, WalletState
from loyalty.members.rows import (
    NEW_IDENTIFIER,
    NEW_MEMBER,
    PROFILE_CHANGE,
    owner_of,
    profile_of,
)
from loyalty.members.schemas import EnrolRequest, Profile, UpdateMember
from loyalty.programs.expiry import local_day
from loyalty.programs.rules import PublishedProgram
from loyalty.referrals.rows import owner_of_code
from loyalty.referrals.services import put_code, refer, referrer_found
from loyalty.tiers.windows import window_start

PROFILE_FIELDS = ("first_name", "last_name", "birth_date", "language")


def require(decision: Decision) -> MemberWork:
    """Give the command's member.

    Raises:
        MemberNotFound: This program has no such member.
        MemberNotActive: Their account is closed.
    """
    work = decision.work
    if work is None:
        raise MemberNotFound()
    if work.status in ("closed", "merged"):
        raise MemberNotActive()
    return work


def member_body(work: MemberWork, profile: dict[str, Any]) -> dict[str, Any]:
    """Describe a member as every call that answers one does."""
    birth: date | None = profile["birth_date"]
    return {
        "id": str(work.member_id),
        "status": work.status,
        "identifiers": profile["identifiers"],
        "profile": {
            "first_name": profile["first_name"],
            "last_name": profile["last_name"],
            "birth_date": birth.isoformat() if birth else None,
            "language": profile["language"],
        },
        "attributes": profile["attributes"],
        "referral_code": profile["referral_code"],
        "referrer": profile["referrer"] and str(profile["referrer"]),
        "enrolled_at": work.enrolled_at.isoformat(),
        "updated_at": profile["updated_at"].isoformat(),
        "balance": work.books.wallet.as_balance(),
        "tier": tier_body(work),
    }


def profile_found(session: Session, ref: MemberRef) -> dict[str, Any]:
    """Give the personal data that was read of a member."""
    first, last, birth, language, attributes, updated_at, identifiers, code, referrer = (
        session.found(profile_of(ref))[0]
    )
    return {
        "first_name": first,
        "last_name": last,
        "birth_date": birth,
        "language": language,
        "attributes": _loads(attributes) or {},
        "updated_at": updated_at,
        "identifiers": _loads(identifiers) or [],
        "referral_code": code,
        "referrer": referrer,
    }


def _loads(found: Any) -> Any:
    return orjson.loads(found) if isinstance(found, str | bytes) else found


def create_member(
    session: Session,
    *,
    identifiers: Iterable[tuple[str, str]],
    verified: Collection[tuple[str, str]] = (),
    profile: dict[str, Any] | None = None,
    attributes: dict[str, Any] | None = None,
    referrer: UUID | None = None,
) -> tuple[MemberWork, dict[str, Any]]:
    """Make a new member with their wallet, their identifiers and their joining bonus.

    Args:
        verified: Those of the identifiers that are proven to be theirs.
        referrer: Who brought them.

    Raises:
        IdentifierTaken: Another member has one of the identifiers.
    """
    named = list(identifiers)
    for type_, value in named:
        if session.found(owner_of(type_, value)) or (type_, value) in session.members:
            raise IdentifierTaken(f"Another member has this {type_}.", identifier_type=type_)
    work = MemberWork(
        session,
        member_id=new_id(session.now),
        status="active",
        event_seq=0,
        number_seq=0,
        enrolled_at=session.now,
        wallet=WalletState(),
        is_new=True,
    )
    if session.program.tiers is not None:
        work.level = session.program.tiers.levels[0].code
        today = local_day(session.now, session.program.timezone)
        work.window_start = window_start(session.program.tiers, today=today, enrolled_on=today)
    work.books.complete = True
    work.touched = True
    session.add_member(work, named)
    known = [put_identifier(work, *item, is_verified=item in verified) for item in named]
    found = _put_new_member(work, known, profile or {}, attributes or {}, referrer)
    carry_on(work, work.enrolled_at)
    _welcome(work)
    return work, found


def _put_new_member(
    work: MemberWork,
    identifiers: list[dict[str, Any]],
    profile: dict[str, Any],
    attributes: dict[str, Any],
    referrer: UUID | None,
) -> dict[str, Any]:
    now = work.now
    values: dict[str, Any] = {name: profile.get(name) or "" for name in PROFILE_FIELDS}
    values["birth_date"] = work.birth_date = profile.get("birth_date")
    kept = {name: value for name, value in attributes.items() if value is not None}
    work.rows.put(
        NEW_MEMBER,
        {
            "id": work.member_id,
            "program_id": work.program.id,
            **values,
            "attributes": kept,
            "enrolled_at": work.enrolled_at,
            "updated_at": now,
        },
    )
    told: dict[str, Any] = {"identifiers": [item["type"] for item in identifiers]}
    if referrer is not None:
        told["referrer"] = str(referrer)
        refer(work, referrer)
    work.event("member.enrolled", told, kind="enrol")
    return {
        **values,
        "attributes": kept,
        "updated_at": now,
        "identifiers": identifiers,
        "referral_code": put_code(work),
        "referrer": referrer,
    }


def put_identifier(
    work: MemberWork, type_: str, value: str, *, is_verified: bool
) -> dict[str, Any]:
    """Give a member an identifier that nobody has; return it as a profile shows it."""
    number = work.next_number()
    work.rows.put(
        NEW_IDENTIFIER,
        {
            "member_id": work.member_id,
            "number": number,
            "program_id": work.program.id,
            "type": type_,
            "value": value,
            "verified_by": work.session.principal.name if is_verified else "",
            "created_at": work.now,
        },
    )
    return {"id": number, "type": type_, "value": value, "verified": is_verified}


def _welcome(work: MemberWork) -> None:
    for entry in welcome_award(work).explanation:
        explanation, rules = {"applied": [entry]}, (entry["rule"],)
        grant(work, kind="earn", points=entry["points"], explanation=explanation, rules=rules)


def grant(
    work: MemberWork,
    *,
    kind: str,
    points: int,
    explanation: dict[str, Any],
    rules: tuple[str, ...] = (),
    reason: str = "",
    ends_at: datetime | None = None,
) -> int:
    """Give points that no order earned; return the number of the ledger transaction."""
    ledger.check_room(work.books, points)
    number = work.next_number()
    if ends_at is None:
        lot = lot_given(work, earned_at=work.now, active_at=work.now, is_activity=False)
    else:
        lot = LotState(work.next_number(), work.now, ends_at)
    ledger.earn(work.books, transaction=number, lot=lot, points=points, now=work.now)
    work.transaction(kind, number=number, points=points, reason=reason, explanation=explanation)
    work.event(
        "points.earned" if kind == "earn" else "points.adjusted",
        {
            "points": points,
            "transaction": work.public_id("txn", number),
            "expires_at": lot.expires_at.isoformat() if lot.expires_at else None,
        },
        kind=kind,
        rules=rules,
    )
    return number


def _decide_enrol(session: Session, decision: Decision) -> tuple[int, dict[str, Any]]:
    request: EnrolRequest = decision.payload
    _check_born(request.profile, session.now)
    named = [(item.type, item.value) for item in request.identifiers]
    code = request.referred_by
    work, profile = create_member(
        session,
        identifiers=named,
        verified=[(item.type, item.value) for item in request.identifiers if item.verified],
        profile=request.profile.model_dump(),
        attributes=dict(request.attributes),
        referrer=referrer_found(session, code, named) if code else None,
    )
    return 201, member_body(work, profile)


def _check_born(profile: Profile, now: datetime) -> None:
    if not profile.is_born_by(now):
        errors = [{"pointer": "/profile/birth_date", "message": "lies in the future"}]
        raise ValidationFailed("birth_date lies in the future.", errors=errors)


def _asks_enrol(request: EnrolRequest, program: PublishedProgram) -> list[Ask]:
    owners = [owner_of(item.type, item.value) for item in request.identifiers]
    codes = [owner_of_code(request.referred_by)] if request.referred_by else []
    return [*owners, *codes, *asks_of_occasion(program, "member.enrolled")]


ENROL = Kind(
    "enrol",
    member=lambda request: None,
    decide=_decide_enrol,
    asks=_asks_enrol,
    personal=True,
)


def _decide_update(session: Session, decision: Decision) -> tuple[int, dict[str, Any]]:
    work = require(decision)
    request: UpdateMember = decision.payload
    if request.body.profile is not None:
        _check_born(request.body.profile, work.now)
    profile = profile_found(session, request.member)
    changed = _changed_fields(profile, request)
    if request.body.status and request.body.status != work.status:
        work.status = request.body.status
        changed.append("status")
    if changed:
        profile["updated_at"] = work.now
        _put_profile(work, profile)
        work.event("member.updated", {"changed": changed, "status": work.status}, kind="update")
    return 200, member_body(work, profile)


def _changed_fields(profile: dict[str, Any], request: UpdateMember) -> list[str]:
    """Put the request's values into the profile and name what they change."""
    changed = []
    body = request.body
    sent = body.profile.model_dump(exclude_unset=True) if body.profile else {}
    for name, value in sent.items():
        value = value if name == "birth_date" else value or ""
        if profile[name] != value:
            profile[name] = value
            changed.append(name)
    attributes = {**profile["attributes"], **(body.attributes or {})}
    attributes = {name: value for name, value in attributes.items() if value is not None}
    if len(attributes) > 50:
        raise ValidationFailed("A member has 50 attributes at most.")
    if attributes != profile["attributes"]:
        profile["attributes"] = attributes
        changed.append("attributes")
    return changed


def _put_profile(work: MemberWork, profile: dict[str, Any]) -> None:
    row = {name: profile[name] for name in (*PROFILE_FIELDS, "attributes", "updated_at")}
    work.rows.put(PROFILE_CHANGE, {"id": work.member_id, **row})


UPDATE = Kind(
    "update",
    member=lambda request: request.member,
    decide=_decide_update,
    asks=lambda request, program: [profile_of(request.member)],
    personal=True,
)
