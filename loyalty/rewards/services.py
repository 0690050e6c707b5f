"""Redeem points, settle holds, and give points back after a cancelled redemption."""

import hashlib
from datetime import timedelta
from typing import Any

import orjson

from loyalty.engine.commands import Ask, Decision, Kind
from loyalty.engine.load import spendable_lots
from loyalty.engine.session import MemberWork, OpenHold, Session
from loyalty.engine.tables import STOCK
from loyalty.errors import (
    MemberFrozen,
    RedemptionConflict,
    RewardNotFound,
    StoreUnknown,
    ValidationFailed,
)
from loyalty.ledger import rules as ledger
from loyalty.ledger.buckets import Bucket
from loyalty.ledger.rules import Use
from loyalty.members.services import require
from loyalty.programs.expiry import local_day
from loyalty.programs.rules import PublishedProgram
from loyalty.rewards.rows import (
    REDEMPTION_CLAIM,
    put_redemption,
    redemption_by_ref,
    stock_of,
    use_of,
)
from loyalty.rewards.rules import (
    STOCK_LOW,
    RedemptionState,
    money_off,
    reasons_against,
    redemption_body,
    refusal,
    state_of,
    what_it_gives,
    worth,
)
from loyalty.rewards.schemas import (
    RedeemRequest,
)


def answer(work: MemberWork, redemption: RedemptionState, status: int) -> tuple[int, Any]:
    body = redemption_body(work.member_id, redemption)
    body["balance"] = work.books.wallet.as_balance()
    return status, body


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
        return answer(work, earlier, 200)
    if work.status == "frozen":
        raise MemberFrozen()
    points, gives = _price(session, work, request)
    uses = ledger.choose_lots(work.books, points=points, now=work.now)
    redemption = _new_redemption(work, request, points, gives)
    _spend(work, redemption, uses)
    _remember_use(session, work, request, redemption)
    return answer(work, redemption, 201)


def _content_hash(work: MemberWork, request: RedeemRequest) -> str:
    told = [
        str(work.member_id),
        request.reward,
        request.points,
        request.order_ref,
        request.capture,
    ]
    return hashlib.sha256(orjson.dumps(told)).hexdigest()


def _same_ref(session: Session, work: MemberWork, request: RedeemRequest) -> RedemptionState | None:
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
    put_transaction(work, kind, number, redemption, points=-redemption.points)
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
    tell(work, "points.held" if kind == "hold" else "points.redeemed", kind, redemption)
    if kind == "redeem":
        tell_issued(work, redemption)


def put_transaction(
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


def tell(
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


def tell_issued(work: MemberWork, redemption: RedemptionState) -> None:
    if redemption.reward:
        tell(work, "reward.issued", "redeem", redemption)


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
        tell(work, "reward.first_redemption", "redeem", redemption)
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
