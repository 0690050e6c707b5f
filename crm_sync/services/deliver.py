"""Sending what a lane holds, one delivery after the other, and writing down what came of it."""

import math
import random
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import structlog
from django.conf import settings
from django.db import connection as database
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Greatest, Now
from django.utils import timezone

from crm_sync import rules
from crm_sync.adapters import transport
from crm_sync.adapters.contract import Outgoing
from crm_sync.adapters.outcomes import Delivered, Outcome, Permanent, Postponed, Retryable
from crm_sync.models import Attempt, Connection, Delivery, Relay
from crm_sync.rules import Next, Verdict
from crm_sync.services import lanes
from crm_sync.services.connections import adapters, disable_connection, send
from crm_sync.services.lanes import Lease
from loyalty.events import selectors as events
from loyalty.events.models import OutboxEvent
from loyalty.events.rules import envelope, event_id

CALLS_SHARE_OF_LEASE = 0.8
DELIVERIES_AT_ONCE = 100  # of one lane; then it goes to the back of the queue
_DELETED = Permanent(error="The event is older than events are kept, and was deleted.")
log = structlog.get_logger(__name__)

# One statement, so it is all or nothing, and only under our own lease: the lane goes on or waits,
# the delivery gets its state, and the attempt is kept in any case.
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
    INSERT INTO crm_sync_attempt (delivery_id, at, duration_ms, status_code, outcome,
                                  correlation_id, answer, error)
    SELECT %(delivery)s, %(at)s, %(duration_ms)s, %(status_code)s,
        CASE WHEN EXISTS (SELECT FROM ours) THEN %(outcome)s ELSE 'fenced' END,
        %(correlation)s, %(answer)s, %(error)s
)
UPDATE crm_sync_delivery AS delivery SET
    state = %(state)s, attempts = delivery.attempts + 1, last_error = %(error)s,
    settled_at = CASE WHEN %(state)s = 'pending' THEN NULL ELSE clock_timestamp() END
FROM ours JOIN crm_sync_relay AS relay ON relay.connection_id = ours.connection_id
WHERE delivery.id = %(delivery)s
RETURNING relay.failures
"""


def serve_lane(lease: Lease, *, until: float = math.inf) -> None:
    """Send the lane's deliveries in order, until none is left or one has to wait.

    Args:
        until: On the monotonic clock, when the turn ends: no further call is begun then.

    A lease that was lost meanwhile ends it, without a trace in the lane: whoever has it now goes
    on from what is written down, so a destination may see an event twice, never none.
    """
    connection = Connection.objects.get(pk=lease.connection_id)
    if not connection.is_enabled:
        lanes.give_back(lease)
        return
    waiting = Delivery.objects.filter(
        connection=connection, member_id=lease.member_id, state=Delivery.State.PENDING
    )
    deliveries = list(waiting.order_by("sequence")[:DELIVERIES_AT_ONCE])
    adapter = adapters().get(connection.adapter)
    size = adapter.batch_size if adapter else 1
    for first in range(0, len(deliveries), size):
        if first and time.monotonic() >= until:
            lanes.give_back(lease)
            return
        if not _send_batch(lease, connection, deliveries[first : first + size]):
            return
    if len(deliveries) < DELIVERIES_AT_ONCE:
        lanes.close(lease)
    else:
        lanes.give_back(lease)


def _send_batch(lease: Lease, connection: Connection, batch: Sequence[Delivery]) -> bool:
    """Send some deliveries of the lane; False if the lane is not ours any more, or waits."""
    found = events.list_member_events(
        member_id=lease.member_id, sequences=[delivery.sequence for delivery in batch]
    )
    outgoing = []
    for delivery in batch:
        if delivery.sequence in found:
            outgoing.append((delivery, _outgoing(delivery, found[delivery.sequence])))
        elif not _settle(lease, delivery, _outgoing(delivery, None), timezone.now(), _DELETED):
            return False
    began = timezone.now()
    outcomes = _call(connection, [call for _, call in outgoing])
    for (delivery, call), outcome in zip(outgoing, outcomes, strict=False):
        if not _settle(lease, delivery, call, began, outcome):
            return False
        began += timedelta(milliseconds=outcome.duration_ms)
    return len(outcomes) == len(outgoing)


def _outgoing(delivery: Delivery, event: OutboxEvent | None) -> Outgoing:
    return Outgoing(
        event_id=event_id(delivery.member_id, delivery.sequence),
        body=envelope(event) if event else {},
        correlation_id=uuid4(),
        is_backfill=delivery.is_backfill,
    )


def _call(connection: Connection, calls: Sequence[Outgoing]) -> list[Outcome]:
    if database.in_atomic_block:
        raise RuntimeError("A destination must not be called while a transaction is open.")
    if not calls:
        return []
    try:
        # Whatever an adapter does, it ends before the lease does.
        with transport.deadline(settings.CRM_LEASE_SECONDS * CALLS_SHARE_OF_LEASE):
            return send(connection, calls)
    except Exception:
        # A bug in an adapter must not keep the lane until the lease runs out, again and again.
        log.exception("adapter failed", connection=connection.pk, event_id=calls[0].event_id)
        return [Retryable(error="The adapter itself failed; the worker's log says how.")]


def _settle(
    lease: Lease, delivery: Delivery, call: Outgoing, began: datetime, outcome: Outcome
) -> bool:
    """Write down what came of an attempt; True if the lane goes on with its next delivery."""
    if isinstance(outcome, Postponed):
        postpone(lease, outcome)
        return False
    verdict = _judge(delivery, lease.connection_id, outcome)
    waits = verdict.delivery is Next.WAIT
    values: dict[str, Any] = {
        "connection": lease.connection_id,
        "member": lease.member_id,
        "token": lease.token,
        "lease_seconds": settings.CRM_LEASE_SECONDS,
        "waits": waits,
        "wait_seconds": verdict.lane_seconds,
        "delivery": delivery.pk,
        "state": Delivery.State.PENDING if waits else verdict.delivery.value,
        "at": began,
        "duration_ms": outcome.duration_ms,
        "status_code": outcome.status_code,
        "outcome": Attempt.Outcome[type(outcome).__name__.upper()],
        "correlation": call.correlation_id,
        "answer": outcome.answer,
        "error": outcome.error,
    }
    with database.cursor() as cursor:
        cursor.execute(_SETTLE, values)
        row = cursor.fetchone()
    if row is None:
        log.warning("lease was lost while sending", event_id=call.event_id)
        return False
    _note_health(lease.connection_id, row[0], verdict)
    return not waits


def postpone(lease: Lease, outcome: Postponed) -> None:
    """Let the lane, and the whole connection with it, wait until the vendor's limits allow more."""
    with transaction.atomic(durable=True):
        relay = Relay.objects.select_for_update().filter(pk=lease.connection_id)
        until = Now() + timedelta(seconds=outcome.seconds)
        relay.update(resume_at=Greatest(F("resume_at"), until))
        lanes.give_back(lease)


