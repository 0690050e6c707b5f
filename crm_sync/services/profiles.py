"""Sending where a member stands: the newest state, after the events that led to it, once.

A wish for a profile is a number in the contact's row; one that is sent catches up with all wishes
before it. What the vendor was told already is not told again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

import orjson
from django.conf import settings
from django.db import connection as database
from django.utils import timezone

from crm_sync.adapters.contract import Profile, PushesProfiles
from crm_sync.adapters.fields import Field
from crm_sync.adapters.outcomes import Ambiguous, Delivered, Outcome, Postponed
from crm_sync.mapping import fingerprint, map_fields
from crm_sync.models import Attempt, Connection, Contact, FieldMapping, Relay
from crm_sync.rules import GIVEN_UP, Next
from crm_sync.services import health, lanes
from crm_sync.services.calls import FAILED_HERE, adapter_of, call_for_outcomes
from crm_sync.services.forget import forget_contacts, keep_nothing_of_erased
from crm_sync.services.lanes import Lease
from crm_sync.services.people import Known, get_to_know, say_who_cannot_be_made

# As for deliveries: one statement, all or nothing, and only under our own lease.
_SETTLE = """
WITH ours AS (
    UPDATE crm_sync_lane SET
        lease_until = CASE WHEN %(waits)s THEN NULL
            ELSE clock_timestamp() + make_interval(secs => %(lease_seconds)s) END,
        lease_token = CASE WHEN %(waits)s THEN NULL ELSE lease_token END,
        next_at = CASE WHEN %(waits)s
            THEN clock_timestamp() + make_interval(secs => %(wait_seconds)s) ELSE next_at END
    WHERE connection_id = %(connection)s AND member_id = %(member)s AND lease_token = %(token)s
    RETURNING connection_id
), logged AS (
    INSERT INTO crm_sync_attempt (connection_id, member_id, at, duration_ms, status_code, outcome,
                                  correlation_id, answer, error)
    SELECT %(connection)s, %(member)s, %(at)s, %(duration_ms)s, %(status_code)s,
        CASE WHEN EXISTS (SELECT FROM ours) THEN %(outcome)s ELSE 'fenced' END,
        %(correlation)s, %(answer)s, %(error)s
)
UPDATE crm_sync_contact AS contact SET
    done = CASE WHEN %(waits)s THEN contact.done ELSE %(wanted)s END,
    is_backfill = contact.is_backfill AND (%(waits)s OR contact.wanted > %(wanted)s),
    attempts = CASE WHEN %(waits)s THEN contact.attempts + %(own)s ELSE 0 END,
    stuck = %(stuck)s, last_error = %(error)s, candidates = %(candidates)s,
    vendor_id = CASE WHEN %(vendor_id)s = '' THEN contact.vendor_id ELSE %(vendor_id)s END,
    matched_by = CASE WHEN contact.matched_by = 'no_email' AND %(is_named)s THEN 'new'
        ELSE contact.matched_by END,
    fingerprint = CASE WHEN %(delivered)s THEN %(fingerprint)s ELSE contact.fingerprint END,
    version = CASE WHEN %(delivered)s THEN %(version)s ELSE contact.version END,
    sent_at = CASE WHEN %(delivered)s THEN clock_timestamp() ELSE contact.sent_at END
FROM ours JOIN crm_sync_relay AS relay ON relay.connection_id = ours.connection_id
WHERE contact.connection_id = ours.connection_id AND contact.member_id = %(member)s
RETURNING relay.failures
"""


@dataclass(frozen=True, slots=True)
class Draft:
    """A profile that may be sent, and what tells whether it has to be."""

    known: Known
    profile: Profile
    fingerprint: str
    left_out: str

    @property
    def is_unchanged(self) -> bool:
        """Say whether the vendor was told exactly this."""
        return self.fingerprint == self.known.contact.fingerprint


def fields_of(connection: Connection) -> list[Field]:
    """List the connection's mapping as adapters know it."""
    rows = FieldMapping.objects.filter(connection=connection).order_by("id")
    return [row.as_field() for row in rows]


def draft_profile(connection: Connection, known: Known, fields: Sequence[Field]) -> Draft | None:
    """Write a member's profile in the vendor's fields; None where the member is gone."""
    adapter: object = adapter_of(connection)
    if known.standing is None or not isinstance(adapter, PushesProfiles):
        return None
    mapped = map_fields(known.standing, fields, adapter.field_limits)
    counters = {field.name for field in fields if field.attribute == "state_version"}
    told = {name: value for name, value in mapped.fields.items() if name not in counters}
    profile = Profile(
        person=known.person,
        fields=mapped.fields,
        version=known.standing.sequence,
        correlation_id=uuid4(),
        is_backfill=known.contact.is_backfill,
        forms={field.name: field.form for field in fields},
    )
    return Draft(known, profile, fingerprint(known.person, told), " ".join(mapped.left_out)[:500])


