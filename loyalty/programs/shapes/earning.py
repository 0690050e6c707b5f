"""Earning rules."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from loyalty.programs.earning import Trigger, Who
from loyalty.programs.shapes.conditions import WhenEntry, misfits
from loyalty.programs.shapes.entry import Entry
from loyalty.programs.shapes.season import check_season
from loyalty.programs.values import Code, Factor, IsoDate, Points, PositiveAmount, Text


class LimitEntry(Entry):
    """How much of a rule one member may have in a period; it reduces, and says so."""

    times: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    points: Points | None = None
    per: Literal["day", "week", "month", "year", "ever"]

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.times is None and self.points is None:
            raise ValueError("needs times or points, or both: {times: 1, per: week}")
        return self


YEARLY = ("member.birthday", "member.anniversary")


class EarningRuleEntry(Entry):
    """One standing rule: points for the amount, more of them, or a fixed number."""

    code: Code
    name: Text | None = None
    active: bool = True
    trigger: Trigger = "order"
    activity: Code | None = None
    who: Who | None = None
    points: Points | None = None
    per: PositiveAmount | None = None
    steps: Literal["whole", "proportional"] | None = None
    multiply: Factor | None = None
    bonus: Points | None = None
    when: WhenEntry | None = None
    limit: LimitEntry | None = None
    group: Code | None = None
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
    def _says_for_whom(self) -> Self:
        if (self.who is None) == (self.trigger == "referral"):
            raise ValueError("the trigger referral goes with who: referrer or who: friend")
        if self.who == "friend" and self.limit:
            raise ValueError("who: friend goes without limit: nobody is brought twice")
        return self

    @model_validator(mode="after")
    def _fits_its_trigger(self) -> Self:
        check_season(self)
        if self.when is not None and not self.when.model_dump(exclude_none=True):
            self.when = None
        if self.trigger != "order" and self.kind != "bonus":
            raise ValueError(f"the trigger {self.trigger} goes with a bonus")
        if (self.activity is None) == (self.trigger == "activity"):
            raise ValueError("the trigger activity goes with activity, which names it: review")
        if self.trigger == "member.enrolled" and self.limit:
            raise ValueError("the trigger member.enrolled goes without limit: nobody joins twice")
        if self.trigger in YEARLY and self.limit:
            raise ValueError(f"the trigger {self.trigger} goes without limit: it comes once a year")
        wrong = misfits(self.trigger, self.when) if self.when else []
        if wrong:
            raise ValueError(f"the trigger {self.trigger} goes without when.{wrong[0]}")
        if self.kind == "base":
            self.steps = self.steps or "whole"
        return self
