"""Earning rules and their conditions."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from loyalty.programs.shapes.entry import Entry
from loyalty.programs.shapes.season import check_season
from loyalty.programs.values import Amount, Code, Factor, IsoDate, Points, PositiveAmount, Text


class WhenEntry(Entry):
    """For which lines and orders a rule is."""

    category: Annotated[list[Text], Field(min_length=1, max_length=1000)] | None = None
    brand: Annotated[list[Text], Field(min_length=1, max_length=1000)] | None = None
    store: Annotated[list[Code], Field(min_length=1, max_length=1000)] | None = None
    order_amount_min: Amount | None = None


class EarningRuleEntry(Entry):
    """One standing rule: points for the amount, more of them, or a fixed number."""

    code: Code
    name: Text | None = None
    active: bool = True
    trigger: Literal["order", "member.enrolled"] = "order"
    points: Points | None = None
    per: PositiveAmount | None = None
    steps: Literal["whole", "proportional"] | None = None
    multiply: Factor | None = None
    bonus: Points | None = None
    when: WhenEntry | None = None
    from_: IsoDate | None = Field(default=None, alias="from")
    to: IsoDate | None = None

    @property
    def kind(self) -> Literal["base", "multiplier", "bonus"]:
        """What the rule does, by the keys that it has."""
        if self.multiply is not None:
            return "multiplier"
        return "base" if self.bonus is None else "bonus"

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        base = self.points is not None or self.per is not None
        if base + (self.multiply is not None) + (self.bonus is not None) != 1:
            raise ValueError("needs either points and per, or multiply, or bonus")
        if base and (self.points is None or self.per is None):
            raise ValueError("needs both points and per: 1 point per amount")
        if self.steps is not None and not base:
            raise ValueError("steps goes with points and per")
        if self.multiply == "1":
            raise ValueError('multiply must be more than "1": it adds to the base points')
        return self

    @model_validator(mode="after")
    def _fits_its_trigger(self) -> Self:
        check_season(self)
        if self.when is not None and not self.when.model_dump(exclude_none=True):
            self.when = None
        if self.trigger == "member.enrolled" and (self.kind != "bonus" or self.when):
            raise ValueError("the trigger member.enrolled goes with a bonus, and without when")
        if self.kind == "base":
            self.steps = self.steps or "whole"
        return self
