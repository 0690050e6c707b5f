"""How points behave."""

from typing import Annotated, Literal, Self, cast

from pydantic import Field, ValidationInfo, model_validator

from loyalty.programs.currencies import format_amount
from loyalty.programs.shapes.entry import Entry
from loyalty.programs.values import (
    Context,
    Days,
    MonthDay,
    NoneAsNull,
    Percent,
    Points,
    PositiveAmount,
    Text,
)

NOTICE_DAYS = (30, 7)
INACTIVE_DAYS = (180,)


class ValueEntry(Entry):
    """So many points pay for that amount."""

    points: Points
    amount: PositiveAmount


class PayEntry(Entry):
    """How members may pay with points."""

    min: Points | None = None
    step: Points = 1
    max_share: Percent | None = None

    @model_validator(mode="after")
    def _fewest_is_a_step(self) -> Self:
        self.min = self.min or self.step
        if self.min % self.step:
            raise ValueError(f"min must be a multiple of step: {self.step}")
        return self


class ExpiryEntry(Entry):
    """When points expire: months after the order or the last activity, or on fixed dates."""

    months: Annotated[int, Field(ge=1, le=1200)] | None = None
    inactivity_months: Annotated[int, Field(ge=1, le=1200)] | None = None
    until: Literal["day", "end_of_month", "end_of_year"] | None = None
    dates: Annotated[list[MonthDay], Field(min_length=1, max_length=366)] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = {
            "months": self.months,
            "inactivity_months": self.inactivity_months,
            "dates": self.dates,
        }
        given = [way for way, value in ways.items() if value is not None]
        if len(given) != 1:
            raise ValueError('needs one of months, inactivity_months and dates, or is "none"')
        if self.months is None and self.until is not None:
            raise ValueError(f"until goes with months, not with {given[0]}")
        if self.months is not None:
            self.until = self.until or "day"
        return self


class SignalsEntry(Entry):
    """From how many in one hour on somebody should look."""

    orders_per_hour: Annotated[int, Field(ge=1, le=100_000)] | None = None
    adjustments_per_hour: Annotated[int, Field(ge=1, le=100_000)] | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.orders_per_hour is None and self.adjustments_per_hour is None:
            raise ValueError("needs orders_per_hour, adjustments_per_hour or both")
        return self


class PointsEntry(Entry):
    """How points behave."""

    name: Text = "points"
    rounding: Literal["down", "nearest", "up"] = "down"
    basis: Literal["net"] = "net"
    value: ValueEntry | None = None
    pay: PayEntry = PayEntry()
    maturity_days: Days = 0
    hold_minutes: Annotated[int, Field(ge=1, le=43_200)] = 30
    unknown_member: Literal["refuse", "enrol"] = "refuse"
    expiry: Annotated[ExpiryEntry | None, NoneAsNull] = None
    clawback: Literal["debt", "within_balance", "write_off"] = "debt"
    expiring_notice_days: Annotated[
        list[Annotated[int, Field(ge=1, le=366)]], Field(max_length=10)
    ] = list(NOTICE_DAYS)
    inactive_notice_days: Annotated[
        list[Annotated[int, Field(ge=1, le=3650)]], Field(max_length=10)
    ] = list(INACTIVE_DAYS)
    accept_late_days: Days = 400
    adjustment_limit: Points | None = None
    fraud_signals: SignalsEntry | None = None
    lapsed: Literal["expire", "grace"] = "expire"
    lapsed_grace_days: Annotated[int, Field(ge=1, le=366)] = 14

    @model_validator(mode="after")
    def _defaults_and_order(self, info: ValidationInfo) -> Self:
        if self.value is None:
            scale = cast(Context, info.context)["scale"]
            one = format_amount(10**scale, scale)
            self.value = ValueEntry.model_construct(points=100, amount=one)
        expiry = self.expiry or ExpiryEntry.model_construct()
        months = expiry.months or expiry.inactivity_months
        if months is not None and self.maturity_days >= 28 * months:
            raise ValueError("points would expire before they can be used: see maturity_days")
        return self
