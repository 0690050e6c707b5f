"""From the outbox to the lanes: who wants which event."""

from collections.abc import Sequence

from django.db import connection as database
from django.db import transaction
from django.utils import timezone

from crm_sync.adapters.contract import PushesProfiles
from crm_sync.models import Delivery, Relay
from crm_sync.rules import wants
from crm_sync.services import lanes
from crm_sync.services.connections import adapters
from crm_sync.services.forget import forget_answers, forget_words_of_calls
from crm_sync.services.people import want_profiles
from loyalty.events import selectors as events
from loyalty.events.selectors import EventKey

EVENTS_AT_ONCE = 500
# A worker that is frozen in the middle of a claim must not hold up all other connections.
_BE_BRIEF = "SET LOCAL lock_timeout = '250ms'"


def list_connections_behind() -> list[int]:
    """List the enabled connections that have not seen the newest stamped event."""
    behind = Relay.objects.filter(connection__is_enabled=True, position__lt=events.last_position())
    return list(behind.order_by("connection_id").values_list("connection_id", flat=True))


def fan_out(*, connection_id: int) -> bool:
    """Make deliveries of the next events for one connection, and move its cursor behind them.

    A disabled connection stays where it is, and continues there when it is enabled: nothing is
    skipped, and nothing piles up for it.

    Returns:
        Whether there may be more.

    Raises:
        OperationalError: If somebody holds the connection's relay row for longer than a claim does.
    """
    with transaction.atomic(durable=True):
        with database.cursor() as cursor:
            cursor.execute(_BE_BRIEF)
        relay = (
            Relay.objects.select_for_update(of=("self",))
            .select_related("connection")
            .get(connection_id=connection_id)
        )
        if not relay.connection.is_enabled:
            return False
        head = events.last_position()
        keys = events.list_event_keys(
            program_id=relay.connection.program_id,
            after_position=relay.position,
            up_to_position=head,
            limit=EVENTS_AT_ONCE,
        )
        _insert(relay, keys)
        erased = [key.member_id for key in keys if key.type == "member.erased"]
        if erased:
            forget_answers(connection_id=connection_id, member_ids=erased)
            forget_words_of_calls(connection_id=connection_id)
        relay.position = keys[-1].position if len(keys) == EVENTS_AT_ONCE else head
        relay.save(update_fields=["position"])
        return len(keys) == EVENTS_AT_ONCE


def _insert(relay: Relay, keys: Sequence[EventKey]) -> None:
    connection, now = relay.connection, timezone.now()
    wanted = [key for key in keys if wants(connection.event_types, key.type)]
    Delivery.objects.bulk_create(
        [
            Delivery(
                connection=connection,
                position=key.position,
                member_id=key.member_id,
                sequence=key.sequence,
                type=key.type,
                is_backfill=key.position <= relay.live_from,
                created_at=now,
            )
            for key in wanted
        ],
        ignore_conflicts=True,  # an event that was replayed before the cursor came by
    )
    members = {key.member_id for key in wanted}
    if isinstance(adapters().get(connection.adapter), PushesProfiles):
        # Whatever happened, and whether or not the event is wanted: where they stand may be new.
        members = {key.member_id for key in keys}
        want_profiles(connection_id=connection.pk, member_ids=members)
    lanes.open_lanes(connection_id=connection.pk, member_ids=members)
