"""Rewards that come by themselves: those of a level, and those that a balance is enough for.

Few commands need what is read here, so it is read only where a level is reached or a balance
suffices, in one more round trip of the same transaction (docs/decisions/0013).
"""

from collections import Counter
from typing import Any, Final

from loyalty.earning.rows import segments_found, segments_of
from loyalty.engine.commands import Ask
from loyalty.engine.load import spendable_lots
from loyalty.engine.session import MemberWork
from loyalty.ledger import rules as ledger
from loyalty.programs.expiry import local_day
from loyalty.programs.rules import PublishedProgram, Reward
from loyalty.rewards.codes import asks_codes
from loyalty.rewards.payment import what_it_gives
from loyalty.rewards.rows import stock_of, use_of
from loyalty.rewards.rules import (
    NOT_ACTIVE,
    SWITCHED_OFF,
    Reason,
    RedemptionState,
    first_fulfilment,
    free_left,
    reasons_against,
    reasons_not_to_issue,
    redemption_body,
)
from loyalty.rewards.taking import (
    had_of,
    id_of,
    left_of,
    period_of,
    remember_use,
    spend,
    take_piece,
    tell_issued,
    write_gift,
)
from loyalty.tiers.rules import rank_of

MOST: Final = 10
"""Of one reward in one command; what a balance is enough for beyond it is left to the night."""


def automatic(program: PublishedProgram) -> tuple[Reward, ...]:
    """List the rewards that the program redeems by itself, in their order."""
    found = program.derived.get("automatic")
    if found is None:
        found = tuple(reward for reward in program.rewards.values() if reward.auto)
        program.derived["automatic"] = found
    rewards: tuple[Reward, ...] = found
    return rewards


def issue_due(
    work: MemberWork, *, level_before: str, collected: bool, order: str = ""
) -> list[dict[str, Any]]:
    """Issue what a level gives that was reached, and redeem what the program redeems by itself.

    Args:
        level_before: The member's level before the command.
        collected: Whether the command brought points; only then is redeemed by itself again what
            was given back.
        order: The ref of the order that brought it.

    Returns:
        The redemptions, as answers show them.
    """
    gifts = _of_level(work, level_before)
    bought = [reward for reward in automatic(work.program) if _times(work, reward)]
    if work.status != "active":
        for code in gifts:
            _tell_missed(work, code, NOT_ACTIVE, order)
        return []
    if not (gifts or bought):
        return []
    known = work.program.rewards
    wanted = Counter(known[code] for code in gifts if code in known)
    wanted += Counter({reward: _times(work, reward) for reward in bought})
    asks = [use_of(id_of(work), code, period_of(None)) for code in gifts if code not in known]
    work.session.fetch([*asks, *(ask for one in wanted.items() for ask in _asks(work, *one))])
    issued = [_give(work, code, order) for code in gifts]
    for reward in bought:
        issued += _buy(work, reward, order, collected=collected)
    return [redemption_body(work.member_id, one) for one in issued if one is not None]


def _of_level(work: MemberWork, before: str) -> tuple[str, ...]:
    """List the codes of what the member's level gives, if it is higher than the one before."""
    tiers = work.program.tiers
    if tiers is None or work.level == before:
        return ()
    if rank_of(tiers, work.level) <= rank_of(tiers, before):
        return ()
    return work.program.levels[work.level].rewards


def _times(work: MemberWork, reward: Reward) -> int:
    """Tell how often the balance is enough for a reward, to a limit."""
    return min(MOST, work.books.wallet.available // reward.cost_for(work.level))


def _asks(work: MemberWork, reward: Reward, most: int) -> list[Ask]:
    me = id_of(work)
    asks = [use_of(me, reward.code, period_of(reward))]
    if reward.auto:
        asks.append(spendable_lots(me))
    if reward.asks_segments:
        asks.append(segments_of(me))
    if reward.stock:
        asks.append(stock_of(reward.code))
    if reward.pool:
        asks += asks_codes(work.session, reward, most)
    return asks


def _give(work: MemberWork, code: str, order: str) -> RedemptionState | None:
    """Give what a level gives, once in a year; say why where it cannot be had."""
    session, me = work.session, id_of(work)
    reward = work.program.rewards.get(code)
    if had_of(session, work, code, reward, me).by_level:
        return None
    reason = _against_giving(work, reward) if reward else None
    if reward is None or reason is not None:
        _tell_missed(work, code, reason or SWITCHED_OFF, order)
        return None
    redemption = _new(work, reward, order, points=0, given_for="tier_entry")
    redemption.counts = False  # what they may have by themselves is not less
    take_piece(session, work, reward, redemption, None)
    write_gift(work, redemption)
    remember_use(session, work, reward, redemption, me)
    tell_issued(work, redemption)
    return redemption


def _against_giving(work: MemberWork, reward: Reward) -> Reason | None:
    today = local_day(work.now, work.program.timezone)
    left = left_of(work.session, work, reward, None)
    reasons = reasons_not_to_issue(reward, remaining=left, today=today)
    return reasons[0] if reasons else None


def _tell_missed(work: MemberWork, code: str, reason: Reason, order: str) -> None:
    facts = {"reward": code, "level": work.level, "reason": reason.code}
    data = {**facts, "because": reason.because}
    work.event("reward.missed", data, kind="redeem", order=order or None)


def _buy(work: MemberWork, reward: Reward, order: str, *, collected: bool) -> list[RedemptionState]:
    """Redeem a reward as often as the member has the points and may have it."""
    if _waits(work, reward, collected=collected):
        return []
    bought = []
    for _ in range(MOST):
        if _reasons(work, reward):
            break
        cost = reward.cost_for(work.level)
        uses = ledger.choose_lots(work.books, points=cost, now=work.now)
        redemption = _new(work, reward, order, points=cost, given_for="auto_redeem")
        take_piece(work.session, work, reward, redemption, None)
        spend(work, redemption, uses)
        remember_use(work.session, work, reward, redemption, id_of(work))
        bought.append(redemption)
    return bought


def _waits(work: MemberWork, reward: Reward, *, collected: bool) -> bool:
    """Tell whether no points are taken for it now: it is free yet, or was just given back."""
    had = had_of(work.session, work, reward.code, reward, id_of(work))
    is_free = free_left(work.program, work.level, reward.code, used=had.free) > 0
    return is_free or (had.given_back and not collected)


def _reasons(work: MemberWork, reward: Reward) -> list[Reason]:
    session, me = work.session, id_of(work)
    return reasons_against(
        work.program,
        reward,
        available=work.books.wallet.available,
        level=work.level,
        segments=segments_found(session, me),
        used=had_of(session, work, reward.code, reward, me).times,
        remaining=left_of(session, work, reward, None),
        today=local_day(work.now, work.program.timezone),
    )


def _new(
    work: MemberWork, reward: Reward, order: str, *, points: int, given_for: str
) -> RedemptionState:
    gives = what_it_gives(work.program, reward)
    return RedemptionState(
        number=work.next_number(),
        reward=reward.code,
        points=points,
        captured=points,
        reinstated=0,
        state="captured",
        gives=gives,
        store="",
        order_ref=order,
        ref="",
        held_until=None,
        created_at=work.now,
        updated_at=work.now,
        counts=True,
        fulfilment=first_fulfilment(gives),
        given_for=given_for,
    )
