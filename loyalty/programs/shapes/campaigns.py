"""Campaigns: dated rules with a budget of points."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from loyalty.programs.shapes.earning import EarningRuleEntry
from loyalty.programs.shapes.entry import Entry
from loyalty.programs.values import Code, IsoDate, Text


class CampaignEntry(Entry):
    """Rules for some days, and how many points they may give in all."""

    code: Code
    name: Text | None = None
    active: bool = True
    from_: IsoDate = Field(alias="from")
    to: IsoDate
    budget_points: Annotated[int, Field(ge=1, le=10**15)] | None = None
    when_short: Literal["reduce", "skip"] = "reduce"
    rules: Annotated[list[EarningRuleEntry], Field(min_length=1, max_length=50)]

    @model_validator(mode="after")
    def _dates_and_rules(self) -> Self:
        if self.from_ > self.to:
            raise ValueError(f"ends on {self.to}, before it starts on {self.from_}")
        self.name = self.name or self.code
        return self
