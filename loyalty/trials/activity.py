"""What a member did by day, while their history is lived again. Pure."""

from bisect import bisect_left, insort
from datetime import date
from typing import Literal

from loyalty.orders.rules import all_returned
from loyalty.trials.past import Past

_PLACE = {"spend": 0, "points": 1, "orders": 2}


class Activity:
    """Sums by day; begins with what was there before the first order that is decided anew.

    Attributes:
        orders: All orders so far that were paid and did not come back altogether.
    """

    def __init__(self, past: Past) -> None:
        """Take from the days' sums what the orders from the first one on have added."""
        self._sums: dict[date, list[int]] = {}
        self._days: list[date] = []
        self._last: tuple[int, str, int] = (-1, "", 0)
        self.orders = 0
        for day in past.activity:
            self.add(day.day, day.spend, day.points, day.orders)
        for order in past.orders:
            if order.state == "paid":
                gone = all_returned(order.lines)
                self.add(order.day, -order.net_amount, -order.kept, 0 if gone else -1)

    def add(self, day: date, spend: int, points: int, orders: int) -> None:
        """Add to a day."""
        sums = self._sums.get(day)
        if sums is None:
            sums = self._sums[day] = [0, 0, 0]
            insort(self._days, day)
        sums[0] += spend
        sums[1] += points
        sums[2] += orders
        self.orders += orders
        self._last = (-1, "", 0)

    def sum_from(self, start: date, what: Literal["spend", "points", "orders"]) -> int:
        """Sum up from a day on; nearly every night it is the same sum as the night before."""
        first = bisect_left(self._days, start)
        if self._last[:2] != (first, what):
            place = _PLACE[what]
            total = sum(self._sums[day][place] for day in self._days[first:])
            self._last = (first, what, total)
        return self._last[2]

    def rows(self) -> list[tuple[date, int, int, int]]:
        """Give all days as the database would."""
        return [(day, *self._sums[day]) for day in self._days]  # type: ignore[misc]
