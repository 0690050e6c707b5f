"""Asking vendors what they have, and noting what differs from what they were told.

Step by step, beside everything else: a step asks for some members, and writes down what it found
and how far it is, so that whoever goes on, after a crash too, begins behind them. What a vendor was
not told yet is no difference: only those are compared to whom nothing is on its way, and who were
told exactly what holds now.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db import connection as database
from django.db.models import F
from django.db.models.functions import Now

from crm_sync.adapters.contract import ReadsBack
from crm_sync.adapters.outcomes import Configuration, Outcome, Postponed, Retryable, storable
from crm_sync.comparing import Difference, compared_fields, differences
from crm_sync.models import Comparison, Connection, Contact
from crm_sync.rules import MAX_ATTEMPTS
from crm_sync.services.calls import adapter_of, call
from crm_sync.services.drift import repair_after
from crm_sync.services.people import ask_for_ids, get_to_know
from crm_sync.services.profiles import Draft, draft_profile, fields_of

MEMBERS_AT_ONCE = 100
RETRY_SECONDS = 60.0

# Only of members to whom nobody has sent anything since we asked; and only as long as the contact
# is there: whoever is erased meanwhile leaves nothing behind.
_NOTE = """
WITH told AS (
    SELECT contact.member_id
    FROM crm_sync_contact AS contact
    JOIN unnest(%(members)s::uuid[], %(wanted)s::bigint[]) AS asked (member_id, wanted)
      ON asked.member_id = contact.member_id
    WHERE contact.connection_id = %(connection)s
      AND contact.wanted = asked.wanted AND contact.done = asked.wanted
    FOR KEY SHARE OF contact
), found AS (
    SELECT one.* FROM unnest(%(of)s::uuid[], %(names)s::text[], %(here)s::text[],
                             %(there)s::text[]) AS one (member_id, name, here, there)
    JOIN told ON told.member_id = one.member_id
), right_again AS (
    DELETE FROM crm_sync_drift AS drift USING told
    WHERE drift.connection_id = %(connection)s AND drift.member_id = told.member_id
      AND NOT EXISTS (SELECT FROM found
                      WHERE found.member_id = drift.member_id AND found.name = drift.name)
), noted AS (
    INSERT INTO crm_sync_drift AS drift (connection_id, member_id, name, here, there, since,
                                         seen_at)
    SELECT %(connection)s, member_id, name, here, there, clock_timestamp(), clock_timestamp()
    FROM found
    ON CONFLICT (connection_id, member_id, name) DO UPDATE
    SET here = excluded.here, there = excluded.there, seen_at = excluded.seen_at
)
SELECT (SELECT count(*) FROM told), (SELECT count(DISTINCT member_id) FROM found)
"""


class ComparisonRefused(ValueError):
    """A comparison cannot be started; the message says why."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One member who was compared, and what differed."""

    draft: Draft
    found: Sequence[Difference]


def start_comparison(*, connection_id: int, by: str = "") -> Comparison:
    """Begin to compare everybody at a connection.

    Raises:
        ComparisonRefused: The destination cannot be asked, or one is under way.
    """
    connection = Connection.objects.get(pk=connection_id)
    if not can_be_compared(connection):
        raise ComparisonRefused("This kind of destination does not show what it has.")
    try:
        with transaction.atomic():
            return Comparison.objects.create(connection=connection, started_by=by)
    except IntegrityError:
        raise ComparisonRefused("A comparison is under way already.") from None


def start_all_comparisons() -> int:
    """Begin to compare at every enabled connection where none is under way; return how many."""
    enabled = Connection.objects.filter(is_enabled=True, removed_at=None)
    idle = enabled.exclude(comparisons__state=Comparison.State.RUNNING)
    able = [connection for connection in idle if can_be_compared(connection)]
    runs = [Comparison(connection=connection) for connection in able]
    return len(Comparison.objects.bulk_create(runs, ignore_conflicts=True))


def can_be_compared(connection: Connection) -> bool:
    """Say whether a destination shows what it has."""
    return isinstance(adapter_of(connection), ReadsBack)


def list_due_comparisons() -> list[int]:
    """List the comparisons that can go on: their destinations are enabled, and not down."""
    rows = Comparison.objects.filter(
        state=Comparison.State.RUNNING,
        next_at__lte=Now(),
        connection__is_enabled=True,
        connection__relay__failures__lt=settings.CRM_BREAKER_FAILURES,
    ).exclude(connection__relay__resume_at__gt=Now())
    return list(rows.order_by("next_at").values_list("pk", flat=True))


