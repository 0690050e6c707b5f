"""Who a member is at a vendor: asked once, before anything is written there, and kept.

Who was not found is looked for again when what they may be found by has changed: a card that gets
an email may be somebody who is there already.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

import orjson
from django.db import connection as database
from django.db import transaction

from crm_sync.adapters.access import Target
from crm_sync.adapters.contract import Adapter, Match, Matches, Person, PushesProfiles
from crm_sync.adapters.outcomes import (
    Ambiguous,
    Outcome,
    Permanent,
    Postponed,
    Retryable,
    Skipped,
    several_match,
    storable,
    unproven_match,
)
from crm_sync.mapping import hash_identity
from crm_sync.models import Connection, Contact, Delivery, Relay
from crm_sync.services import lanes
from crm_sync.services.calls import adapter_of, call, within_lease
from crm_sync.services.known_by import addresses_learned, with_late_ones
from crm_sync.services.redeliver import redeliver
from loyalty.database.statements import PreparedRows
from loyalty.members.selectors import Standing, list_erased, list_standings

_GONE = {"closed", "erased"}
_MERGED: Final = "merged"
_NOBODY: Final = "nobody"
_NOT_FOUND = {"new", "no_email", _NOBODY}  # whoever is there was made by us
_IS_CLEAR_NOW: Final = "It is clear now who is meant: what was parked goes first."
_CANNOT_BE_MADE: Final = (
    "Email and phone lead to somebody else at the vendor, who was said not to be the member, and "
    "without them it makes nobody: correct them here, or there and look again."
)

_CONTACTS = PreparedRows(
    Contact, "WHERE connection_id = %(connection)s AND member_id = ANY(%(members)s::uuid[])"
)

_WANT = """
INSERT INTO crm_sync_contact AS contact (connection_id, member_id, vendor_id, matched_by,
    matched_on, addresses, wanted, done, fingerprint, version, attempts, stuck, last_error,
    candidates, is_backfill)
SELECT connection_id, member_id, '', '', '', '{}', 1, 0, '', 0, 0, '', '', '[]', %(backfill)s
FROM unnest(%(connections)s::bigint[], %(members)s::uuid[]) AS wanted (connection_id, member_id)
ORDER BY connection_id, member_id
ON CONFLICT (connection_id, member_id) DO UPDATE SET
    wanted = contact.wanted + 1,
    is_backfill = excluded.is_backfill AND (contact.is_backfill OR contact.wanted = contact.done)
"""

_LEARN = """
INSERT INTO crm_sync_contact AS contact (connection_id, member_id, vendor_id, matched_by,
    matched_on, addresses, wanted, done, fingerprint, version, attempts, stuck, last_error,
    candidates, is_backfill)
VALUES (%(connection)s, %(member)s, %(vendor_id)s, %(matched_by)s, %(matched_on)s, %(addresses)s,
    0, 0, '', 0, 0, '', '', '[]', false)
ON CONFLICT (connection_id, member_id) DO UPDATE SET vendor_id = excluded.vendor_id,
    matched_by = excluded.matched_by, matched_on = excluded.matched_on,
    addresses = excluded.addresses
"""


@dataclass(frozen=True, slots=True)
class Known:
    """A member with all that a call about them needs.

    Attributes:
        person: Without what leads to somebody else there, where a person has said that it does.
        identity: Hash of all that the member may be found by.
        standing: None where the member is gone.
        trouble: Why nothing may be written about them yet.
        was_asked: The vendor was asked just now, which may have taken most of a lease.
    """

    person: Person
    contact: Contact
    identity: str
    standing: Standing | None = None
    trouble: Outcome | None = None
    was_asked: bool = False


def knows_people(adapter: Adapter | None) -> bool:
    """Say whether a destination wants to know whom an event is about."""
    return isinstance(adapter, PushesProfiles | Matches)


def want_profiles(
    *, connection_id: int, member_ids: Collection[UUID], is_backfill: bool = False
) -> None:
    """Ask for these members' profiles to be sent; the caller opens their lanes too."""
    places = [(connection_id, member_id) for member_id in member_ids]
    want_profiles_at(places, is_backfill=is_backfill)


