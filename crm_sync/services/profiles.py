"""Sending where a member stands: the newest state, after the events that led to it, once.

A wish for a profile is a number in the contact's row; one that is sent catches up with all wishes
before it. What the vendor was told already is not told again, unless something else was sent since:
what failed may have arrived.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

import orjson
from django.utils import timezone

from crm_sync.adapters.access import Target
from crm_sync.adapters.contract import Profile, PushesProfiles
from crm_sync.adapters.fields import Field
from crm_sync.adapters.outcomes import Ambiguous, Delivered, Outcome, Postponed
from crm_sync.mapping import fingerprint, map_fields
from crm_sync.models import Attempt, Connection, Contact, FieldMapping, Relay
from crm_sync.rules import GIVEN_UP, Next, Verdict
from crm_sync.services import health, lanes
from crm_sync.services.calls import FAILED_HERE, adapter_of, call_for_outcomes
from crm_sync.services.contacts import forget_what_was_told
from crm_sync.services.forget import forget_contacts, keep_nothing_of_erased
from crm_sync.services.lanes import Lease
from crm_sync.services.people import Known, get_to_know, say_who_cannot_be_made
from loyalty.database.statements import Prepared, PreparedRows

_FIELDS = PreparedRows(FieldMapping, "WHERE connection_id = %(connection)s ORDER BY id")

# As for deliveries: one statement, all or nothing, and each lane's part only under its own lease. A
# lane is done then: it waits after a failure, goes to the back of the queue if something was added,
# or closes. Who asks for profiles locks contacts before lanes, and in this order.
_SETTLE = Prepared("""
WITH told AS MATERIALIZED (
    SELECT * FROM unnest(
        %(members)s::uuid[], %(tokens)s::uuid[], %(additions)s::int[], %(waits)s::bool[],
        %(seconds)s::float[], %(durations)s::int[], %(statuses)s::smallint[], %(outcomes)s::text[],
        %(correlations)s::uuid[], %(answers)s::text[], %(errors)s::text[], %(own)s::int[],
        %(wanted)s::bigint[], %(stuck)s::text[], %(candidates)s::text[], %(vendor_ids)s::text[],
        %(delivered)s::bool[], %(named)s::bool[], %(fingerprints)s::text[], %(versions)s::bigint[])
        WITH ORDINALITY
    AS told (member_id, token, additions, waits, seconds, duration_ms, status_code, outcome,
             correlation_id, answer, error, own, wanted, stuck, candidates, vendor_id,
             is_delivered, is_named, fingerprint, version, place)
), known AS MATERIALIZED (
    SELECT contact.member_id FROM crm_sync_contact AS contact
    JOIN told ON told.member_id = contact.member_id
    WHERE contact.connection_id = %(connection)s
    ORDER BY contact.member_id FOR UPDATE OF contact
), ours AS MATERIALIZED (
    SELECT lane.member_id, told.seconds,
        NOT told.waits AND lane.additions = told.additions AS closes
    FROM told
    LEFT JOIN known ON known.member_id = told.member_id
    JOIN crm_sync_lane AS lane
        ON lane.connection_id = %(connection)s AND lane.member_id = told.member_id
        AND lane.lease_token = told.token
    ORDER BY lane.member_id, known.member_id
    FOR UPDATE OF lane
), closed AS (
    DELETE FROM crm_sync_lane AS lane USING ours
    WHERE lane.connection_id = %(connection)s AND lane.member_id = ours.member_id AND ours.closes
), kept AS (
    UPDATE crm_sync_lane AS lane SET lease_until = NULL, lease_token = NULL,
        next_at = clock_timestamp() + make_interval(secs => ours.seconds)
    FROM ours
    WHERE lane.connection_id = %(connection)s AND lane.member_id = ours.member_id
      AND NOT ours.closes
), logged AS (
    INSERT INTO crm_sync_attempt (connection_id, member_id, at, duration_ms, status_code, outcome,
                                  correlation_id, answer, error)
    SELECT %(connection)s, told.member_id, %(at)s::timestamptz, told.duration_ms, told.status_code,
        CASE WHEN ours.member_id IS NULL THEN 'fenced' ELSE told.outcome END,
        told.correlation_id, told.answer, told.error
    FROM told LEFT JOIN ours ON ours.member_id = told.member_id
    ORDER BY told.place
), settled AS (
    UPDATE crm_sync_contact AS contact SET
        done = CASE WHEN told.waits THEN contact.done ELSE told.wanted END,
        is_backfill = contact.is_backfill AND (told.waits OR contact.wanted > told.wanted),
        attempts = CASE WHEN told.waits THEN contact.attempts + told.own ELSE 0 END,
        stuck = told.stuck, last_error = told.error, candidates = told.candidates::jsonb,
        vendor_id = CASE WHEN told.vendor_id = '' THEN contact.vendor_id ELSE told.vendor_id END,
        matched_by = CASE WHEN contact.matched_by = 'no_email' AND told.is_named THEN 'new'
            ELSE contact.matched_by END,
        fingerprint = told.fingerprint,
        version = CASE WHEN told.is_delivered THEN told.version ELSE contact.version END,
        sent_at = CASE WHEN told.is_delivered THEN clock_timestamp() ELSE contact.sent_at END
    FROM told JOIN ours ON ours.member_id = told.member_id
    WHERE contact.connection_id = %(connection)s AND contact.member_id = told.member_id
)
SELECT failures, ARRAY(SELECT member_id FROM ours)
FROM crm_sync_relay WHERE connection_id = %(connection)s
""")


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


@dataclass(frozen=True, slots=True)
class Told:
    """What came of sending a profile, and what follows from it."""

    lease: Lease
    draft: Draft
    outcome: Outcome
    verdict: Verdict

    @property
    def is_delivered(self) -> bool:
        """Say whether the vendor has it."""
        return isinstance(self.outcome, Delivered)

    @property
    def is_given_up(self) -> bool:
        """Say whether it waits for a person."""
        return self.verdict.delivery in GIVEN_UP


@dataclass(frozen=True, slots=True)
class Pushed:
    """The lanes that are left after profiles were sent.

    Attributes:
        idle: Nothing was to be sent.
        unsent: It was to be sent behind one that failed.
    """

    idle: list[Lease] = field(default_factory=list)
    unsent: list[Lease] = field(default_factory=list)


def fields_of(connection: Connection) -> list[Field]:
    """List the connection's mapping as adapters know it."""
    return [row.as_field() for row in _FIELDS.fetch({"connection": connection.pk})]


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


