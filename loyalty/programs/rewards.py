"""What a published program says about rewards and paying with points, as read-only values.

Pure: no Django, no clock, no database.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

RewardKind = Literal[
    "amount_off", "percent_off", "product", "code_from_pool", "store_credit", "custom"
]

FULFILLED_OUTSIDE: Final = frozenset({"store_credit", "custom"})
"""What somebody else has to do after the redemption: it has a state of fulfilment."""


@dataclass(frozen=True, slots=True)
class PerMember:
    """So many times per member in a period of the program's calendar."""

    times: int
    per: Literal["day", "week", "month", "year", "ever"]


@dataclass(frozen=True, slots=True)
class Reward:
    """What the catalogue offers.

    Attributes:
        cost: Points, for members of levels without a price of their own.
        tier_costs: Points by level code.
        amount: Minor units of what is taken off or credited; for percent_off the most, or 0.
        percent: Of percent_off, as a decimal string.
        what: The sku of a product, the pool of a code, or what is to be done for a custom one.
        shown_once: Of a code: only the till's answer has it.
        reused: Of a code: after a reversal the next member gets it.
        auto: Whether it is redeemed by itself as soon as a member has the points.
        stock: Whether a stock is kept; how much is left is a row of its own, which tills write.
        stock_low: `reward.stock_low` is told when so many are left.
        tiers: Codes of the levels it is for; empty means all.
        segments: Members of one of these have it; empty means all.
        not_in_segments: Members of one of these do not.
        starts_on, ends_on: ISO dates in the program's zone, both inclusive.
    """

    code: str
    name: str
    cost: int
    gives: RewardKind
    tier_costs: Mapping[str, int] = field(default_factory=dict, hash=False)
    amount: int = 0
    percent: str = ""
    what: str = ""
    shown_once: bool = False
    reused: bool = False
    auto: bool = False
    stock: bool = False
    stock_low: tuple[int, ...] = ()
    per_member: PerMember | None = None
    tiers: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    not_in_segments: tuple[str, ...] = ()
    starts_on: str | None = None
    ends_on: str | None = None

    @property
    def pool(self) -> str:
        """The pool from which it gives a code; empty for other kinds."""
        return self.what if self.gives == "code_from_pool" else ""

    @property
    def asks_segments(self) -> bool:
        """Tell whether it matters in which segments the member is."""
        return bool(self.segments or self.not_in_segments)

    def cost_for(self, level: str) -> int:
        """Give its price for members of a level."""
        return self.tier_costs.get(level, self.cost)


@dataclass(frozen=True, slots=True)
class Payment:
    """How members may pay with points.

    Attributes:
        least: The fewest points.
        step: Points are taken in multiples of this.
        max_share: At most this part of an order's amount, as a decimal string of percent; None
            where the order's amount need not be known.
    """

    least: int = 1
    step: int = 1
    max_share: str | None = None


ANY_PAYMENT: Final = Payment()
