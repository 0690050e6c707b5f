"""Earning rules and campaigns as published: read-only values, and nothing else. Pure."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

Period = Literal["day", "week", "month", "year", "ever"]
Trigger = Literal[
    "order", "activity", "member.enrolled", "member.birthday", "member.anniversary", "referral"
]
Who = Literal["referrer", "friend"]


@dataclass(frozen=True, slots=True)
class Conditions:
    """When a rule applies; an empty set or None means "any".

    Attributes:
        sku: Line products, exactly as sent.
        category, brand: Of lines, compared as upper case.
        store, channel: Of the order.
        weekday: ISO numbers of local days: 1 is Monday.
        hour: Local time of day, (from, to) in full hours, without `to`; (22, 2) goes over midnight.
        order_amount_min, order_amount_max: Net amount of the whole order, in minor units.
        tier, segment: Codes, of which the member has one.
        not_in_segment: Codes, of which the member has none.
        member_age_min, member_age_max: Local days since the member joined.
        nth_order, every_order: The number of the order, or each so-many-th.
        birthday: On the member's birthday, or in its month.
        properties: Values of an activity's properties, by name.
    """

    sku: frozenset[str] = frozenset()
    category: frozenset[str] = frozenset()
    brand: frozenset[str] = frozenset()
    store: frozenset[str] = frozenset()
    channel: frozenset[str] = frozenset()
    weekday: frozenset[int] = frozenset()
    hour: tuple[int, int] | None = None
    order_amount_min: int | None = None
    order_amount_max: int | None = None
    tier: frozenset[str] = frozenset()
    segment: frozenset[str] = frozenset()
    not_in_segment: frozenset[str] = frozenset()
    member_age_min: int | None = None
    member_age_max: int | None = None
    nth_order: int | None = None
    every_order: int | None = None
    birthday: Literal["day", "month"] | None = None
    properties: tuple[tuple[str, frozenset[str]], ...] = ()

    @property
    def of_lines(self) -> bool:
        """Tell whether the rule is for some lines of an order only."""
        return bool(self.sku or self.category or self.brand)


@dataclass(frozen=True, slots=True)
class Limit:
    """How often, and how many points, one member may have of a rule in a period.

    Attributes:
        times, points: None is no limit of that kind; one of them at least is set.
        per: A period of the program's calendar; weeks begin on Monday.
    """

    times: int | None
    points: int | None
    per: Period


@dataclass(frozen=True, slots=True)
class EarningRule:
    """One rule; `kind` says which of the fields below it uses.

    Attributes:
        kind: base (`points` per `per` minor units, in whole steps or proportional), multiplier
            (`multiply`), or bonus (`bonus` points).
        trigger: What sets it off; only orders have base points and multipliers.
        activity: Of which activity, where one sets it off.
        who: Gets the points of a referral: who brought a friend, or the friend.
        group: Of the rules of a group only the best one counts; "" adds up.
        campaign: Code of the campaign that it belongs to; "" for a standing rule.
        starts_on, ends_on: ISO dates in the program's zone, both inclusive; None is always.
    """

    code: str
    kind: Literal["base", "multiplier", "bonus"]
    name: str = ""
    points: int = 0
    per: int = 0
    steps: Literal["whole", "proportional"] = "whole"
    multiply: Fraction = Fraction(1)
    bonus: int = 0
    trigger: Trigger = "order"
    activity: str = ""
    who: Who | None = None
    when: Conditions = Conditions()
    limit: Limit | None = None
    group: str = ""
    campaign: str = ""
    starts_on: str | None = None
    ends_on: str | None = None

    @property
    def occasion(self) -> str:
        """Name what sets it off, and of a referral for whom: referral.friend."""
        return f"{self.trigger}.{self.who}" if self.who else self.trigger


@dataclass(frozen=True, slots=True)
class Campaign:
    """Dated rules with a budget of points.

    Attributes:
        budget_points: None is without end; what is given of it is a row of its own.
        when_short: Whether the last points are given as a part of an award, or not at all.
    """

    code: str
    name: str
    starts_on: str
    ends_on: str
    budget_points: int | None = None
    when_short: Literal["reduce", "skip"] = "reduce"