def want_profiles_at(places: Collection[tuple[int, UUID]], *, is_backfill: bool = False) -> None:
    """Do so for members of several connections."""
    if not places:
        return
    connections, members = zip(*places, strict=True)
    values: dict[str, Any] = {
        "connections": list(connections),
        "members": list(members),
        "backfill": is_backfill,
    }
    with database.cursor() as cursor:
        cursor.execute(_WANT, values)


def get_to_know(connection: Connection, member_ids: Sequence[UUID]) -> dict[UUID, Known]:
    """Find out who these members are at the vendor, asking it about those who are new to us.

    What was wanted is read before where a member stands, so that nothing that happens meanwhile
    counts as sent.
    """
    rows = _CONTACTS.fetch({"connection": connection.pk, "members": member_ids})
    contacts = {row.member_id: row for row in rows}
    standings = list_standings(member_ids)
    known = {}
    for member_id in member_ids:
        contact = contacts.get(member_id) or Contact(connection=connection, member_id=member_id)
        one = _known(connection, contact, standings.get(member_id))
        known[member_id] = replace(one, trouble=_known_trouble(one))
    with within_lease():
        known |= _match(connection, [one for one in known.values() if _is_to_be_found(one)])
        # Whom we made in bulk we know by our id only since this moment: who else has their email?
        return known | _match(connection, [one for one in known.values() if _is_to_be_found(one)])


def ask_for_ids(connection: Connection, known: Sequence[Known]) -> dict[UUID, Known]:
    """Learn the vendor's ids of those whom it was told of in bulk, which answers with none."""
    return _match(connection, [one for one in known if not one.contact.vendor_id])


def get_to_know_locally(connection: Connection, member_id: UUID) -> Known:
    """Say what we know of a member, asking nobody: for a look at it."""
    contact = Contact.objects.filter(connection=connection, member_id=member_id).first()
    contact = contact or Contact(connection=connection, member_id=member_id)
    return _known(connection, contact, list_standings([member_id]).get(member_id))


def resolve_match(*, connection_id: int, member_id: UUID, vendor_id: str) -> None:
    """Take a person's word for who a member is at the vendor, and send what was parked.

    Args:
        vendor_id: Empty: none of them. They are made anew, without email, phone and external ids,
            which lead to others: vendors take whoever has one for the one who is meant.
    """
    connection = Connection.objects.get(pk=connection_id)
    known = get_to_know_locally(connection, member_id)
    _decide(
        connection_id,
        member_id,
        vendor_id=vendor_id,
        matched_by="person" if vendor_id else _NOBODY,
        matched_on=known.identity,
        addresses={},
    )


def look_again(*, connection_id: int, member_id: UUID) -> None:
    """Ask the vendor once more who a member is: something was put right there.

    Whom we made there stays whom we made: who is known by nothing is asked for with each event.
    """
    contact = Contact.objects.get(connection_id=connection_id, member_id=member_id)
    is_ours = contact.matched_by in _NOT_FOUND
    matched_by = contact.matched_by if is_ours else ""
    _decide(connection_id, member_id, matched_by=matched_by, matched_on="")


def say_who_cannot_be_made(known: Known, outcome: Outcome) -> Outcome:
    """Give what came of a profile; with what to do, where a person's word has kept it from there.

    It is listed then with those in doubt, instead of being left out like anybody without an email.
    """
    is_nobody = known.contact.matched_by == _NOBODY and not known.person.vendor_id
    if not is_nobody or not isinstance(outcome, Skipped):
        return outcome
    return Permanent(duration_ms=outcome.duration_ms, error=f"{outcome.error} {_CANNOT_BE_MADE}")


