"""Redeem points, settle holds, and give points back after a cancelled redemption."""

import hashlib
from datetime import timedelta
from typing import Any, NamedTuple

import orjson

from loyalty.earning.rows import segments_found, segments_of
from loyalty.engine.commands import Ask, Decision, Kind
from loyalty.engine.load import spendable_lots
from loyalty.engine.session import MemberWork, Session
from loyalty.errors import (
    MemberFrozen,
    RedemptionConflict,
    RewardNotFound,
    StoreUnknown,
)
from loyalty.ledger import rules as ledger
from loyalty.members.services import require
from loyalty.programs.expiry import local_day
from loyalty.programs.rules import PublishedProgram
from loyalty.referrals.settling import asks_to_settle, settle_referrals
from loyalty.rewards.codes import asks_code
from loyalty.rewards.payment import check_payment, money_off, read_order_amount, what_it_gives
from loyalty.rewards.rows import (
    REDEMPTION_CLAIM,
    redemption_by_ref,
    stock_of,
    use_of,
)
from loyalty.rewards.rules import (
    RedemptionState,
    first_fulfilment,
    free_left,
    reasons_against,
    redemption_body,
    refusal,
    state_of,
)
from loyalty.rewards.schemas import RedeemRequest
from loyalty.rewards.taking import had_of, left_of, period_of, remember_use, spend, take_piece


def answer(work: MemberWork, redemption: RedemptionState, status: int) -> tuple[int, Any]:
    body = redemption_body(work.member_id, redemption)
    body["balance"] = work.books.wallet.as_balance()
    return status, body


# Redeem


def _asks_redeem(request: RedeemRequest, program: PublishedProgram) -> list[Ask]:
    asks = [spendable_lots(request.member), *asks_to_settle(program, request.member)]
    reward = program.rewards.get(request.reward or "")
    asks.append(use_of(request.member, request.reward or "", period_of(reward)))
    if request.ref:
        asks.append(redemption_by_ref(request.store or "", request.ref))
    if reward and reward.stock:
        asks.append(stock_of(reward.code))
    if reward and reward.pool:
        asks += asks_code(reward, request)
    if reward and reward.asks_segments:
        asks.append(segments_of(request.member))
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
    settle_referrals(work, request.member)
    redemption = _new_redemption(work, request, _price(session, work, request))
    uses = ledger.choose_lots(work.books, points=redemption.points, now=work.now)
    reward = session.program.rewards.get(redemption.reward)
    take_piece(session, work, reward, redemption, request)
    spend(work, redemption, uses)
    if request.points is not None and redemption.order_ref:
        work.paid.append((redemption, uses))
    remember_use(session, work, reward, redemption, request.member)
    if request.ref:
        _claim(session, work, request, redemption)
    return answer(work, redemption, 201)


def _content_hash(work: MemberWork, request: RedeemRequest) -> str:
    told = [
        str(work.member_id),
        request.reward,
        request.points,
        request.order_ref,
        request.capture,
        request.order_amount,
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


class _Price(NamedTuple):
    """What a redemption costs and gives, and whether it costs nothing by the member's level."""

    points: int
    gives: Any
    free: bool = False


def _price(session: Session, work: MemberWork, request: RedeemRequest) -> _Price:
    """Say what it costs and gives, if the member may have it now."""
    program = session.program
    order_amount = read_order_amount(program, request.order_amount)
    if request.points is not None:
        paid = check_payment(program, request.points, order_amount)
        return _Price(request.points, money_off(program, paid))
    reward = program.rewards.get(request.reward or "")
    if reward is None:
        raise RewardNotFound(f"This program has no reward {request.reward}.")
    had = had_of(session, work, reward.code, reward, request.member)
    free = free_left(program, work.level, reward.code, used=had.free) > 0
    reasons = reasons_against(
        program,
        reward,
        available=work.books.wallet.available,
        level=work.level,
        segments=segments_found(session, request.member),
        used=had.times,
        remaining=left_of(session, work, reward, request),
        today=local_day(work.now, program.timezone),
        free=free,
    )
    if reasons:
        raise refusal(reasons)
    cost = 0 if free else reward.cost_for(work.level)
    return _Price(cost, what_it_gives(program, reward, order_amount), free)


def _new_redemption(work: MemberWork, request: RedeemRequest, price: _Price) -> RedemptionState:
    points, gives, free = price
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
        fulfilment=first_fulfilment(gives) if request.capture else "",
        given_for="free_redemption" if free else "",
    )


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
