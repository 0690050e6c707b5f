"""Sum up what a backtest finds, member by member, in flat memory. Pure.

"Happened" is what the ledger has, "tried" what the other program would have given.
"""

import heapq
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

Side = Literal["happened", "tried"]
SIDES: tuple[Side, Side] = ("happened", "tried")

TOP = 20
"""So many of those who gain and who lose most are named."""

EDGES = (-1000, -500, -200, -100, -50, -20, -10, 0, 1, 11, 21, 51, 101, 201, 501, 1001)
"""Where the bars of the distribution begin: a change of 0 has one of its own."""


@dataclass(slots=True)
class Sums:
    """Points of one side."""

    issued: int = 0
    taken_back: int = 0

    @property
    def net(self) -> int:
        """Tell what is left after returns."""
        return self.issued - self.taken_back

    def document(self) -> dict[str, int]:
        """Write it for the result."""
        return {"issued": self.issued, "taken_back": self.taken_back, "net": self.net}


@dataclass(slots=True)
class Month:
    """One month of the period, by the days of the purchases."""

    orders: int = 0
    happened: Sums = field(default_factory=Sums)
    tried: Sums = field(default_factory=Sums)
    rises: Counter[str] = field(default_factory=Counter)
    falls: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True, order=True)
class Change:
    """What the program that is tried means for one member."""

    change: int
    member: str
    happened: int
    tried: int

    def document(self) -> dict[str, Any]:
        """Write it for the result."""
        return {
            "member": self.member,
            "happened": self.happened,
            "tried": self.tried,
            "change": self.change,
        }


class Tally:
    """All that a backtest counts; its size does not grow with the number of orders."""

    def __init__(self) -> None:
        self.months: defaultdict[str, Month] = defaultdict(Month)
        self.rules: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.orders = 0
        self.skipped: Counter[str] = Counter()
        self.members: Counter[str] = Counter()
        self.bars = [0] * (len(EDGES) + 1)
        self.gainers: list[Change] = []
        self.losers: list[Change] = []
        self.levels: Counter[tuple[str, str]] = Counter()
        self.expired: Counter[str] = Counter()
        self.unaffordable: Counter[str] = Counter()

    def month(self, day: date) -> Month:
        """Give the month of a day."""
        return self.months[day.isoformat()[:7]]

    def award(
        self,
        side: Side,
        day: date,
        *,
        issued: int,
        taken_back: int,
        rules: Iterable[Mapping[str, Any]],
    ) -> None:
        """Count what an order, or joining, gave."""
        sums: Sums = getattr(self.month(day), side)
        sums.issued += issued
        sums.taken_back += taken_back
        for rule in rules:
            self.rules[rule["rule"]][side] += rule["points"]

    def level_move(self, side: Side, day: date, *, rise: bool) -> None:
        """Count a rise or a fall."""
        month = self.month(day)
        (month.rises if rise else month.falls)[side] += 1

    def member(self, member: str, *, happened: int, tried: int) -> None:
        """Count a member by what changes for them."""
        change = tried - happened
        self.members["gain" if change > 0 else "lose" if change < 0 else "same"] += 1
        self.bars[bisect_right(EDGES, change)] += 1
        found = Change(abs(change), member, happened, tried)
        if change:
            _keep_largest(self.gainers if change > 0 else self.losers, found)

    def document(self) -> dict[str, Any]:
        """Write what was counted; plain values, to be stored and drawn."""
        totals = {side: Sums() for side in SIDES}
        for month in self.months.values():
            for side in SIDES:
                sums: Sums = getattr(month, side)
                totals[side].issued += sums.issued
                totals[side].taken_back += sums.taken_back
        return {
            "orders": self.orders,
            "skipped": dict(self.skipped),
            "totals": {side: totals[side].document() for side in SIDES},
            "months": [self._month(name) for name in sorted(self.months)],
            "rules": self._rules(),
            "members": {
                **{name: self.members[name] for name in ("gain", "lose", "same")},
                "bars": self._bars(),
                "gainers": _named(self.gainers, sign=1),
                "losers": _named(self.losers, sign=-1),
            },
            "levels": [
                {"happened": before, "tried": after, "members": count}
                for (before, after), count in sorted(self.levels.items())
            ],
            "expired": {side: self.expired[side] for side in SIDES},
            "unaffordable": dict(self.unaffordable),
        }

    def _month(self, name: str) -> dict[str, Any]:
        month = self.months[name]
        return {
            "month": name,
            "orders": month.orders,
            **{side: getattr(month, side).document() for side in SIDES},
            "rises": {side: month.rises[side] for side in SIDES},
            "falls": {side: month.falls[side] for side in SIDES},
        }

    def _rules(self) -> list[dict[str, Any]]:
        found = [
            {"rule": rule, **{side: points[side] for side in SIDES}}
            for rule, points in self.rules.items()
        ]
        return sorted(found, key=lambda rule: (-max(rule["happened"], rule["tried"]), rule["rule"]))

    def _bars(self) -> list[dict[str, Any]]:
        starts = (None, *EDGES)
        ends = (*(edge - 1 for edge in EDGES), None)
        return [
            {"from": start, "to": end, "members": count}
            for start, end, count in zip(starts, ends, self.bars, strict=True)
        ]


def _keep_largest(heap: list[Change], found: Change) -> None:
    if len(heap) < TOP:
        heapq.heappush(heap, found)
    else:
        heapq.heappushpop(heap, found)


def _named(heap: list[Change], *, sign: int) -> list[dict[str, Any]]:
    largest = sorted(heap, reverse=True)
    return [{**change.document(), "change": sign * change.change} for change in largest]
