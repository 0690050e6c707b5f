"""Lots of what was earned: from when its points can be used, and until when."""

from datetime import datetime

from loyalty.engine.inactivity import lot_given
from loyalty.engine.session import MemberWork
from loyalty.ledger.rules import LotState
from loyalty.programs.expiry import active_at


def new_lot(
    work: MemberWork,
    occurred_at: datetime,
    order_number: int | None = None,
    *,
    is_activity: bool = True,
) -> LotState:
    """Make an empty lot of what happened then: when its points can be used, and until when.

    Args:
        is_activity: Whether the member did it, and not somebody else.
    """
    return lot_given(
        work,
        earned_at=occurred_at,
        active_at=active_at(work.program.points, occurred_at, work.program.timezone),
        is_activity=is_activity,
        order_number=order_number,
    )


def status_of(lot: LotState, work: MemberWork) -> str:
    """Say in a word where the points of a fresh lot are."""
    if lot.active_at > work.now:
        return "pending"
    return "available" if lot.lives(work.now) else "expired"