def _decide(connection_id: int, member_id: UUID, **decided: Any) -> None:
    """Write down what was decided of a member who was in doubt, and send what was parked."""
    with transaction.atomic():
        Relay.objects.select_for_update().get(connection_id=connection_id)
        want_profiles(connection_id=connection_id, member_ids=[member_id])
        Contact.objects.filter(connection_id=connection_id, member_id=member_id).update(
            **decided,
            stuck="",
            candidates=[],
            last_error="",
            fingerprint="",
            attempts=0,
        )
        lanes.open_lanes(connection_id=connection_id, member_ids=[member_id])
    parked = Delivery.objects.filter(
        connection_id=connection_id, member_id=member_id, state=Delivery.State.PARKED
    )
    redeliver(delivery_ids=list(parked.values_list("pk", flat=True)))


def _known(connection: Connection, contact: Contact, standing: Standing | None) -> Known:
    if standing is not None and _is_gone(contact.member_id, standing.status):
        standing = None
    person = _person(connection, contact, standing)
    identity = hash_identity(person)
    if contact.matched_by == _NOBODY and contact.matched_on == identity:
        person = replace(person, email="", phone="", external_ids=())
    return Known(person, contact, identity, standing)


def _is_gone(member_id: UUID, status: str) -> bool:
    """Say whether nothing is to be written of a member any more.

    Whoever was merged into somebody who was erased is erased with them, and still called merged.
    """
    return status in _GONE or (status == _MERGED and bool(list_erased([member_id])))


def _person(connection: Connection, contact: Contact, standing: Standing | None) -> Person:
    ids = standing.identifiers if standing else ()
    shared = standing if connection.shares_email else None  # a name goes where the email goes
    return Person(
        member_id=str(contact.member_id),
        vendor_id=contact.vendor_id,
        email=shared.email if shared else "",
        phone=standing.phone if standing and connection.shares_phone else "",
        external_ids=tuple(one.value for one in ids if one.type == "external"),
        first_name=shared.first_name if shared else "",
        last_name=shared.last_name if shared else "",
        lacks_email=contact.matched_by == "no_email",
        unproven=_unproven(connection, standing) if standing else frozenset(),
    )


def _unproven(connection: Connection, standing: Standing) -> frozenset[str]:
    if connection.matches_unverified:
        return frozenset()
    found = (standing.address(type_) for type_ in ("email", "phone"))
    return frozenset(one.type for one in found if one.value and not one.is_verified)


def _is_to_be_found(known: Known) -> bool:
    if known.standing is None or known.trouble is not None:
        return False
    contact = known.contact
    is_changed = contact.matched_on != known.identity
    return not contact.matched_by or (contact.matched_by in _NOT_FOUND and is_changed)


def _known_trouble(known: Known) -> Outcome | None:
    """Say why a person has to choose; None where they can be asked for anew, by something else."""
    contact = known.contact
    is_changed = contact.matched_on != known.identity
    if contact.stuck != Contact.Stuck.PARKED or (contact.candidates and is_changed):
        return None
    return several_match(contact.candidates, contact.last_error)


def _match(connection: Connection, new: Sequence[Known]) -> dict[UUID, Known]:
    adapter = _adapter_that_matches(connection)
    if adapter is None or not new:
        return {}
    people = [one.person for one in new]
    found = call(connection, lambda target: _find(adapter, target, people))
    if not isinstance(found, Outcome) and len(found) != len(new):
        found = Retryable(error=f"{len(found)} were matched, where {len(new)} were asked for.")
    if isinstance(found, Outcome):
        return {one.contact.member_id: _troubled(one, found) for one in new}
    pairs = zip(new, found, strict=True)
    return {one.contact.member_id: _learn(connection, one, match) for one, match in pairs}


def _find(adapter: Matches, target: Target, people: Sequence[Person]) -> list[Match]:
    """Ask who these are; whom an unproven address leads to may be proven by the other one."""
    found = adapter.match(target, people)
    again = {
        place: replace(person, email=person.proven_email, phone=person.proven_phone)
        for place, (person, match) in enumerate(zip(people, found, strict=False))
        if _may_be_proven(person, match)
    }
    if again:
        by_proven = adapter.match(target, list(again.values()))
        for place, match in zip(again, by_proven, strict=False):
            found[place] = _of_both(found[place], match)
    return found


def _may_be_proven(person: Person, match: Match) -> bool:
    is_unproven = not person.vendor_id and match.matched_by in person.unproven
    return is_unproven and bool(person.proven_email or person.proven_phone)


