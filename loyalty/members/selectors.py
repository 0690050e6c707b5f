"""What other systems want to know of many members at once."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, NamedTuple, cast
from uuid import UUID

import orjson

from loyalty.database.statements import Prepared
from loyalty.errors import NotFound
from loyalty.ledger.models import MemberState
from loyalty.members.identifiers import IdentifierType, normalise, parse_member_ref
from loyalty.members.models import Erasure, Identifier, Member
from loyalty.members.rows import expiring_after
from loyalty.programs.expiry import last_day
from loyalty.programs.selectors import published_program

_STANDINGS = Prepared(f"""
SELECT member.id, member.program_id, program.code, program.timezone, state.status,
    state.event_seq, member.enrolled_at, member.first_name, member.last_name, member.birth_date,
    member.language, member.attributes, tier.level, tier.since,
    coalesce(wallet.available, 0), coalesce(wallet.pending, 0), coalesce(wallet.held, 0),
    coalesce(wallet.debt, 0), coalesce(wallet.lifetime_earned, 0), ending.expires_at,
    ending.points,
    (SELECT max(redemption.created_at) FROM loyalty_redemption AS redemption
     WHERE redemption.member_id = member.id AND redemption.state IN ('captured', 'reversed')
        AND redemption.given_for <> 'tier_entry'),
    (SELECT json_agg(json_build_array(identifier.type, identifier.value,
        identifier.verified_by <> '') ORDER BY identifier.number)
     FROM loyalty_identifier AS identifier WHERE identifier.member_id = member.id),
    (SELECT code.code FROM loyalty_referralcode AS code WHERE code.member_id = member.id),
    program.version
FROM loyalty_member AS member
JOIN loyalty_memberstate AS state ON state.member_id = member.id
JOIN loyalty_program AS program ON program.id = member.program_id
LEFT JOIN loyalty_wallet AS wallet ON wallet.member_id = member.id AND wallet.currency = 1
LEFT JOIN loyalty_membertier AS tier ON tier.member_id = member.id
LEFT JOIN LATERAL (
    SELECT soon.expires_at, sum(soon.points)::bigint AS points
    FROM ({expiring_after("statement_timestamp()", "member.id", most=1)}) AS soon
    GROUP BY soon.expires_at ORDER BY soon.expires_at LIMIT 1
) AS ending ON true
WHERE member.id = ANY(%(members)s::uuid[])
""")

_ERASED = Prepared(
    "SELECT member_id FROM loyalty_erasure WHERE member_id = ANY(%(members)s::uuid[])"
)


class Named(NamedTuple):
    """One way in which a member is known."""

    type: str
    value: str
    is_verified: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """A member as of their newest event: `sequence` is that event's.

    What is due and not done yet, such as points that expired an hour ago, is not in it: the night
    does it, writes an event, and then it is.

    Attributes:
        expiring: Points that end next, and can be used until the program's day `expiring_on` is
            over.
        identifiers: The oldest first.
    """

    member_id: UUID
    program: str
    status: str
    sequence: int
    enrolled_at: datetime
    available: int
    pending: int
    held: int
    debt: int
    lifetime_earned: int
    tier: str = ""
    tier_since: datetime | None = None
    expiring: int = 0
    expiring_on: date | None = None
    last_redeemed_at: datetime | None = None
    referral_code: str = ""
    first_name: str = ""
    last_name: str = ""
    birth_date: date | None = None
    language: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    identifiers: tuple[Named, ...] = ()

    @property
    def email(self) -> str:
        """Give the email that stands for the member."""
        return self.address("email").value

    @property
    def phone(self) -> str:
        """Give the phone number that stands for the member."""
        return self.address("phone").value

    def address(self, type_: str) -> Named:
        """Give the oldest that is verified; the oldest where none is, an empty one without any."""
        return address_of(self.identifiers, type_)


def address_of(identifiers: Iterable[Named], type_: str) -> Named:
    """Choose the address that stands for who has these identifiers, the oldest first."""
    found = sorted(
        (one for one in identifiers if one.type == type_), key=lambda one: not one.is_verified
    )
    return found[0] if found else Named(type_, "", is_verified=False)


def list_standings(member_ids: Collection[UUID]) -> dict[UUID, Standing]:
    """Read where these members stand, in one query; those who do not exist are missing."""
    rows = _STANDINGS.fetch({"members": member_ids})
    ground = {live: _ground_level(*live) for live in {(row[1], row[24]) for row in rows}}
    return {row[0]: _standing(row, ground[row[1], row[24]]) for row in rows}


def list_member_ids(*, program_id: int, after: UUID | None, limit: int) -> list[UUID]:
    """List a program's members by id, from the one after."""
    rows = Member.objects.filter(program_id=program_id)
    if after is not None:
        rows = rows.filter(pk__gt=after)
    return list(rows.order_by("pk").values_list("pk", flat=True)[:limit])


