"""Give points for a referral, and take them back: the same for the friend and the referrer."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from loyalty.earning.lots import new_lot, status_of
from loyalty.earning.rules import Award
from loyalty.earning.services import give_back, taken_by
from loyalty.engine.load import lot_of
from loyalty.engine.session import MemberWork
from loyalty.ledger import rules as ledger
from loyalty.ledger.clawback import ClawedBack, claw_back
from loyalty.ledger.rules import LotState
from loyalty.referrals.rules import Gift


def give(
    work: MemberWork,
    award: Award,
    *,
    occurred_at: datetime,
    about: dict[str, Any],
    order: str = "",
) -> tuple[Gift, LotState]:
    """Give the points of an award that is not empty as a lot of their own.

    They can be used when the points of the friend's order can: who returns it within the days of
    maturity has had nothing of it.

    Args:
        about: What the ledger says of the referral.
        order: The member's own order that it is about.
    """
    number = work.next_number()
    lot = new_lot(work, occurred_at, is_activity=bool(order))
    ledger.earn(work.books, transaction=number, lot=lot, points=award.points, now=work.now)
    work.transaction(
        "earn",
        number=number,
        points=award.points,
        occurred_at=occurred_at,
        source_ref=order,
        explanation={
            "applied": award.explanation,
            "not_applied": award.not_applied,
            "referral": about,
        },
    )
    _tell(work, award, number, lot, occurred_at, order)
    return Gift(work.member_id, number, lot.number, award.points, taken_by(award)), lot


def _tell(
    work: MemberWork,
    award: Award,
    number: int,
    lot: LotState,
    occurred_at: datetime,
    order: str,
) -> None:
    status = status_of(lot, work)
    data = {"transaction": work.public_id("txn", number), "points": award.points}
    times = {
        "active_at": lot.active_at.isoformat(),
        "expires_at": lot.expires_at.isoformat() if lot.expires_at else None,
    }
    work.event(
        "points.pending" if status == "pending" else "points.earned",
        {**data, **times},
        kind="referral",
        order=order or None,
        rules=[entry["rule"] for entry in award.explanation],
        occurred_at=occurred_at,
    )
    if status == "expired":
        work.event("points.expired", data, kind="referral", order=order or None)


def take_gift_back(
    work: MemberWork, gift: Gift, lots: Sequence[dict[str, Any]], *, about: dict[str, Any],
    order: str = "",
) -> ClawedBack:  # fmt: skip
    """Take back what a referral gave, as the program's claw-back says; give back limits too.

    Args:
        lots: As they were read; what this run has done to them is in the member's books.
    """
    if gift.points <= 0:
        return ClawedBack()
    work.add_lots([lot_of(lot) for lot in lots])
    mine = gift.awarded_to == work.member_id
    wanted = {lot["number"] for lot in lots} | ({gift.lot_number} if mine else set())
    own = sorted(
        (lot for lot in work.books.lots.values() if wanted & {lot.number, lot.origin or -1}),
        key=lambda lot: -lot.number,
    )
    number = work.next_number()
    taken = claw_back(
        work.books,
        transaction=number,
        lots=own,
        points=gift.points,
        policy=work.program.points.clawback,
        now=work.now,
    )
    give_back(work, gift.taken)
    work.transaction(
        "claw_back",
        number=number,
        points=-taken.total,
        source_ref=order,
        reverses=gift.transaction_number if mine else None,
        explanation={"referral": about, "debt": taken.debt, "written_off": taken.written_off},
    )
    work.event(
        "points.clawed_back",
        {
            "transaction": work.public_id("txn", number),
            "points": gift.points,
            "debt": taken.debt,
            "written_off": taken.written_off,
            "from_other_lots": taken.from_others,
        },
        kind="referral",
        order=order or None,
    )
    return taken
