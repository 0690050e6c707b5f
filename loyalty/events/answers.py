"""What the feed answers; it describes the contract, and a test holds answers to it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field


class Cause(BaseModel):
    """Why it happened."""

    kind: str
    order: str | None
    rules: list[str]
    actor: str
    request_id: str
    bulk: bool = Field(
        default=False, description="It came in a batch: many at once, perhaps about long ago."
    )


class Event(BaseModel):
    """What happened to one member, with the balances after it."""

    id: str = Field(description="The same at every delivery.")
    type: str = Field(examples=["points.earned"])
    version: int = Field(examples=[1])
    member: UUID
    sequence: int = Field(description="Counts the member's events without gaps.")
    occurred_at: datetime
    recorded_at: datetime
    cause: Cause
    balances: dict[str, int]
    data: dict[str, Any]


class EventFeed(BaseModel):
    """Events in order per member; nothing is ever skipped."""

    items: list[Event]
    next_cursor: str = Field(description="Ask again with after=this, also when items is empty.")
    has_more: bool