def find_member_id(*, program_id: int, reference: str) -> UUID | None:
    """Find a member by what tills and systems call them: an id, card:… or external:…."""
    try:
        ref = parse_member_ref(reference)
    except ValueError:
        return None
    if ref[0] == "id":
        rows = Member.objects.filter(program_id=program_id, pk=ref[1])
        return rows.values_list("pk", flat=True).first()
    found = Identifier.objects.filter(program_id=program_id, type=ref[0], value=ref[1])
    return found.values_list("member_id", flat=True).first()


def list_owners(
    *, program_id: int, identifiers: Sequence[tuple[str, str]], verified: bool = False
) -> list[UUID]:
    """List the members who have these identifiers, type and value; what cannot be one is left out.

    In the order of the identifiers, each member once.

    Args:
        verified: Only by identifiers that are verified.
    """
    wanted = [named for named in map(_normalised, identifiers) if named is not None]
    rows = Identifier.objects.filter(
        program_id=program_id,
        type__in={type_ for type_, _ in wanted},
        value__in={value for _, value in wanted},
    )
    if verified:
        rows = rows.exclude(verified_by="")
    owner = {(row.type, row.value): row.member_id for row in rows}
    return list(dict.fromkeys(owner[named] for named in wanted if named in owner))


def list_addresses(member_ids: Collection[UUID]) -> dict[UUID, list[Named]]:
    """List these members' emails and phone numbers, of each the oldest first."""
    rows = Identifier.objects.filter(member_id__in=member_ids, type__in=("email", "phone"))
    found: dict[UUID, list[Named]] = {}
    for row in rows.order_by("member_id", "number"):
        named = Named(row.type, row.value, is_verified=bool(row.verified_by))
        found.setdefault(row.member_id, []).append(named)
    return found


def has_unverified(*, member_id: UUID, type_: IdentifierType, value: str) -> bool:
    """Say whether the member has exactly this identifier, and nobody has verified it."""
    rows = Identifier.objects.filter(member_id=member_id, type=type_, value=value, verified_by="")
    return rows.exists()


def list_present(*, program_id: int, member_ids: Collection[UUID]) -> dict[UUID, UUID]:
    """Say who these members are by now: themselves, or whom they were merged into.

    Those who are closed, or of another program, are missing.
    """
    rows = MemberState.objects.filter(program_id=program_id)
    states = {row.pk: row for row in rows.filter(pk__in=member_ids)}
    into = {row.merged_into for row in states.values() if row.merged_into is not None}
    states |= {row.pk: row for row in rows.filter(pk__in=into)}
    present = {}
    for member_id in set(member_ids) & states.keys():
        found = states[states[member_id].merged_into or member_id]
        if found.status != MemberState.Status.CLOSED:
            present[member_id] = found.pk
    return present


def list_erased(member_ids: Collection[UUID]) -> set[UUID]:
    """Say who of these members was erased."""
    return {row[0] for row in _ERASED.fetch({"members": member_ids})}


def walk_erased(*, at_once: int = 1000) -> Iterator[list[UUID]]:
    """Walk through all who were ever erased, in any program, some at once."""
    rows = Erasure.objects.order_by("pk").values_list("pk", flat=True)
    found = list(rows[:at_once])
    while found:
        yield found
        found = list(rows.filter(pk__gt=found[-1])[:at_once])


def _normalised(named: tuple[str, str]) -> tuple[str, str] | None:
    type_, value = named
    try:
        return type_, normalise(cast(IdentifierType, type_), value)
    except ValueError:
        return None


def count_members(*, program_id: int) -> int:
    """Count a program's members."""
    return Member.objects.filter(program_id=program_id).count()


def _standing(row: tuple[Any, ...], ground_level: str) -> Standing:
    ends: datetime | None = row[19]
    return Standing(
        member_id=row[0],
        program=row[2],
        status=row[4],
        sequence=row[5],
        enrolled_at=row[6],
        first_name=row[7],
        last_name=row[8],
        birth_date=row[9],
        language=row[10],
        attributes=_json(row[11]) or {},
        tier=row[12] or ground_level,
        tier_since=row[13] or (row[6] if ground_level else None),
        available=row[14],
        pending=row[15],
        held=row[16],
        debt=row[17],
        lifetime_earned=row[18],
        expiring=row[20] or 0,
        expiring_on=last_day(ends, row[3]) if ends else None,
        last_redeemed_at=row[21],
        identifiers=tuple(Named(*one) for one in _json(row[22]) or []),
        referral_code=row[23] or "",
    )


def _json(found: Any) -> Any:
    return orjson.loads(found) if isinstance(found, str | bytes) else found


def _ground_level(program_id: int, version: int) -> str:
    """Give the level of those who never rose: no row says it."""
    try:
        tiers = published_program(program_id, version=version).tiers
    except NotFound:
        return ""
    return tiers.levels[0].code if tiers is not None else ""
