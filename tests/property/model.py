"""What a shop owner would write on paper: the reference for the random machine.

Written from the design, not from loyalty/ledger/rules.py: it knows lots, buckets and policies as
plain numbers, decides with loops, and does not know postings, rows or SQL. It refuses by raising
`No` with the code of the refusal before anything has changed.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.property.levels import TERMS, Standing, Terms

BUCKETS = (
    "granted", "pending", "available", "held", "redeemed", "expired", "revoked", "settled", "moved"
)  # fmt: skip
NEW_YORK = ZoneInfo("America/New_York")
BY_INACTIVITY = (("write_off", "expire"), ("within_balance", "grace"))
NEVER = datetime(9999, 1, 1, tzinfo=UTC)


class No(Exception):
    """A refusal, by its code."""


@dataclass
class Policy:
    """What the programs of the machine differ in."""

    clawback: str
    lapsed: str
    months: int = 1
    maturity_days: int = 0
    grace_days: int = 14
    hold_minutes: int = 30
    late_days: int = 60
    zone: ZoneInfo = NEW_YORK
    rewards: dict[str, int] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)

    @property
    def terms(self) -> Terms:
        return TERMS[self.clawback, self.lapsed]

    @property
    def inactivity(self) -> bool:
        return (self.clawback, self.lapsed) in BY_INACTIVITY

    @property
    def expiry(self) -> dict[str, int]:
        return {"inactivity_months" if self.inactivity else "months": self.months}

    @property
    def longest_pause(self) -> int:
        return 45 if self.inactivity else 25

    def day(self, moment: datetime) -> date:
        return moment.astimezone(self.zone).date()

    def midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), self.zone).astimezone(UTC)

    def ends(self, earned: datetime) -> datetime:
        day = self.day(earned)
        month = day.month + self.months
        year, month = day.year + (month - 1) // 12, (month - 1) % 12 + 1
        last = (date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)).day
        return self.midnight(date(year, month, min(day.day, last)) + timedelta(days=1))

    def starts(self, earned: datetime) -> datetime:
        if not self.maturity_days:
            return earned
        return self.midnight(self.day(earned) + timedelta(days=self.maturity_days))


class Lot:
    """Points that were earned together."""

    def __init__(self, starts: datetime, ends: datetime | None, order: str | None = None) -> None:
        self.starts, self.ends, self.order = starts, ends, order
        self.slides = False
        self.at = dict.fromkeys(BUCKETS, 0)

    def give(self, bucket: str, n: int) -> None:
        self.at["granted"] += n
        self.at[bucket] += n

    def move(self, source: str, destination: str, n: int) -> None:
        assert 0 <= n <= self.at[source], (self.at, source, n)
        self.at[source] -= n
        self.at[destination] += n

    def alive(self, now: datetime) -> bool:
        return self.ends is None or self.ends > now

    def copy(self) -> "Lot":
        twin = Lot(self.starts, self.ends, self.order)
        twin.slides = self.slides
        twin.at = dict(self.at)
        return twin


@dataclass
class Take:
    """A redemption: which lot (by place) gave how much, and what became of it."""

    number: int
    points: int
    reward: str | None
    ends: datetime | None
    state: str
    held: dict[int, int] = field(default_factory=dict)
    spent: dict[int, int] = field(default_factory=dict)
    captured: int = 0
    back: int = 0


@dataclass
class Line:
    """A line of an order: dollars a piece, points a piece, how many, how many came back."""

    price: int
    quantity: int
    produce: bool
    worth: int = 0
    returned: int = 0

    @property
    def facts(self) -> tuple[Any, ...]:
        return self.price, self.quantity, self.produce


@dataclass
class Bill:
    """An order in its present state."""

    member: str
    at: datetime
    lines: list[Line]
    state: str = "paid"
    revision: int = 0
    kept: int = 0
    priced: bool = False
    returns: dict[str, Any] = field(default_factory=dict)

    @property
    def spend(self) -> int:
        return sum(one.price * (one.quantity - one.returned) for one in self.lines)

    @property
    def worth(self) -> int:
        return sum(one.worth * (one.quantity - one.returned) for one in self.lines)


class Member:
    """One member's paper."""

    def __init__(self, policy: Policy, now: datetime) -> None:
        self.policy = policy
        self.lots: list[Lot] = []
        self.takes: dict[str, Take] = {}
        self.debt = 0
        self.lifetime = 0
        self.frozen = False
        self.standing = Standing(policy.terms)
        self.days: dict[date, int] = {}
        self.last = now
        self.until: datetime | None = None
        self.carry(now, now)

    def copy(self) -> "Member":
        twin = Member(self.policy, self.last)
        twin.__dict__.update(self.__dict__)
        twin.lots = [lot.copy() for lot in self.lots]
        twin.takes = {
            name: Take(**{**vars(take), "held": dict(take.held), "spent": dict(take.spent)})
            for name, take in self.takes.items()
        }
        twin.days = dict(self.days)
        twin.standing = replace(self.standing)
        return twin

    def total(self, bucket: str) -> int:
        return sum(lot.at[bucket] for lot in self.lots)

    def wallet(self) -> dict[str, int]:
        found = {name: self.total(name) for name in ("pending", "available", "held")}
        return {**found, "debt": self.debt, "lifetime_earned": self.lifetime}

    # Time

    def is_due(self, now: datetime) -> bool:
        if self.until is not None and self.until <= now:
            return True
        if any(take.state == "held" and take.ends <= now for take in self.takes.values()):
            return True
        ready = any(lot.at["pending"] and lot.starts <= now for lot in self.lots)
        return ready or any(lot.at["available"] and not lot.alive(now) for lot in self.lots)

    def catch_up(self, now: datetime) -> None:
        """Lapse, mature and expire what is due."""
        due = [t for t in self.takes.values() if t.state == "held" and t.ends <= now]
        for take in sorted(due, key=lambda t: (t.ends, t.number)):
            self.let_go(take, take.ends)
            take.state = "lapsed"
        ready = [lot for lot in self.lots if lot.at["pending"] and lot.starts <= now]
        for lot in sorted(ready, key=lambda lot: lot.starts):
            lot.move("pending", "available", lot.at["pending"])
            if lot.alive(now):
                self.repay(lot)
        if self.until is not None and self.until <= now:
            self.until = None
            for lot in self.lots:
                lot.slides = False
        for lot in self.lots:
            if not lot.alive(now):
                lot.move("available", "expired", lot.at["available"])

    def carry(self, acted: datetime, now: datetime) -> None:
        """Whoever does something keeps all points for as long again."""
        ends = self.policy.ends(acted)
        if self.policy.inactivity and ends > now and (self.until is None or ends > self.until):
            self.until = ends
            for lot in self.lots:
                if lot.slides:
                    lot.ends = ends

    def repay(self, lot: Lot) -> None:
        n = min(self.debt, lot.at["available"])
        lot.move("available", "settled", n)
        self.debt -= n

    # Points

    def give(
        self, n: int, starts: datetime, earned: datetime, now: datetime, order: Any = None
    ) -> None:
        """Points that end as the program says, by when they were earned."""
        if self.policy.inactivity and self.until is None:
            self.carry(earned, now)
        lot = Lot(starts, self.until or self.policy.ends(earned), order)
        lot.slides = self.until is not None
        self.put(lot, n, now)

    def put(self, lot: Lot, n: int, now: datetime) -> None:
        self.lots.append(lot)
        self.lifetime += n
        if lot.starts > now:
            lot.give("pending", n)
        elif not lot.alive(now):
            lot.give("expired", n)
        else:
            lot.give("available", n)
            self.repay(lot)

    def queue(self, now: datetime) -> list[int]:
        """Places of lots that can pay: what ends first pays first, then the older one."""
        can = [i for i, lot in enumerate(self.lots) if lot.at["available"] and lot.alive(now)]
        return sorted(can, key=lambda i: (self.lots[i].ends or NEVER, i))

    def pick(self, n: int, now: datetime) -> dict[int, int]:
        picked = {}
        for i in self.queue(now):
            picked[i] = min(n, self.lots[i].at["available"])
            n -= picked[i]
            if not n:
                return picked
        raise No("insufficient_points")

    def by_end(self, uses: dict[int, int], *, last_first: bool = False) -> list[int]:
        return sorted(uses, key=lambda i: (self.lots[i].ends or NEVER, i), reverse=last_first)

    def come_back(self, i: int, source: str, n: int, now: datetime) -> None:
        """Points come back to the lot at place i, or to a grace lot, or they expire."""
        lot = self.lots[i]
        if lot.alive(now):
            lot.move(source, "available", n)
        elif self.policy.lapsed == "expire":
            lot.move(source, "expired", n)
        else:
            lot.move(source, "moved", n)
            grace = Lot(now, now + timedelta(days=self.policy.grace_days), lot.order)
            grace.give("available", n)
            self.lots.append(grace)

    def let_go(self, take: Take, now: datetime) -> None:
        for i in self.by_end(take.held):
            self.come_back(i, "held", take.held[i], now)
        take.held = {}

    def take_away(self, n: int, order: str, now: datetime) -> None:
        """Claw back n points that an order earned: from its own lots, the newest first."""
        for lot in reversed([lot for lot in self.lots if lot.order == order]):
            for bucket in ("pending", "available"):
                part = min(n, lot.at[bucket])
                lot.move(bucket, "revoked", part)
                n -= part
        if self.policy.clawback == "within_balance":
            for i in self.queue(now):
                part = min(n, self.lots[i].at["available"])
                self.lots[i].move("available", "revoked", part)
                n -= part
        if self.policy.clawback == "debt":
            self.debt += n

    # Orders

    def price(self, lines: list[Line]) -> None:
        """A point per dollar, twice for produce; each level gets the dollars once more."""
        for one in lines:
            one.worth = one.price * (1 + one.produce + self.standing.place)

    def count(self, bill: Bill, sign: int) -> None:
        if bill.state == "paid":
            day = self.policy.day(bill.at)
            self.days[day] = self.days.get(day, 0) + sign * bill.spend

    def rise(self, now: datetime) -> None:
        self.standing.rise(self.days, self.policy.day(now))

    def set_worth(self, name: str, bill: Bill, wanted: int, now: datetime) -> None:
        change = wanted - bill.kept
        bill.kept = wanted
        if change > 0:
            self.carry(bill.at, now)
            self.give(change, self.policy.starts(bill.at), bill.at, now, name)
        elif change < 0:
            self.take_away(-change, name, now)
