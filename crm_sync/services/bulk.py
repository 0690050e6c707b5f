"""Many profiles in one call, under one lease for all of their lanes; and the jobs that come of it.

Only profiles that nobody else is sending are taken: a member with a lane of their own has events on
the way, and is served there. While a vendor works on a job, its members' lanes are free; if one of
them was sent something newer meanwhile, it is sent once more when the job is done, because the job
may have overwritten it.

Where a call fails as a whole, it is made again as a whole, as a job that the vendor has no id for
yet: a vendor that is failing is not called a thousand times instead of once.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import connection as database
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from crm_sync.adapters.contract import PushesInBulk, PushesProfiles, Submitted
from crm_sync.adapters.outcomes import (
    Ambiguous,
    Configuration,
    Delivered,
    Outcome,
    Postponed,
    Retryable,
    Skipped,
    storable,
)
from crm_sync.models import BulkJob, Connection, Contact, Relay
from crm_sync.rules import GIVEN_UP, Next, Verdict
from crm_sync.services import health, lanes
from crm_sync.services.calls import adapter_of, call
from crm_sync.services.contacts import lock_contacts
from crm_sync.services.forget import forget_contacts
from crm_sync.services.people import get_to_know, say_who_cannot_be_made
from crm_sync.services.profiles import Draft, draft_profile, fields_of

ASK_SECONDS = 5.0
NOT_TAKEN_YET: Final = ""  # in the place of the vendor's id of a job
UNTIL_ALONE: Final = 300.0  # so much later a lane goes on by itself, if nobody makes the call again
MISFIT: Final = "What came back does not fit what was sent: not one outcome for each profile."

_LEASE = """
INSERT INTO crm_sync_lane (connection_id, member_id, next_at, additions, lease_until, lease_token)
SELECT %(connection)s, member, clock_timestamp(), 1,
    clock_timestamp() + make_interval(secs => %(seconds)s), %(token)s
FROM unnest(%(members)s::uuid[]) AS member ORDER BY member
ON CONFLICT (connection_id, member_id) DO UPDATE SET additions = crm_sync_lane.additions + 1
RETURNING member_id, lease_token = %(token)s
"""

# Who got events meanwhile is served in their own lane, and waits no longer than the call did. So is
# whom a worker was serving that died: who claims that lane knows what to do.
_TAKE_WAITING = """
WITH waiting AS MATERIALIZED (
    SELECT member_id, additions > 1 OR lease_token IS NOT NULL AS goes_alone FROM crm_sync_lane
    WHERE connection_id = %(connection)s AND member_id = ANY(%(members)s::uuid[])
      AND (lease_until IS NULL OR lease_until < statement_timestamp())
    ORDER BY member_id FOR UPDATE SKIP LOCKED
), alone AS (
    UPDATE crm_sync_lane AS lane SET next_at = least(lane.next_at, clock_timestamp())
    FROM waiting
    WHERE lane.connection_id = %(connection)s AND lane.member_id = waiting.member_id AND goes_alone
)
UPDATE crm_sync_lane AS lane
SET lease_until = clock_timestamp() + make_interval(secs => %(seconds)s), lease_token = %(token)s
FROM waiting
WHERE lane.connection_id = %(connection)s AND lane.member_id = waiting.member_id AND NOT goes_alone
RETURNING lane.member_id
"""

# Locked in the order in which lanes are opened. Who adds deliveries counts `additions` up: one of
# the two waits for the other, and a lane that got something new is let go, not left leased. Each
# waits for its own failure only.
_CLOSE = """
WITH ours AS MATERIALIZED (
    SELECT lane.member_id, waiting.seconds,
        lane.additions > 1 OR waiting.member_id IS NOT NULL AS stays
    FROM crm_sync_lane AS lane
    LEFT JOIN unnest(%(waiting)s::uuid[], %(seconds)s::float[]) AS waiting (member_id, seconds)
        ON waiting.member_id = lane.member_id
    WHERE lane.connection_id = %(connection)s AND lane.lease_token = %(token)s
    ORDER BY lane.member_id FOR UPDATE OF lane
), closed AS (
    DELETE FROM crm_sync_lane AS lane USING ours
    WHERE lane.connection_id = %(connection)s AND lane.member_id = ours.member_id
      AND NOT ours.stays
)
UPDATE crm_sync_lane AS lane
SET lease_until = NULL, lease_token = NULL,
    next_at = clock_timestamp() + make_interval(secs => coalesce(ours.seconds, 0))
