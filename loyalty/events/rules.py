"""What an event looks like outside: the same in the feed and in every delivery."""

from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID


class Event(Protocol):
    """The columns of an outbox row that are shown."""

    @property
    def member_id(self) -> UUID: ...
    @property
    def sequence(self) -> int: ...
    @property
    def type(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def occurred_at(self) -> datetime: ...
    @property
    def recorded_at(self) -> datetime: ...
    @property
    def cause(self) -> Any: ...
    @property
    def balances(self) -> Any: ...
    @property
    def data(self) -> Any: ...


def event_id(member_id: UUID, sequence: int) -> str:
    """Give the public id of an event: the same in the feed and at every attempt to send it."""
    return f"evt_{member_id.hex}_{sequence}"


def envelope(event: Event) -> dict[str, Any]:
    """Show an event as readers get it.

    `sequence` counts a member's events without gaps, so that a receiver can tell an old event from
    a new one, and a repeat from both.
    """
    return {
        "id": event_id(event.member_id, event.sequence),
        "type": event.type,
        "version": event.version,
        "member": str(event.member_id),
        "sequence": event.sequence,
        "occurred_at": _instant(event.occurred_at),
        "recorded_at": _instant(event.recorded_at),
        "cause": event.cause,
        "balances": event.balances,
        "data": event.data,
    }


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()
