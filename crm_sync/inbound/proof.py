"""Whether somebody at a vendor is surely the member as whom they are known. One rule for all of it.

A vendor takes whoever has an address for the person whom it knows by it. So whom we made there with
an address, or found by it, is the member only while that very address is verified as theirs: else
they may be whoever has it, and what is given by them another's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import cast
from uuid import UUID

from crm_sync.addresses import TYPES, Addresses, hash_address, join
from crm_sync.models import Connection, Contact
from crm_sync.services.known_by import addresses_told
from loyalty.members.identifiers import IdentifierType, normalise
from loyalty.members.selectors import Named, address_of, list_addresses


@dataclass(frozen=True, slots=True)
class Claim:
    """That somebody of whom a vendor speaks is a member.

    Attributes:
        contacts: What the connection knows of them: by what the vendor calls them, or as a member.
        vendor_ids: What the vendor calls them, in each spelling.
        has: Their email and phone number there by now, as far as the vendor says.
        is_our_word: Our own id leads to the member, which the vendor has from us.
    """

    member_id: UUID
    contacts: Sequence[Contact]
    vendor_ids: tuple[str, ...] = ()
    has: Mapping[str, str] = field(default_factory=dict)
    is_our_word: bool = False

    @property
    def is_known(self) -> bool:
        """Say whether the connection knows them by what the vendor calls them."""
        return any(
            not (one.vendor_id and self.vendor_ids) or one.vendor_id in self.vendor_ids
            for one in self.contacts
        )


def list_unproven(connection: Connection, claims: Mapping[int, Claim]) -> set[int]:
    """List which of these are not surely the members, by their places."""
    if connection.matches_unverified:
        return set()
    owned = list_addresses({claim.member_id for claim in claims.values()})
    return {
        place
        for place, claim in claims.items()
        if not _is_proven(connection, claim, owned.get(claim.member_id, []))
    }


def _is_proven(connection: Connection, claim: Claim, owned: Sequence[Named]) -> bool:
    verified = {hash_address(one.type, one.value) for one in owned if one.is_verified}
    has = {type_: _hash(type_, value) for type_, value in claim.has.items() if value}
    known: Addresses = reduce(join, (one.addresses for one in claim.contacts), {})
    if claim.is_our_word and not claim.is_known:
        stands = {type_: address_of(owned, type_).value for type_ in TYPES}
        known = join(known, addresses_told(connection, stands))
        if claim.contacts:  # there is another one whom we know as the member
            known = join(known, {type_: [one] for type_, one in has.items()})
    return all(has.get(type_) in verified or verified.issuperset(known[type_]) for type_ in known)


def _hash(type_: str, value: str) -> str:
    try:
        return hash_address(type_, normalise(cast(IdentifierType, type_), value))
    except ValueError:
        return hash_address(type_, value)
