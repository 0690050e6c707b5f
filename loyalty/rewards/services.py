"""Redeem points, settle holds, and give points back after a cancelled redemption."""

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import orjson

from loyalty.engine.commands import Ask, Decision, Kind, MemberRef
from loyalty.engine.load import spendable_lots
from loyalty.engine.session import MemberWork, OpenHold, Session
from loyalty.engine.tables import STOCK
from loyalty.engine.upkeep import give_stock_back, lapsed_policy
from loyalty.errors import (
    AlreadyReversed,
    CaptureExceedsHold,
    HoldExpired,
    HoldNotOpen,
    MemberFrozen,
    RedemptionConflict,
    RedemptionNotFound,
    ReversalExceedsOriginal,
    RewardNotFound,
    StoreUnknown,
    ValidationFailed,
)
from loyalty.ledger import rules as ledger
from loyalty.ledger.buckets import Bucket
from loyalty.ledger.rules import LotState, Use
from loyalty.members.services import require
from loyalty.programs.expiry import local_day
from loyalty.programs.rules import PublishedProgram
from loyalty.rewards.rows import (
    REDEMPTION_CLAIM,
    lots_of_redemption,
    put_redemption,
    redemption_by_ref,
    redemption_of,
    stock_of,
    use_of,
)
from loyalty.rewards.rules import (
    STOCK_LOW,
    RedemptionState,
    money_off,
    reasons_against,
    refusal,
    what_it_gives,
    worth,
)
from loyalty.rewards.schemas import (
    CaptureRedemption,
    RedeemRequest,
    RedemptionId,
    ReverseRedemption,
    VoidRedemption,
)


def redemption_body(work: MemberWork, redemption: RedemptionState) -> dict[str, Any]:
    """Describe a redemption as every call that answers one does."""
    held_until = redemption.held_until if redemption.state == "held" else None
    return {
        "id": work.public_id("rdm", redemption.number),
        "state": redemption.state,
        "member": str(work.member_id),
        "reward": redemption.reward or None,
        "points": redemption.points,
        "captured": redemption.captured,
        "reinstated": redemption.reinstated,
        "gives": redemption.gives,
        "store": redemption.store or None,
        "order_ref": redemption.order_ref or None,
        "ref": redemption.ref or None,
        "held_until": held_until.isoformat() if held_until else None,
        "created_at": redemption.created_at.isoformat(),
    }


def _answer(work: MemberWork, redemption: RedemptionState, status: int) -> tuple[int, Any]:
    body = redemption_body(work, redemption)
    body["balance"] = work.books.wallet.as_balance()
    return status, body


def state_of(row: Sequence[Any]) -> RedemptionState:
    """Make a redemption of its columns as read."""
    values = list(row[:14])
    values[6] = orjson.loads(values[6])
    return RedemptionState(*values)


# Redeem


def _asks_redeem(request: RedeemRequest, program: PublishedProgram) -> list[Ask]:
    asks = [spendable_lots(request.member)]
    reward = program.rewards.get(request.reward or "")
    per = reward.per_member.per if reward and reward.per_member else "ever"
    asks.append(use_of(request.member, request.reward or "", per))
    if request.ref:
        asks.append(redemption_by_ref(request.store or "", request.ref))
    if reward and reward.stock:
        asks.append(stock_of(reward.code))
    return asks


def _decide_redeem(session: Session, decision: Decision) -> tuple[int, Any]:
    work = require(decision)
    request: RedeemRequest = decision.payload
    if request.store is not None and request.store not in session.program.stores:
        raise StoreUnknown(f"This program has no store {request.store}.", store=request.store)
    earlier = _same_ref(session, work, request)
    if earlier is not None:
        return _answer(work, earlier, 200)
    if work.status == "frozen":
        raise MemberFrozen()
    points, gives = _price(session, work, request)
    uses = ledger.choose_lots(work.books, points=points, now=work.now)
    redemption = _new_redemption(work, request, points, gives)
    _spend(work, redemption, uses)
    _remember_use(session, work, request, redemption)
    return _answer(work, redemption, 201)


