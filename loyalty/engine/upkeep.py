"""What is due for a member is done before anything else is decided.

Holds past their time lapse, pending points mature, expired points expire: each with its ledger
transaction and its event. The nightly jobs run a command that does only this.
"""

from datetime import datetime, timedelta

from loyalty.engine.inactivity import end_slide
from loyalty.engine.session import MemberWork, OpenHold
from loyalty.engine.tables import CODE_BACK, REDEMPTION_STATE, STOCK
from loyalty.ledger.buckets import Bucket
from loyalty.ledger.rules import (
    Lapsed,
    due_to_expire,
    due_to_mature,
    expire,
    give_back,
    mature,
)


def settle_due(work: MemberWork) -> None:
    """Lapse, mature and expire what is due for this member; nothing is for most."""
    if not (work.due_holds or work.books.lots or work.slides_until):
        return
    for due in work.due_holds:
        lapse_hold(work, due)
    mature_due(work)
    expire_due(work)


def lapsed_policy(work: MemberWork, at: datetime | None = None) -> Lapsed:
    """Say what becomes of points that come back to an expired lot.

    Args:
        at: When they come back; now unless told.
    """
    policy = work.program.points
    if policy.lapsed == "expire":
        return Lapsed(None)
    return Lapsed((at or work.now) + timedelta(days=policy.lapsed_grace_days))


def lapse_hold(work: MemberWork, due: OpenHold) -> None:
    """Let go of a hold that nobody captured in time; its stock comes back too.

    It came to its end at its own time, however late this is: a lot that lived then takes its
    points back, and whether they have expired since is judged after it.
    """
    number = work.next_number()
    back = give_back(
        work.books,
        transaction=number,
        redemption=due.number,
        uses=due.uses,
        source=Bucket.HELD,
        lapsed=lapsed_policy(work, due.expires_at),
        new_number=work.next_number,
        now=due.expires_at,
    )
    due.released = due.amount - due.captured
    work.lapsed.add(due.number)
    work.transaction(
        "lapse",
        number=number,
        points=back.available + back.grace,
        redemption_number=due.number,
        reason="The hold was not captured in time.",
        explanation=back.lapsed(),
    )
    work.put_hold(due, "lapsed")
    work.rows.put(
        REDEMPTION_STATE,
        {
            "member_id": work.member_id,
            "number": due.number,
            "state": "lapsed",
            "counts": False,
            "took_stock": False,
            "updated_at": work.now,
        },
    )
    if due.reward_stock:
        give_stock_back(work, due.reward_stock)
    if due.has_code:
        give_code_back(work, due.number)
    work.event(
        "points.released",
        {
            "redemption": work.public_id("rdm", due.number),
            "points": due.released,
            "expired": back.expired,
            "reason": "lapsed",
        },
        kind="lapse",
    )


def give_stock_back(work: MemberWork, reward: str) -> None:
    """Put one of a stocked reward back; without a stock row nothing is changed."""
    work.stock_back[reward] = work.stock_back.get(reward, 0) + 1
    work.rows.put(STOCK, {"program_id": work.program.id, "reward": reward, "taken": -1})


def give_code_back(work: MemberWork, redemption: int) -> None:
    """Put the code of a hold back that was let go: nobody has seen it."""
    work.rows.put(CODE_BACK, {"member_id": work.member_id, "number": redemption})


def mature_due(work: MemberWork) -> None:
    """Make pending points available whose day has come."""
    lots = due_to_mature(work.books, work.now)
    if not lots:
        return
    number = work.next_number()
    points = mature(work.books, transaction=number, lots=lots, now=work.now)
    work.transaction("mature", number=number, points=points)
    work.event(
        "points.matured",
        {"points": points, "transaction": work.public_id("txn", number)},
        kind="mature",
    )


def expire_due(work: MemberWork) -> None:
    """Expire available points whose lot has ended."""
    end_slide(work)
    lots = due_to_expire(work.books, work.now)
    if not lots:
        return
    number = work.next_number()
    parts = [
        {
            "points": lot.available,
            "expires_at": lot.expires_at.isoformat() if lot.expires_at else "",
        }
        for lot in lots
    ]
    points = expire(work.books, transaction=number, lots=lots)
    work.transaction("expire", number=number, points=-points, explanation={"lots": parts})
    work.event(
        "points.expired",
        {"points": points, "lots": parts, "transaction": work.public_id("txn", number)},
        kind="expire",
    )
