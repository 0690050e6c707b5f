"""Give a member one more identifier, and take one away."""

from typing import Any
from uuid import UUID

from loyalty.engine.commands import Decision, Kind
from loyalty.engine.session import Session
from loyalty.errors import IdentifierTaken, NotFound, ValidationFailed
from loyalty.members.rows import IDENTIFIER_REMOVED, owner_of, profile_of
from loyalty.members.schemas import AddIdentifier
from loyalty.members.services import member_body, profile_found, put_identifier, require
from loyalty.members.verifying import verify


def _decide_add(session: Session, decision: Decision) -> tuple[int, dict[str, Any]]:
    work = require(decision)
    request: AddIdentifier = decision.payload
    type_, value = request.body.type, request.body.value
    owners: list[tuple[UUID]] = session.found(owner_of(type_, value))
    profile = profile_found(session, request.member)
    if owners and owners[0][0] != work.member_id:
        raise IdentifierTaken(f"Another member has this {type_}.", identifier_type=type_)
    if owners:
        if request.body.verified:
            verify(work, profile, type_, value)
        return 200, member_body(work, profile)
    if len(profile["identifiers"]) >= 20:
        raise ValidationFailed("A member has 20 identifiers at most; remove one first.")
    added = put_identifier(work, type_, value, is_verified=request.body.verified)
    profile["identifiers"].append(added)
    work.event("member.updated", {"changed": ["identifiers"], "added": type_}, kind="update")
    return 201, member_body(work, profile)


ADD_IDENTIFIER = Kind(
    "add_identifier",
    member=lambda request: request.member,
    decide=_decide_add,
    asks=lambda request, program: [
        profile_of(request.member),
        owner_of(request.body.type, request.body.value),
    ],
    personal=True,
)


def _decide_remove(session: Session, decision: Decision) -> tuple[int, dict[str, Any]]:
    work = require(decision)
    request = decision.payload
    profile = profile_found(session, request.member)
    kept = [item for item in profile["identifiers"] if item["id"] != request.identifier_id]
    if len(kept) == len(profile["identifiers"]):
        raise NotFound("This member has no identifier with that id.")
    if not kept:
        raise ValidationFailed("A member keeps one identifier; add the new one first.")
    work.rows.put(
        IDENTIFIER_REMOVED, {"member_id": work.member_id, "number": request.identifier_id}
    )
    profile["identifiers"] = kept
    work.event("member.updated", {"changed": ["identifiers"]}, kind="update")
    return 200, member_body(work, profile)


REMOVE_IDENTIFIER = Kind(
    "remove_identifier",
    member=lambda request: request.member,
    decide=_decide_remove,
    asks=lambda request, program: [profile_of(request.member)],
    personal=True,
)
