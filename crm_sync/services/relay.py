"""One turn of the relay: stamp, fan out, and lease what is due."""

import structlog
from django.db import DatabaseError, OperationalError

from crm_sync.services import lanes
from crm_sync.services.fan_out import EVENTS_AT_ONCE, fan_out, list_connections_behind
from crm_sync.services.lanes import Lease
from loyalty.events import services as events

ROUNDS = 10  # a long backlog is fanned out over several turns, so that leases are not kept waiting
log = structlog.get_logger(__name__)


def relay_events() -> None:
    """Stamp what was committed, and fan it out to all enabled connections, in turn."""
    for _ in range(ROUNDS):
        stamped = events.stamp_events(limit=EVENTS_AT_ONCE)
        more = [fan_out_safely(pk) for pk in list_connections_behind()]
        if stamped < EVENTS_AT_ONCE and not any(more):
            return


def fan_out_safely(connection_id: int) -> bool:
    """Fan out for one connection; its failure is logged, and does not keep others waiting."""
    try:
        return fan_out(connection_id=connection_id)
    except OperationalError as error:
        log.info("fan-out has to wait", connection=connection_id, error=str(error))
        return False
    except DatabaseError:
        log.exception("fan-out failed", connection=connection_id)
        return False


def claim_due_lanes() -> list[Lease]:
    """Lease what is due at every connection, each as much as it may have."""
    leases: list[Lease] = []
    for connection_id in lanes.list_due_connections():
        leases += lanes.claim_lanes(connection_id=connection_id, patiently=False)
    return leases
