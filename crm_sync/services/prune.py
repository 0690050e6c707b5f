"""Deleting what is done and old, in small steps, so that nobody waits for a lock."""

from collections.abc import Collection
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Min
from django.utils import timezone

from crm_sync.models import Attempt, BulkJob, Comparison, Connection, Delivery, Relay
from loyalty.events import selectors as events
from loyalty.events import services as event_services

ROWS_AT_ONCE = 1000
_DONE = (Delivery.State.DELIVERED, Delivery.State.SKIPPED)
_GIVEN_UP = (Delivery.State.DEAD, Delivery.State.PARKED)


def delete_old_deliveries(*, now: datetime | None = None) -> int:
    """Delete deliveries that were settled long ago, with their attempts.

    Delivered and skipped ones are kept CRM_DELIVERY_RETENTION_DAYS; dead and parked ones as long as
    their events, since somebody may still redeliver them. 0 days keeps them for ever.
    """
    now = now or timezone.now()
    if settings.CRM_DELIVERY_RETENTION_DAYS:
        before = now - timedelta(days=settings.CRM_DELIVERY_RETENTION_DAYS)
        Attempt.objects.filter(delivery__isnull=True, at__lt=before).delete()
        BulkJob.objects.filter(ended_at__lt=before).delete()
        Comparison.objects.filter(ended_at__lt=before).delete()
    return _delete(_DONE, now, settings.CRM_DELIVERY_RETENTION_DAYS) + _delete(
        _GIVEN_UP, now, settings.LOYALTY_EVENT_RETENTION_DAYS
    )


def delete_old_events(*, now: datetime | None = None) -> int:
    """Delete events older than LOYALTY_EVENT_RETENTION_DAYS that nobody waits for; 0 days: never.

    An enabled connection keeps what it has not been sent yet; a disabled one does not.
    """
    days = settings.LOYALTY_EVENT_RETENTION_DAYS
    if not days:
        return 0
    before = (now or timezone.now()) - timedelta(days=days)
    count, up_to = 0, _everything_settled_up_to()
    while deleted := event_services.delete_old_events(
        before=before, up_to_position=up_to, limit=ROWS_AT_ONCE
    ):
        count += deleted
    return count


def _everything_settled_up_to() -> int:
    enabled = Connection.objects.filter(is_enabled=True)
    cursor = Relay.objects.filter(connection__in=enabled).aggregate(least=Min("position"))["least"]
    waiting = Delivery.objects.filter(connection__in=enabled, state=Delivery.State.PENDING)
    oldest = waiting.aggregate(least=Min("position"))["least"]
    limits = [events.last_position()]
    limits += [cursor] if cursor is not None else []
    limits += [oldest - 1] if oldest is not None else []
    return min(limits)


def _delete(states: Collection[Delivery.State], now: datetime, days: int) -> int:
    if not days:
        return 0
    old = Delivery.objects.filter(state__in=states, settled_at__lt=now - timedelta(days=days))
    count = 0
    while ids := list(old.order_by("settled_at").values_list("pk", flat=True)[:ROWS_AT_ONCE]):
        Attempt.objects.filter(delivery_id__in=ids).delete()
        count += Delivery.objects.filter(pk__in=ids).delete()[0]
    return count