def _judge(delivery: Delivery, connection_id: int, outcome: Outcome) -> Verdict:
    relay = None
    if not isinstance(outcome, Delivered | Permanent):
        relay = Relay.objects.get(pk=connection_id)
    since = relay.failing_since if relay else None
    failing = timezone.now() - since if since else timedelta()
    return rules.judge(
        outcome,
        attempts=delivery.attempts + 1,
        failures=relay.failures if relay else 0,
        failing_hours=failing / timedelta(hours=1),
        breaker_failures=settings.CRM_BREAKER_FAILURES,
        disable_hours=settings.CRM_DISABLE_AFTER_HOURS,
        luck=random.random(),
    )


def _note_health(connection_id: int, failures: int, verdict: Verdict) -> None:
    """Keep the connection's relay row right; nothing is written where all goes well."""
    if not verdict.failures and not failures:
        return
    with transaction.atomic(durable=True):
        relay = Relay.objects.select_for_update().get(pk=connection_id)
        if verdict.failures:
            _note_failure(relay, verdict)
        else:
            _note_success(relay)


def _note_failure(relay: Relay, verdict: Verdict) -> None:
    row = Relay.objects.filter(pk=relay.pk)
    row.update(
        failures=max(relay.failures + 1, verdict.failures),  # several lanes may fail at once
        failing_since=Coalesce("failing_since", Now()),
    )
    if verdict.pause_seconds is not None:
        until = Now() + timedelta(seconds=verdict.pause_seconds)
        row.update(resume_at=Greatest(F("resume_at"), until))
    if verdict.disable_reason:
        disable_connection(connection_id=relay.pk, reason=verdict.disable_reason)
        log.error("connection disabled", connection=relay.pk, reason=verdict.disable_reason)


def _note_success(relay: Relay) -> None:
    row = Relay.objects.filter(pk=relay.pk)
    row.update(failures=0, failing_since=None)
    if relay.failures >= settings.CRM_BREAKER_FAILURES:
        # It is back. What it asked for while it was only busy still holds.
        row.update(resume_at=None)
        lanes.wake_lanes(connection_id=relay.pk)
