"""A published program as read-only values: what every decision reads, and nothing else.

Pure: no Django, no clock, no database. `loyalty.programs.selectors` builds these from the stored
document of a version, once per process and version (design: docs/decisions/0002).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

from loyalty.programs.earning import Campaign as Campaign
from loyalty.programs.earning import Conditions as Conditions
from loyalty.programs.earning import EarningRule as EarningRule
from loyalty.programs.earning import Limit as Limit
from loyalty.programs.rewards import ANY_PAYMENT
from loyalty.programs.rewards import Payment as Payment
from loyalty.programs.rewards import PerMember as PerMember
from loyalty.programs.rewards import Reward as Reward

Rounding = Literal["down", "nearest", "up"]


@dataclass(frozen=True, slots=True)
class Expiry:
    """When a lot expires. Exactly one of `months`, `inactivity_months` and `dates` is set.

    Attributes:
        months: Calendar months after the order, in the program's zone, end of that day.
        until: Whether the lot lives on to the end of that day's month or year.
        dates: Fixed dates as (month, day); a lot expires at the end of the next one.
        inactivity_months: Calendar months after the member's last activity, end of that day: all
            lots of a member that are given under it move together.
    """

    months: int | None = None
    until: Literal["day", "end_of_month", "end_of_year"] = "day"
    dates: tuple[tuple[int, int], ...] = ()
    inactivity_months: int | None = None


@dataclass(frozen=True, slots=True)
class PointsPolicy:
    """How points of the program's one point currency behave.

    Attributes:
        value_points: So many points ...
        value_amount: ... are worth this amount, in minor units of the program's currency.
        accept_late_days: How far back an order's `occurred_at` may lie.
        adjustment_limit: How many points one person may adjust for a member in 24 hours; for more,
            a second one must approve. None is no limit.
        orders_per_hour: More orders of one member in an hour raise `fraud.signal`; None: never.
        adjustments_per_hour: The same of adjustments by one key or person.
        lapsed: What becomes of held or reinstated points whose lot expired meanwhile:
            they expire, or they come back in a grace lot of `lapsed_grace_days`.
    """

    name: str
    rounding: Rounding = "down"
    basis: Literal["net"] = "net"
    value_points: int = 100
    value_amount: int = 100
    maturity_days: int = 0
    hold_minutes: int = 30
    unknown_member: Literal["refuse", "enrol"] = "refuse"
    expiry: Expiry | None = None
    clawback: Literal["debt", "within_balance", "write_off"] = "debt"
    expiring_notice_days: tuple[int, ...] = (30, 7)
    inactive_notice_days: tuple[int, ...] = ()
    accept_late_days: int = 400
    adjustment_limit: int | None = None
    orders_per_hour: int | None = None
    adjustments_per_hour: int | None = None
    lapsed: Literal["expire", "grace"] = "expire"
    lapsed_grace_days: int = 14
    pay: Payment = ANY_PAYMENT


@dataclass(frozen=True, slots=True)
class TierLevel:
    """One level. `threshold` is in minor units for spend, in points or orders otherwise.

    Attributes:
        keep: Whether it is never lost once it is reached.
        perks: What else its members have, as text for them to read.
        rewards: Codes of the rewards that are issued to whoever comes to it.
        free_redemptions: How many of a reward its members get for nothing in a calendar year.
    """

    code: str
    name: str
    threshold: int
    earn_multiplier: Fraction = Fraction(1)
    keep: bool = False
    perks: tuple[str, ...] = ()
    rewards: tuple[str, ...] = ()
    free_redemptions: Mapping[str, int] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class TierPolicy:
    """How members rise and fall; `levels` are sorted by threshold, the first one is the ground.

    Attributes:
        validity: How long a level is kept, whatever comes: only while the metric suffices, for
            `validity_months`, or to the end of this or the next year.
        grace_days: After the validity, and after the warning where there is none.
        warning_days: So many days before the end of the validity.
        on_return: Whether a return can take a level back at once.
    """

    levels: tuple[TierLevel, ...]
    qualify_by: Literal["spend", "points", "orders"] = "spend"
    window: Literal["rolling", "calendar_year", "membership_year"] = "rolling"
    rolling_months: int = 12
    downgrade: Literal["one_level", "recalculate", "never"] = "one_level"
    grace_days: int = 30
    validity: Literal["while_qualifying", "months", "end_of_year", "end_of_next_year"] = (
        "while_qualifying"
    )
    validity_months: int = 12
    warning_days: int = 30
    on_return: Literal["keep", "recalculate"] = "keep"


@dataclass(frozen=True, slots=True)
class PublishedProgram:
    """Everything that decisions read of a program, under its version number.

    Attributes:
        currency_scale: Decimal places of `currency` (2 for USD, 0 for JPY); amounts everywhere
            in rules are integers in minor units.
        stores: Name by code.
        earning_rules: Standing rules, then those of the campaigns.
        rewards: Reward by code.
        activities: What members may do besides buying; each is named by some rule.
        campaigns: Campaign by code.
        levels: Tier level by code; empty without tiers. Derived.
        derived: What domains work out of it once per version, by domain. Derived.
    """

    id: int
    code: str
    name: str
    version: int
    timezone: str
    currency: str
    currency_scale: int
    points: PointsPolicy
    stores: Mapping[str, str]
    earning_rules: tuple[EarningRule, ...]
    tiers: TierPolicy | None
    rewards: Mapping[str, Reward]
    activities: frozenset[str] = frozenset()
    campaigns: Mapping[str, Campaign] = field(default_factory=dict)
    levels: Mapping[str, TierLevel] = field(init=False, repr=False, compare=False)
    derived: dict[str, Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Derive once per version what every command would otherwise work out again."""
        levels = {level.code: level for level in self.tiers.levels} if self.tiers else {}
        object.__setattr__(self, "levels", levels)
        object.__setattr__(self, "derived", {})
