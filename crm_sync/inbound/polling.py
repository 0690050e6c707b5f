"""Ask vendors what has changed there: consent, segments and fields that they own.

The cursor is stored after what it led to was taken in; a worker that dies in between reads the same
page once more, and a history has each word once.
"""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import OperationalError
from django.db.models import Q
from django.db.models.functions import Now

from crm_sync.adapters.access import SecretMissing
from crm_sync.adapters.contract import Change, ChangePage, Polls
from crm_sync.adapters.outcomes import Outcome, Permanent, Postponed, Retryable, storable
from crm_sync.inbound.contract import PersonSaid, Who
from crm_sync.inbound.left_out import (
    FAILED,
    KNOWN_UNPROVEN,
    SEVERAL,
    UNPROVEN,
    add_earlier,
    leave_out,
    list_left_out,
    name_of,
    settle,
    try_soon,
    who_was,
)
from crm_sync.inbound.matching import as_uuid
from crm_sync.inbound.models import LeftOutPerson, PollCursor
from crm_sync.inbound.people import Origin, consents_of, gives, take_in, withdrawals
from crm_sync.inbound.proof import Claim, list_unproven
from crm_sync.inbound.rounds import LED_ROUND, step
from crm_sync.models import Connection, Contact
from crm_sync.services.calls import adapter_of, call
from crm_sync.services.profiles import fields_of
from loyalty.errors import LoyaltyError
from loyalty.members.consent import record_consents
from loyalty.members.selectors import list_owners, list_present

AT_ONCE = 20  # as many workers may claim at a moment
log = structlog.get_logger(__name__)


def list_polled(*, due: bool = True) -> list[int]:
    """List the connections that can be asked; those whose turn it is."""
    rows = Connection.objects.filter(is_enabled=True, removed_at=None)
    found = [row for row in rows.order_by("pk") if isinstance(adapter_of(row), Polls)]
    known = {row.pk for row in found}
    missing = known - set(PollCursor.objects.filter(pk__in=known).values_list("pk", flat=True))
    PollCursor.objects.bulk_create(
        [PollCursor(connection_id=pk, next_at=Now()) for pk in sorted(missing)],
        ignore_conflicts=True,
    )
    cursors = PollCursor.objects.filter(pk__in=known)
    if due:
        paused = Q(connection__relay__resume_at__gt=Now())
        cursors = cursors.filter(next_at__lte=Now()).exclude(paused)
    return list(cursors.order_by("next_at").values_list("pk", flat=True))


def poll(*, connection_id: int, seconds: float) -> int:
    """Read what changed, page by page, for a turn; return how many people that was."""
    # Claimed by moving its time: whoever asks at the same moment finds it gone.
    row = PollCursor.objects.filter(pk=connection_id, next_at__lte=Now())
    if not row.update(next_at=Now() + timedelta(seconds=settings.CRM_LEASE_SECONDS)):
        return 0
    ends = time.monotonic() + seconds
    count = 0
    while True:
        cursor = PollCursor.objects.select_related("connection__program").get(pk=connection_id)
        page = _ask(cursor)
        count += len(page.changes)
        if page.outcome is not None:
            _fail(cursor, storable(page.outcome))
            return count
        _take_safely(cursor.connection, page.changes)
        if not _keep(cursor, page):
            _fail(cursor, LED_ROUND)
            return count
        if not page.has_more or time.monotonic() >= ends:
            return count


def try_again(*, left_out_ids: Collection[int]) -> int:
    """Take in those who were left out, as if they had just been told of; return how many were."""
    count = 0
    rows = LeftOutPerson.objects.filter(pk__in=left_out_ids)
    for row in rows.select_related("connection__program"):
        count += _take_safely(row.connection, [who_was(row)])
    return count


def try_due(*, seconds: float) -> int:
    """Take in those of whom something has become known since they were left out, for a turn.

    Returns:
        How many are left out no more.
    """
    ends = time.monotonic() + seconds
    count = 0
    while time.monotonic() < ends and (row := _claim_left_out()):
        try:
            count += _take_safely(row.connection, [who_was(row)])
        except SecretMissing as error:
            log.warning("left out person not read", connection=row.connection_id, error=str(error))
        # Where more became known meanwhile, it is due again.
        LeftOutPerson.objects.filter(pk=row.pk, next_at=row.next_at).update(next_at=None)
    return count