def push_profile(lease: Lease, connection: Connection, target: Target, known: Known | None) -> bool:
    """Send the lane's member's profile if it is wanted; False if the lane is lost, waits or closed.

    Args:
        known: What was known of the member when the deliveries had been read that were sent since;
            what has happened after that asks for the profile again.
    """
    adapter: object = adapter_of(connection)
    if not isinstance(adapter, PushesProfiles):
        return True
    if known is None or known.trouble is not None:
        if not _is_wanted(lease):
            return True
        known = get_to_know(connection, [lease.member_id])[lease.member_id]
        if known.was_asked and not lanes.renew_one(lease):
            return False
    return bool(push_profiles(connection, target, [(lease, known)]).idle)


def push_profiles(
    connection: Connection, target: Target, people: Sequence[tuple[Lease, Known]]
) -> Pushed:
    """Send these members' profiles in one call, those that are wanted and not there already.

    The lanes of those of whom something came are done with: closed, or waiting.
    """
    adapter: Any = adapter_of(connection)
    fields, began = fields_of(connection), timezone.now()
    pushed, drafts = Pushed(), []
    for lease, known in people:
        is_wanted = known.contact.wanted > known.contact.done
        draft = draft_profile(connection, known, fields) if is_wanted else None
        if draft is None:
            if is_wanted:
                forget_contacts(connection_id=connection.pk, member_ids=[lease.member_id])
            pushed.idle.append(lease)
        elif known.trouble is not None:
            settle(connection.pk, [(lease, draft)], [known.trouble], began)
        elif draft.is_unchanged:
            _note_unchanged(draft)
            pushed.idle.append(lease)
        else:
            drafts.append((lease, draft))
    if drafts:
        profiles = [draft.profile for _, draft in drafts]
        found = call_for_outcomes(connection, lambda t: adapter.push(t, profiles), target)
        count = settle(connection.pk, drafts, found, began)
        pushed.unsent.extend(lease for lease, _ in drafts[count:])
        if pushed.unsent:
            unsent = [lease.member_id for lease in pushed.unsent]
            forget_what_was_told(connection_id=connection.pk, member_ids=unsent)
    return pushed


