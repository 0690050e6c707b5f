"""Rewards: what they cost, what they give, and to whom."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from loyalty.programs.shapes.entry import Entry
from loyalty.programs.shapes.season import check_season
from loyalty.programs.values import Code, Cost, IsoDate, Percent, PositiveAmount, Text

STOCK_LOW = (10, 0)
ONE_KIND = "exactly one of "

StockLow = Annotated[list[Annotated[int, Field(ge=0, le=10**6)]], Field(max_length=10)]

Segments = Annotated[list[Code], Field(min_length=1, max_length=50)]

_WITH = ("max_amount", "shown", "returned")


class GivesEntry(Entry):
    """What a reward is: exactly one of the kinds, and what goes with some of them."""

    amount_off: PositiveAmount | None = None
    percent_off: Percent | None = None
    max_amount: PositiveAmount | None = None
    product: Text | None = None
    code_from_pool: Code | None = None
    shown: Literal["always", "once"] | None = None
    returned: Literal["burn", "reuse"] | None = None
    store_credit: PositiveAmount | None = None
    custom: Text | None = None

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        kinds = [key for key in type(self).model_fields if key not in _WITH]
        if sum(getattr(self, key) is not None for key in kinds) != 1:
            raise ValueError(f"needs {ONE_KIND}{', '.join(kinds)}")
        if self.max_amount is not None and self.percent_off is None:
            raise ValueError("max_amount goes with percent_off")
        return self

    @model_validator(mode="after")
    def _codes(self) -> Self:
        if self.code_from_pool is None:
            if self.shown is not None or self.returned is not None:
                raise ValueError("shown and returned go with code_from_pool")
            return self
        self.shown, self.returned = self.shown or "always", self.returned or "burn"
        if (self.shown, self.returned) == ("once", "reuse"):
            raise ValueError("a code that is shown once is not kept, so it cannot be reused")
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
    auto_redeem: bool = False
    tiers: Annotated[list[Code], Field(min_length=1, max_length=50)] | None = None
    segments: Segments | None = None
    not_in_segments: Segments | None = None
    from_: IsoDate | None = Field(default=None, alias="from")
    to: IsoDate | None = None

    @model_validator(mode="after")
    def _segments(self) -> Self:
        for code in self.segments or ():
            if code in (self.not_in_segments or ()):
                raise ValueError(f'"{code}" stands in segments and in not_in_segments')
        return self

    @model_validator(mode="after")
    def _dates(self) -> Self:
        check_season(self)
        return self

    @model_validator(mode="after")
    def _levels_of_stock(self) -> Self:
        pool = self.gives.code_from_pool is not None
        if pool and self.stock is not None:
            raise ValueError("the pool's codes are its stock: take stock out")
        if self.stock is None and not pool:
            if self.stock_low is not None:
                raise ValueError("stock_low goes with stock or code_from_pool")
        elif self.stock_low is None:
            self.stock_low = list(STOCK_LOW)
        else:
            self.stock_low = sorted(set(self.stock_low), reverse=True)
        return self
