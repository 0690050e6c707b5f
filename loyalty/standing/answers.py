"""What calls about a member's tier answer; these models describe the contract."""

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, Field


class TierChangeItem(BaseModel):
    """A rise, a fall, a renewal (from and to are the same) or an assignment."""

    id: str
    source: str = Field(alias="from", examples=["bronze"])
    to: str = Field(examples=["silver"])
    kind: Literal["earn", "return", "nightly", "assign", "merge", "unmerge"] = Field(
        description="What brought it: an order, a return, the nightly check, somebody, or a merge."
    )
    metric: str = Field(description="What counted at that moment: money, points or orders.")
    valid_until: date | None = Field(description="Of the level from then on.")
    reason: str | None = Field(description="Why it was assigned.")
    actor: str
    program_version: int
    changed_at: datetime


class TierHistory(BaseModel):
    """A page of a member's tier history, newest first."""

    items: list[TierChangeItem]
    next_cursor: str | None
