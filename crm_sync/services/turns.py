"""A turn at a connection: some of its lanes, served by one worker under one token."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

from crm_sync.adapters.access import Target
from crm_sync.adapters.contract import Adapter, Matches, MixesMembers, Outgoing
from crm_sync.models import Connection
from crm_sync.services.calls import adapter_of, target_of
from crm_sync.services.lanes import Lease
from crm_sync.services.people import Known, knows_people
from crm_sync.services.settle import Books
from crm_sync.services.waiting import Waiting
from loyalty.events.rules import envelope, event_id


@dataclass(slots=True)
class Turn:
    """Some lanes of a connection being served.

    Attributes:
        until: On the monotonic clock, when no further call is begun.
        knows_people: The destination wants to know whom an event is about.
        mixed_size: How many events of any members one call takes; 0 where it is about one member,
            or somebody has to be found first.
        sent: As its report has it.
    """

    connection: Connection
    adapter: Adapter | None
    target: Target
    until: float
    books: Books
    knows_people: bool
    mixed_size: int
    sent: int = 0

    @property
    def is_over(self) -> bool:
        """Say whether the time is up."""
        return time.monotonic() >= self.until


@dataclass(slots=True, eq=False)
class Visit:
    """One lane being served.

    Attributes:
        left: What is still to be sent of it in this turn.
        has_more: There may be more than that.
        known: Whom the lane is about, at destinations that want to know it.
    """

    turn: Turn
    lease: Lease
    left: Sequence[Waiting]
    has_more: bool
    known: Known | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What a turn was.

    Attributes:
        sent: How many deliveries and profiles were tried to be sent, for the worker's pace.
        was_mixed: One call was about many lanes.
    """

    sent: int = 0
    was_mixed: bool = False


def begin_turn(connection: Connection, *, until: float) -> Turn:
    """Look up once what all calls of the turn need."""
    adapter = adapter_of(connection)
    able: object = adapter
    mixed_size = 0
    if isinstance(able, MixesMembers) and not isinstance(adapter, Matches):
        mixed_size = able.mixed_size
    return Turn(
        connection=connection,
        adapter=adapter,
        target=target_of(connection),
        until=until,
        books=Books(connection.pk, at_once=mixed_size),
        knows_people=knows_people(adapter),
        mixed_size=mixed_size,
    )


def outgoing(visit: Visit, delivery: Waiting) -> Outgoing:
    """Write a delivery as adapters get it, for another attempt."""
    return Outgoing(
        event_id=event_id(delivery.member_id, delivery.sequence),
        body=envelope(delivery.event) if delivery.event else {},
        correlation_id=uuid4(),
        person=visit.known.person if visit.known else None,
        is_backfill=delivery.is_backfill,
    )
