"""What members do with their points, done again in memory by the ledger's own rules."""

from collections.abc import Iterable
from datetime import datetime

from loyalty.engine.inactivity import lot_given
from loyalty.engine.session import MemberWork
from loyalty.engine.upkeep import lapsed_policy
from loyalty.errors import InsufficientPoints
from loyalty.ledger import rules as ledger
from loyalty.ledger.buckets import Bucket
from loyalty.ledger.clawback import claw_back
from loyalty.ledger.rules import LotState, Use
from loyalty.trials.past import EarlierUse, Move, PastOrder

LOTS_KEPT = 64
"""Emptied lots are forgotten when there are more: every step looks through all of them."""


class Purse:
    """One member's points. A hold counts as used from its beginning."""

    def __init__(self, work: MemberWork, earlier: Iterable[EarlierUse]) -> None:
        self.work = work
        self.spent: dict[int, list[Use]] = {}
        for use in earlier:
            lots = work.books.lots
            lots.setdefault(use.lot, _lot_of(use))
            if use.points > 0:
                self.spent.setdefault(use.redemption, []).append(Use(use.lot, use.points))

    def spend(self, points: int, redemption: int | None) -> bool:
        """Use points, those that end soonest first; return whether there were enough."""
        books = self.work.books
        try:
            uses = ledger.choose_lots(books, points=points, now=self.work.now)
        except InsufficientPoints:
            return False
        number = self.work.next_number()
        ledger.spend(books, transaction=number, uses=uses, to=Bucket.REDEEMED)
        if redemption is not None:
            self.spent.setdefault(redemption, []).extend(uses)
        return True

    def give_back(self, points: int, redemption: int) -> int:
        """Put points of a redemption back into their lots; none where it was not affordable.

        Returns:
            How many of them had expired meanwhile.
        """
        back = ledger.give_back(
            self.work.books,
            transaction=self.work.next_number(),
            redemption=redemption,
            uses=self._last_uses(points, redemption),
            source=Bucket.REDEEMED,
            lapsed=lapsed_policy(self.work),
            new_number=self.work.next_number,
            now=self.work.now,
        )
        return back.expired

    def take_back(self, points: int, order: int | None) -> None:
        """Take points of an earlier order or of a referral, as was done when it came to nothing.

        Args:
            order: None for a referral; its lot is one of those that belong to no order.
        """
        books = self.work.books
        lots = [lot for lot in books.lots.values() if lot.order_number == order]
        claw_back(
            books,
            transaction=self.work.next_number(),
            lots=sorted(lots, key=lambda lot: -lot.number),
            points=points,
            policy=self.work.program.points.clawback,
            now=self.work.now,
        )

    def _last_uses(self, points: int, redemption: int) -> list[Use]:
        uses, back = self.spent.get(redemption, []), []
        while uses and points:
            last = uses.pop()
            part = min(points, last.amount)
            back.append(Use(last.lot, part))
            points -= part
            if last.amount > part:
                uses.append(Use(last.lot, last.amount - part))
        return back

    def give(
        self, points: int, past: PastOrder | Move, *, at: datetime, is_activity: bool = False
    ) -> None:
        """Give points as they were given, with the end that they had.

        Args:
            past: What they were given for; it may have had no lot of its own.
            is_activity: Whether the member did something for it.
        """
        work = self.work
        if past.active_at is not None and not past.slides:
            lot = LotState(work.next_number(), past.active_at, past.expires_at)
        else:
            lot = lot_given(
                work, earned_at=at, active_at=past.active_at or at, is_activity=is_activity
            )
        number = work.next_number()
        ledger.earn(work.books, transaction=number, lot=lot, points=points, now=work.now)

    def forget(self) -> None:
        """Drop what the database would keep: postings, and lots that nobody needs any more."""
        books = self.work.books
        books.postings.clear()
        books.new_lots.clear()
        if len(books.lots) > LOTS_KEPT:
            needed = {use.lot for uses in self.spent.values() for use in uses}
            books.lots = {
                number: lot
                for number, lot in books.lots.items()
                if lot.pending or lot.available or number in needed
            }


def _lot_of(use: EarlierUse) -> LotState:
    return LotState(use.lot, use.active_at, use.expires_at, slides=use.slides)