def _of_both(unproven: Match, proven: Match) -> Match:
    """Say whom both addresses lead to; two of them are for a person to choose from."""
    ids = tuple(dict.fromkeys((unproven.vendor_id, proven.vendor_id, *proven.candidates)))
    ids = tuple(filter(None, ids))
    if proven.outcome is not None or ids == (proven.vendor_id,):
        return proven
    return Match(candidates=ids) if len(ids) > 1 else unproven


def _adapter_that_matches(connection: Connection) -> Matches | None:
    adapter = adapter_of(connection)
    return adapter if isinstance(adapter, Matches) else None


def _learn(connection: Connection, known: Known, match: Match) -> Known:
    if match.outcome is not None:
        return _troubled(known, match.outcome)
    contact = known.contact
    if _is_decided_meanwhile(contact):
        return _troubled(known, Postponed(seconds=0, error=_IS_CLEAR_NOW))
    if others := _others(contact, match):
        return _park(known, several_match(others))
    if not contact.vendor_id and match.matched_by in known.person.unproven:
        return _park(known, unproven_match(match.matched_by, match.vendor_id))
    is_ours = contact.matched_by in _NOT_FOUND and match.matched_by == "member_id"
    is_decided = contact.matched_by == _NOBODY and contact.matched_on == known.identity
    addresses = addresses_learned(connection, contact, known.person, match)
    if not is_ours and not is_decided:
        contact.matched_on = known.identity
        contact.matched_by = _matched_by(known, match)
    contact.vendor_id = match.vendor_id or contact.vendor_id
    now = _known(connection, contact, known.standing)
    contact.addresses = with_late_ones(addresses, now.person)
    learned = {
        "vendor_id": contact.vendor_id,
        "matched_by": contact.matched_by,
        "matched_on": contact.matched_on,
        "addresses": contact.addresses,
    }
    if contact.stuck == Contact.Stuck.PARKED:
        _decide(connection.pk, contact.member_id, **learned)
        return _troubled(known, Postponed(seconds=0, error=_IS_CLEAR_NOW))
    learned["addresses"] = orjson.dumps(contact.addresses).decode()
    with database.cursor() as cursor:
        cursor.execute(
            _LEARN, {"connection": connection.pk, "member": contact.member_id, **learned}
        )
    return replace(now, was_asked=True)


def _is_decided_meanwhile(contact: Contact) -> bool:
    """Say whether a person has decided who is meant while the vendor was asked."""
    if contact.stuck != Contact.Stuck.PARKED:
        return False
    row = Contact.objects.filter(pk=contact.pk)
    return not row.filter(stuck=contact.stuck, matched_on=contact.matched_on).exists()


def _park(known: Known, outcome: Outcome) -> Known:
    """Let a member wait for a person, or for something else that they may be found by."""
    contact = known.contact
    found = storable(outcome)
    row = Contact.objects.filter(connection=contact.connection, member_id=contact.member_id)
    row.update(
        matched_on=known.identity,
        stuck=Contact.Stuck.PARKED,
        candidates=list(found.candidates) if isinstance(found, Ambiguous) else [],
        last_error=found.error,
    )
    return _troubled(known, found)


def _matched_by(known: Known, match: Match) -> str:
    """Say how somebody is known now; whom we made there without an email still lacks it."""
    contact = known.contact
    if contact.vendor_id:
        was = "no_email" if contact.matched_by == _NOBODY else contact.matched_by
        return was or match.matched_by or "new"
    return match.matched_by or ("new" if known.person.email else "no_email")


def _others(contact: Contact, match: Match) -> tuple[str, ...]:
    """List who a person has to choose from: two who fit, or one beside whom we made there."""
    if not contact.vendor_id:
        return match.candidates
    is_another = match.vendor_id and match.matched_by != "member_id"
    others = match.candidates or ((match.vendor_id,) if is_another else ())
    return (contact.vendor_id, *others) if others else ()


def _troubled(known: Known, outcome: Outcome) -> Known:
    return replace(known, trouble=storable(outcome), was_asked=True)
