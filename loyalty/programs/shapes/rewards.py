"""Rewards: what they cost, what they give, and to whom."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from loyalty.programs.shapes.entry import Entry
from loyalty.programs.shapes.season import check_season
from loyalty.programs.values import Code, IsoDate, Points, PositiveAmount, Text


class GivesEntry(Entry):
    """What a reward is."""

    amount_off: PositiveAmount | None = None
    product: Text | None = None

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        if (self.amount_off is None) == (self.product is None):
            raise ValueError("needs either amount_off or product")
        return self


class PerMemberEntry(Entry):
    """How often one member may have a reward."""

    times: Annotated[int, Field(ge=1, le=10_000)]
    per: Literal["day", "week", "month", "year", "ever"] = "ever"


class RewardEntry(Entry):
    """What the catalogue offers."""

    code: Code
    name: Text
    active: bool = True
    cost: Points
    gives: GivesEntry
    stock: Annotated[int, Field(ge=0, le=10**9)] | None = None
    per_member: PerMemberEntry | None = None
    tiers: Annotated[list[Code], Field(min_length=1, max_length=50)] | None = None
    from_: IsoDate | None = Field(default=None, alias="from")
    to: IsoDate | None = None

    @model_validator(mode="after")
    def _dates(self) -> Self:
        check_season(self)
        return self