def _note_unchanged(draft: Draft) -> None:
    contact = draft.known.contact
    Contact.objects.filter(
        connection=contact.connection, member_id=contact.member_id, done__lt=contact.wanted
    ).update(done=contact.wanted, attempts=0, stuck="", last_error=draft.left_out)


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
        row.update(
            done=contact.wanted,
            attempts=0,
            stuck=Contact.Stuck.DEAD,
            last_error=FAILED_HERE.error,
        )
    failures = Relay.objects.get(pk=lease.connection_id).failures
    health.note(lease.connection_id, failures, verdict, FAILED_HERE)


def settle(
    connection_id: int,
    sent: Sequence[tuple[Lease, Draft]],
    outcomes: Sequence[Outcome],
    began: datetime,
) -> int:
    """Write down what came of sending profiles, up to the first that failed.

    One call has one failure: those behind are sent again.

    Returns:
        Of how many it is written down.
    """
    told: list[Told] = []
    pairs = [
        (lease, draft, say_who_cannot_be_made(draft.known, outcome))
        for (lease, draft), outcome in zip(sent, outcomes, strict=False)
    ]
    said = keep_nothing_of_erased([(lease.member_id, outcome) for lease, _, outcome in pairs])
    count = 0
    for (lease, draft, _), outcome in zip(pairs, said, strict=True):
        if isinstance(outcome, Postponed):
            _write(connection_id, told, began)
            health.postpone(lease, outcome)
            return count + 1
        if not health.is_well(outcome):
            _write(connection_id, told, began)  # it ends the row of failures
            told = []
        attempts = draft.known.contact.attempts + 1
        verdict = health.judge(connection_id, outcome, attempts=attempts)
        told.append(Told(lease, draft, outcome, verdict))
        count += 1
        if verdict.failures:
            break
    _write(connection_id, told, began)
    return count


def _write(connection_id: int, told: Sequence[Told], began: datetime) -> None:
    if not told:
        return
    ((failures, held),) = _SETTLE.fetch({"at": began, **_values(connection_id, told)})
    for one in told:
        if one.lease.member_id in held:
            failures = health.note(connection_id, failures, one.verdict, one.outcome)


def _values(connection_id: int, told: Sequence[Told]) -> dict[str, Any]:
    outcomes = [one.outcome for one in told]
    contacts = [one.draft.known.contact for one in told]
    return {
        "connection": connection_id,
        "members": [one.lease.member_id for one in told],
        "tokens": [one.lease.token for one in told],
        "additions": [one.lease.additions for one in told],
        "waits": [one.verdict.delivery is Next.WAIT for one in told],
        "seconds": [one.verdict.lane_seconds for one in told],
        "durations": [outcome.duration_ms for outcome in outcomes],
        "statuses": [outcome.status_code for outcome in outcomes],
        "outcomes": [Attempt.Outcome[type(o).__name__.upper()].value for o in outcomes],
        "correlations": [one.draft.profile.correlation_id for one in told],
        "answers": [outcome.answer for outcome in outcomes],
        "errors": [one.outcome.error or one.draft.left_out for one in told],
        "own": [int(one.verdict.is_own) for one in told],
        "wanted": [contact.wanted for contact in contacts],
        "stuck": [one.verdict.delivery.value if one.is_given_up else "" for one in told],
        "candidates": [_candidates(outcome) for outcome in outcomes],
        "vendor_ids": [o.vendor_id if isinstance(o, Delivered) else "" for o in outcomes],
        "delivered": [one.is_delivered for one in told],
        "named": [one.is_delivered and bool(one.draft.profile.person.email) for one in told],
        "fingerprints": [one.draft.fingerprint if one.is_delivered else "" for one in told],
        "versions": [one.draft.profile.version for one in told],
    }


def _candidates(outcome: Outcome) -> str:
    found = list(outcome.candidates) if isinstance(outcome, Ambiguous) else []
    return orjson.dumps(found).decode()


def _is_wanted(lease: Lease) -> bool:
    row = Contact.objects.filter(connection_id=lease.connection_id, member_id=lease.member_id)
    found = row.values_list("wanted", "done").first()
    return found is not None and found[0] > found[1]