def _content_hash(work: MemberWork, request: RedeemRequest) -> str:
    told = [
        str(work.member_id),
        request.reward,
        request.points,
        request.order_ref,
        request.capture,
    ]
    return hashlib.sha256(orjson.dumps(told)).hexdigest()


def _same_ref(
    session: Session, work: MemberWork, request: RedeemRequest
) -> RedemptionState | None:
    if not request.ref:
        return None
    found = session.found(redemption_by_ref(request.store or "", request.ref))
    if not found:
        return None
    if found[0][1] != _content_hash(work, request):
        raise RedemptionConflict(f"The redemption {request.ref} was another one.")
    return state_of(found[0][2:])


def _price(session: Session, work: MemberWork, request: RedeemRequest) -> tuple[int, Any]:
    """Say what it costs and gives, if the member may have it now."""
    program = session.program
    if request.points is not None:
        amount = worth(program, request.points)
        if amount == 0:
            raise ValidationFailed(
                "So few points are worth nothing.",
                errors=[{"pointer": "/points", "message": "is worth less than the least coin"}],
            )
        return request.points, money_off(program, amount)
    reward = program.rewards.get(request.reward or "")
    if reward is None:
        raise RewardNotFound(f"This program has no reward {request.reward}.")
    stock = session.found(stock_of(reward.code)) if reward.stock else []
    per = reward.per_member.per if reward.per_member else "ever"
    reasons = reasons_against(
        program,
        reward,
        available=work.books.wallet.available,
        level=work.level,
        used=session.found(use_of(request.member, reward.code, per))[0][0],
        remaining=(stock[0][0] if stock else 0) if reward.stock else None,
        today=local_day(work.now, program.timezone),
    )
    if reasons:
        raise refusal(reasons)
    return reward.cost, what_it_gives(program, reward)


def _new_redemption(
    work: MemberWork, request: RedeemRequest, points: int, gives: Any
) -> RedemptionState:
    hold = timedelta(minutes=work.program.points.hold_minutes)
    return RedemptionState(
        number=work.next_number(),
        reward=request.reward or "",
        points=points,
        captured=points if request.capture else 0,
        reinstated=0,
        state="captured" if request.capture else "held",
        gives=gives,
        store=request.store or "",
        order_ref=request.order_ref or "",
        ref=request.ref or "",
        held_until=None if request.capture else work.now + hold,
        created_at=work.now,
        updated_at=work.now,
        counts=True,
    )


def _spend(work: MemberWork, redemption: RedemptionState, uses: list[Use]) -> None:
    number = work.next_number()
    kind = "hold" if redemption.state == "held" else "redeem"
    ledger.spend(
        work.books,
        transaction=number,
        uses=uses,
        to=Bucket.HELD if kind == "hold" else Bucket.REDEEMED,
        redemption=redemption.number,
    )
    _transaction(work, kind, number, redemption, points=-redemption.points)
    put_redemption(work, redemption)
    if redemption.held_until is not None:
        work.put_hold(
            OpenHold(
                number=redemption.number,
                amount=redemption.points,
                expires_at=redemption.held_until,
                uses=uses,
            ),
            "open",
        )
    _tell(work, "points.held" if kind == "hold" else "points.redeemed", kind, redemption)
    if kind == "redeem":
        _tell_issued(work, redemption)


def _transaction(
    work: MemberWork,
    kind: str,
    number: int,
    redemption: RedemptionState,
    *,
    points: int,
    reason: str = "",
) -> None:
    what = redemption.reward or "points"
    work.transaction(
        kind,
        number=number,
        points=points,
        source_ref=redemption.ref or redemption.order_ref,
        reason=reason,
        store=redemption.store,
        redemption_number=redemption.number,
        explanation={"reward": what, "gives": redemption.gives},
    )


def _tell(
    work: MemberWork, type_: str, kind: str, redemption: RedemptionState, **facts: Any
) -> None:
    work.event(
        type_,
        {
            "redemption": work.public_id("rdm", redemption.number),
            "reward": redemption.reward or None,
            "points": redemption.points,
            "state": redemption.state,
            "gives": redemption.gives,
            **facts,
        },
        kind=kind,
        order=redemption.order_ref or None,
    )