FROM ours
WHERE lane.connection_id = %(connection)s AND lane.member_id = ours.member_id AND ours.stays
"""

_DONE = """
UPDATE crm_sync_contact AS contact SET
    done = item.wanted, attempts = 0, stuck = '', candidates = '[]',
    is_backfill = contact.is_backfill AND contact.wanted > item.wanted,
    fingerprint = item.fingerprint, version = item.version, sent_at = clock_timestamp(),
    last_error = item.left_out,
    vendor_id = CASE WHEN item.vendor_id = '' THEN contact.vendor_id ELSE item.vendor_id END
FROM unnest(%(members)s::uuid[], %(wanted)s::bigint[], %(fingerprints)s::text[],
            %(versions)s::bigint[], %(left_out)s::text[], %(vendor_ids)s::text[])
    AS item (member_id, wanted, fingerprint, version, left_out, vendor_id)
WHERE contact.connection_id = %(connection)s AND contact.member_id = item.member_id
  AND contact.done <= item.wanted
RETURNING contact.member_id
"""

Item = tuple[str, int, str, int]  # member, wanted, fingerprint, version


def lease_many(*, connection_id: int, member_ids: Sequence[UUID], token: UUID) -> list[UUID]:
    """Open and lease lanes for members who have none; those who have one are served there.

    The caller has locked the relay row, and asked for the profiles in the same transaction.
    """
    found = _lease(_LEASE, connection_id, member_ids, token)
    return [member_id for member_id, is_ours in found if is_ours]


def push_many(*, connection_id: int, member_ids: Sequence[UUID], token: UUID) -> None:
    """Send these members' profiles under one lease, in one call; and let their lanes go."""
    connection = Connection.objects.get(pk=connection_id)
    adapter: object = adapter_of(connection)
    waiting: dict[UUID, float] = {}
    if isinstance(adapter, PushesProfiles) and isinstance(adapter, PushesInBulk):
        drafts = _drafts(connection, member_ids, waiting)
        ours = lanes.renew(connection_id=connection_id, member_ids=member_ids, tokens=[token])
        drafts = [draft for draft in drafts if draft.known.contact.member_id in ours]
        if drafts:
            profiles = [draft.profile for draft in drafts]
            found = call(connection, lambda target: adapter.push_bulk(target, profiles))
            _take(connection, drafts, found, waiting)
    _close(connection_id, token, waiting)


def take_waiting(*, connection_id: int, member_ids: Sequence[UUID], token: UUID) -> list[UUID]:
    """Lease the lanes that wait until a call is made again; the caller has locked the relay row."""
    return [row[0] for row in _lease(_TAKE_WAITING, connection_id, member_ids, token)]


def _lease(
    statement: str, connection_id: int, member_ids: Sequence[UUID], token: UUID
) -> list[tuple[Any, ...]]:
    values: dict[str, Any] = {
        "connection": connection_id,
        "members": list(member_ids),
        "token": token,
        "seconds": settings.CRM_LEASE_SECONDS,
    }
    with database.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())


def _drafts(
    connection: Connection, member_ids: Sequence[UUID], waiting: dict[UUID, float]
) -> list[Draft]:
    """Write the profiles that have to be sent; settle those that have not."""
    fields = fields_of(connection)
    drafts, unchanged = [], []
    noted: set[str] = set()
    for member_id, known in get_to_know(connection, member_ids).items():
        draft = draft_profile(connection, known, fields)
        if draft is None:
            forget_contacts(connection_id=connection.pk, member_ids=[member_id])
        elif known.trouble is not None:
            _fail(connection.pk, draft, known.trouble, waiting, noted)
        elif draft.is_unchanged:
            unchanged.append(draft)
        else:
            drafts.append(draft)
    _done(connection.pk, [(draft, Delivered()) for draft in unchanged])
    return drafts


