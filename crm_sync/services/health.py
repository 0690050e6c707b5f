"""How a destination is doing: judged at every outcome, kept in its relay row, acted upon."""

import random
from datetime import timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Greatest, Now
from django.utils import timezone

from crm_sync import rules
from crm_sync.adapters.outcomes import (
    Ambiguous,
    Delivered,
    Doubt,
    Outcome,
    Permanent,
    Postponed,
    Skipped,
    storable,
)
from crm_sync.models import Relay
from crm_sync.rules import Verdict
from crm_sync.services import lanes
from crm_sync.services.connections import disable_connection
from crm_sync.services.lanes import Lease

log = structlog.get_logger(__name__)


def judge(connection_id: int, outcome: Outcome, *, attempts: int) -> Verdict:
    """Decide what an outcome means, with what is known of the connection."""
    relay = None if is_well(outcome) else Relay.objects.get(pk=connection_id)
    since = relay.failing_since if relay else None
    failing = timezone.now() - since if since else timedelta()
    return rules.judge(
        outcome,
        attempts=attempts,
        failures=relay.failures if relay else 0,
        failing_hours=failing / timedelta(hours=1),
        breaker_failures=settings.CRM_BREAKER_FAILURES,
        disable_hours=settings.CRM_DISABLE_AFTER_HOURS,
        luck=random.random(),
    )


def is_well(outcome: Outcome) -> bool:
    """Say whether the destination is well, whatever became of the event."""
    return isinstance(outcome, Delivered | Permanent | Skipped) or (
        isinstance(outcome, Ambiguous) and outcome.reason is Doubt.SEVERAL_MATCHES
    )


def note(connection_id: int, failures: int, verdict: Verdict, outcome: Outcome) -> int:
    """Keep the connection's relay row right; nothing is written where all goes well.

    Args:
        failures: In a row, before this outcome.

    Returns:
        The failures in a row as the next outcome finds them.
    """
    if outcome.notice:
        row = Relay.objects.filter(pk=connection_id).exclude(notice=outcome.notice)
        row.update(notice=outcome.notice)
    if not verdict.failures and (not failures or _was_decided_here(outcome)):
        return failures
    with transaction.atomic(durable=True):
        relay = Relay.objects.select_for_update().get(pk=connection_id)
        if verdict.failures:
            _note_failure(relay, verdict, outcome)
        else:
            _note_success(relay)
    return verdict.failures


def _was_decided_here(outcome: Outcome) -> bool:
    """Say whether it tells nothing of the destination, since nothing was heard from it.

    Who is skipped because nothing leads to them there must not end an outage: deliveries that were
    tried in vain for a day would die at the next failure.
    """
    return not isinstance(outcome, Delivered) and outcome.status_code is None


def postpone(lease: Lease, outcome: Postponed) -> None:
    """Let the lane, and the whole connection with it, wait until the vendor's limits allow more."""
    with transaction.atomic(durable=True):
        hold_off(lease.connection_id, outcome.seconds)
        lanes.give_back(lease)


def hold_off(connection_id: int, seconds: float) -> None:
    """Call a destination not before so many seconds have passed."""
    relay = Relay.objects.select_for_update().filter(pk=connection_id)
    relay.update(resume_at=Greatest(F("resume_at"), Now() + timedelta(seconds=seconds)))


def _note_failure(relay: Relay, verdict: Verdict, outcome: Outcome) -> None:
    row = Relay.objects.filter(pk=relay.pk)
    row.update(
        failures=max(relay.failures + 1, verdict.failures),  # several lanes may fail at once
        failing_since=Coalesce("failing_since", Now()),
        last_error=storable(outcome).error,
    )
    if verdict.pause_seconds is not None:
        until = Now() + timedelta(seconds=verdict.pause_seconds)
        row.update(resume_at=Greatest(F("resume_at"), until))
    if verdict.disable_reason:
        disable_connection(connection_id=relay.pk, reason=verdict.disable_reason)
        log.error("connection disabled", connection=relay.pk, reason=verdict.disable_reason)


def _note_success(relay: Relay) -> None:
    row = Relay.objects.filter(pk=relay.pk)
    row.update(failures=0, failing_since=None, last_error="")
    if relay.failures >= settings.CRM_BREAKER_FAILURES:
        # It is back. What it asked for while it was only busy still holds.
        row.update(resume_at=None)
        lanes.wake_lanes(connection_id=relay.pk)