def _claim_left_out() -> LeftOutPerson | None:
    due = LeftOutPerson.objects.filter(next_at__lte=Now(), connection__removed_at=None)
    for pk in due.order_by("next_at").values_list("pk", flat=True)[:AT_ONCE]:
        later = Now() + timedelta(seconds=settings.CRM_LEASE_SECONDS)
        if LeftOutPerson.objects.filter(pk=pk, next_at__lte=Now()).update(next_at=later):
            return LeftOutPerson.objects.select_related("connection__program").filter(pk=pk).first()
    return None


def _take_safely(connection: Connection, changes: Sequence[Change]) -> bool:
    """Take in what changed; who could not be is kept, and keeps nobody else waiting.

    Returns:
        Everybody who is meant was taken in.
    """
    try:
        return take_page(connection, changes)
    except (LoyaltyError, OperationalError):
        raise  # it is us, and passes
    except Exception:
        if len(changes) > 1:
            taken = [_take_safely(connection, [change]) for change in changes]
            return all(taken)
        log.exception("change not taken in", connection=connection.pk, id=changes[0].vendor_id)
        leave_out(connection, changes[0], FAILED, _may_be(connection, changes[0]))
        return False


def take_page(connection: Connection, changes: Sequence[Change]) -> bool:
    """Take in what changed about members; who may be two of them is left out, and kept in sight.

    That consent is withdrawn is taken in of all who may be meant. Of whom an address made us think
    that nobody has verified nothing else is, where it gives anything: its owner may be meant.

    Returns:
        Nobody was left out; those who are no members are not meant.
    """
    origin = Origin(
        connection.program_id,
        connection.name,
        f"connection:{connection.name}",
        fields_of(connection),
    )
    known = list_left_out(connection, changes)
    whole = add_earlier(changes, known)
    meant = _find(connection, whole)
    giving = {name_of(change) for change in whole if gives(_said(change), origin.fields)}
    words, waiting = [], []
    for place, found in meant.items():
        change, consents = whole[place], whole[place].consents
        is_held = found.is_unproven and name_of(change) in giving
        why = found.doubt or (KNOWN_UNPROVEN if is_held else "")
        if why:
            consents = withdrawals(consents)
        for member_id in found.members:
            words += consents_of(origin, consents, member_id, change.vendor_id)
        if why:  # to what is kept of them by now
            leave_out(connection, changes[place], why, found.members)
            waiting.append(changes[place])
        else:
            _take_rest(origin, change, found.members)
    record_consents(program_id=connection.program_id, said=words)
    settle(known.values())
    if waiting:
        _look_once_more(connection, waiting)
    return not waiting


def _look_once_more(connection: Connection, left_out: Sequence[Change]) -> None:
    """Let go on who came to be clear before anybody could see that they wait."""
    meant = _find(connection, left_out)
    clear = [left_out[place] for place, one in meant.items() if one.is_clear]
    try_soon(list_left_out(connection, clear).values())


def _said(change: Change) -> PersonSaid:
    return PersonSaid(
        who=Who(), consents=change.consents, segments=change.segments, fields=change.fields
    )


def _take_rest(origin: Origin, change: Change, members: Collection[UUID]) -> None:
    """Take in what is said besides consent."""
    said = replace(_said(change), consents=())
    if said.segments is not None or said.fields:
        (member_id,) = members
        take_in(origin, said, member_id)


@dataclass(frozen=True, slots=True)
class Meant:
    """Whom a change may be about.

    Attributes:
        doubt: Why nobody but a person can tell; empty if it is clear.
        is_unproven: They are known by an address that nobody has verified.
    """

    members: set[UUID]
    doubt: str = ""
    is_unproven: bool = False

    @property
    def is_clear(self) -> bool:
        """Say whether what is given there is the member's."""
        return not (self.doubt or self.is_unproven)


def find_members(connection: Connection, changes: Sequence[Change]) -> dict[int, UUID]:
    """Say whom the changes are about, by their places; of whom that is in doubt is missing."""
    meant = _find(connection, changes)
    return {place: next(iter(one.members)) for place, one in meant.items() if one.is_clear}


def _find(connection: Connection, changes: Sequence[Change]) -> dict[int, Meant]:
    """Say whom the changes may be about; four queries for a page, and the emails.

    By the vendor's id that we stored, or our own id that the vendor keeps, which must agree; else
    by email, where the connection finds people by it.
    """
    contacts = _contacts(connection, changes)
    named = [_named(change, contacts[place]) for place, change in enumerate(changes)]
    everybody = {member for members in named for member in members}
    present = list_present(program_id=connection.program_id, member_ids=everybody)
    found, claims = {}, {}
    for place, change in enumerate(changes):
        members = {present[member] for member in named[place] if member in present}
        if len(members) > 1:
            found[place] = Meant(members, SEVERAL)
        elif members:
            found[place] = Meant(members)
            claims[place] = _claim(change, contacts[place], *members)
        elif owner := _owner(connection, change):
            found[place] = owner
    for place in list_unproven(connection, claims):
        found[place] = replace(found[place], is_unproven=True)
    return found


