"""Sending what a lane holds, one delivery after the other, and writing down what came of it."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import uuid4

import structlog
from django.conf import settings
from django.db import connection as database
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Greatest, Now
from django.utils import timezone

from crm_sync import rules
from crm_sync.adapters.contract import Delivered, Outcome, Outgoing, Permanent, Retryable
from crm_sync.models import Attempt, Connection, Delivery, Relay
from crm_sync.rules import Next, Verdict
from crm_sync.services import lanes
from crm_sync.services.connections import adapters, disable_connection, send
from crm_sync.services.lanes import Lease
from loyalty.events import selectors as events
from loyalty.events.models import OutboxEvent
from loyalty.events.rules import envelope, event_id

DELIVERIES_AT_ONCE = 100  # of one lane; then it goes to the back of the queue
_DELETED = Permanent(error="The event is older than events are kept, and was deleted.")
log = structlog.get_logger(__name__)


def serve_lane(lease: Lease) -> None:
    """Send the lane's deliveries in order, until none is left or one has to wait.

    A lease that was lost meanwhile ends it, without a trace in the lane: whoever has it now goes
    on from what is written down, so a destination may see an event twice, never none.
    """
    if not lanes.renew(lease):
        log.info("lease was lost before its turn", connection=lease.connection_id)
        return
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
        if not _send_batch(lease, connection, deliveries[first : first + size]):
            return
    lanes.close(lease)


def _send_batch(lease: Lease, connection: Connection, batch: Sequence[Delivery]) -> bool:
    """Send some deliveries of the lane; False if the lane is not ours any more, or waits."""
    found = events.list_member_events(
        member_id=lease.member_id, sequences=[delivery.sequence for delivery in batch]
    )
    outgoing = []
    for delivery in batch:
        if delivery.sequence in found:
            outgoing.append((delivery, _outgoing(found[delivery.sequence])))
        elif not _settle(lease, delivery, _outgoing(None), timezone.now(), _DELETED):
            return False
    began = timezone.now()
    outcomes = _call(connection, [call for _, call in outgoing])
    for (delivery, call), outcome in zip(outgoing, outcomes, strict=False):
        if not _settle(lease, delivery, call, began, outcome):
            return False
        began += timedelta(milliseconds=outcome.duration_ms)
    return len(outcomes) == len(outgoing)


def _outgoing(event: OutboxEvent | None) -> Outgoing:
    if event is None:
        return Outgoing(event_id="", body={}, correlation_id=uuid4())
    return Outgoing(
        event_id=event_id(event.member_id, event.sequence),
        body=envelope(event),
        correlation_id=uuid4(),
    )


def _call(connection: Connection, calls: Sequence[Outgoing]) -> list[Outcome]:
    if database.in_atomic_block:
        raise RuntimeError("A destination must not be called while a transaction is open.")
    if not calls:
        return []
    try:
        return send(connection, calls)
    except Exception:
        # A bug in an adapter must not keep the lane until the lease runs out, again and again.
        log.exception("adapter failed", connection=connection.pk, event_id=calls[0].event_id)
        return [Retryable(error="The adapter itself failed; the worker's log says how.")]


def _settle(
    lease: Lease, delivery: Delivery, call: Outgoing, began: datetime, outcome: Outcome
) -> bool:
    """Write down what came of an attempt; True if the lane goes on with its next delivery."""
    with transaction.atomic(durable=True):
        relay = _lock_relay(lease.connection_id, outcome)
        is_ours = lanes.renew(lease)
        _log_attempt(delivery, call, began, outcome, is_fenced=not is_ours)
        if not is_ours:
            log.warning("lease was lost while sending", event_id=call.event_id)
            return False
        verdict = _judge(delivery, relay, outcome)
        _note_health(relay, verdict)
        _update(delivery, outcome, verdict)
        if verdict.delivery is Next.WAIT:
            lanes.give_back(lease, after_seconds=verdict.lane_seconds)
        return verdict.delivery is not Next.WAIT


def _lock_relay(connection_id: int, outcome: Outcome) -> Relay | None:
    """Lock the relay row if this outcome will change it: it comes before the lane's."""
    relays = Relay.objects.select_for_update().filter(connection_id=connection_id)
    if isinstance(outcome, Delivered | Permanent):
        relays = relays.filter(failures__gt=0)
    return relays.first()


def _log_attempt(
    delivery: Delivery, call: Outgoing, began: datetime, outcome: Outcome, *, is_fenced: bool
) -> None:
    kind = Attempt.Outcome.FENCED if is_fenced else Attempt.Outcome[type(outcome).__name__.upper()]
    Attempt.objects.create(
        delivery=delivery,
        at=began,
        duration_ms=outcome.duration_ms,
        status_code=outcome.status_code,
        outcome=kind,
        correlation_id=call.correlation_id,
        answer=outcome.answer,
        error=outcome.error,
    )


def _judge(delivery: Delivery, relay: Relay | None, outcome: Outcome) -> Verdict:
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


def _update(delivery: Delivery, outcome: Outcome, verdict: Verdict) -> None:
    delivery.attempts += 1
    delivery.last_error = outcome.error
    fields = ["attempts", "last_error"]
    if verdict.delivery is not Next.WAIT:
        delivery.state = Delivery.State(verdict.delivery.value)
        delivery.settled_at = timezone.now()
        fields += ["state", "settled_at"]
    delivery.save(update_fields=fields)


def _note_health(relay: Relay | None, verdict: Verdict) -> None:
    if relay is None:
        return
    row = Relay.objects.filter(pk=relay.pk)
    if verdict.failures:
        row.update(failures=verdict.failures, failing_since=Coalesce("failing_since", Now()))
        if verdict.pause_seconds is not None:
            until = Now() + timedelta(seconds=verdict.pause_seconds)
            row.update(resume_at=Greatest(F("resume_at"), until))
        if verdict.disable_reason:
            _disable(relay, verdict.disable_reason)
        return
    row.update(failures=0, failing_since=None)
    if relay.failures >= settings.CRM_BREAKER_FAILURES:
        # It is back. What it asked for while it was busy still holds where it was not down.
        row.update(resume_at=None)
        lanes.wake_lanes(connection_id=relay.pk)


def _disable(relay: Relay, reason: str) -> None:
    disable_connection(connection_id=relay.pk, reason=reason)
    log.error("connection disabled", connection=relay.pk, reason=reason)
