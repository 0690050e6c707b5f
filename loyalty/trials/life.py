"""One member's second life: time, nights and levels; what is due happens by itself.

What the engine would write is counted instead of written.
"""

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from loyalty.earning.rows import segments_of
from loyalty.engine.activity import activity_of
from loyalty.engine.commands import Command, Decision
from loyalty.engine.inactivity import set_slide
from loyalty.engine.session import MemberWork, Session
from loyalty.engine.tables import ACTIVITY_DAY, LEDGER_TRANSACTION, TIER_CHANGE
from loyalty.engine.upkeep import settle_due
from loyalty.engine.writing import Rows
from loyalty.http.auth import Principal
from loyalty.ledger.rules import LotState, WalletState
from loyalty.nightly.commands import TIER_REVIEW, OneMember
from loyalty.orders.rules import (
    OrderRecord,
)
from loyalty.programs.expiry import expires_at, local_day
from loyalty.programs.rules import PublishedProgram, TierPolicy
from loyalty.tiers.windows import window_start
from loyalty.trials.activity import Activity
from loyalty.trials.past import Past, PastOrder
from loyalty.trials.purse import Purse

OWN_NUMBERS = 1 << 40
"""Numbers of what is decided anew begin here, beyond those of what happened."""
NIGHT = time(hour=2)
LONGEST_WARNING = timedelta(days=400)


@dataclass(slots=True)
class Awarded:
    """What an order, or joining, gives under the program that is tried."""

    day: date
    points: int
    rules: list[dict[str, Any]]
    past: PastOrder | None
    taken_back: int = 0


@dataclass(slots=True)
class LevelMove:
    """A rise or a fall, on the day of the purchase or the night that brought it."""

    day: date
    before: str
    after: str


@dataclass(slots=True)
class Outcome:
    """What a member's history comes to under the program that is tried."""

    awards: list[Awarded] = field(default_factory=list)
    moves: list[LevelMove] = field(default_factory=list)
    outstanding: int = 0
    level: str = ""
    expired: int = 0
    unaffordable: int = 0
    unaffordable_points: int = 0


