"""Take another system's word that an identifier is proven to be the member's."""

from typing import Any, NamedTuple

from loyalty.engine.commands import Decision, Kind
from loyalty.engine.session import Session
from loyalty.members.identifiers import IdentifierType, MemberRef
from loyalty.members.rows import profile_of
from loyalty.members.services import member_body, profile_found, require, verify


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
