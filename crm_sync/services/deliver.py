"""Sending what a lane holds, one delivery after the other, and writing down what came of it."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import structlog
from django.conf import settings
from django.db import connection as database
from django.utils import timezone

from crm_sync.adapters.contract import Adapter, Outgoing
from crm_sync.adapters.outcomes import Ambiguous, Outcome, Permanent, Postponed
from crm_sync.models import Attempt, Connection, Delivery
from crm_sync.rules import Next
from crm_sync.services import health, lanes
from crm_sync.services.calls import adapter_of, call_for_outcomes, no_adapter
from crm_sync.services.forget import keep_nothing_of_erased
from crm_sync.services.lanes import Lease
from crm_sync.services.people import Known, get_to_know, knows_people
from crm_sync.services.profiles import push_profile
from loyalty.events import selectors as events
from loyalty.events.models import OutboxEvent
from loyalty.events.rules import envelope, event_id

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


@dataclass(frozen=True, slots=True)
class Turn:
    """One lease being served.

    Attributes:
        known: Whom the lane is about, at destinations that want to know it.
    """

    lease: Lease
    connection: Connection
    adapter: Adapter | None
    known: Known | None


def serve_lane(lease: Lease, *, until: float = math.inf) -> None:
    """Send the lane's deliveries in order, then the member's profile, until nothing is left.

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
    if deliveries and not _send_all(_begin(lease, connection), deliveries, until):
        return
    if len(deliveries) == DELIVERIES_AT_ONCE or time.monotonic() >= until:
        lanes.give_back(lease)
    elif push_profile(lease, connection):
        lanes.close(lease)


def _begin(lease: Lease, connection: Connection) -> Turn:
    adapter = adapter_of(connection)
    known = None
    if knows_people(adapter):
        known = get_to_know(connection, [lease.member_id])[lease.member_id]
    return Turn(lease, connection, adapter, known)


def _send_all(turn: Turn, deliveries: Sequence[Delivery], until: float) -> bool:
    """Send the deliveries; False if the lane is not ours any more, or waits, or time is up."""
    size = turn.adapter.batch_size if turn.adapter else 1
    for first in range(0, len(deliveries), size):
        if first and time.monotonic() >= until:
            lanes.give_back(turn.lease)
            return False
        if not _send_batch(turn, deliveries[first : first + size]):
            return False
    return True


def _send_batch(turn: Turn, batch: Sequence[Delivery]) -> bool:
    found = events.list_member_events(
        member_id=turn.lease.member_id, sequences=[delivery.sequence for delivery in batch]
    )
    outgoing = []
    for delivery in batch:
        event = found.get(delivery.sequence)
        if event is not None:
            outgoing.append((delivery, _outgoing(turn, delivery, event)))
        elif not _settle(
            turn.lease, delivery, _outgoing(turn, delivery, None), timezone.now(), _DELETED
        ):
            return False
    began = timezone.now()
    outcomes = _call(turn, [call for _, call in outgoing])
    outcomes = keep_nothing_of_erased(turn.lease.member_id, outcomes)
    for (delivery, call), outcome in zip(outgoing, outcomes, strict=False):
        if not _settle(turn.lease, delivery, call, began, outcome):
            return False
        began += timedelta(milliseconds=outcome.duration_ms)
    if outcomes and len(outcomes) < len(outgoing):
        lanes.give_back(turn.lease)  # one was refused, and those behind it were not sent
    return len(outcomes) == len(outgoing)


def _outgoing(turn: Turn, delivery: Delivery, event: OutboxEvent | None) -> Outgoing:
    return Outgoing(
        event_id=event_id(delivery.member_id, delivery.sequence),
        body=envelope(event) if event else {},
        correlation_id=uuid4(),
        person=turn.known.person if turn.known else None,
        is_backfill=delivery.is_backfill,
    )


def _call(turn: Turn, calls: Sequence[Outgoing]) -> list[Outcome]:
    adapter = turn.adapter
    if not calls:
        return []
    if adapter is None:
        return [no_adapter(turn.connection)]
    trouble = turn.known.trouble if turn.known else None
    if trouble is not None:
        # Who is meant is in doubt for all of them; whatever else is wrong, the first one tells.
        return [trouble] * (len(calls) if isinstance(trouble, Ambiguous) else 1)
    return call_for_outcomes(turn.connection, lambda target: adapter.send(target, calls))


def _settle(
    lease: Lease, delivery: Delivery, call: Outgoing, began: datetime, outcome: Outcome
) -> bool:
    """Write down what came of an attempt; True if the lane goes on with its next delivery."""
    if isinstance(outcome, Postponed):
        health.postpone(lease, outcome)
        return False
    verdict = health.judge(lease.connection_id, outcome, attempts=delivery.attempts + 1)
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
    health.note(lease.connection_id, row[0], verdict, outcome)
    return not waits
