"""Tiers: what counts, over which time, and the levels."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from loyalty.programs.shapes.entry import Entry
from loyalty.programs.values import Code, Factor, Text, Threshold, Window


class TierLevelEntry(Entry):
    """A level, from a threshold on."""

    code: Code
    name: Text | None = None
    from_: Threshold = Field(alias="from")
    earn_multiplier: Factor = "1"

    @model_validator(mode="after")
    def _name_from_code(self) -> Self:
        self.name = self.name or self.code.replace("-", " ").replace("_", " ").capitalize()
        return self


class TiersEntry(Entry):
    """What counts, over which time, the levels, and how members fall."""

    qualify_by: Literal["spend", "points", "orders"] = "spend"
    window: Window = {"rolling_months": 12}
    levels: Annotated[list[TierLevelEntry], Field(min_length=1, max_length=50)]
    downgrade: Literal["one_level", "recalculate", "never"] = "one_level"
    grace_days: Annotated[int, Field(ge=0, le=366)] = 30