def step_comparison(*, comparison_id: int) -> bool:
    """Compare the next members; False if there is nothing to do at this moment."""
    # Claimed by moving its time: whoever comes at the same moment finds it gone, and whoever dies
    # now leaves it to the next after a lease.
    due = Comparison.objects.filter(
        pk=comparison_id, state=Comparison.State.RUNNING, next_at__lte=Now()
    )
    if not due.update(next_at=Now() + timedelta(seconds=settings.CRM_LEASE_SECONDS)):
        return False
    run = Comparison.objects.select_related("connection").get(pk=comparison_id)
    ids = _next_members(run)
    if not ids:
        _end(run)
        return False
    found = _compare(run.connection, ids)
    if isinstance(found, Outcome):
        _wait(run, storable(found))
        return False
    return _note(run, ids, found)


def _next_members(run: Comparison) -> list[UUID]:
    rows = Contact.objects.filter(connection_id=run.connection_id).exclude(fingerprint="")
    if run.after is not None:
        rows = rows.filter(member_id__gt=run.after)
    return list(rows.order_by("member_id").values_list("member_id", flat=True)[:MEMBERS_AT_ONCE])


def _compare(connection: Connection, ids: Sequence[UUID]) -> list[Compared] | Outcome:
    """Ask the vendor about those who were told exactly what holds now."""
    adapter: object = adapter_of(connection)
    if not isinstance(adapter, ReadsBack):
        return Configuration(error=f"There is no adapter {connection.adapter} that can be asked.")
    fields = fields_of(connection)
    drafts = _told(connection, ids)
    if not drafts:
        return []
    people = [draft.profile.person for draft in drafts]
    names = [field.name for field in compared_fields(fields)]
    there: Any = call(connection, lambda target: adapter.read(target, people, names))
    if isinstance(there, Outcome):
        return there
    if len(there) != len(drafts):
        return Retryable(error="The vendor's answer does not fit what was asked.")
    return [
        Compared(draft, differences(draft.profile.fields, one, fields))
        for draft, one in zip(drafts, there, strict=True)
    ]


def _told(connection: Connection, ids: Sequence[UUID]) -> list[Draft]:
    fields = fields_of(connection)
    known = get_to_know(connection, ids)
    known |= ask_for_ids(connection, list(known.values()))
    drafts = []
    for one in known.values():
        draft = draft_profile(connection, one, fields)
        is_settled = one.contact.wanted == one.contact.done and not one.contact.stuck
        if draft is not None and draft.is_unchanged and is_settled and one.trouble is None:
            drafts.append(draft)
    return drafts


def _note(run: Comparison, ids: Sequence[UUID], compared: Sequence[Compared]) -> bool:
    """Write down what was found and how far we are; False if somebody else was faster."""
    found = [(one.draft.known.contact.member_id, f) for one in compared for f in one.found]
    values: Mapping[str, Any] = {
        "connection": run.connection_id,
        "members": [one.draft.known.contact.member_id for one in compared],
        "wanted": [one.draft.known.contact.wanted for one in compared],
        "of": [member_id for member_id, _ in found],
        "names": [difference.name for _, difference in found],
        "here": [difference.here for _, difference in found],
        "there": [difference.there for _, difference in found],
    }
    with transaction.atomic():
        with database.cursor() as cursor:
            cursor.execute(_NOTE, values)
            told, drifted = cursor.fetchone()
        row = Comparison.objects.filter(
            pk=run.pk, state=Comparison.State.RUNNING, after=run.after, compared=run.compared
        )
        moved = row.update(
            after=ids[-1],
            compared=F("compared") + told,
            untold=F("untold") + len(ids) - told,
            drifted=F("drifted") + drifted,
            attempts=0,
            last_error="",
            next_at=Now(),
        )
    return bool(moved)


def _wait(run: Comparison, outcome: Outcome) -> None:
    """Go on later; give up where the vendor does not answer for long."""
    row = Comparison.objects.filter(pk=run.pk, state=Comparison.State.RUNNING)
    if isinstance(outcome, Postponed):
        row.update(next_at=Now() + timedelta(seconds=outcome.seconds))
        return
    attempts = run.attempts + 1
    asked = outcome.retry_after if isinstance(outcome, Retryable) else None
    row.update(
        attempts=attempts,
        last_error=outcome.error,
        next_at=Now() + timedelta(seconds=max(asked or 0.0, RETRY_SECONDS)),
    )
    if attempts >= MAX_ATTEMPTS or isinstance(outcome, Configuration):
        row.update(state=Comparison.State.FAILED, ended_at=Now())


def _end(run: Comparison) -> None:
    row = Comparison.objects.filter(pk=run.pk, state=Comparison.State.RUNNING)
    if row.update(state=Comparison.State.DONE, ended_at=Now()):
        repair_after(run)
