"""Tiers: what counts, over which time, and the levels."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from loyalty.programs.shapes.entry import Entry
from loyalty.programs.values import YEARS, Code, Factor, Text, Threshold, Validity, Window

WARNING_DAYS = 30


class BenefitsEntry(Entry):
    """What members of a level have besides more points.

    `rewards` are issued when a member comes to the level; of those in `free_redemptions` so many
    cost nothing in each calendar year.
    """

    perks: Annotated[list[Text], Field(max_length=20)] = []
    rewards: Annotated[list[Code], Field(min_length=1, max_length=20)] | None = None
    free_redemptions: (
        Annotated[dict[Code, Annotated[int, Field(ge=1, le=366)]], Field(min_length=1)] | None
    ) = None


class TierLevelEntry(Entry):
    """A level, from a threshold on."""

    code: Code
    name: Text | None = None
    from_: Threshold = Field(alias="from")
    earn_multiplier: Factor = "1"
    keep: bool = False
    benefits: BenefitsEntry = BenefitsEntry()

    @model_validator(mode="after")
    def _name_from_code(self) -> Self:
        self.name = self.name or self.code.replace("-", " ").replace("_", " ").capitalize()
        return self


class TiersEntry(Entry):
    """What counts, over which time, the levels, how long they are kept, and how members fall."""

    qualify_by: Literal["spend", "points", "orders"] = "spend"
    window: Window = {"rolling_months": 12}
    levels: Annotated[list[TierLevelEntry], Field(min_length=1, max_length=50)]
    validity: Validity | None = None
    downgrade: Literal["one_level", "recalculate", "never"] = "one_level"
    grace_days: Annotated[int, Field(ge=0, le=366)] = 30
    warning_days: Annotated[int, Field(ge=0, le=366)] = WARNING_DAYS
    on_return: Literal["keep", "recalculate"] = "keep"

    @model_validator(mode="after")
    def _validity_fits(self) -> Self:
        years = self.window in YEARS
        if self.validity is None:
            self.validity = "end_of_next_year" if years else "while_qualifying"
        if years and self.validity == "while_qualifying":
            raise ValueError(
                "validity: while_qualifying is for rolling windows; with years everybody would"
                " fall when a year begins"
            )
        return self
