"""Take a reward: the points, one of the stock, a code, the member's turn; and tell of it.

The same for what somebody asked for at a till, and for what comes by itself.
"""

from typing import Any, NamedTuple

from loyalty.engine.commands import MemberRef
from loyalty.engine.inactivity import carry_on
from loyalty.engine.session import MemberWork, OpenHold, Session
from loyalty.engine.tables import STOCK
from loyalty.ledger import rules as ledger
from loyalty.ledger.buckets import Bucket
from loyalty.ledger.rules import GivenBack, Use
from loyalty.programs.rules import Reward
from loyalty.rewards.codes import code_at_hand, take_code
from loyalty.rewards.rows import put_redemption, stock_of, use_of
from loyalty.rewards.rules import RedemptionState


class Had(NamedTuple):
    """What a member has had of a reward.

    Attributes:
        times: In the present period of its limit.
        never_any: Whether this is their first redemption of all.
        free: For nothing, by their level, in this calendar year.
        by_level: Whether a level gave it within a year.
        given_back: Whether one that came at a balance was reversed since the last such came.
    """

    times: int
    never_any: bool
    free: int
    by_level: bool
    given_back: bool


def id_of(work: MemberWork) -> MemberRef:
    """Name a member by their id, as what a run remembers of them is."""
    return ("id", str(work.member_id))


def period_of(reward: Reward | None) -> str:
    """Give the period of a reward's limit."""
    return reward.per_member.per if reward and reward.per_member else "ever"


def had_of(
    session: Session, work: MemberWork, code: str, reward: Reward | None, ref: MemberRef
) -> Had:
    """Tell what the member has had of a reward.

    What an earlier command of the run has remembered stands under the member's id, however that
    command named them.
    """
    per = period_of(reward)
    found = session.found(use_of(id_of(work), code, per)) or session.found(use_of(ref, code, per))
    had = Had(*found[0])
    never_any = had.never_any and not session.found(use_of(id_of(work), "", "any"))
    return had._replace(never_any=never_any)


def left_of(session: Session, work: MemberWork, reward: Reward, token: object) -> int | None:
    """Tell how many are left, with those that the member's own lapsed holds put back.

    Args:
        token: As whose a code was locked.
    """
    if reward.pool:
        return int(code_at_hand(session, reward, token) is not None)
    if not reward.stock:
        return None
    found = session.found(stock_of(reward.code))
    return (found[0][0] if found else 0) + work.stock_back.get(reward.code, 0)


def take_piece(
    session: Session,
    work: MemberWork,
    reward: Reward | None,
    redemption: RedemptionState,
    token: object,
) -> None:
    """Take a code, or one of the stock, for a redemption; nothing where there is neither."""
    if reward is None:
        return
    if reward.pool:
        code = code_at_hand(session, reward, token)
        if code is not None:
            take_code(session, work, reward, redemption, code)
    elif reward.stock:
        _take_stock(session, work, reward, token)
        redemption.took_stock = True


def _take_stock(session: Session, work: MemberWork, reward: Reward, token: object) -> None:
    left = (left_of(session, work, reward, token) or 0) - 1
    session.remember(stock_of(reward.code), [(left,)])
    work.stock_back.pop(reward.code, None)
    work.rows.put(STOCK, {"program_id": work.program.id, "reward": reward.code, "taken": 1})
    if left in reward.stock_low:
        work.event("reward.stock_low", {"reward": reward.code, "left": left}, kind="redeem")


def spend(work: MemberWork, redemption: RedemptionState, uses: list[Use]) -> None:
    """Take or hold the points of a new redemption, write it, and tell of it.

    What members redeem themselves carries their other points on, where these expire by inactivity.
    """
    if redemption.given_for in ("", "free_redemption"):
        carry_on(work, work.now)
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


def write_gift(work: MemberWork, redemption: RedemptionState) -> None:
    """Write a redemption that costs nothing, and why it was given."""
    put_transaction(work, "redeem", work.next_number(), redemption, points=0)
    put_redemption(work, redemption)


def put_transaction(
    work: MemberWork,
    kind: str,
    number: int,
    redemption: RedemptionState,
    *,
    points: int,
    reason: str = "",
    back: GivenBack | None = None,
) -> None:
    """Write the ledger transaction of what happened to a redemption.

    Args:
        back: What came back with it.
    """
    what = redemption.reward or "points"
    given_for = {"given_for": redemption.given_for} if redemption.given_for else {}
    work.transaction(
        kind,
        number=number,
        points=points,
        source_ref=redemption.ref or redemption.order_ref,
        reason=reason,
        store=redemption.store,
        redemption_number=redemption.number,
        explanation={
            "reward": what,
            "gives": redemption.gives,
            **given_for,
            **(back.lapsed() if back else {}),
        },
    )


def tell(
    work: MemberWork, type_: str, kind: str, redemption: RedemptionState, **facts: Any
) -> None:
    """Tell what happened to a redemption."""
    work.event(
        type_,
        {
            "redemption": work.public_id("rdm", redemption.number),
            "reward": redemption.reward or None,
            "points": redemption.points,
            "state": redemption.state,
            "gives": redemption.gives,
            "fulfilment": redemption.fulfilment or None,
            "given_for": redemption.given_for or None,
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


def remember_use(
    session: Session,
    work: MemberWork,
    reward: Reward | None,
    redemption: RedemptionState,
    ref: MemberRef,
) -> None:
    """Let later commands of the run see what the member has had; tell of their first redemption."""
    had = had_of(session, work, redemption.reward, reward, ref)
    by_level = redemption.given_for == "tier_entry"
    now = Had(
        times=had.times + redemption.counts,
        never_any=had.never_any and by_level,
        free=had.free + (redemption.given_for == "free_redemption"),
        by_level=had.by_level or by_level,
        given_back=had.given_back and redemption.given_for != "auto_redeem",
    )
    session.remember(use_of(id_of(work), redemption.reward, period_of(reward)), [now])
    if by_level:
        return
    session.remember(use_of(id_of(work), "", "any"), [Had(1, False, 0, False, False)])
    if had.never_any:
        tell(work, "reward.first_redemption", "redeem", redemption)
