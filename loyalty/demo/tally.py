"""Counts what a replay did, and tells it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self

EXPLAINED = {
    "occurred_at_out_of_range": "receipts are older than the program takes: leave --keep-dates out,"
    " or set accept_late_days in the program to at least the receipts' age in days",
    "order_conflict": "these receipts are recorded already, with other dates or lines",
    "store_unknown": "the program lacks their stores: run it again with --make-program",
    "member_not_found": "the program refuses unknown cards, and these could not be enrolled",
}


@dataclass(slots=True)
class Tally:
    """What one till did, or all of them together.

    Attributes:
        orders: Recorded now; `known` were there already.
        points: Awarded for the orders recorded now.
        levels: The last level seen of each member, by household.
        refused: Refusals by code.
        milliseconds: How long each answer took.
    """

    orders: int = 0
    known: int = 0
    lines: int = 0
    points: int = 0
    retries: int = 0
    members: set[str] = field(default_factory=set)
    levels: dict[str, str] = field(default_factory=dict)
    redeemed: Counter[str] = field(default_factory=Counter)
    settled: Counter[str] = field(default_factory=Counter)
    returns: int = 0
    clawed_back: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    milliseconds: list[float] = field(default_factory=list)

    def add(self, other: Self) -> None:
        """Add what another till did."""
        for name in ("orders", "known", "lines", "points", "retries", "returns", "clawed_back"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.members |= other.members
        self.levels |= other.levels
        self.redeemed += other.redeemed
        self.settled += other.settled
        self.refused += other.refused
        self.milliseconds += other.milliseconds

    def told(self, seconds: float) -> Iterator[str]:
        """Tell all of it, a line each."""
        known = f"; {self.known:,} were recorded before" if self.known else ""
        yield f"orders     {self.orders:,} with {self.lines:,} lines{known}"
        yield f"members    {len(self.members):,}{_listed(Counter(self.levels.values()), ': ')}"
        yield f"points     {self.points:,} awarded for orders"
        redeemed = sum(self.redeemed.values())
        yield f"rewards    {redeemed:,} redeemed{_listed(self.redeemed, ': ')}"
        if self.settled:
            yield f"           {_listed(self.settled)}"
        yield f"returns    {self.returns:,}, {self.clawed_back:,} points taken back"
        sent = len(self.milliseconds)
        yield f"requests   {sent:,} in {seconds:.1f} s: {sent / max(seconds, 0.001):,.0f} a second"
        slow, slowest = percentile(self.milliseconds, 50), percentile(self.milliseconds, 99)
        again = f"; {self.retries:,} sent again" if self.retries else ""
        yield f"answers    p50 {slow:.1f} ms, p99 {slowest:.1f} ms{again}"
        yield f"refusals   {_listed(self.refused) or 'none'}"
        for code in self.refused:
            if code in EXPLAINED:
                yield f"           {code}: {EXPLAINED[code]}."


def percentile(values: Sequence[float], percent: int) -> float:
    """Give the value below which so many percent of the values lie; 0 where there are none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def _listed(counts: Counter[str], before: str = "") -> str:
    listed = ", ".join(f"{name} {count:,}" for name, count in counts.most_common())
    return before + listed if listed else ""