class Life:
    """A member in memory, with a clock of their own."""

    def __init__(
        self,
        past: Past,
        program: PublishedProgram,
        live: PublishedProgram,
        begin: date,
        end: date,
        now: datetime,
    ) -> None:
        self.past = past
        self.program = program
        self.live = live
        self.period = (begin, end)
        self.end = now
        self.zone = ZoneInfo(program.timezone)
        self.ref = ("id", str(past.member_id))
        self.enrolled_on = local_day(past.enrolled_at, program.timezone)
        self.outcome = Outcome()
        self.today = date.min
        self.day = begin
        self.records: dict[int, tuple[OrderRecord, Awarded]] = {}
        self.activity = Activity(past)
        self.joins = past.first == 0
        self.session = Session(program=program, principal=_principal(program), now=past.enrolled_at)
        self.session.remember(segments_of(self.ref), past.segments)
        self.work = self._member()
        self.purse = Purse(self.work, past.uses)

    def _member(self) -> MemberWork:
        opening = self.past.opening
        wallet = WalletState(
            pending=sum(lot.pending for lot in opening),
            available=sum(lot.available for lot in opening),
            debt=sum(lot.debt for lot in opening),
        )
        work = MemberWork(
            self.session,
            member_id=self.past.member_id,
            status="active",
            event_seq=0,
            number_seq=OWN_NUMBERS,
            enrolled_at=self.past.enrolled_at,
            wallet=wallet,
        )
        work.books.complete = True
        work.birth_date = self.past.birth_date
        for lot in opening:
            if lot.number is not None and lot.active_at is not None:
                work.books.lots[lot.number] = LotState(
                    lot.number,
                    lot.active_at,
                    lot.expires_at,
                    pending=lot.pending,
                    available=lot.available,
                    order_number=lot.order,
                    slides=bool(lot.slides),
                )
        self._set_slide(work)
        self._set_level(work)
        self.session.add_member(work, [])
        return work

    def _set_slide(self, work: MemberWork) -> None:
        """Let lots that slide end where what the member had done by then had carried them."""
        ends = [lot.expires_at for lot in work.books.lots.values() if lot.slides and lot.expires_at]
        expiry = self.live.points.expiry
        until = max(ends, default=None)
        if expiry is not None and expiry.inactivity_months is not None:
            zone = self.live.timezone
            until = expires_at(expiry, earned_at=self.past.last_active, zone=zone)
        if ends and until is not None:
            set_slide(work, until)

    def _set_level(self, work: MemberWork) -> None:
        """Put the member where they were before their first order of the period."""
        if self.program.tiers is None:
            return
        work.level = self.program.tiers.levels[0].code
        if self.joins:
            return
        past = self.past
        changes = sorted(past.changes, key=lambda change: change.number)
        before = [change for change in changes if change.number < past.first]
        if before:
            last = before[-1]
            work.level, work.level_since, work.valid_until = last.after, last.at, last.valid_until
        elif changes:
            work.level = changes[0].before
        elif past.level and past.since:
            work.level, work.level_since = past.level, past.since
            work.valid_until = past.valid_until

    def warm_up(self) -> None:
        """Find out whether the member was warned already: history keeps only the levels."""
        first = min(self.past.orders, key=lambda order: order.number, default=None)
        if first is None or self.live.tiers is None or self.program.tiers is None:
            return
        work = self.work
        before = (work.level, work.level_since, work.valid_until)
        self._decide_under(self.live)
        day = local_day(first.recorded_at, self.live.timezone)
        since = local_day(work.level_since, self.live.timezone)
        self.today = max(since, day - LONGEST_WARNING)
        self._nights(day)
        if work.level != before[0]:  # it did not happen: the nights stood still then
            work.level, work.level_since, work.valid_until = before
            work.grace_until = None
        self._decide_under(self.program)
        self.today = date.min
        self.outcome.moves.clear()

    def _decide_under(self, program: PublishedProgram) -> None:
        self.session.program = self.work.program = program

    # Time

    def _set_clock(self, now: datetime) -> None:
        self.session.now = self.work.now = now

    def advance(self, at: datetime) -> None:
        """Let time pass up to a moment: nights, then what is due."""
        day = local_day(at, self.program.timezone)
        if day > self.today:
            if self.today != date.min:
                self._nights(day)
            self.today = day
            self._count_window()
        self._set_clock(max(at, self.session.now))
        settle_due(self.work)
        self.harvest()

    def _nights(self, day: date) -> None:
        """Review the level on the nights on which something can change."""
        tiers = self.session.program.tiers
        if tiers is None:
            return
        night = self.today + timedelta(days=1)
        while night <= day and self.work.level != tiers.levels[0].code:
            self.today = night
            self._count_window()
            if self._may_change(tiers):
                self._review(night)
            night += timedelta(days=1)

    def _may_change(self, tiers: TierPolicy) -> bool:
        """Tell whether a review could do anything tonight: nearly all do not."""
        work = self.work
        level = self.session.program.levels.get(work.level)
        if level is None or work.grace_until or work.earned_level:
            return True
        if work.valid_until is None:
            return tiers.validity != "while_qualifying" or work.metric < level.threshold
        return self.today >= work.valid_until - timedelta(days=tiers.warning_days)

    def _review(self, night: date) -> None:
        self.day = night
        self._set_clock(datetime.combine(night, NIGHT, self.zone))
        self.tell_activity()
        command = Command(TIER_REVIEW, OneMember(self.ref))
        TIER_REVIEW.decide(self.session, Decision(command, self.work))
        self.harvest()

    def tell_activity(self) -> None:
        """Let a decision find what the member has done so far."""
        asked = activity_of(self.ref, self.session.program)
        self.session.remember(asked, self.activity.rows())

    def _count_window(self) -> None:
        """Let the metric be that of the window which ends today."""
        tiers = self.session.program.tiers
        if tiers is None:
            return
        start = window_start(tiers, today=self.today, enrolled_on=self.enrolled_on)
        self.work.window_start = start
        self.work.metric = self.activity.sum_from(start, tiers.qualify_by)

    def harvest(self) -> None:
        """Count what would have been written, and forget it."""
        for table, found in self.work.rows.items():
            rows = map(table.named, found)
            if table is ACTIVITY_DAY:
                for row in rows:
                    self.activity.add(row["day"], row["spend"], row["points"], row["orders"])
            elif table is TIER_CHANGE:
                self.outcome.moves += [
                    LevelMove(self.day, row["from_level"], row["to_level"])
                    for row in rows
                    if row["from_level"] != row["to_level"]
                ]
            elif table is LEDGER_TRANSACTION:
                gone = [row["points"] for row in rows if row["kind"] == "expire"]
                self.outcome.expired -= sum(gone)
        self.work.rows = Rows()
        self.work.counted.clear()
        self.purse.forget()


def _principal(program: PublishedProgram) -> Principal:
    return Principal(key_id=0, program_id=program.id, name="backtest", scopes=frozenset())
