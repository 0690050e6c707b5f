"""Settle a hold: capture it, also in part, or let it go; and reverse what was captured."""

from collections.abc import Sequence
from typing import Any, Literal

from loyalty.engine.commands import Ask, Decision, Kind, MemberRef
from loyalty.engine.session import MemberWork, OpenHold, Session
from loyalty.engine.upkeep import give_code_back, give_stock_back, lapsed_policy
from loyalty.errors import (
    AlreadyReversed,
    CaptureExceedsHold,
    HoldExpired,
    HoldNotOpen,
    RedemptionNotFound,
    ReversalExceedsOriginal,
    RewardNotDivisible,
    StoreNotAllowed,
)
from loyalty.http.auth import Principal
from loyalty.ledger import rules as ledger
from loyalty.ledger.buckets import Bucket
from loyalty.ledger.rules import LotState, Use
from loyalty.members.merging import account, asks_survivor, pass_on, take_used
from loyalty.members.services import require
from loyalty.programs.rules import PublishedProgram
from loyalty.rewards.codes import code_back, code_of, hand_out
from loyalty.rewards.payment import money_off, worth
from loyalty.rewards.rows import lots_of_redemption, put_redemption, redemption_of
from loyalty.rewards.rules import RedemptionState, first_fulfilment, state_of
from loyalty.rewards.schemas import (
    CaptureRedemption,
    RedemptionId,
    ReverseRedemption,
    VoidRedemption,
)
from loyalty.rewards.services import answer
from loyalty.rewards.taking import put_transaction, tell, tell_issued


def member_of(request: Any) -> MemberRef:
    return ("id", str(request.redemption.member_id))


def asks_settle(request: Any, program: PublishedProgram) -> list[Ask]:
    redemption: RedemptionId = request.redemption
    args = (redemption.member_id, redemption.number)
    return [redemption_of(*args), lots_of_redemption(*args)]


def loaded(
    session: Session, decision: Decision, *, redeemed: bool
) -> tuple[MemberWork, RedemptionState, list[Use]]:
    """Give the redemption with the lots it uses: what is held, or what is redeemed."""
    redemption: RedemptionId = decision.payload.redemption
    args = (redemption.member_id, redemption.number)
    found = session.found(redemption_of(*args))
    if decision.work is None or not found:
        raise RedemptionNotFound()
    work = decision.work if decision.work.status == "merged" else require(decision)
    state = state_of(found[0])
    _require_store(session.principal, state)
    uses = []
    for *lot, held, taken in session.found(lots_of_redemption(*args)):
        used = LotState(*lot)
        take_used(work, [used])
        amount = taken if redeemed else held
        if amount:
            uses.append(Use(used.number, amount))
    return work, state, uses


def _require_store(principal: Principal, redemption: RedemptionState) -> None:
    """Let a store's key settle what was redeemed there, or in no store at all."""
    stores, store = principal.stores, redemption.store
    if stores is not None and store and store not in stores:
        raise StoreNotAllowed(f"This API key may not act for store {store}.")


def _require_open(work: MemberWork, redemption: RedemptionState) -> None:
    if redemption.state == "lapsed" or redemption.number in work.lapsed:
        raise HoldExpired()
    if redemption.state != "held":
        raise HoldNotOpen(f"This redemption is {redemption.state}.", state=redemption.state)


def _open_hold(redemption: RedemptionState, uses: list[Use]) -> OpenHold:
    return OpenHold(
        number=redemption.number,
        amount=redemption.points,
        expires_at=redemption.held_until or redemption.created_at,
        uses=uses,
    )


def _decide_capture(session: Session, decision: Decision) -> tuple[int, Any]:
    work, redemption, uses = loaded(session, decision, redeemed=False)
    request: CaptureRedemption = decision.payload
    _require_open(work, redemption)
    points = request.body.points or redemption.points
    if points > redemption.points:
        raise CaptureExceedsHold(
            f"{points} points would be captured and {redemption.points} are held.",
            held=redemption.points,
        )
    if redemption.reward and points < redemption.points:
        raise RewardNotDivisible()
    number = work.next_number()
    left = ledger.capture(
        work.books, transaction=number, redemption=redemption.number, held=uses, points=points
    )
    back = _give_back(work, number, redemption, left, Bucket.HELD)
    redemption.state, redemption.captured = "captured", points
    redemption.fulfilment = first_fulfilment(redemption.gives)
    hold = _open_hold(redemption, uses)
    hold.captured, hold.released = points, redemption.points - points
    work.put_hold(hold, "captured")
    _price_captured(work, redemption, points)
    code = code_of(session.found(redemption_of(work.member_id, redemption.number))[0])
    if code is not None:
        hand_out(work, work.program.rewards.get(redemption.reward), redemption, code)
    given = back.available + back.grace
    put_transaction(work, "capture", number, redemption, points=given, back=back)
    put_redemption(work, redemption)
    tell(work, "points.redeemed", "capture", redemption, captured=points)
    if left:
        _tell_released(work, "capture", redemption, hold.released, back)
    tell_issued(work, redemption)
    return answer(work, redemption, 200)


def _price_captured(work: MemberWork, redemption: RedemptionState, points: int) -> None:
    """Points that paid are worth what was captured of them."""
    if points < redemption.points:
        redemption.gives = money_off(work.program, worth(work.program, points))


