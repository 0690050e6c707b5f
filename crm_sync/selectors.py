"""What people and monitoring want to know of connections."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Min
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from crm_sync.models import Attempt, Connection, Delivery, Drift, Relay
from loyalty.events import selectors as events


@dataclass(frozen=True, slots=True)
class Health:
    """How a connection is doing.

    Attributes:
        state: enabled, failing, down or disabled.
        behind: Events, of all programs, that its cursor has not reached.
        pending: Deliveries that wait to be sent.
        parked: Deliveries that wait for a person's word.
        oldest_pending_at: Since when the oldest of them waits.
        failing_since: When the destination took something for the last time, about.
        last_error: Why it failed the last time, while it fails.
    """

    state: str
    behind: int = 0
    pending: int = 0
    dead: int = 0
    parked: int = 0
    oldest_pending_at: datetime | None = None
    failing_since: datetime | None = None
    last_error: str = ""

    @property
    def lag_seconds(self) -> float:
        """Say for how long the oldest delivery waits."""
        since = self.oldest_pending_at
        return (timezone.now() - since).total_seconds() if since else 0.0


def list_health(connections: Sequence[Connection]) -> dict[int, Health]:
    """Tell how these connections are doing, in five queries for all of them."""
    ids = [connection.pk for connection in connections]
    head = events.last_position()
    relays = {pk: Relay(connection_id=pk) for pk in ids}
    relays |= {relay.pk: relay for relay in Relay.objects.filter(pk__in=ids)}
    pending, dead, parked = (_count(ids, state) for state in ("pending", "dead", "parked"))
    return {
        connection.pk: Health(
            state=_state(connection, relays[connection.pk]),
            behind=head - relays[connection.pk].position,
            pending=pending.get(connection.pk, (0, None))[0],
            dead=dead.get(connection.pk, (0, None))[0],
            parked=parked.get(connection.pk, (0, None))[0],
            oldest_pending_at=pending.get(connection.pk, (0, None))[1],
            failing_since=relays[connection.pk].failing_since,
            last_error=relays[connection.pk].last_error,
        )
        for connection in connections
    }


def list_deliveries(
    *, connection_id: int, state: str | None, before_position: int | None, limit: int
) -> list[Delivery]:
    """List a connection's deliveries, newest first, with their attempts."""
    rows = Delivery.objects.filter(connection_id=connection_id)
    if state is not None:
        rows = rows.filter(state=state)
    if before_position is not None:
        rows = rows.filter(position__lt=before_position)
    return list(rows.order_by("-position")[:limit])


def recent_outcomes(connection: Connection, *, minutes: int) -> dict[str, int]:
    """Count the attempts of the last minutes by what came of them, of events and of profiles."""
    return count_outcomes(minutes=minutes).get(connection.pk, {})


def count_outcomes(*, minutes: int) -> dict[int, dict[str, int]]:
    """Count the attempts of the last minutes, by connection and what came of them."""
    since = Now() - timedelta(minutes=minutes)
    rows = Attempt.objects.filter(at__gte=since).values_list(
        Coalesce("connection_id", "delivery__connection_id"), "outcome"
    )
    counted: dict[int, dict[str, int]] = {}
    for connection_id, outcome, count in rows.annotate(Count("pk")).order_by():
        counted.setdefault(connection_id, {})[outcome] = count
    return counted


def count_drifted() -> dict[int, int]:
    """Count the members who differ at their vendor, by connection."""
    rows = Drift.objects.values_list("connection_id")
    return dict(rows.annotate(Count("member_id", distinct=True)).order_by())


def _count(connection_ids: Sequence[int], state: str) -> dict[int, tuple[int, Any]]:
    rows = Delivery.objects.filter(connection_id__in=connection_ids, state=state)
    counted = rows.values_list("connection_id").annotate(Count("pk"), Min("created_at"))
    return {connection_id: (count, oldest) for connection_id, count, oldest in counted}


def _state(connection: Connection, relay: Relay) -> str:
    if not connection.is_enabled:
        return "disabled"
    if relay.failures >= settings.CRM_BREAKER_FAILURES:
        return "down"
    return "failing" if relay.failures else "enabled"
