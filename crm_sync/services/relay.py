"""One turn of the relay: stamp, fan out, and lease what is due."""

from collections.abc import Collection, Sequence

import structlog
from django.db import DatabaseError, OperationalError

from crm_sync.services import lanes
from crm_sync.services.fan_out import EVENTS_AT_ONCE, Behind, fan_out, list_behind
from crm_sync.services.lanes import Lease
from loyalty.events import services as events

ROUNDS = 10  # a long backlog is fanned out over several turns, so that leases are not kept waiting
log = structlog.get_logger(__name__)


def relay_events() -> None:
    """Stamp what was committed, and fan it out to all enabled connections, in turn."""
    for _ in range(ROUNDS):
        stamped = events.stamp_events(limit=EVENTS_AT_ONCE)
        if not fan_out_to_all() and stamped < EVENTS_AT_ONCE:
            return


def fan_out_to_all() -> bool:
    """Take each connection that is behind a step further; say whether there is more for one."""
    return _fan_out_each(list_behind())


def _fan_out_each(all_behind: Sequence[Behind]) -> bool:
    more = [_fan_out_safely(behind) for behind in all_behind]
    return any(more)


def _fan_out_safely(behind: Behind) -> bool:
    """Fan out; what fails for some is tried for each alone, and for one is logged."""
    try:
        step = fan_out(behind)
    except DatabaseError as error:
        if len(behind.connection_ids) > 1:
            return _fan_out_each(behind.each())
        (pk,) = behind.connection_ids
        if isinstance(error, OperationalError):
            log.info("fan-out has to wait", connection=pk, error=str(error))
        else:
            log.exception("fan-out failed", connection=pk)
        return False
    return _fan_out_each(step.left.each()) or step.has_more


def claim_due_lanes(*, but_not: Collection[int] | None = None) -> list[Lease]:
    """Lease what is due at every connection, each as much as it may have.

    Args:
        but_not: What is leased may have to wait for long: so none of these connections, and a
            single lane of each other one.
    """
    limit = {} if but_not is None else {"limit": 1}
    leases: list[Lease] = []
    for pk in lanes.list_due_connections():
        if pk not in (but_not or ()):
            leases += lanes.claim_lanes(connection_id=pk, patiently=False, **limit)
    return leases