def push_profile(lease: Lease, connection: Connection) -> bool:
    """Send the lane's member's profile if it is wanted; False if the lane is lost, or waits."""
    adapter: object = adapter_of(connection)
    if not isinstance(adapter, PushesProfiles) or not _is_wanted(lease):
        return True
    known = get_to_know(connection, [lease.member_id])[lease.member_id]
    if known.was_asked and not lanes.renew_one(lease):
        return False
    draft = draft_profile(connection, known, fields_of(connection))
    if draft is None:
        forget_contacts(connection_id=connection.pk, member_ids=[lease.member_id])
        return True
    began = timezone.now()
    if known.trouble is not None:
        return settle(lease, draft, known.trouble, began)
    if draft.is_unchanged:
        Contact.objects.filter(
            connection=connection, member_id=lease.member_id, done__lt=known.contact.wanted
        ).update(done=known.contact.wanted, attempts=0, stuck="", last_error=draft.left_out)
        return True
    profile = draft.profile
    outcomes = call_for_outcomes(connection, lambda target: adapter.push(target, [profile]))
    return settle(lease, draft, say_who_cannot_be_made(known, outcomes[0]), began)


def fail_profile_here(lease: Lease) -> None:
    """Count it as an attempt that a profile could not even be sent; give it up after the last.

    As with an event, it counts for the connection too: while nothing can be written for anybody,
    nothing is given up.
    """
    row = Contact.objects.filter(connection_id=lease.connection_id, member_id=lease.member_id)
    contact = row.first()
    before = contact.attempts if contact is not None else 0
    verdict = health.judge(lease.connection_id, FAILED_HERE, attempts=before + 1)
    if not lanes.wait(lease, verdict.lane_seconds) or contact is None:
        return
    if verdict.delivery is Next.WAIT:
        row.update(attempts=before + verdict.is_own, last_error=FAILED_HERE.error)
    else:
        dead = Contact.Stuck.DEAD
        row.update(done=contact.wanted, attempts=0, stuck=dead, last_error=FAILED_HERE.error)
    failures = Relay.objects.get(pk=lease.connection_id).failures
    health.note(lease.connection_id, failures, verdict, FAILED_HERE)


def settle(lease: Lease, draft: Draft, outcome: Outcome, began: datetime) -> bool:
    """Write down what came of sending a profile; True if the lane goes on."""
    if isinstance(outcome, Postponed):
        health.postpone(lease, outcome)
        return False
    contact = draft.known.contact
    (outcome,) = keep_nothing_of_erased([(contact.member_id, outcome)])
    verdict = health.judge(lease.connection_id, outcome, attempts=contact.attempts + 1)
    waits = verdict.delivery is Next.WAIT
    delivered = isinstance(outcome, Delivered)
    values: dict[str, Any] = {
        "connection": lease.connection_id,
        "member": lease.member_id,
        "token": lease.token,
        "lease_seconds": settings.CRM_LEASE_SECONDS,
        "waits": waits,
        "wait_seconds": verdict.lane_seconds,
        "at": began,
        "duration_ms": outcome.duration_ms,
        "status_code": outcome.status_code,
        "outcome": Attempt.Outcome[type(outcome).__name__.upper()],
        "correlation": draft.profile.correlation_id,
        "answer": outcome.answer,
        "error": outcome.error or draft.left_out,
        "own": int(verdict.is_own),
        "wanted": contact.wanted,
        "stuck": verdict.delivery.value if verdict.delivery in GIVEN_UP else "",
        "candidates": orjson.dumps(
            list(outcome.candidates) if isinstance(outcome, Ambiguous) else []
        ).decode(),
        "vendor_id": outcome.vendor_id if isinstance(outcome, Delivered) else "",
        "delivered": delivered,
        "is_named": delivered and bool(draft.profile.person.email),
        "fingerprint": draft.fingerprint,
        "version": draft.profile.version,
    }
    with database.cursor() as cursor:
        cursor.execute(_SETTLE, values)
        row = cursor.fetchone()
    if row is None:
        return False
    health.note(lease.connection_id, row[0], verdict, outcome)
    return not waits


def _is_wanted(lease: Lease) -> bool:
    row = Contact.objects.filter(connection_id=lease.connection_id, member_id=lease.member_id)
    found = row.values_list("wanted", "done").first()
    return found is not None and found[0] > found[1]
