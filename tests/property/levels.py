"""Levels on paper: how a member rises, is warned, is renewed and falls.

Written from docs/decisions/0009, not from loyalty/tiers/rules.py: days of purchases are looked
through one by one, and what a night does is a list of cases.
"""

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

DAY = timedelta(days=1)
NAMES = ("bronze", "silver", "gold")
Spent = Mapping[date, int]


@dataclass(frozen=True)
class Terms:
    """What the programs of the machine differ in.

    Attributes:
        window: Months whose purchases count.
        valid: Months for which a level is kept whatever comes; 0: no longer than it is earned.
        grace, warning: Days after the end of a level, and before it.
        keeps: The place of the level below which nobody falls who has reached it.
    """

    downgrade: str
    window: int = 2
    valid: int = 0
    grace: int = 0
    warning: int = 0
    keeps: int = 0
    from_: tuple[int, ...] = (0, 150, 400)

    def entry(self) -> dict[str, Any]:
        """Write them as a program has them."""
        levels = [
            {"code": name, "from": f"{spent}.00", "earn_multiplier": str(place + 1)}
            for place, (name, spent) in enumerate(zip(NAMES, self.from_, strict=True))
        ]
        if self.keeps:
            levels[self.keeps]["keep"] = True
        return {
            "qualify_by": "spend",
            "window": {"rolling_months": self.window},
            "levels": levels,
            "downgrade": self.downgrade,
            "grace_days": self.grace,
            "warning_days": self.warning,
            **({"validity": {"months": self.valid}} if self.valid else {}),
        }

    def reached(self, spent: int) -> int:
        return max(place for place, least in enumerate(self.from_) if least <= max(spent, 0))

    def lowest(self, place: int) -> int:
        if self.downgrade == "never":
            return place
        return self.keeps if place >= self.keeps else 0


def later(day: date, months: int) -> date:
    """So many months later, or earlier; the last day of a month that is too short."""
    year, month = divmod(12 * day.year + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


@dataclass
class Standing:
    """Where a member stands, since when, until when for sure, and until when by grace."""

    terms: Terms
    place: int = 0
    since: date = date.min
    valid: date | None = None
    grace: date | None = None

    @property
    def said(self) -> list[str | None]:
        """As the member's row says it."""
        days = [day and str(day) for day in (self.valid, self.grace)]
        return [NAMES[self.place], *days]

    def rise(self, spent: Spent, today: date) -> None:
        """A purchase counts at once; days that have begun elsewhere count, too."""
        first = later(today, -self.terms.window)
        reached = self.terms.reached(sum(n for day, n in spent.items() if day > first))
        if reached > self.place:
            valid = later(today, self.terms.valid) if self.terms.valid else None
            self.place, self.since, self.valid, self.grace = reached, today, valid, None

    def spent_by(self, spent: Spent, last: date) -> int:
        first = later(last, -self.terms.window)
        return sum(n for day, n in spent.items() if first < day <= last)

    def night(self, spent: Spent, today: date) -> str:
        """What a night does; returns its name, for the count of what a run has seen."""
        if self.place <= self.terms.lowest(self.place) or self.since >= today:
            return "kept"
        least = self.terms.from_[self.place]
        if self.valid is not None and today <= self.valid:
            return self.before_its_end(self.spent_by(spent, self.valid) >= least, today)
        for judged in (self.valid or today, today):
            if self.spent_by(spent, judged) >= least:
                return self.renewed(judged, today) if self.valid or self.grace else "kept"
        if self.grace is None and self.terms.grace:
            self.grace = today + self.terms.grace * DAY
            return "warned"
        if self.grace is not None and today <= self.grace:
            return "kept"
        return self.fallen(self.spent_by(spent, today), today)

    def before_its_end(self, earned: bool, today: date) -> str:
        assert self.valid is not None
        if earned:
            return self.renewed(self.valid, today) if self.grace else "kept"
        if self.grace or not self.terms.warning or today < self.valid - self.terms.warning * DAY:
            return "kept"
        self.grace = self.valid + self.terms.grace * DAY
        return "warned"

    def renewed(self, judged: date, today: date) -> str:
        self.valid, self.grace = self.next_end(judged, today), None
        return "renewed"

    def fallen(self, spent: int, today: date) -> str:
        one = self.terms.downgrade == "one_level"
        to = max(
            self.place - 1 if one else self.terms.reached(spent), self.terms.lowest(self.place)
        )
        self.valid = self.next_end(self.valid or today, today) if to else None
        self.place, self.since, self.grace = to, today, None
        return f"fallen to {NAMES[to]}"

    def next_end(self, judged: date, today: date) -> date | None:
        """It goes on from the day as of which it was judged, or, where that is over, from now."""
        if not self.terms.valid:
            return None
        over = max(self.valid or date.min, today - DAY)
        end = later(judged, self.terms.valid)
        return end if end > over else later(over + DAY, self.terms.valid)


TERMS = {
    ("debt", "expire"): Terms("one_level"),
    ("debt", "grace"): Terms("never", window=1),
    ("within_balance", "expire"): Terms("recalculate", valid=1, grace=10, warning=7),
    ("within_balance", "grace"): Terms("recalculate", window=1, grace=5),
    ("write_off", "expire"): Terms("one_level", valid=1, grace=3, keeps=1),
    ("write_off", "grace"): Terms("one_level", window=1, valid=2, warning=10),
}
"""Each policy of points goes with one of levels: all pairs would take too long."""