def _give_back(
    work: MemberWork,
    number: int,
    redemption: RedemptionState,
    uses: Sequence[Use],
    source: Literal[Bucket.HELD, Bucket.REDEEMED],
) -> ledger.GivenBack:
    return ledger.give_back(
        work.books,
        transaction=number,
        redemption=redemption.number,
        uses=uses,
        source=source,
        lapsed=lapsed_policy(work),
        new_number=work.next_number,
        now=work.now,
    )


def _tell_released(
    work: MemberWork,
    kind: str,
    redemption: RedemptionState,
    points: int,
    back: ledger.GivenBack,
) -> None:
    facts = {"points": points, "expired": back.expired, "reason": kind}
    data = {"redemption": work.public_id("rdm", redemption.number), **facts}
    work.event("points.released", data, kind=kind, order=redemption.order_ref or None)


CAPTURE = Kind("capture", member=member_of, decide=_decide_capture, asks=asks_settle)


def _decide_void(session: Session, decision: Decision) -> tuple[int, Any]:
    work, redemption, uses = loaded(session, decision, redeemed=False)
    _: VoidRedemption = decision.payload
    _require_open(work, redemption)
    let_go(work, redemption, uses)
    return answer(work, redemption, 200)


def let_go(
    work: MemberWork, redemption: RedemptionState, uses: list[Use], *, reason: str = ""
) -> None:
    """Void an open hold: its points are available again, and all else that it took."""
    number = work.next_number()
    back = _give_back(work, number, redemption, uses, Bucket.HELD)
    redemption.state, redemption.counts = "voided", False
    hold = _open_hold(redemption, uses)
    hold.released = redemption.points
    work.put_hold(hold, "voided")
    _stock_back(work, redemption)
    given = back.available + back.grace
    put_transaction(work, "void", number, redemption, points=given, reason=reason, back=back)
    put_redemption(work, redemption)
    if "code_from_pool" in redemption.gives:
        give_code_back(work, redemption.number)
    _tell_released(work, "void", redemption, redemption.points, back)


def _stock_back(work: MemberWork, redemption: RedemptionState) -> None:
    """Put back what it took, whatever the reward's stock is by now."""
    if redemption.took_stock:
        give_stock_back(work, redemption.reward)
        redemption.took_stock = False


VOID = Kind("void", member=member_of, decide=_decide_void, asks=asks_settle)


def _decide_reverse(session: Session, decision: Decision) -> tuple[int, Any]:
    work, redemption, uses = loaded(session, decision, redeemed=True)
    request: ReverseRedemption = decision.payload
    left = redemption.captured - redemption.reinstated
    if redemption.state in ("held", "voided", "lapsed"):
        raise HoldNotOpen(
            f"This redemption is {redemption.state}; only captured points can be reversed.",
            state=redemption.state,
        )
    if redemption.state == "reversed":
        raise AlreadyReversed()
    points = request.body.points or left
    if points > left:
        raise ReversalExceedsOriginal(
            f"{points} points would be given back and {left} are left.", left=left
        )
    give_points_back(work, redemption, uses, points=points, reason=request.body.reason)
    return answer_passed_on(work, redemption)


def answer_passed_on(work: MemberWork, redemption: RedemptionState) -> tuple[int, Any]:
    """Answer a redemption, with the balance of whom its points went on to."""
    status, body = answer(work, redemption, 200)
    body["balance"] = pass_on(work).books.wallet.as_balance()
    return status, body


def give_points_back(
    work: MemberWork, redemption: RedemptionState, uses: list[Use], *, points: int, reason: str
) -> None:
    """Put points of a captured redemption back; with the last ones all else that it took."""
    number = work.next_number()
    back = _give_back(work, number, redemption, _last_spent(work, uses, points), Bucket.REDEEMED)
    redemption.reinstated += points
    delivery = redemption.fulfilment not in ("", "cancelled")
    if redemption.reinstated == redemption.captured:
        redemption.state, redemption.counts = "reversed", False
        redemption.fulfilment = "cancelled" if delivery else redemption.fulfilment
        _stock_back(work, redemption)
        found = work.session.found(redemption_of(work.member_id, redemption.number))
        code = code_of(found[0]) if found else None  # points that paid have none; orders/repaid
        if code is not None:
            code_back(work, work.program.rewards.get(redemption.reward), redemption, code)
    given = back.available + back.grace
    put_transaction(work, "reinstate", number, redemption, points=given, reason=reason, back=back)
    put_redemption(work, redemption)
    facts = {"points": points, "expired": back.expired, "grace": back.grace}
    tell(work, "points.reinstated", "reverse", redemption, **facts)
    if delivery and redemption.fulfilment == "cancelled":
        tell(work, "reward.cancelled", "reverse", redemption)


def _last_spent(work: MemberWork, uses: list[Use], points: int) -> list[Use]:
    """Choose which of the used lots get a part back: those that were spent last."""
    chosen = []
    for use in sorted(uses, key=lambda use: ledger.spending_order(work.books, use), reverse=True):
        amount = min(points, use.amount)
        if amount:
            chosen.append(Use(use.lot, amount))
            points -= amount
    return chosen


def asks_reverse(request: Any, program: PublishedProgram) -> list[Ask]:
    return [*asks_settle(request, program), *asks_survivor(request.redemption.member_id)]


def account_of(request: Any) -> MemberRef:
    return account(request.redemption.member_id)


# What was redeemed before a merge comes back where it was taken, and goes on to the survivor.
REVERSE = Kind(
    "reverse",
    member=account_of,
    decide=_decide_reverse,
    asks=asks_reverse,
    others=lambda request: [member_of(request)],
)
