"""Keep that an identifier is proven to be the member's, on the word of whoever says so."""

from typing import Any, NamedTuple

from loyalty.engine.commands import Decision, Kind
from loyalty.engine.session import MemberWork, Session
from loyalty.members.identifiers import IdentifierType, MemberRef
from loyalty.members.rows import IDENTIFIER_VERIFIED, profile_of
from loyalty.members.services import member_body, profile_found, require


def verify(work: MemberWork, profile: dict[str, Any], type_: str, value: str) -> None:
    """Keep who says that an identifier is proven; who has said so first stays."""
    for item in profile["identifiers"]:
        if (item["type"], item["value"]) == (type_, value) and not item["verified"]:
            item["verified"] = True
            named = {"member_id": work.member_id, "number": item["id"]}
            work.rows.put(
                IDENTIFIER_VERIFIED, {**named, "verified_by": work.session.principal.name}
            )
            work.event("member.updated", {"changed": ["identifiers"]}, kind="update")


class VerifyIdentifier(NamedTuple):
    """Which identifier of whose, in its normal form."""

    member: MemberRef
    type: IdentifierType
    value: str


def _decide(session: Session, decision: Decision) -> tuple[int, dict[str, Any]]:
    """Verify what the member has; what they have no more is not given to them."""
    work = require(decision)
    request: VerifyIdentifier = decision.payload
    profile = profile_found(session, request.member)
    verify(work, profile, request.type, request.value)
    return 200, member_body(work, profile)


VERIFY_IDENTIFIER = Kind(
    "verify_identifier",
    member=lambda request: request.member,
    decide=_decide,
    asks=lambda request, program: [profile_of(request.member)],
    personal=True,
)
