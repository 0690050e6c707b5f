"""Live one member's history again under another program, in memory.

The same code decides as at the till: awards, lots, clawbacks, rises, the nightly review of
levels. Only the clock and the order of things come from history, and what would be written is
counted instead. What members did with their points (redemptions) they do again as far as their
points suffice; adjustments stay as they were.
"""

from collections.abc import Callable, Iterator
from datetime import date, datetime
from functools import partial

from loyalty.earning.rows import orders_of
from loyalty.earning.services import give_back, welcome_award
from loyalty.engine.activity import LevelAtReturn, count_activity, rise
from loyalty.engine.inactivity import carry_on
from loyalty.members.services import grant
from loyalty.orders.reading import award_for, new_order
from loyalty.orders.returns import claw_back, release
from loyalty.orders.rules import (
    all_returned,
    bought_line,
    net_spend,
    part_of,
    quantity_units,
    returned_of,
    take_part,
)
from loyalty.orders.schemas import Order
from loyalty.orders.services import record_paid
from loyalty.programs.rules import PublishedProgram
from loyalty.trials.life import Awarded, Life, Outcome
from loyalty.trials.past import Move, Past, PastOrder


def replay(
    past: Past,
    *,
    program: PublishedProgram,
    live: PublishedProgram,
    begin: date,
    end: date,
    now: datetime,
    budgets: dict[str, int],
) -> Outcome:
    """Live a member's history again; orders of the period are decided anew.

    Args:
        live: What was live before the period.
        begin, end: First and last day of the period, by the days of the purchases.
        now: The moment up to which the history goes on.
        budgets: What is taken of campaigns' budgets; members take from it one after another.
    """
    life = _Replay(past, program, live, begin, end, now)
    life.session.budgets = budgets
    return life.go()


