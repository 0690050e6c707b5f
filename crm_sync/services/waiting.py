"""Reading what waits in lanes: the deliveries with their events, of several lanes at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from crm_sync.services.lanes import Lease
from loyalty.database.statements import Prepared
from loyalty.events import selectors as events
from loyalty.events.models import OutboxEvent

_WAITING = Prepared("""
SELECT delivery.*
FROM unnest(%(members)s::uuid[]) AS lane (member_id)
CROSS JOIN LATERAL (
    SELECT member_id, id, sequence, attempts, is_backfill
    FROM crm_sync_delivery
    WHERE connection_id = %(connection)s AND member_id = lane.member_id AND state = 'pending'
    ORDER BY sequence LIMIT %(limit)s
) AS delivery
ORDER BY delivery.member_id, delivery.sequence
""")


@dataclass(frozen=True, slots=True)
class Waiting:
    """A delivery that waits in a lane.

    Attributes:
        event: None if it is older than events are kept.
    """

    id: int
    member_id: UUID
    sequence: int
    attempts: int
    is_backfill: bool
    event: OutboxEvent | None


def list_waiting(leases: Sequence[Lease], *, limit: int) -> dict[UUID, list[Waiting]]:
    """Give what waits in these lanes of one connection, by member and in order.

    Args:
        limit: Of each lane.
    """
    values: dict[str, Any] = {
        "connection": leases[0].connection_id,
        "members": [lease.member_id for lease in leases],
        "limit": limit,
    }
    rows = _WAITING.fetch(values)
    found = events.list_events_of([(member_id, sequence) for member_id, _, sequence, *_ in rows])
    waiting: dict[UUID, list[Waiting]] = {lease.member_id: [] for lease in leases}
    for member_id, pk, sequence, attempts, is_backfill in rows:
        event = found.get((member_id, sequence))
        waiting[member_id].append(Waiting(pk, member_id, sequence, attempts, is_backfill, event))
    return waiting
