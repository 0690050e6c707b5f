"""Take in what somebody else owns of a person: consent, segments, fields. Nothing of ours.

The same for what comes in at a source and for what a poll of a connection finds.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final
from uuid import UUID, uuid4

from django.utils import timezone

from crm_sync.adapters.contract import Consent
from crm_sync.adapters.fields import Field
from crm_sync.inbound.contract import PersonSaid
from crm_sync.inbound.ownership import profile_changes, taken_in
from loyalty.engine.commands import Command
from loyalty.engine.run import run
from loyalty.http.auth import Principal
from loyalty.members.consent import ConsentSaid, record_consents
from loyalty.members.identifiers import MemberRef
from loyalty.members.models import Segment, SegmentMember
from loyalty.members.schemas import UpdateMember
from loyalty.members.segments import add_members, remove_members
from loyalty.members.services import UPDATE

_CHANNEL: Final = re.compile(r"[a-z][a-z_]{1,19}\Z")
_NO_CODE: Final = re.compile(r"[^a-z0-9]+")
_MAY_BE_A_REPEAT: Final = (
    " Consent that may be a repeat of an older message is not taken for a new one: give messages "
    "an id, or consent a time."
)
_PREFIX_CHARACTERS: Final = 20
_CODE_CHARACTERS: Final = 50


@dataclass(frozen=True, slots=True)
class Heard:
    """When something was said at the latest.

    Attributes:
        at: When the message came in.
        first_at: When the same was said for the first time, where nobody can tell a repeat from
            news.
        message_id: The vendor's, for histories.
    """

    at: datetime
    first_at: datetime
    message_id: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """Who says something: a source, or a connection that is polled.

    Attributes:
        said_by: As histories name it, and the ledger its actor.
        fields: Its mapping.
    """

    program_id: int
    name: str
    said_by: str
    fields: Sequence[Field] = ()

    def principal(self) -> Principal:
        """Give the principal whose commands these are."""
        return Principal(
            key_id=0,
            program_id=self.program_id,
            name=self.said_by[:100],
            scopes=frozenset(),
            source="crm",
        )

    def segment_code(self, name: str) -> str:
        """Give the code of a segment of theirs: its prefix keeps them apart from all others."""
        return self.prefix + _slug(name, _CODE_CHARACTERS - len(self.prefix))

    @property
    def prefix(self) -> str:
        """Give what all their segments begin with."""
        return f"{_slug(self.name, _PREFIX_CHARACTERS)}."


def take_in(
    origin: Origin, said: PersonSaid, member_id: UUID, *, heard: Heard | None = None
) -> str:
    """Take in what a vendor owns of a person; return in sentences what was done.

    Args:
        heard: None if it was asked for just now.
    """
    notes = [
        _consents(origin, said, member_id, heard),
        _segments(origin, said, member_id),
        _fields(origin, said, member_id),
    ]
    return " ".join(note for note in notes if note) or "It says nothing that the vendor owns."


def withdrawals(consents: Sequence[Consent]) -> tuple[Consent, ...]:
    """Pick what is taken in even where it is in doubt who is meant.

    Not to write to somebody who would have it harms less than to write to somebody who will not.
    """
    return tuple(consent for consent in consents if not consent.is_given)


def gives(said: PersonSaid, fields: Sequence[Field]) -> bool:
    """Say whether a member would have anything by it that may be another's.

    What is withdrawn, left or empty is nobody's.

    Args:
        fields: The mapping, which says what is taken in.
    """
    is_given = any(consent.is_given for consent in said.consents)
    is_in = bool(said.segments or said.joined)
    filled = (value not in (None, "") for value in taken_in(fields, said.fields).values())
    return is_given or is_in or any(filled)


def take_withdrawals(
    origin: Origin, said: PersonSaid, members: Sequence[UUID], *, heard: Heard
) -> None:
    """Take in for all who may be meant that consent was withdrawn."""
    withdrawn = replace(said, consents=withdrawals(said.consents))
    for member_id in members:
        _consents(origin, withdrawn, member_id, heard)


def consents_of(
    origin: Origin,
    consents: Sequence[Consent],
    member_id: UUID,
    raw_id: str,
    heard: Heard | None = None,
) -> list[ConsentSaid]:
    """Write consents as histories have them; channels that cannot be one are left out.

    What may be a repeat is old if consent is given, and new if it is withdrawn.
    """
    return [
        ConsentSaid(
            member_id=member_id,
            channel=consent.channel,
            is_given=consent.is_given,
            source=origin.said_by,
            at=_instant(consent.changed_at),
            raw_id=raw_id,
            heard_at=_heard_at(heard, consent),
            is_act=consent.is_act,
        )
        for consent in consents
        if _CHANNEL.match(consent.channel)
    ]


def _heard_at(heard: Heard | None, consent: Consent) -> datetime | None:
    if heard is None:
        return None
    return heard.first_at if consent.is_given else heard.at


def _consents(origin: Origin, said: PersonSaid, member_id: UUID, heard: Heard | None) -> str:
    if not said.consents:
        return ""
    raw_id = heard.message_id if heard else ""
    words = consents_of(origin, said.consents, member_id, raw_id, heard)
    new = record_consents(program_id=origin.program_id, said=words)
    left_out = len(said.consents) - len(words)
    more = f" {left_out} of an unknown channel." if left_out else ""
    if heard and heard.first_at < heard.at and any(not w.at and w.is_given for w in words):
        more += _MAY_BE_A_REPEAT
    return f"{new} new in the history of consent.{more}"


def _segments(origin: Origin, said: PersonSaid, member_id: UUID) -> str:
    joined = {origin.segment_code(name): name for name in (*(said.segments or ()), *said.joined)}
    left = {origin.segment_code(name) for name in said.left} - joined.keys()
    if said.segments is not None:
        rows = SegmentMember.objects.filter(
            member_id=member_id, segment__startswith=origin.prefix, program_id=origin.program_id
        )
        left |= set(rows.values_list("segment", flat=True)) - joined.keys()
    if not joined and not left:
        return ""
    ref = [MemberRef("id", str(member_id))]
    came = sum(_add(origin, code, joined[code], ref) for code in sorted(joined))
    went = sum(remove_members(origin.program_id, code, ref).changed for code in sorted(left))
    return f"Came into {came} segments and left {went}."


def _add(origin: Origin, code: str, name: str, ref: Sequence[MemberRef]) -> int:
    """Put a member into a segment, which bears the vendor's name unless a person gave another."""
    changed = add_members(origin.program_id, code, ref).changed
    if changed:
        unnamed = Segment.objects.filter(program_id=origin.program_id, code=code, name=code)
        unnamed.update(name=f"{origin.name}: {name}"[:100])
    return changed


