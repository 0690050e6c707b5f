"""Points that go from one member to another: out of a lot through transit into a new one.

Pure: works on the books of both in memory, like the other operations of `loyalty.ledger.rules`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loyalty.ledger.buckets import Bucket
from loyalty.ledger.rules import Books, LotState


@dataclass(slots=True)
class Moved:
    """What went over."""

    available: int = 0
    pending: int = 0
    debt: int = 0

    @property
    def points(self) -> int:
        """All points, usable and not yet."""
        return self.available + self.pending


def move_lots(
    giver: Books,
    taker: Books,
    *,
    out: int,
    into: int,
    lots: Sequence[LotState],
    continued: Callable[[LotState], LotState],
) -> Moved:
    """Move what lots have, pending and available, into new lots that continue them.

    What is held stays: a hold is settled where it was made. Whether the taker has room is for
    whoever may refuse to ask first: what comes back after a merge has no other place to go.

    Args:
        out: Number of the giver's ledger transaction.
        into: Number of the taker's.
        continued: Gives the taker's new lot, still empty, for one of the giver's.
    """
    moved = Moved()
    for lot in lots:
        target = taker.open_lot(continued(lot))
        for bucket, amount in ((Bucket.PENDING, lot.pending), (Bucket.AVAILABLE, lot.available)):
            if amount:
                giver.move(out, lot, bucket, Bucket.TRANSIT, amount)
                taker.move(into, target, Bucket.TRANSIT, bucket, amount)
        moved.pending += target.pending
        moved.available += target.available
    return moved


def move_debt(giver: Books, taker: Books, *, out: int, into: int, amount: int) -> None:
    """Hand a debt over; it is repaid by the next points that are earned, as before."""
    if amount:
        giver.move(out, None, Bucket.TRANSIT, Bucket.DEBT, amount)
        taker.move(into, None, Bucket.DEBT, Bucket.TRANSIT, amount)