def _tell_issued(work: MemberWork, redemption: RedemptionState) -> None:
    if redemption.reward:
        _tell(work, "reward.issued", "redeem", redemption)


def _remember_use(
    session: Session, work: MemberWork, request: RedeemRequest, redemption: RedemptionState
) -> None:
    """Take it from the stock, claim its ref, and let later commands of the run see both."""
    reward = session.program.rewards.get(redemption.reward)
    per = reward.per_member.per if reward and reward.per_member else "ever"
    ask = use_of(request.member, redemption.reward, per)
    used, first_ever = session.found(ask)[0]
    session.remember(ask, [(used + 1, False)])
    if first_ever:
        _tell(work, "reward.first_redemption", "redeem", redemption)
    if reward is not None and reward.stock:
        left = session.found(stock_of(reward.code))[0][0] - 1
        session.remember(stock_of(reward.code), [(left,)])
        row = {"program_id": session.program.id, "reward": reward.code, "taken": 1}
        work.rows.put(STOCK, row)
        if left in STOCK_LOW:
            work.event("reward.stock_low", {"reward": reward.code, "left": left}, kind="redeem")
    if request.ref:
        _claim(session, work, request, redemption)


def _claim(
    session: Session, work: MemberWork, request: RedeemRequest, redemption: RedemptionState
) -> None:
    content_hash = _content_hash(work, request)
    work.rows.put(
        REDEMPTION_CLAIM,
        {
            "program_id": session.program.id,
            "store": redemption.store,
            "ref": redemption.ref,
            "member_id": work.member_id,
            "number": redemption.number,
            "content_hash": content_hash,
        },
    )
    columns = [getattr(redemption, name) for name in RedemptionState.__slots__]
    columns[6] = orjson.dumps(redemption.gives)
    row = (work.member_id, content_hash, *columns)
    session.remember(redemption_by_ref(redemption.store, redemption.ref), [row])


REDEEM = Kind(
    "redeem", member=lambda request: request.member, decide=_decide_redeem, asks=_asks_redeem
)


# Settle a hold, or give back what was taken


def _member_of(request: Any) -> MemberRef:
    return ("id", str(request.redemption.member_id))


def _asks_settle(request: Any, program: PublishedProgram) -> list[Ask]:
    redemption: RedemptionId = request.redemption
    args = (redemption.member_id, redemption.number)
    return [redemption_of(*args), lots_of_redemption(*args)]


def _loaded(
    session: Session, decision: Decision, *, redeemed: bool
) -> tuple[MemberWork, RedemptionState, list[Use]]:
    """Give the redemption with the lots it uses: what is held, or what is redeemed."""
    redemption: RedemptionId = decision.payload.redemption
    args = (redemption.member_id, redemption.number)
    found = session.found(redemption_of(*args))
    if decision.work is None or not found:
        raise RedemptionNotFound()
    work = require(decision)
    uses = []
    for *lot, held, taken in session.found(lots_of_redemption(*args)):
        state = LotState(*lot)
        work.add_lots([state])
        amount = taken if redeemed else held
        if amount:
            uses.append(Use(state.number, amount))
    return work, state_of(found[0]), uses


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
    work, redemption, uses = _loaded(session, decision, redeemed=False)
    request: CaptureRedemption = decision.payload
    _require_open(work, redemption)
    points = request.body.points or redemption.points
    if points > redemption.points:
        raise CaptureExceedsHold(
            f"{points} points would be captured and {redemption.points} are held.",
            held=redemption.points,
        )
    number = work.next_number()
    left = ledger.capture(
        work.books, transaction=number, redemption=redemption.number, held=uses, points=points
    )
    back = _release(work, number, redemption, left)
    redemption.state, redemption.captured = "captured", points
    hold = _open_hold(redemption, uses)
    hold.captured, hold.released = points, redemption.points - points
    work.put_hold(hold, "captured")
    _price_captured(work, redemption, points)
    _transaction(work, "capture", number, redemption, points=back.available + back.grace)
    put_redemption(work, redemption)
    _tell(work, "points.redeemed", "capture", redemption, captured=points)
    if left:
        _tell_released(work, "capture", redemption, hold.released, back)
    _tell_issued(work, redemption)
    return _answer(work, redemption, 200)


