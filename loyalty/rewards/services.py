"""Redeem points, settle holds, and give points back after a cancelled redemption."""

import hashlib
from datetime import timedelta
from typing import Any

import orjson

from loyalty.earning.rows import segments_found, segments_of
from loyalty.engine.commands import Ask, Decision, Kind, MemberRef
from loyalty.engine.load import spendable_lots
from loyalty.engine.session import MemberWork, OpenHold, Session
from loyalty.engine.tables import STOCK
from loyalty.errors import (
    MemberFrozen,
    RedemptionConflict,
    RewardNotFound,
    StoreUnknown,
)
from loyalty.ledger import rules as ledger
from loyalty.ledger.buckets import Bucket
from loyalty.ledger.rules import Use
from loyalty.members.services import require
from loyalty.programs.expiry import local_day
from loyalty.programs.rules import PublishedProgram, Reward
from loyalty.rewards.codes import asks_code, code_at_hand, take_code
from loyalty.rewards.payment import check_payment, money_off, read_order_amount, what_it_gives
from loyalty.rewards.rows import (
    REDEMPTION_CLAIM,
    put_redemption,
    redemption_by_ref,
    stock_of,
    use_of,
)
from loyalty.rewards.rules import (
    RedemptionState,
    first_fulfilment,
    reasons_against,
    redemption_body,
    refusal,
    state_of,
)
from loyalty.rewards.schemas import RedeemRequest


def answer(work: MemberWork, redemption: RedemptionState, status: int) -> tuple[int, Any]:
    body = redemption_body(work.member_id, redemption)
    body["balance"] = work.books.wallet.as_balance()
    return status, body


# Redeem


def _asks_redeem(request: RedeemRequest, program: PublishedProgram) -> list[Ask]:
    asks = [spendable_lots(request.member)]
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
    points, gives = _price(session, work, request)
    uses = ledger.choose_lots(work.books, points=points, now=work.now)
    redemption = _new_redemption(work, request, points, gives)
    _take_code(session, work, request, redemption)
    _spend(work, redemption, uses)
    if request.points is not None and redemption.order_ref:
        work.paid.append((redemption, uses))
    _remember_use(session, work, request, redemption)
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


def _price(session: Session, work: MemberWork, request: RedeemRequest) -> tuple[int, Any]:
    """Say what it costs and gives, if the member may have it now."""
    program = session.program
    order_amount = read_order_amount(program, request.order_amount)
    if request.points is not None:
        return request.points, money_off(
            program, check_payment(program, request.points, order_amount)
        )
    reward = program.rewards.get(request.reward or "")
    if reward is None:
        raise RewardNotFound(f"This program has no reward {request.reward}.")
    reasons = reasons_against(
        program,
        reward,
        available=work.books.wallet.available,
        level=work.level,
        segments=segments_found(session, request.member),
        used=_use(session, work, request.member, reward.code, reward)[0],
        remaining=_left(session, work, reward, request),
        today=local_day(work.now, program.timezone),
    )
    if reasons:
        raise refusal(reasons)
    return reward.cost_for(work.level), what_it_gives(program, reward, order_amount)


def _left(session: Session, work: MemberWork, reward: Reward, request: RedeemRequest) -> int | None:
    """Tell how many are left, with those that the member's own lapsed holds put back."""
    if reward.pool:
        return int(code_at_hand(session, reward, request) is not None)
    if not reward.stock:
        return None
    found = session.found(stock_of(reward.code))
    return (found[0][0] if found else 0) + work.stock_back.get(reward.code, 0)


def _use(
    session: Session, work: MemberWork, ref: MemberRef, code: str, reward: Reward | None
) -> tuple[int, bool]:
    """Tell how often the member had it in the present period, and whether they never had any.

    What an earlier command of the run has remembered stands under the member's id, however that
    command named them.
    """
    per = period_of(reward)
    found = session.found(use_of(_id_of(work), code, per)) or session.found(use_of(ref, code, per))
    used, first_ever = found[0]
    return used, first_ever and not session.found(use_of(_id_of(work), "", "any"))


def _id_of(work: MemberWork) -> MemberRef:
    return ("id", str(work.member_id))


def period_of(reward: Reward | None) -> str:
    """Give the period of a reward's limit."""
    return reward.per_member.per if reward and reward.per_member else "ever"


def _new_redemption(
    work: MemberWork, request: RedeemRequest, points: int, gives: Any
) -> RedemptionState:
    hold = timedelta(minutes=work.program.points.hold_minutes)
    reward = work.program.rewards.get(request.reward or "")
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
        took_stock=reward is not None and reward.stock,
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
            "fulfilment": redemption.fulfilment or None,
            **facts,
        },
        kind=kind,
        order=redemption.order_ref or None,
    )


def tell_issued(work: MemberWork, redemption: RedemptionState) -> None:
    """Tell that the member has it now, and whoever has to deliver it that it is ordered."""
    if redemption.reward:
        tell(work, "reward.issued", "redeem", redemption)
    if redemption.fulfilment:
        tell(work, "reward.ordered", "redeem", redemption)


def _take_code(
    session: Session, work: MemberWork, request: RedeemRequest, redemption: RedemptionState
) -> None:
    reward = session.program.rewards.get(redemption.reward)
    code = code_at_hand(session, reward, request) if reward and reward.pool else None
    if reward is not None and code is not None:
        take_code(session, work, reward, redemption, code)


def _remember_use(
    session: Session, work: MemberWork, request: RedeemRequest, redemption: RedemptionState
) -> None:
    """Take it from the stock, claim its ref, and let later commands of the run see both."""
    reward = session.program.rewards.get(redemption.reward)
    used, first_ever = _use(session, work, request.member, redemption.reward, reward)
    mine = _id_of(work)
    session.remember(use_of(mine, redemption.reward, period_of(reward)), [(used + 1, False)])
    session.remember(use_of(mine, "", "any"), [(1, False)])
    if first_ever:
        tell(work, "reward.first_redemption", "redeem", redemption)
    if reward is not None and reward.stock:
        _take_stock(session, work, reward, request)
    if request.ref:
        _claim(session, work, request, redemption)


def _take_stock(session: Session, work: MemberWork, reward: Reward, request: RedeemRequest) -> None:
    left = (_left(session, work, reward, request) or 0) - 1
    session.remember(stock_of(reward.code), [(left,)])
    work.stock_back.pop(reward.code, None)
    work.rows.put(STOCK, {"program_id": work.program.id, "reward": reward.code, "taken": 1})
    if left in reward.stock_low:
        work.event("reward.stock_low", {"reward": reward.code, "left": left}, kind="redeem")


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
