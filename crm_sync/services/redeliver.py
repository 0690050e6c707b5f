"""Sending again what is settled: dead deliveries, or a range that a destination has lost."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from django.db import connection, transaction

from crm_sync.adapters.contract import LeavesOutOldEvents
from crm_sync.models import Connection, Delivery, Relay
from crm_sync.rules import wants
from crm_sync.services import lanes
from crm_sync.services.calls import adapter_of
from loyalty.events import selectors as events

EVENTS_AT_ONCE = 500

_REPLAY = """
INSERT INTO crm_sync_delivery (connection_id, position, member_id, sequence, type, state, attempts,
                               last_error, is_backfill, created_at)
SELECT %(connection)s, event.*, 'pending', 0, '', true, clock_timestamp()
FROM unnest(%(positions)s::bigint[], %(members)s::uuid[], %(sequences)s::bigint[],
            %(types)s::text[]) AS event
ON CONFLICT (connection_id, member_id, sequence) DO UPDATE
SET state = 'pending', attempts = 0, is_backfill = true, settled_at = NULL
WHERE crm_sync_delivery.state <> 'pending'
"""


def redeliver(*, delivery_ids: Collection[int]) -> int:
    """Let settled deliveries be pending again, with all their attempts before them.

    Later events of the same member may have been delivered meanwhile: receivers tell by `sequence`.

    Returns:
        How many were settled, and are pending now.
    """
    count = 0
    rows = Delivery.objects.filter(pk__in=delivery_ids).exclude(state=Delivery.State.PENDING)
    for connection_id in set(rows.values_list("connection_id", flat=True)):
        with transaction.atomic():
            Relay.objects.select_for_update().get(connection_id=connection_id)
            here = rows.filter(connection_id=connection_id)
            members = set(here.values_list("member_id", flat=True))
            lanes.open_lanes(connection_id=connection_id, member_ids=members)
            count += here.update(state=Delivery.State.PENDING, attempts=0, settled_at=None)
    return count


def find_deliveries(*, connection_id: int, keys: Collection[tuple[UUID, int]]) -> list[int]:
    """Find a connection's deliveries by member and sequence, as far as there are any."""
    wanted = set(keys)
    rows = Delivery.objects.filter(
        connection_id=connection_id,
        member_id__in={member_id for member_id, _ in wanted},
        sequence__in={sequence for _, sequence in wanted},
    )
    found = rows.values_list("pk", "member_id", "sequence")
    return [pk for pk, member_id, sequence in found if (member_id, sequence) in wanted]


def redeliver_dead(*, connection_id: int) -> int:
    """Let all dead deliveries of a connection be pending again; return how many they were."""
    dead = Delivery.objects.filter(connection_id=connection_id, state=Delivery.State.DEAD)
    count = 0
    while ids := list(dead.order_by("position").values_list("pk", flat=True)[:EVENTS_AT_ONCE]):
        count += redeliver(delivery_ids=ids)
    return count


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a replay would do.

    Attributes:
        wanted: Events that would be sent, or are on their way.
        waiting: Those of them that are on their way already.
        unwanted: Events of types that the destination does not take.
        ahead: Events that its cursor has not reached: they come anyway.
        why_skipped: Why none of them would reach anybody; empty if they would.
    """

    wanted: int
    waiting: int
    unwanted: int
    ahead: int
    why_skipped: str


def why_replays_are_skipped(connection: Connection) -> str:
    """Say why a destination is sent no old events; empty if it is."""
    adapter: object = adapter_of(connection)
    return adapter.old_events if isinstance(adapter, LeavesOutOldEvents) else ""


def foresee_replay(*, connection_id: int, after_position: int, up_to_position: int) -> Forecast:
    """Say what a replay of the events in (after_position, up_to_position] would do."""
    destination = Connection.objects.select_related("relay").get(pk=connection_id)
    end = min(up_to_position, destination.relay.position)
    reached = events.count_events(
        program_id=destination.program_id, after_position=after_position, up_to_position=end
    )
    ahead = events.count_events(
        program_id=destination.program_id,
        after_position=max(after_position, end),
        up_to_position=up_to_position,
    )
    types = destination.event_types
    waiting = Delivery.objects.filter(
        connection_id=connection_id,
        state=Delivery.State.PENDING,
        position__gt=after_position,
        position__lte=end,
    )
    wanted = sum(count for type_, count in reached.items() if wants(types, type_))
    return Forecast(
        wanted=wanted,
        waiting=waiting.count(),
        unwanted=sum(reached.values()) - wanted,
        ahead=sum(count for type_, count in ahead.items() if wants(types, type_)),
        why_skipped=why_replays_are_skipped(destination),
    )


def replay(*, connection_id: int, after_position: int, up_to_position: int) -> int:
    """Send a connection again all wanted events in (after_position, up_to_position].

    For a destination that said yes and lost them. What its cursor has not reached yet comes anyway.
    They are marked as a backfill: a CRM must not write to people about what was weeks ago.

    Returns:
        How many events are, or were already, on their way.
    """
    count = 0
    position: int | None = after_position
    while position is not None:
        position, wanted = _replay_batch(connection_id, position, up_to_position)
        count += wanted
    return count


def _replay_batch(connection_id: int, after: int, up_to: int) -> tuple[int | None, int]:
    with transaction.atomic():
        relay = Relay.objects.select_for_update().get(connection_id=connection_id)
        destination = Connection.objects.get(pk=connection_id)
        keys = events.list_event_keys(
            program_id=destination.program_id,
            after_position=after,
            up_to_position=min(up_to, relay.position),
            limit=EVENTS_AT_ONCE,
        )
        wanted = [key for key in keys if wants(destination.event_types, key.type)]
        _insert(connection_id, wanted)
    return (keys[-1].position if len(keys) == EVENTS_AT_ONCE else None), len(wanted)


def _insert(connection_id: int, keys: list[events.EventKey]) -> None:
    members: list[UUID] = [key.member_id for key in keys]
    # First: deliveries that wait are locked too, and who settles them has locked their lanes.
    lanes.open_lanes(connection_id=connection_id, member_ids=set(members))
    with connection.cursor() as cursor:
        cursor.execute(
            _REPLAY,
            {
                "connection": connection_id,
                "positions": [key.position for key in keys],
                "members": members,
                "sequences": [key.sequence for key in keys],
                "types": [key.type for key in keys],
            },
        )