def _price_captured(work: MemberWork, redemption: RedemptionState, points: int) -> None:
    """Points that paid are worth what was captured of them."""
    if not redemption.reward and points < redemption.points:
        redemption.gives = money_off(work.program, worth(work.program, points))


def _release(
    work: MemberWork, number: int, redemption: RedemptionState, uses: Sequence[Use]
) -> ledger.GivenBack:
    return ledger.give_back(
        work.books,
        transaction=number,
        redemption=redemption.number,
        uses=uses,
        source=Bucket.HELD,
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


CAPTURE = Kind("capture", member=_member_of, decide=_decide_capture, asks=_asks_settle)


def _decide_void(session: Session, decision: Decision) -> tuple[int, Any]:
    work, redemption, uses = _loaded(session, decision, redeemed=False)
    _: VoidRedemption = decision.payload
    _require_open(work, redemption)
    number = work.next_number()
    back = _release(work, number, redemption, uses)
    redemption.state, redemption.counts = "voided", False
    hold = _open_hold(redemption, uses)
    hold.released = redemption.points
    work.put_hold(hold, "voided")
    _transaction(work, "void", number, redemption, points=back.available + back.grace)
    put_redemption(work, redemption)
    _stock_back(work, redemption)
    _tell_released(work, "void", redemption, redemption.points, back)
    return _answer(work, redemption, 200)


def _stock_back(work: MemberWork, redemption: RedemptionState) -> None:
    reward = work.program.rewards.get(redemption.reward)
    if reward is not None and reward.stock:
        give_stock_back(work, reward.code)


VOID = Kind("void", member=_member_of, decide=_decide_void, asks=_asks_settle)


def _decide_reverse(session: Session, decision: Decision) -> tuple[int, Any]:
    work, redemption, uses = _loaded(session, decision, redeemed=True)
    request: ReverseRedemption = decision.payload
    left = redemption.captured - redemption.reinstated
    if redemption.state in ("held", "voided", "lapsed"):
        raise HoldNotOpen(
            f"This redemption is {redemption.state}; only captured points can be reversed.",
            state=redemption.state,
        )
    if left == 0:
        raise AlreadyReversed()
    points = request.body.points or left
    if points > left:
        raise ReversalExceedsOriginal(
            f"{points} points would be given back and {left} are left.", left=left
        )
    number = work.next_number()
    back = _reinstate(work, number, redemption, _last_spent(work, uses, points))
    redemption.reinstated += points
    if redemption.reinstated == redemption.captured:
        redemption.state, redemption.counts = "reversed", False
        _stock_back(work, redemption)
    reason = request.body.reason
    given = back.available + back.grace
    _transaction(work, "reinstate", number, redemption, points=given, reason=reason)
    put_redemption(work, redemption)
    facts = {"points": points, "expired": back.expired, "grace": back.grace, "reason": reason}
    _tell(work, "points.reinstated", "reverse", redemption, **facts)
    return _answer(work, redemption, 200)


def _last_spent(work: MemberWork, uses: list[Use], points: int) -> list[Use]:
    """Choose which of the used lots get a part back: those that were spent last."""
    chosen = []
    for use in sorted(uses, key=lambda use: ledger.spending_order(work.books, use), reverse=True):
        amount = min(points, use.amount)
        if amount:
            chosen.append(Use(use.lot, amount))
            points -= amount
    return chosen


def _reinstate(
    work: MemberWork, number: int, redemption: RedemptionState, uses: list[Use]
) -> ledger.GivenBack:
    return ledger.give_back(
        work.books,
        transaction=number,
        redemption=redemption.number,
        uses=uses,
        source=Bucket.REDEEMED,
        lapsed=lapsed_policy(work),
        new_number=work.next_number,
        now=work.now,
    )


REVERSE = Kind("reverse", member=_member_of, decide=_decide_reverse, asks=_asks_settle)
