"""Find a member by what people know of them: exactly, or by the beginning of it.

Every way of finding is a probe of an index or a range of one, also with millions of members.
"""

from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from loyalty.members.identifiers import (
    IDENTIFIER_TYPES,
    MemberRef,
    normalise,
    parse_member_ref,
)
from loyalty.members.models import Identifier, Member
from loyalty.members.selectors import list_present
from loyalty.programs.models import Program
from loyalty.referrals.models import ReferralCode
from loyalty.referrals.rules import normalise_code

MOST = 50
SHORTEST = 3
"""Of a beginning; shorter ones would find half of the members."""


def find_members(term: str, *, program_id: int | None = None) -> QuerySet[Member]:
    """Find by id, identifier or code; else by the beginning of an identifier or of names."""
    term = term.replace("\0", "").strip()  # which PostgreSQL takes in no text
    programs = [program_id] if program_id else list(Program.objects.values_list("pk", flat=True))
    members = Member.objects.filter(program_id__in=programs)
    if not term:
        return members.none()
    if (member_id := _as_uuid(term)) is not None:
        return members.filter(pk=member_id)
    found = _exactly(term, programs) or _code(term, programs) or _beginning(term, programs)
    return members.filter(pk__in=[*found, *_named(term, programs)][:MOST])


def read_member(said: str, *, program_id: int, may_search: bool) -> MemberRef:
    """Read how a colleague names one member: as tills do, or by whatever finds exactly one.

    Args:
        may_search: Whether the colleague may see members. Who may not learns nothing of who is
            one, by guessing names.

    Raises:
        ValueError: with a sentence for the colleague.
    """
    try:
        return parse_member_ref(said)
    except ValueError:
        if not may_search:
            raise ValueError(
                "Name them as a till does, by card:…, external:… or the member's id: "
                "you may not look for members."
            ) from None
    return MemberRef("id", str(find_one(said, program_id=program_id)))


def find_one(said: str, *, program_id: int) -> UUID:
    """Find the one member who is meant.

    Who was merged keeps their name, and is whom they were merged into.

    Raises:
        ValueError: with a sentence for the colleague.
    """
    found = find_members(said, program_id=program_id).values_list("pk", flat=True)
    meant = set(list_present(program_id=program_id, member_ids=list(found)).values())
    if len(meant) > 1:
        raise ValueError("Several members fit: type more of it, or the member's id.")
    if not meant:
        raise ValueError("Nobody is found by this. Try a card, email, phone, external id or name.")
    return meant.pop()


def _as_uuid(term: str) -> UUID | None:
    try:
        return UUID(term)
    except ValueError:
        return None


def _exactly(term: str, programs: list[int]) -> list[Any]:
    """Look the text up as each kind of identifier, normalised as tills' requests are."""
    wanted = Q()
    for kind in IDENTIFIER_TYPES:
        try:
            wanted |= Q(type=kind, value=normalise(kind, term))  # type: ignore[arg-type]
        except ValueError:
            continue
    if not wanted:
        return []
    found = Identifier.objects.filter(wanted, program_id__in=programs)
    return list(found.values_list("member_id", flat=True)[:MOST])


def _code(term: str, programs: list[int]) -> list[Any]:
    """Find whose referral code it is, as a friend tells it."""
    found = ReferralCode.objects.filter(code=normalise_code(term), program_id__in=programs)
    return list(found.values_list("member_id", flat=True)[:MOST])


def _beginning(term: str, programs: list[int]) -> list[Any]:
    if len(term) < SHORTEST:
        return []
    spellings = {term, term.casefold(), term.translate(str.maketrans("", "", " ()-./"))}
    begins = Q()
    for spelling in spellings:
        begins |= Q(value__startswith=spelling)
    found = Identifier.objects.filter(begins, program_id__in=programs)
    return list(found.values_list("member_id", flat=True)[:MOST])


def _named(term: str, programs: list[int]) -> list[Any]:
    members = Member.objects.filter(program_id__in=programs)
    for word in term.split()[:3]:
        begins = Q(first_name__istartswith=word) | Q(last_name__istartswith=word)
        members = members.filter(begins)
    return list(members.values_list("pk", flat=True)[:MOST])
