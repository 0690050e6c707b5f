"""Points that expire by inactivity: what an activity moves, and what its end leaves.

A member has one date for all lots that slide (`MemberWork.slides_until`), so that an activity
costs the same however many lots there are (docs/decisions/0014).
"""

from datetime import datetime
from typing import Final

from loyalty.engine.session import MemberWork
from loyalty.engine.writing import Table
from loyalty.ledger.rules import LotState
from loyalty.ledger.sliding import slide, stop_sliding
from loyalty.programs.expiry import expires_at

# Used lots too: what comes back of them later must not live again because the member came back. So
# also those that stayed with whom this member took over in a merge: they slid with the survivor's.
# Their rows are locked by the survivor's, without whom nothing is done with them.
# The statement sees the member's row as it was: with the end that came. By ctid and OFFSET 0, as no
# plan that is kept from a small table may look through all lots for those of a member.
LOTS_ENDED: Final = Table(
    "loyalty_lot",
    {"member_id": "uuid"},
    key=("member_id",),
    update=(
        "UPDATE loyalty_lot AS l SET expires_at = (SELECT s.slides_until"
        " FROM loyalty_memberstate AS o"
        " JOIN loyalty_memberstate AS s ON s.member_id = coalesce(o.merged_into, o.member_id)"
        " WHERE o.member_id = l.member_id)"
        " WHERE l.ctid = ANY (ARRAY(SELECT k.ctid FROM {rows} CROSS JOIN LATERAL ("
        "SELECT r.member_id UNION ALL"
        " SELECT o.member_id FROM loyalty_memberstate AS o WHERE o.merged_into = r.member_id"
        ") AS p CROSS JOIN LATERAL ("
        "SELECT k.ctid FROM loyalty_lot AS k WHERE k.member_id = p.member_id AND k.slides"
        " AND k.expires_at IS NULL AND k.pending + k.available + k.held + k.redeemed > 0"
        " OFFSET 0) AS k))"
    ),
)


def carry_on(work: MemberWork, at: datetime) -> None:
    """Let an activity at that moment carry the member's sliding points on; never shorten them.

    Nothing happens where the program's points do not expire by inactivity, or where the activity
    came in so late that its time is over.
    """
    expiry = work.program.points.expiry
    if expiry is None or expiry.inactivity_months is None:
        return
    until = expires_at(expiry, earned_at=at, zone=work.program.timezone)
    if until is not None and until > max(work.now, work.slides_until or work.now):
        set_slide(work, until)


def carry_over(giver: MemberWork, taker: MemberWork) -> None:
    """Let what both did carry the points that go from one to the other: they are one person.

    Where neither waits, since the giver's end was forgotten with the account, a new wait begins.
    """
    until = max(filter(None, (giver.slides_until, taker.slides_until)), default=None)
    if until is not None:
        set_slide(taker, until)
    elif any(lot.slides for lot in giver.books.lots.values()):
        carry_on(taker, taker.now)
    if taker.slides_until is None:
        stop_sliding(giver.books)
    else:
        slide(giver.books, taker.slides_until)


def set_slide(work: MemberWork, until: datetime) -> None:
    """Set when the member's sliding lots end."""
    work.slides_until = until
    slide(work.books, until)


def lot_given(
    work: MemberWork,
    *,
    earned_at: datetime,
    active_at: datetime,
    is_activity: bool,
    order_number: int | None = None,
) -> LotState:
    """Make an empty lot that ends as the program says.

    By inactivity it ends with all others of the member. What is given without an activity (a
    birthday, an adjustment) does not move that end, but begins a new wait where there is none.

    Args:
        earned_at: The order's or activity's `occurred_at`.
        is_activity: Whether the member did something for it.
    """
    policy, zone = work.program.points, work.program.timezone
    number = work.next_number()
    ends = expires_at(policy, earned_at=earned_at, zone=zone)
    if policy.expiry is None or policy.expiry.inactivity_months is None:
        return LotState(number, active_at, ends, order_number=order_number)
    if is_activity or work.slides_until is None:
        carry_on(work, earned_at)
    return LotState(
        number,
        active_at,
        work.slides_until or ends,
        order_number=order_number,
        slides=work.slides_until is not None,
    )


def end_slide(work: MemberWork) -> None:
    """End the member's sliding lots if nothing has moved their end in time.

    Each keeps the end that it came to. The next points of the member begin a new wait.
    """
    ended = work.slides_until
    if ended is None or ended > work.now:
        return
    stop_sliding(work.books)
    work.slide_ended, work.slides_until = ended, None
    work.rows.put(LOTS_ENDED, {"member_id": work.member_id})