def _take(
    connection: Connection,
    drafts: Sequence[Draft],
    found: Submitted | list[Outcome] | Outcome,
    waiting: dict[UUID, float],
) -> None:
    if isinstance(found, Submitted):
        settled = found.settled
        places = [place for place in range(len(drafts)) if place not in settled]
        in_job = [drafts[place] for place in places]
        BulkJob.objects.create(
            connection=connection,
            job_id=found.job_id,
            items=[_item(draft) for draft in in_job],
            ask_at=Now() + timedelta(seconds=ASK_SECONDS),
        )
        _in_flight(connection.pk, in_job, [found.made.get(place, "") for place in places])
        drafts, found = [drafts[place] for place in settled], list(settled.values())
        if not drafts:
            return
    outcomes = [found] * len(drafts) if isinstance(found, Outcome) else _one_each(drafts, found)
    whole = storable(outcomes[0])
    if all(one is outcomes[0] for one in outcomes) and _is_of_the_call(whole):
        _call_again_later(connection, drafts, whole, waiting)
        return
    pairs = [
        (draft, say_who_cannot_be_made(draft.known, storable(one)))
        for draft, one in zip(drafts, outcomes, strict=True)
    ]
    _done(connection.pk, [pair for pair in pairs if isinstance(pair[1], Delivered)])
    # What is wrong with the whole call is one failure of the connection, not a thousand.
    noted: set[str] = set()
    for draft, outcome in pairs:
        if not isinstance(outcome, Delivered):
            _fail(connection.pk, draft, outcome, waiting, noted)


def _one_each(drafts: Sequence[Draft], found: Sequence[Outcome]) -> list[Outcome]:
    """Give one outcome to each: those that none came back for are not known to be there."""
    if len(found) > len(drafts):
        return [Retryable(error=MISFIT)] * len(drafts)
    is_refused = bool(found) and not isinstance(found[-1], Delivered | Skipped)
    unknown = found[-1] if is_refused else Retryable(error=MISFIT)
    return [*found, *[unknown] * (len(drafts) - len(found))]


def _is_of_the_call(outcome: Outcome) -> bool:
    """Say whether an outcome of all is one that the whole call had, and may not have again."""
    return isinstance(outcome, Retryable | Configuration | Postponed)


def _call_again_later(
    connection: Connection, drafts: Sequence[Draft], outcome: Outcome, waiting: dict[UUID, float]
) -> None:
    """Leave a call that failed as a whole to be made again; one by one only if nobody comes."""
    contacts = [draft.known.contact for draft in drafts]
    if isinstance(outcome, Postponed):
        seconds = outcome.seconds
        with transaction.atomic():
            health.hold_off(connection.pk, seconds)
    else:
        attempts = min(contact.attempts for contact in contacts) + 1
        verdict = health.judge(connection.pk, outcome, attempts=attempts)
        failures = Relay.objects.get(pk=connection.pk).failures
        health.note(connection.pk, failures, verdict, outcome)
        seconds = verdict.lane_seconds
        _note_attempt(connection.pk, [one.member_id for one in contacts], verdict, outcome)
        if verdict.delivery is not Next.WAIT:
            seconds = 0.0  # each by itself, with an end and a reason of its own
    waiting |= {contact.member_id: seconds and seconds + UNTIL_ALONE for contact in contacts}
    if seconds:
        BulkJob.objects.create(
            connection=connection,
            job_id=NOT_TAKEN_YET,
            items=[_item(draft) for draft in drafts],
            ask_at=Now() + timedelta(seconds=seconds),
            last_error=outcome.error,
        )


