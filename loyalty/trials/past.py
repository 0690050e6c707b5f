"""What a backtest knows of one member: their orders, and what else moved their points."""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

from loyalty.earning.situation import UseKey
from loyalty.tiers.windows import ActivityDay


@dataclass(slots=True)
class PastOrder:
    """An order as it is now, with what it earned.

    Attributes:
        points: All that it was given; `clawed_back` of it was taken back.
        taken: What it took of limits, as `earning.services.take` wrote it.
        rules: Points by rule, of its first award.
        active_at, expires_at, slides: Of its first lot, where it has one.
    """

    number: int
    ref: str
    store: str
    channel: str
    state: str
    occurred_at: datetime
    day: date
    net_amount: int
    lines: list[dict[str, Any]]
    points: int
    clawed_back: int
    returns: dict[str, Any]
    recorded_at: datetime
    taken: list[dict[str, Any]]
    rules: list[dict[str, Any]]
    active_at: datetime | None
    expires_at: datetime | None
    slides: bool | None

    @property
    def kept(self) -> int:
        """Tell what is left of its points after returns."""
        return self.points - self.clawed_back


@dataclass(slots=True)
class Move:
    """A ledger transaction of no order, or of one that is not decided anew.

    A redemption, an adjustment, a bonus for joining; the return of an earlier order.

    Attributes:
        acted_at: When the member did something that carries their points on; else None.
    """

    number: int
    kind: str
    points: int
    redemption: int | None
    order: int | None
    recorded_at: datetime
    ref: str
    acted_at: datetime | None
    active_at: datetime | None
    expires_at: datetime | None
    slides: bool | None
    rules: list[dict[str, Any]]


@dataclass(slots=True)
class OpeningLot:
    """What was left of a lot before the first order of the period; no number: a debt."""

    number: int | None
    order: int | None
    active_at: datetime | None
    expires_at: datetime | None
    slides: bool | None
    pending: int
    available: int
    debt: int


class EarlierUse(NamedTuple):
    """What a redemption had taken of a lot before the first order of the period."""

    redemption: int
    lot: int
    active_at: datetime
    expires_at: datetime | None
    slides: bool
    points: int


@dataclass(slots=True)
class LevelChange:
    """A rise, a fall or a renewal that happened."""

    number: int
    before: str
    after: str
    kind: str
    at: datetime
    valid_until: date | None


@dataclass(slots=True)
class Past:
    """One member's history from their first order of the period on.

    Attributes:
        first: The member's number from which on things are decided anew.
        level: The present level, since when and how long; none where there is no row of it.
        last_active: When they had last done something before that.
        outstanding: Points that they have now, pending ones included.
        activity, used: As it is now; what limits were used, by times and points.
        segments: Those that the member is in now, as rows.
    """

    member_id: UUID
    enrolled_at: datetime
    birth_date: date | None
    level: str | None
    since: datetime | None
    valid_until: date | None
    first: int
    outstanding: int
    last_active: datetime
    orders: list[PastOrder] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    opening: list[OpeningLot] = field(default_factory=list)
    uses: list[EarlierUse] = field(default_factory=list)
    activity: list[ActivityDay] = field(default_factory=list)
    used: dict[UseKey, tuple[int, int]] = field(default_factory=dict)
    changes: list[LevelChange] = field(default_factory=list)
    segments: list[tuple[str]] = field(default_factory=list)