class _Replay(Life):
    """What happened to one member, again, in its order."""

    def go(self) -> Outcome:
        """Do everything again in its order, up to now."""
        self._free_limits()
        if self.joins:
            self._join()
        else:
            self.warm_up()
        for _, at, again in sorted(self._history(), key=lambda entry: entry[0]):
            self.advance(at)
            again()
            self.harvest()
        self.advance(max(self.end, self.session.now))
        wallet = self.work.books.wallet
        self.outcome.outstanding = wallet.available + wallet.pending
        self.outcome.level = self.work.level
        return self.outcome

    def _free_limits(self) -> None:
        """Take out of the limits what the orders took that are decided anew."""
        self.work.used.update(self.past.used)
        for order in self.past.orders:
            if self._is_decided(order):
                give_back(self.work, order.taken)
        self.harvest()

    def _is_decided(self, order: PastOrder) -> bool:
        return order.state == "paid" and self.period[0] <= order.day <= self.period[1]

    def _history(self) -> Iterator[tuple[float, datetime, Callable[[], None]]]:
        for order in self.past.orders:
            if self._is_decided(order):
                yield order.number, order.recorded_at, partial(self._earn, order)
                yield from self._returns(order)
            elif order.state == "paid":
                yield order.number, order.recorded_at, partial(self._keep, order)
        for move in self.past.moves:
            yield move.number, move.recorded_at, partial(self._repeat, move)

    def _returns(self, order: PastOrder) -> Iterator[tuple[float, datetime, Callable[[], None]]]:
        """Returns come when they came; what an order's desired state took back, at once."""
        left = {line["line"]: returned_of(line) for line in order.lines if returned_of(line)}
        parts: list[tuple[float, dict[str, int]]] = []
        for known in order.returns.values():
            parts.append((known.get("after", order.number), known.get("units", {})))
            for line, units in known.get("units", {}).items():
                left[line] = left.get(line, 0) - units
        parts.append((order.number, {line: units for line, units in left.items() if units > 0}))
        for after, units in parts:
            if units:
                again = partial(self._take_back, order.number, units)
                yield after + 0.5, order.recorded_at, again

    def _earn(self, past: PastOrder) -> None:
        """Decide an order as the till did, under the program that is tried."""
        self.day = past.day
        order = Order.model_construct(
            ref=past.ref,
            store=past.store or None,
            channel=past.channel or None,
            occurred_at=past.occurred_at,
            currency=self.program.currency,
            lines=[],
        )
        lines = tuple(map(bought_line, past.lines))
        self.session.remember(orders_of(self.ref), [(self.activity.orders,)])
        award = award_for(self.work, self.ref, order, lines)
        record = new_order(self.work, order, ref=past.ref, lines=lines)
        record_paid(self.work, record, award)
        record.lots.clear()  # the books know them, and know better after the next redemption
        awarded = Awarded(past.day, award.points, award.explanation, past)
        self.outcome.awards.append(awarded)
        self.records[past.number] = (record, awarded)

    def _take_back(self, number: int, units: dict[str, int]) -> None:
        """Return lines of an order that was decided anew."""
        record, awarded = self.records[number]
        parts = [
            part_of(line, units=units[line["line"]])
            for line in record.lines
            if line["line"] in units and quantity_units(line["quantity"]) >= units[line["line"]]
        ]
        spent = net_spend(record.lines)
        for part in parts:
            take_part(part)
        points = sum(part.points for part in parts)
        claw_back(self.work, record, points, ref=record.ref, explanation={})
        gone = -1 if all_returned(record.lines) else 0
        if gone:
            release(self.work, record)
        spend = net_spend(record.lines) - spent
        self.tell_activity()
        level = LevelAtReturn(self.work, self.ref)
        count_activity(self.work, day=record.day, spend=spend, points=-points, orders=gone)
        level.follow(order=record.ref)
        awarded.taken_back += points

    def _keep(self, past: PastOrder) -> None:
        """Leave an order of another time as it is."""
        self.day = past.day
        carry_on(self.work, past.occurred_at)
        if past.kept > 0:
            self.purse.give(past.kept, past, at=past.occurred_at, is_activity=True)
        orders = 0 if all_returned(past.lines) else 1
        count_activity(
            self.work, day=past.day, spend=past.net_amount, points=past.kept, orders=orders
        )
        rise(self.work, kind="earn")

    def _join(self) -> None:
        """Give what the program that is tried gives for joining."""
        self.advance(self.past.enrolled_at)
        self.day = self.today
        carry_on(self.work, self.past.enrolled_at)
        self._free_budgets()
        for entry in welcome_award(self.work).explanation:
            points, rules = entry["points"], (entry["rule"],)
            grant(self.work, kind="earn", points=points, explanation={}, rules=rules)
            self.outcome.awards.append(Awarded(self.today, points, [entry], None))
        self.harvest()

    def _free_budgets(self) -> None:
        """Take out of the budgets what joining took, which is decided anew."""
        budgets = self.session.budgets
        for move in self.past.moves:
            for entry in move.rules if is_welcome(self.past, move) else ():
                if campaign := entry.get("campaign"):
                    budgets[campaign] = budgets.get(campaign, 0) - entry["points"]

    def _repeat(self, move: Move) -> None:
        """Do again what no order did: use points, get them back, be given some."""
        if move.kind == "expire" or is_welcome(self.past, move):
            return
        if move.acted_at is not None and move.points >= 0:
            carry_on(self.work, move.acted_at)
        if move.kind == "claw_back" and move.points < 0:
            self.purse.take_back(-move.points, move.order)
        elif move.points < 0:
            if not self.purse.spend(-move.points, move.redemption):
                self.outcome.unaffordable += 1
                self.outcome.unaffordable_points -= move.points
            elif move.acted_at is not None:
                carry_on(self.work, move.acted_at)
        elif move.points and move.redemption is not None:
            self.outcome.expired += self.purse.give_back(move.points, move.redemption)
        elif move.points:
            self.purse.give(move.points, move, at=move.acted_at or move.recorded_at)


def is_welcome(past: Past, move: Move) -> bool:
    """Tell whether points were given for joining, which is decided anew."""
    joined = past.first == 0 and move.recorded_at == past.enrolled_at
    return joined and move.kind == "earn" and not move.ref  # an activity has one
