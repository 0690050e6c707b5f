"""When an earning rule applies."""

from decimal import Decimal
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from loyalty.programs.compile_earning import WEEKDAYS
from loyalty.programs.shapes.entry import Entry
from loyalty.programs.values import Amount, Code, Text


def _in_order_of_the_week(days: list[str]) -> list[str]:
    return [day for day in WEEKDAYS if day in days]


Names = Annotated[list[Text], Field(min_length=1, max_length=1000)]
Codes = Annotated[list[Code], Field(min_length=1, max_length=1000)]
PropertyName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=50)]
Weekdays = Annotated[
    list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]],
    Field(min_length=1),
    AfterValidator(_in_order_of_the_week),
]
Values = Annotated[list[Text], Field(min_length=1, max_length=100)]
Properties = Annotated[dict[PropertyName, Values], Field(min_length=1, max_length=20)]
Age = Annotated[int, Field(ge=0, le=36_500)]
Number = Annotated[int, Field(ge=1, le=1_000_000)]


class HourEntry(Entry):
    """A part of the day, in full local hours; `to` is the first hour that no longer counts."""

    from_: Annotated[int, Field(ge=0, le=23)] = Field(alias="from")
    to: Annotated[int, Field(ge=1, le=24)]

    @model_validator(mode="after")
    def _is_a_part(self) -> Self:
        if self.from_ == self.to % 24:
            raise ValueError("from and to must differ: {from: 16, to: 18} is from 16:00 to 18:00")
        return self


class AgeEntry(Entry):
    """For how many days somebody is a member; the day of joining is 0."""

    min: Age | None = None
    max: Age | None = None

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("needs min or max, or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min must not be more than max")
        return self


class NthEntry(Entry):
    """Which of the member's orders: the third, or each third."""

    is_: Number | None = Field(default=None, alias="is")
    every: Annotated[int, Field(ge=2, le=1_000_000)] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.is_ is None) == (self.every is None):
            raise ValueError("needs either is or every: {is: 1} is the first order")
        return self


class WhenEntry(Entry):
    """For which lines, orders and members a rule is; all that is named must hold."""

    sku: Names | None = None
    category: Names | None = None
    brand: Names | None = None
    store: Codes | None = None
    channel: Codes | None = None
    weekday: Weekdays | None = None
    hour: HourEntry | None = None
    order_amount_min: Amount | None = None
    order_amount_max: Amount | None = None
    tier: Codes | None = None
    segment: Codes | None = None
    not_in_segment: Codes | None = None
    member_age_days: AgeEntry | None = None
    nth_order: NthEntry | None = None
    birthday: Literal["day", "month"] | None = None
    property: Properties | None = None

    @model_validator(mode="after")
    def _amounts(self) -> Self:
        least, most = self.order_amount_min, self.order_amount_max
        if least is not None and most is not None and Decimal(least) > Decimal(most):
            raise ValueError("order_amount_min must not be more than order_amount_max")
        return self

    @model_validator(mode="after")
    def _segments(self) -> Self:
        for code in self.segment or ():
            if code in (self.not_in_segment or ()):
                raise ValueError(f'"{code}" stands in segment and in not_in_segment')
        return self


OF_A_NIGHT: Final = {"weekday", "tier", "segment", "not_in_segment", "member_age_days"}
FITS: Final[dict[str, set[str]]] = {
    "order": set(WhenEntry.model_fields) - {"property"},
    "activity": {*OF_A_NIGHT, "store", "channel", "hour", "birthday", "property"},
    "member.enrolled": {"weekday", "hour"},
    "member.birthday": OF_A_NIGHT,
    "member.anniversary": OF_A_NIGHT,
    "referral": {
        *OF_A_NIGHT,
        *("store", "channel", "hour", "order_amount_min", "order_amount_max"),
    },
}
"""What a rule of each trigger may ask for."""


def misfits(trigger: str, when: WhenEntry) -> list[str]:
    """Name the conditions that make no sense for what sets a rule off."""
    given = when.model_dump(exclude_none=True)
    return [name for name in given if name not in FITS[trigger]]
