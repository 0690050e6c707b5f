"""Reads of the outbox. Every reader goes by `position`, never by id or time.

A transaction that began early may commit late: its ids and times then appear behind those that a
reader has already seen. Positions are given after the commit, one relay at a time, so whoever has
read up to a position has read everything up to it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Count, Max, Min

from loyalty.database.statements import PreparedRows
from loyalty.events.models import FeedHead, OutboxEvent

_BY_KEY = PreparedRows(
    OutboxEvent,
    """
JOIN unnest(%(members)s::uuid[], %(sequences)s::bigint[]) AS wanted (member_id, sequence)
    ON loyalty_outboxevent.member_id = wanted.member_id
    AND loyalty_outboxevent.sequence = wanted.sequence
""",
)


class EventKey(NamedTuple):
    """As much of an event as is needed to decide who wants it."""

    position: int
    member_id: UUID
    sequence: int
    type: str


class Told(NamedTuple):
    """What an event says, and of whom."""

    type: str
    member_id: UUID
    data: Mapping[str, Any]


def list_events(
    *,
    program_id: int,
    after_position: int,
    limit: int,
    types: Sequence[str] | None = None,
    member_id: UUID | None = None,
) -> list[OutboxEvent]:
    """List a program's stamped events after a position, oldest first.

    Call `services.stamp_events` before, or what was committed since the last relay is missing
    until the next call.
    """
    events = OutboxEvent.objects.filter(program_id=program_id, position__gt=after_position)
    if types is not None:
        events = events.filter(type__in=types)
    if member_id is not None:
        events = events.filter(member_id=member_id)
    return list(events.order_by("position")[:limit])


def list_event_keys(
    *, program_id: int, after_position: int, up_to_position: int, limit: int
) -> list[EventKey]:
    """List the keys of a program's events in (after_position, up_to_position], oldest first."""
    rows = OutboxEvent.objects.filter(
        program_id=program_id, position__gt=after_position, position__lte=up_to_position
    )
    keys = rows.order_by("position").values_list("position", "member_id", "sequence", "type")
    return [EventKey(*row) for row in keys[:limit]]  # type: ignore[arg-type]  # all have positions


def count_events(*, program_id: int, after_position: int, up_to_position: int) -> dict[str, int]:
    """Count a program's events in (after_position, up_to_position], by type."""
    rows = OutboxEvent.objects.filter(
        program_id=program_id, position__gt=after_position, position__lte=up_to_position
    )
    return dict(rows.values_list("type").annotate(Count("pk")).order_by())


def list_told(*, types: Collection[str], after_position: int, up_to_position: int) -> list[Told]:
    """List what of some types was told in (after_position, up_to_position], in any program."""
    rows = OutboxEvent.objects.filter(
        type__in=types, position__gt=after_position, position__lte=up_to_position
    )
    told = rows.order_by("position").values_list("type", "member_id", "data")
    return [Told(*row) for row in told]


def list_member_events(*, member_id: UUID, sequences: Iterable[int]) -> dict[int, OutboxEvent]:
    """Give a member's events by sequence; those that were deleted are missing."""
    rows = OutboxEvent.objects.filter(member_id=member_id, sequence__in=list(sequences))
    return {row.sequence: row for row in rows}


def list_events_of(keys: Collection[tuple[UUID, int]]) -> dict[tuple[UUID, int], OutboxEvent]:
    """Give events by member and sequence, of many members at once; deleted ones are missing."""
    if not keys:
        return {}
    members, sequences = zip(*keys, strict=True)
    rows = _BY_KEY.fetch({"members": members, "sequences": sequences})
    return {(row.member_id, row.sequence): row for row in rows}


def positions_between(since: datetime, until: datetime) -> tuple[int, int] | None:
    """Give the first and last position of what was recorded in [since, until); None if nothing was.

    Others may lie between them: what commits late has an early time and a late position. Reads the
    whole table: for people, not for requests.
    """
    rows = OutboxEvent.objects.filter(recorded_at__gte=since, recorded_at__lt=until)
    found = rows.aggregate(first=Min("position"), last=Max("position"))
    return None if found["first"] is None else (found["first"], found["last"])


def last_position() -> int:
    """Give the position of the newest stamped event; 0 if there was none ever."""
    return FeedHead.objects.values_list("position", flat=True).filter(id=1).first() or 0
