"""Read what members can have, and what they took."""

from typing import Any, Final
from uuid import UUID

from loyalty.earning.rows import segments_found, segments_of
from loyalty.engine.commands import REF, Ask, MemberRef, Read
from loyalty.engine.load import MEMBER_OF
from loyalty.engine.look import look
from loyalty.engine.run import known_program
from loyalty.engine.session import MemberWork, Session
from loyalty.errors import MemberNotFound, RedemptionNotFound
from loyalty.http.auth import Principal
from loyalty.programs.expiry import local_day
from loyalty.programs.rules import PublishedProgram, Reward
from loyalty.rewards.code_rows import pool_left
from loyalty.rewards.payment import what_it_gives
from loyalty.rewards.rows import COLUMNS, redemption_of, use_of
from loyalty.rewards.rules import NOT_ACTIVE, free_left, reasons_against, redemption_body, state_of

COUNTED: Final = 1000
"""Codes left are counted to here; more are "enough"."""

# Without the lock that a redemption takes: whoever only looks makes no till wait.
STOCK_SEEN: Final = Read(
    "stock as it is",
    """
SELECT r.ord, s.remaining
FROM {questions} JOIN loyalty_rewardstock AS s ON s.program_id = $1 AND s.reward = r.reward
""",
    {"reward": "text"},
)

REDEMPTIONS: Final = Read(
    "redemptions",
    f"""
SELECT r.ord, d.member_id, {COLUMNS}
FROM {{questions}}
CROSS JOIN LATERAL (
    SELECT * FROM loyalty_redemption AS d
    WHERE d.member_id = {MEMBER_OF} AND d.number < r.before
    ORDER BY d.number DESC LIMIT r.most
) AS d
ORDER BY r.ord, d.number DESC
""",
    {**REF, "before": "bigint", "most": "int"},
)


def redemptions_of(ref: MemberRef, *, before: int, most: int) -> Ask:
    """Ask for redemptions with a smaller number, the newest first."""
    return Ask(REDEMPTIONS, (*ref, before, most))


def shown(work: MemberWork, row: tuple[Any, ...]) -> dict[str, Any]:
    """Show a redemption as it is at this moment: a hold past its time has lapsed."""
    redemption = state_of(row)
    if redemption.number in work.lapsed:
        redemption.state = "lapsed"
    return redemption_body(work.member_id, redemption)


def get_redemption(principal: Principal, member_id: UUID, number: int) -> dict[str, Any]:
    """Read one redemption.

    Raises:
        RedemptionNotFound: This program has no such redemption.
    """
    question = redemption_of(member_id, number)
    try:
        session, work = look(principal, ("account", str(member_id)), [question])
    except MemberNotFound:
        raise RedemptionNotFound() from None
    found = session.found(question)
    if not found:
        raise RedemptionNotFound()
    return shown(work, found[0])


def list_rewards_for(principal: Principal, ref: MemberRef) -> list[dict[str, Any]]:
    """List the catalogue for one member: what they can have now, and what stands in the way.

    The reasons come from the function that decides a redemption, so that a reward shown as
    available does not fail at the till.
    """
    program = known_program(principal.program_id)
    session, work = look(principal, ref, _questions(program, ref))
    if session.program is not program:
        # A newer version was published meanwhile; its rewards were not asked about.
        session, work = look(principal, ref, _questions(session.program, ref))
    return [_shown_reward(session, work, ref, reward) for reward in work.program.rewards.values()]


def _questions(program: PublishedProgram, ref: MemberRef) -> list[Ask]:
    rewards = program.rewards.values()
    uses = [use_of(ref, reward.code, _period(reward)) for reward in rewards]
    stocks = [_stock_seen(reward) for reward in rewards if reward.stock]
    pools = [pool_left(reward.pool, COUNTED) for reward in rewards if reward.pool]
    asked = any(reward.asks_segments for reward in rewards)
    return [*uses, *stocks, *pools, *([segments_of(ref)] if asked else [])]


def _stock_seen(reward: Reward) -> Ask:
    return Ask(STOCK_SEEN, (reward.code,))


def _shown_reward(
    session: Session, work: MemberWork, ref: MemberRef, reward: Reward
) -> dict[str, Any]:
    program = work.program
    use = session.found(use_of(ref, reward.code, _period(reward)))
    stock = session.found(_stock_seen(reward))
    left = None
    if reward.pool:
        left = session.found(pool_left(reward.pool, COUNTED))[0][0]
    elif reward.stock:
        left = (stock[0][0] if stock else 0) + work.stock_back.get(reward.code, 0)
    used, _, had, *_ = use[0] if use else (0, False, 0)
    free = free_left(program, work.level, reward.code, used=had)
    reasons = reasons_against(
        program,
        reward,
        available=work.books.wallet.available,
        level=work.level,
        segments=segments_found(session, ref),
        used=used,
        remaining=left,
        today=local_day(work.now, program.timezone),
        free=free > 0,
    )
    if work.status != "active":
        reasons.insert(0, NOT_ACTIVE)
    return {
        "code": reward.code,
        "name": reward.name,
        "cost": 0 if free else reward.cost_for(work.level),
        "free": free,
        "gives": what_it_gives(program, reward),
        "available": not reasons,
        "reasons": [reason.as_json() for reason in reasons],
        "remaining": None if reward.pool and left == COUNTED else left,
    }


def _period(reward: Reward) -> str:
    return reward.per_member.per if reward.per_member else "ever"
