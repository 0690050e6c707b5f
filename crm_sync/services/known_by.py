"""By which addresses a member is known at a vendor, once it was asked who they are there."""

from collections.abc import Mapping
from typing import Final

from crm_sync.adapters.contract import Match, Person
from crm_sync.adapters.making import TellsOneAddress
from crm_sync.addresses import TYPES, Addresses, hash_addresses, join
from crm_sync.models import Connection, Contact
from crm_sync.services.calls import adapter_of

_OURS: Final = "member_id"


def addresses_told(connection: Connection, has: Mapping[str, str]) -> Addresses:
    """Say what the vendor is told of the addresses of somebody who is made there."""
    shares = {"email": connection.shares_email, "phone": connection.shares_phone}
    told = {type_: has[type_] for type_ in TYPES if shares[type_] and has.get(type_)}
    if isinstance(adapter_of(connection), TellsOneAddress):
        told = dict(list(told.items())[:1])
    return hash_addresses(told)


def addresses_learned(
    connection: Connection, contact: Contact, person: Person, match: Match
) -> Addresses:
    """Say by which addresses they are known who are found there, or will be made.

    Whom we wanted to make before may have been made with what we knew then, even where that failed
    or nobody has told us: it stays. Whom only our own id leads to was made by us, too.
    """
    before: Addresses = contact.addresses
    has = {"email": person.email, "phone": person.phone}
    if contact.vendor_id:
        return before
    if match.vendor_id and match.matched_by != _OURS:
        led = has.get(match.matched_by, "")
        return hash_addresses({match.matched_by: led})
    if match.vendor_id and (before or contact.matched_by):
        return before
    told = addresses_told(connection, has)
    return join(before, told) if contact.matched_by else told


def with_late_ones(addresses: Addresses, person: Person) -> Addresses:
    """Add what the vendor is told only now, of whom we made there without it."""
    return join(addresses, hash_addresses(person.late_identity))
