"""What the earning rules see: an order or another occasion, and the member. Pure values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType
from typing import NamedTuple

from loyalty.programs.earning import Period


class OrderLine(NamedTuple):
    """One line of an order.

    Attributes:
        amount: Net amount in minor units: after discounts, without tax. May be negative.
    """

    line: str
    sku: str
    quantity: str
    amount: int
    category: str
    brand: str


class Purchase(NamedTuple):
    """What the earning rules see of an order.

    Attributes:
        day, hour: The local date and hour of the order's `occurred_at` in the program's zone.
    """

    store: str
    channel: str
    day: date
    lines: tuple[OrderLine, ...]
    hour: int = 12


@dataclass(frozen=True, slots=True)
class Occasion:
    """What they see of everything else that earns: an activity, an enrolment, a birthday.

    Attributes:
        activity: Which one, where it is one.
        properties: Of the activity, as text.
        amount: Of the friend's order that converts a referral, net and in minor units.
    """

    day: date
    hour: int = 12
    activity: str = ""
    channel: str = ""
    store: str = ""
    properties: Mapping[str, str] = field(default_factory=dict)
    amount: int = 0


class UseKey(NamedTuple):
    """Which rule, in which period."""

    rule: str
    per: Period
    starts_on: date


class Used(NamedTuple):
    """What a member has had of a rule in a period."""

    times: int
    points: int


class Earner(NamedTuple):
    """What the earning rules see of a member; all of it before this order or occasion.

    Attributes:
        level: Code of the tier level; "" or an unknown one multiplies nothing.
        orders: How many orders were paid and did not come back altogether.
        used: What they have had of limited rules.
        budgets: Points left by campaign; one that is not listed has no end.
    """

    level: str = ""
    enrolled_on: date | None = None
    birth_date: date | None = None
    orders: int = 0
    segments: frozenset[str] = frozenset()
    used: Mapping[UseKey, Used] = MappingProxyType({})
    budgets: Mapping[str, int] = MappingProxyType({})


class Situation:
    """An occasion and its member, prepared once for the checks of all rules."""

    __slots__ = (
        "amounts",
        "birth_date",
        "brands",
        "budgets",
        "categories",
        "channel",
        "day",
        "earner",
        "hour",
        "member_age",
        "net",
        "properties",
        "seen_brands",
        "seen_categories",
        "skus",
        "store",
        "today",
        "weekday",
    )

    def __init__(self, occasion: Purchase | Occasion, earner: Earner) -> None:
        lines = occasion.lines if isinstance(occasion, Purchase) else ()
        day = occasion.day
        self.earner = earner
        self.day = day
        self.today = day.isoformat()
        self.weekday = day.isoweekday()
        self.hour = occasion.hour
        self.store = occasion.store
        self.channel = occasion.channel
        self.properties = {} if isinstance(occasion, Purchase) else occasion.properties
        self.amounts = [line.amount for line in lines]
        self.net = max(0, sum(self.amounts)) if lines else getattr(occasion, "amount", 0)
        self.skus = [line.sku for line in lines]
        self.categories = [line.category.upper() for line in lines]
        self.brands = [line.brand.upper() for line in lines]
        self.seen_categories = frozenset(self.categories)
        self.seen_brands = frozenset(self.brands)
        joined = earner.enrolled_on
        self.member_age = max(0, (day - joined).days) if joined else 0
        self.birth_date = earner.birth_date
        self.budgets = earner.budgets
