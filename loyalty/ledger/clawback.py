"""Take back what a returned order earned: its own lots first, then as the program's policy says.

Pure: works on the books in memory, like the other operations of `loyalty.ledger.rules`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from loyalty.ledger.buckets import Bucket
from loyalty.ledger.rules import Books, LotsMissing, LotState, choose_lots, spend

Clawback = Literal["debt", "within_balance", "write_off"]


@dataclass(slots=True)
class ClawedBack:
    """How much a return took, and from where."""

    from_lots: int = 0
    from_others: int = 0
    debt: int = 0
    written_off: int = 0

    @property
    def total(self) -> int:
        """All that the member lost: taken or owed, without what was written off."""
        return self.from_lots + self.from_others + self.debt


def claw_back(
    books: Books,
    *,
    transaction: int,
    lots: Iterable[LotState],
    points: int,
    policy: Clawback,
    now: datetime,
) -> ClawedBack:
    """Take back what a returned order earned: from its own lots first, pending before available.

    What they no longer hold (spent, held, expired) is the shortfall: owed, paid by other lots,
    or written off, as the program's policy says. Nothing ever goes below zero.

    Args:
        lots: The lots of the order, those to take from first in front.
        points: Whole points, 1 or more.

    Raises:
        LotsMissing: Other lots must pay and not all were read.
    """
    own = list(lots)
    shortfall = points - sum(min(lot.pending + lot.available, points) for lot in own)
    if policy == "within_balance" and shortfall > 0 and not books.complete:
        raise LotsMissing
    result = ClawedBack()
    left = points
    for lot in own:
        left -= _revoke(books, transaction, lot, left, result)
    if left and policy == "within_balance":
        left -= _revoke_others(books, transaction, left, now, result)
    if left and policy == "debt":
        books.move(transaction, None, Bucket.DEBT, Bucket.REVOKED, left)
        result.debt = left
    elif left:
        result.written_off = left
    return result


def _revoke(books: Books, transaction: int, lot: LotState, points: int, result: ClawedBack) -> int:
    taken = 0
    for bucket, there in ((Bucket.PENDING, lot.pending), (Bucket.AVAILABLE, lot.available)):
        amount = min(there, points - taken)
        if amount:
            books.move(transaction, lot, bucket, Bucket.REVOKED, amount)
            taken += amount
    result.from_lots += taken
    return taken


def _revoke_others(
    books: Books, transaction: int, points: int, now: datetime, result: ClawedBack
) -> int:
    there = sum(lot.available for lot in books.spendable(now))
    amount = min(points, there)
    if amount:
        uses = choose_lots(books, points=amount, now=now)
        spend(books, transaction=transaction, uses=uses, to=Bucket.REVOKED)
        result.from_others += amount
    return amount
