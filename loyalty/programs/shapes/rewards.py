"""Rewards: what they cost, what they give, and to whom."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from loyalty.programs.shapes.entry import Entry
from loyalty.programs.shapes.season import check_season
from loyalty.programs.values import Code, Cost, IsoDate, Percent, PositiveAmount, Text

STOCK_LOW = (10, 0)
ONE_KIND = "exactly one of "

StockLow = Annotated[list[Annotated[int, Field(ge=0, le=10**6)]], Field(max_length=10)]


class GivesEntry(Entry):
    """What a reward is: one of these, and with percent_off perhaps a max_amount."""

    amount_off: PositiveAmount | None = None
    percent_off: Percent | None = None
    max_amount: PositiveAmount | None = None
    product: Text | None = None
    store_credit: PositiveAmount | None = None
    custom: Text | None = None

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        kinds = [key for key in type(self).model_fields if key != "max_amount"]
        if sum(getattr(self, key) is not None for key in kinds) != 1:
            raise ValueError(f"needs {ONE_KIND}{', '.join(kinds)}")
        if self.max_amount is not None and self.percent_off is None:
            raise ValueError("max_amount goes with percent_off")
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
    cost: Cost
    gives: GivesEntry
    stock: Annotated[int, Field(ge=0, le=10**9)] | None = None
    stock_low: StockLow | None = None
    per_member: PerMemberEntry | None = None
    tiers: Annotated[list[Code], Field(min_length=1, max_length=50)] | None = None
    from_: IsoDate | None = Field(default=None, alias="from")
    to: IsoDate | None = None

    @model_validator(mode="after")
    def _dates(self) -> Self:
        check_season(self)
        return self

    @model_validator(mode="after")
    def _levels_of_stock(self) -> Self:
        if self.stock is None:
            if self.stock_low is not None:
                raise ValueError("stock_low goes with stock")
        elif self.stock_low is None:
            self.stock_low = list(STOCK_LOW)
        else:
            self.stock_low = sorted(set(self.stock_low), reverse=True)
        return self