def _fields(origin: Origin, said: PersonSaid, member_id: UUID) -> str:
    change, left_out = profile_changes(taken_in(origin.fields, said.fields), now=timezone.now())
    if change is not None:
        payload = UpdateMember(MemberRef("id", str(member_id)), change)
        command = Command(UPDATE, payload, request_id=uuid4().hex)
        answer = run([command], principal=origin.principal())[0]
        done = answer.status < 300
        word = "The profile is up to date." if done else "The profile cannot be changed any more."
        left_out.insert(0, word)
    return " ".join(left_out)


def _slug(name: str, characters: int) -> str:
    """Spell a name as a code: a readable one, with a hash where letters had to be left out.

    Without it all names in another script would be one, and all that begin alike. Names that
    differ only in case, or in which of space, - and _ is between two words, are one name.
    """
    folded = re.sub(r"(?<=[^\W_])[ _-](?=[^\W_])", "-", name.lower())
    slug = _NO_CODE.sub("-", folded).strip("-")
    if slug and slug == folded and len(slug) <= characters:
        return slug
    mark = hashlib.sha256(folded.encode()).hexdigest()[:8]
    return f"{slug[: characters - len(mark) - 1].rstrip('-') or 'segment'}-{mark}"


def _instant(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
        # PostgreSQL reads no offset of 16 hours and more, as Python does.
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
