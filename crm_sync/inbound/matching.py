"""Whom a source speaks of: found in one order of ways, kept, and never guessed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.db.models import Q

from crm_sync.inbound.contract import Who
from crm_sync.inbound.models import Source, SourcePerson
from crm_sync.inbound.proof import Claim, list_unproven
from crm_sync.models import Contact
from loyalty.members.selectors import list_owners, list_present

Way = tuple[str, UUID]  # how somebody was found, and who


@dataclass(frozen=True, slots=True)
class Found:
    """Who is meant.

    Attributes:
        candidates: All who may be meant, where it cannot be told.
        doubt: Why it cannot; a sentence without personal data.
    """

    member_id: UUID | None = None
    matched_by: str = ""
    candidates: tuple[UUID, ...] = ()
    doubt: str = ""


_SEVERAL: Final = "Several members may be meant: choose one of them."
_UNPROVEN: Final = (
    "Only an email or phone number leads to somebody, and nobody has verified that it is theirs: "
    "say whether it is them."
)

_CHOSEN: Final = "a person"
_MADE: Final = frozenset({"new", "no_email"})
# By what the vendor may have from us, if we made the person there.
_MAY_BE_OUR_WORD: Final = frozenset({"member_id", "external_id"})
_KNOWN_UNPROVEN: Final = (
    "The connection made or found this customer by an email or phone number, and nobody has "
    "verified that it is the member's: say whether it is them."
)


def find_person(source: Source, who: Who, *, chosen: UUID | None = None) -> Found:
    """Say which member a source means: by the id that we stored, ours, external ids; then by
    verified emails and phones. What is found is kept.

    Where the first three lead to different members, or none leads to anybody and email and phone
    lead to different ones, or are not verified here, nobody but a person can tell.

    Args:
        chosen: A person has said so.
    """
    if chosen is not None:
        return Found(chosen, _CHOSEN)
    found = _one_of(_certain(source, who)) or _found_by_address(source, who)
    if found.member_id is not None and who.vendor_id:
        learn(source, who.vendor_id, found.member_id, found.matched_by)
    return found


def find_proven(source: Source, who: Who, *, chosen: UUID | None = None) -> Found:
    """Say who bought or agrees; whom we made with an unverified address is for a person to tell.

    A vendor takes whoever gives that address for the one whom we made: what they buy, and what they
    agree to, would be another's.
    """
    found = find_person(source, who, chosen=chosen)
    if found.member_id is None or _is_proven(source, who, found.member_id, found.matched_by):
        return found
    return Found(candidates=(found.member_id,), doubt=_KNOWN_UNPROVEN)


def _is_proven(source: Source, who: Who, member_id: UUID, matched_by: str) -> bool:
    connection = source.connection
    if connection is None or source.matches_unverified or matched_by == _CHOSEN:
        return True
    names = tuple(name for name in (who.vendor_id, *who.known_as) if name)
    meant = Q(vendor_id__in=names)
    if matched_by in _MAY_BE_OUR_WORD:
        meant |= Q(member_id=member_id)
    contacts = list(Contact.objects.filter(meant, connection=connection))
    has = {"email": who.email, "phone": who.phone}
    is_our_word = matched_by in _MADE or (matched_by == "member_id" and bool(contacts))
    claim = Claim(member_id, contacts, names, has, is_our_word)
    return not list_unproven(connection, {0: claim})


def learn(source: Source, vendor_id: str, member_id: UUID, matched_by: str) -> None:
    """Keep who a source's person is."""
    SourcePerson.objects.bulk_create(
        [
            SourcePerson(
                source=source, vendor_id=vendor_id, member_id=member_id, matched_by=matched_by
            )
        ],
        update_conflicts=True,
        unique_fields=["source", "vendor_id"],
        update_fields=["member_id", "matched_by"],
    )


def ways_stored(source: Source, who: Who) -> list[Way]:
    """List as whom a source's person is known by now, and how that was found out."""
    return _present(source, _stored(source, who))


def _certain(source: Source, who: Who) -> list[Way]:
    ways = _stored(source, who)
    if not ways:
        ours = as_uuid(who.member_id)
        ways = [("member_id", ours)] if ours else []
        named = [("external", value) for value in who.external_ids if value]
        ways += [("external_id", member) for member in _owners(source, named)]
    return _present(source, ways)


def _present(source: Source, ways: Sequence[Way]) -> list[Way]:
    present = list_present(program_id=source.program_id, member_ids=[member for _, member in ways])
    return [(way, present[member]) for way, member in ways if member in present]


def _stored(source: Source, who: Who) -> list[Way]:
    if not who.vendor_id:
        return []
    row = SourcePerson.objects.filter(source=source, vendor_id=who.vendor_id).first()
    if row is not None:
        return [(row.matched_by, row.member_id)]
    if source.connection_id is None:
        return []
    contacts = Contact.objects.filter(
        connection_id=source.connection_id, vendor_id__in=(who.vendor_id, *who.known_as)
    )
    rows = contacts.values_list("matched_by", "member_id")
    return [(matched_by or "vendor_id", member_id) for matched_by, member_id in rows]


def _found_by_address(source: Source, who: Who) -> Found:
    """Find by verified addresses; by others only where the source says so, else a person does."""
    if found := _one_of(_by_address(source, who, verified=not source.matches_unverified)):
        return found
    ways = _by_address(source, who, verified=False)
    members = tuple(dict.fromkeys(member for _, member in ways))
    return Found(candidates=members, doubt=_UNPROVEN if members else "")


def _by_address(source: Source, who: Who, *, verified: bool) -> list[Way]:
    ways: list[Way] = []
    for type_, value in (("email", who.email), ("phone", who.phone)):
        named = [(type_, value)] if value else []
        ways += [(type_, member) for member in _owners(source, named, verified=verified)]
    return ways


def _owners(
    source: Source, named: Sequence[tuple[str, str]], *, verified: bool = False
) -> list[UUID]:
    if not named:
        return []
    return list_owners(program_id=source.program_id, identifiers=named, verified=verified)


def _one_of(ways: Sequence[Way]) -> Found | None:
    members = tuple(dict.fromkeys(member for _, member in ways))
    if len(members) > 1:
        return Found(candidates=members, doubt=_SEVERAL)
    return Found(members[0], ways[0][0]) if members else None


def as_uuid(text: str) -> UUID | None:
    """Read an id of ours out of what a vendor keeps; None if it is none."""
    try:
        return UUID(text)
    except ValueError:
        return None
