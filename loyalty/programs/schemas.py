"""What the configuration API takes and answers: entries of a program file, and what is around."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from loyalty.http.fields import Body, Reason
from loyalty.programs.shapes.entry import Entry
from loyalty.programs.shapes.tiers import TierLevelEntry, TiersEntry


class PublishRequest(Body):
    """Why the draft becomes live, and which."""

    reason: Reason
    revision: int | None = Field(
        default=None,
        ge=0,
        le=2**31 - 1,
        description="Of the draft that was reviewed; another one is refused with 412.",
    )


class ChangeAnswer(BaseModel):
    """One thing that differs between the draft and what is live."""

    group: str = Field(examples=["Rewards"])
    code: str = Field(description="Of the entry; empty for the program itself.")
    kind: Literal["added", "removed", "changed", "moved"]
    text: str = Field(description="In words.", examples=["Reward five-off, cost: 50 → 45"])


class DraftAnswer(BaseModel):
    """What is edited and not live yet."""

    revision: int = Field(description="Counts the changes of the draft.")
    edited_by: str | None
    edited_at: datetime | None
    changes: list[ChangeAnswer] = Field(description="Empty: the draft is what is live.")


class PlanAnswer(BaseModel):
    """A publication that waits for its time."""

    publish_at: datetime
    revision: int
    reason: str
    planned_by: str


class ProgramAnswer(BaseModel):
    """The program: what is live, and what waits to be published."""

    program: str
    name: str
    version: int = Field(description="That tills use now; 0 is none yet.")
    published_at: datetime | None
    published_by: str | None
    reason: str | None
    draft: DraftAnswer
    planned: PlanAnswer | None


class PublishedAnswer(BaseModel):
    """What is live now."""

    version: int
    published: bool = Field(description="False where the draft was what is live already.")
    changes: list[ChangeAnswer]


class RemovedAnswer(BaseModel):
    """What was taken out of the draft."""

    code: str
    removed: Literal[True]


def change_of(entry: type[Entry], *, without: tuple[str, ...] = ()) -> type[BaseModel]:
    """Describe a change of an entry: any of its keys; null takes one out."""
    fields: dict[str, Any] = {
        name: (field.annotation | None, Field(default=None, alias=field.alias))  # type: ignore[operator]
        for name, field in entry.model_fields.items()
        if name not in without
    }
    title = entry.__name__.removesuffix("Entry")
    described = create_model(f"{title}Change", __config__=ConfigDict(extra="forbid"), **fields)
    described.__doc__ = "The keys to change; null takes one out, and its default counts again."
    return described


def page_of(entry: type[Entry]) -> type[BaseModel]:
    """Describe a page of entries."""
    title = entry.__name__.removesuffix("Entry")
    items: Any = list[entry]  # type: ignore[valid-type]  # made here, not written
    described = create_model(f"{title}Page", items=(items, ...), next_cursor=(str | None, ...))
    described.__doc__ = "Entries of the draft, by code."
    return described


class TiersAnswer(TiersEntry):
    """How members rise and fall, and the levels; without levels, nobody does."""

    levels: list[TierLevelEntry]


TiersChange = change_of(TiersEntry, without=("levels",))