def _claim(change: Change, contacts: Sequence[Contact], member_id: UUID) -> Claim:
    names = (change.vendor_id,) if change.vendor_id else ()
    return Claim(member_id, contacts, names, {"email": change.email}, is_our_word=True)


def _contacts(connection: Connection, changes: Sequence[Change]) -> list[list[Contact]]:
    """Give whom the connection knows by the vendor's id of each, or as the member named there."""
    vendor_ids = {change.vendor_id for change in changes} - {""}
    ours = {as_uuid(change.member_id) for change in changes} - {None}
    theirs = Q(vendor_id__in=vendor_ids) | Q(member_id__in=ours)
    by_name: dict[str, list[Contact]] = {}
    by_member: dict[UUID | None, list[Contact]] = {}
    for contact in Contact.objects.filter(theirs, connection=connection):
        by_name.setdefault(contact.vendor_id, []).append(contact)
        by_member[contact.member_id] = [contact]
    found = []
    for change in changes:
        named = by_name.get(change.vendor_id, []) if change.vendor_id else []
        mine = by_member.get(as_uuid(change.member_id), [])
        found.append([*named, *(one for one in mine if one not in named)])
    return found


def _owner(connection: Connection, change: Change) -> Meant | None:
    """Find a member by email, which belongs to one of them at most."""
    if not change.email or not connection.shares_email:
        return None
    email = [("email", change.email)]
    members = set(list_owners(program_id=connection.program_id, identifiers=email))
    if not members or connection.matches_unverified:
        return Meant(members) if members else None
    proven = list_owners(program_id=connection.program_id, identifiers=email, verified=True)
    return Meant(members, "" if proven else UNPROVEN)


def _may_be(connection: Connection, change: Change) -> set[UUID]:
    """Say whom a change that failed may be about: with them, what it said of them is erased."""
    try:
        found = _find(connection, [change]).get(0)
        return found.members if found else set()
    except OperationalError:
        raise
    except Exception:  # what failed may be the looking
        return _named(change, ())


def _named(change: Change, contacts: Sequence[Contact]) -> set[UUID]:
    members = {one.member_id for one in contacts}
    ours = as_uuid(change.member_id)
    return members | {ours} if ours else members


def _ask(cursor: PollCursor) -> ChangePage:
    adapter: Any = adapter_of(cursor.connection)
    theirs = [one.name for one in fields_of(cursor.connection) if one.owner == "vendor"]
    found = call(
        cursor.connection, lambda target: adapter.list_changes(target, cursor.cursor, theirs)
    )
    if isinstance(found, ChangePage):
        return found
    return ChangePage(changes=[], cursor=cursor.cursor, outcome=found)


def _keep(cursor: PollCursor, page: ChangePage) -> bool:
    """Go on behind the page; False if the vendor has led there before.

    What was wrong is said until a reading comes to its end.
    """
    row = PollCursor.objects.filter(pk=cursor.pk)
    if not page.has_more:
        wait = timedelta(seconds=settings.CRM_POLL_SECONDS)
        row.update(asked_at=Now(), next_at=Now() + wait, last_error="", **_from(page.cursor))
        return True
    walked = step(cursor.pages, cursor.mark, page.cursor)
    if walked is not None:
        pages, mark = walked
        row.update(asked_at=Now(), next_at=Now(), cursor=page.cursor, pages=pages, mark=mark)
    return walked is not None


def _from(place: str) -> dict[str, Any]:
    """Begin a reading at a place."""
    return {"cursor": place, "begun": place, "mark": place, "pages": 0}


def _fail(cursor: PollCursor, outcome: Outcome) -> None:
    """Ask later: consent that is minutes late does less harm than a vendor that is pestered.

    Where the place may be the fault, the reading begins anew.
    """
    if isinstance(outcome, Postponed):
        seconds = outcome.seconds
    else:
        log.warning("poll failed", connection=cursor.pk, error=outcome.error)
        asked = (outcome.retry_after if isinstance(outcome, Retryable) else None) or 0.0
        seconds = max(asked, float(settings.CRM_POLL_SECONDS))
    PollCursor.objects.filter(pk=cursor.pk).update(
        next_at=Now() + timedelta(seconds=seconds),
        last_error=outcome.error[:500],
        **(_from(cursor.begun) if isinstance(outcome, Permanent) else {}),
    )