def _note_attempt(
    connection_id: int, member_ids: Sequence[UUID], verdict: Verdict, outcome: Outcome
) -> None:
    with transaction.atomic():
        lock_contacts(connection_id=connection_id, member_ids=member_ids)
        Contact.objects.filter(connection_id=connection_id, member_id__in=member_ids).update(
            attempts=F("attempts") + int(verdict.is_own), last_error=outcome.error, fingerprint=""
        )


def _in_flight(connection_id: int, drafts: Sequence[Draft], vendor_ids: Sequence[str]) -> None:
    """Count them as sent; without a fingerprint, so that whatever is newer is sent in any case."""
    items = [_item(draft) for draft in drafts]
    blank = [(member, wanted, "", version) for member, wanted, _, version in items]
    write_done(connection_id, blank, vendor_ids, [draft.left_out for draft in drafts])


def _item(draft: Draft) -> Item:
    contact = draft.known.contact
    return (
        str(contact.member_id),
        contact.wanted,
        draft.fingerprint,
        draft.profile.version,
    )


def _done(connection_id: int, pairs: Sequence[tuple[Draft, Outcome]]) -> None:
    items = [_item(draft) for draft, _ in pairs]
    vendor_ids = [o.vendor_id if isinstance(o, Delivered) else "" for _, o in pairs]
    write_done(connection_id, items, vendor_ids, [draft.left_out for draft, _ in pairs])


def write_done(
    connection_id: int, items: Sequence[Item], vendor_ids: Sequence[str], left_out: Sequence[str]
) -> set[UUID]:
    """Write down that these were sent; give those whom nobody had sent anything newer."""
    if not items:
        return set()
    values: dict[str, Any] = {
        "connection": connection_id,
        "members": [item[0] for item in items],
        "wanted": [item[1] for item in items],
        "fingerprints": [item[2] for item in items],
        "versions": [item[3] for item in items],
        "vendor_ids": list(vendor_ids),
        "left_out": list(left_out),
    }
    with transaction.atomic(), database.cursor() as cursor:
        lock_contacts(connection_id=connection_id, member_ids=[UUID(item[0]) for item in items])
        cursor.execute(_DONE, values)
        return {row[0] for row in cursor.fetchall()}


def _fail(
    connection_id: int,
    draft: Draft,
    outcome: Outcome,
    waiting: dict[UUID, float],
    noted: set[str],
) -> None:
    contact = draft.known.contact
    row = Contact.objects.filter(connection_id=connection_id, member_id=contact.member_id)
    if isinstance(outcome, Postponed):
        waiting[contact.member_id] = outcome.seconds
        if outcome.error not in noted:
            noted.add(outcome.error)
            with transaction.atomic():
                health.hold_off(connection_id, outcome.seconds)
        return
    verdict = health.judge(connection_id, outcome, attempts=contact.attempts + 1)
    if outcome.error not in noted:
        noted.add(outcome.error)
        relay = Relay.objects.get(pk=connection_id)
        health.note(connection_id, relay.failures, verdict, outcome)
    if verdict.delivery is Next.WAIT:
        waiting[contact.member_id] = verdict.lane_seconds
        own = contact.attempts + verdict.is_own
        row.update(attempts=own, last_error=outcome.error, fingerprint="")
        return
    row.update(
        done=contact.wanted,
        attempts=0,
        stuck=verdict.delivery.value if verdict.delivery in GIVEN_UP else "",
        last_error=outcome.error,
        candidates=list(outcome.candidates) if isinstance(outcome, Ambiguous) else [],
        is_backfill=False,
        fingerprint="",
    )


def _close(connection_id: int, token: UUID, waiting: dict[UUID, float]) -> None:
    values: dict[str, Any] = {
        "connection": connection_id,
        "token": token,
        "waiting": list(waiting),
        "seconds": list(waiting.values()),
    }
    with database.cursor() as cursor:
        cursor.execute(_CLOSE, values)
