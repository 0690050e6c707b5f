"""Believe a shop that an email is its customer's own, where the member is known without it.

An email that somebody typed in at enrolment would otherwise prove itself: it leads to the customer
who has it, or is given to one whom we make, and either may come back as verified.
"""

from typing import Final
from uuid import UUID, uuid4

from crm_sync.inbound.contract import Who
from crm_sync.inbound.matching import ways_stored
from crm_sync.inbound.models import Source
from loyalty.engine.commands import Command
from loyalty.engine.run import run
from loyalty.http.auth import Principal
from loyalty.members.identifiers import MemberRef, normalise
from loyalty.members.selectors import has_unverified
from loyalty.members.verifying import VERIFY_IDENTIFIER, VerifyIdentifier

# By the shop's number of them, which another system or a person gave us.
_KNOWN_OTHERWISE: Final = frozenset({"external_id", "person", "a person"})


def verify_email(source: Source, who: Who, member_id: UUID, principal: Principal) -> str:
    """Verify the email that a source proves, if the member has exactly that; add or move none.

    Returns:
        A sentence if it was verified just now.
    """
    if not (who.proves_email and who.email and _is_known_otherwise(source, who, member_id)):
        return ""
    try:
        email = normalise("email", who.email)
    except ValueError:
        return ""
    if not has_unverified(member_id=member_id, type_="email", value=email):
        return ""
    payload = VerifyIdentifier(MemberRef("id", str(member_id)), "email", email)
    command = Command(VERIFY_IDENTIFIER, payload, request_id=uuid4().hex)
    answer = run([command], principal=principal)[0]
    return "Their email is verified now." if answer.status < 300 else ""


def _is_known_otherwise(source: Source, who: Who, member_id: UUID) -> bool:
    return any(
        way in _KNOWN_OTHERWISE and member == member_id for way, member in ways_stored(source, who)
    )
