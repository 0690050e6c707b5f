"""Codes of pools: taken for a redemption, handed out when its points are, given back or burnt."""

from collections.abc import Iterator, Sequence
from typing import Any

from loyalty.engine.commands import Ask
from loyalty.engine.session import MemberWork, Session
from loyalty.programs.rewards import Reward
from loyalty.rewards.code_rows import (
    POOL_CODE,
    POOL_NOTICE,
    code_for,
    pool_left,
    spare_code,
    taken_codes,
)
from loyalty.rewards.rules import RedemptionState
from loyalty.rewards.sealing import MARK, hint_of, unseal

Code = tuple[int, str, Any]
"""Its row, its sealed text, and its last day or None."""


def asks_code(reward: Reward, command: object) -> list[Ask]:
    """List what a redemption of a code reads."""
    return [code_for(reward.pool, command), _left(reward)]


def asks_codes(session: Session, reward: Reward, most: int) -> list[Ask]:
    """List what it takes to have up to so many codes that nobody of the run has taken.

    A run finds again what it has locked itself, so it asks for as many more.
    """
    locked = {row[0] for row in _locked(session, reward.pool)}
    missing = most - len(locked - set(_taken(session, reward.pool)))
    if missing <= 0:
        return []
    codes = [spare_code(reward.pool, next(session.tokens)) for _ in range(len(locked) + missing)]
    return [*codes, _left(reward)]


def _left(reward: Reward) -> Ask:
    """Ask whether few are left: counted to one more than matters, or it would cost too much."""
    return pool_left(reward.pool, max(reward.stock_low, default=0) + 2)


def code_at_hand(session: Session, reward: Reward, command: object) -> Code | None:
    """Give the code that was locked for this command, or None: sold out.

    Where there was none for it, one that a command before it did not take after all; that is also
    what comes by itself gets (None).
    """
    taken = set(_taken(session, reward.pool))
    own = session.found(code_for(reward.pool, command)) if command is not None else []
    at_hand = (row for row in (*own, *_locked(session, reward.pool)) if row[0] not in taken)
    return next(((row[0], row[1], row[2]) for row in at_hand), None)


def _locked(session: Session, pool: str) -> Iterator[Sequence[Any]]:
    """Give all codes that were locked for the run's commands."""
    remembered = taken_codes(pool)
    for args, rows in session.all_found(remembered.read):
        if args[0] == pool and args != remembered.args:
            yield from rows


def _taken(session: Session, pool: str) -> list[int]:
    """List the codes that earlier commands of the run took."""
    taken: list[int] = session.found(taken_codes(pool))
    return taken


def take_code(
    session: Session, work: MemberWork, reward: Reward, redemption: RedemptionState, code: Code
) -> None:
    """Take a code for a redemption: held with its points, or handed out with them."""
    session.remember(taken_codes(reward.pool), [*_taken(session, reward.pool), code[0]])
    if redemption.state == "held":
        _put(work, code[0], "held", redemption.number)
    elif not session.is_preview:  # a preview shows that there is one, and not which
        hand_out(work, reward, redemption, code)
    _tell_low(session, work, reward)


def hand_out(
    work: MemberWork, reward: Reward | None, redemption: RedemptionState, code: Code
) -> None:
    """Show a code to the member: from now on in what the redemption gives, or only once.

    A reward that was taken out since is treated as strictly as can be.
    """
    number, sealed, valid_until = code
    once = reward is None or reward.shown_once
    plain = unseal(sealed)
    redemption.gives = {**redemption.gives, **({"code_hint": hint_of(plain)} if once else {})}
    if valid_until is not None:
        redemption.gives["valid_until"] = valid_until.isoformat()
    if once:
        redemption.once = MARK + sealed
    else:
        redemption.gives["code"] = plain
    _put(work, number, "given", redemption.number, wipe=once)


def code_back(
    work: MemberWork, reward: Reward | None, redemption: RedemptionState, code: Code
) -> None:
    """Put a code back after a reversal, or burn it: the member has seen it."""
    if reward is not None and reward.reused and code[1]:
        _put(work, code[0], "free", None)
        redemption.gives = {key: redemption.gives[key] for key in ("code_from_pool",)}
    else:
        _put(work, code[0], "burnt", redemption.number)


def code_of(row: Sequence[Any]) -> Code | None:
    """Read a redemption's code from what was read with the redemption."""
    return (row[-3], row[-2], row[-1]) if row[-3] is not None else None


def _put(
    work: MemberWork, code: int, state: str, number: int | None, *, wipe: bool = False
) -> None:
    row = {
        "id": code,
        "state": state,
        "member_id": work.member_id if number is not None else None,
        "number": number,
        "wipe": wipe,
    }
    work.rows.put(POOL_CODE, row)


def _tell_low(session: Session, work: MemberWork, reward: Reward) -> None:
    """Tell once that few are left; tills at once may step over a number, so `<=`."""
    ask = _left(reward)
    count, told = session.found(ask)[0]
    if count == ask.args[1]:
        return  # there are more than were counted
    left = count - 1
    passed = [low for low in reward.stock_low if left <= low and low not in told]
    session.remember(ask, [(left, [*told, *passed])])
    for low in passed:
        row = {"program_id": work.program.id, "pool": reward.pool, "threshold": low}
        work.rows.put(POOL_NOTICE, row)
    if passed:
        facts = {"reward": reward.code, "pool": reward.pool, "left": left}
        work.event("reward.stock_low", facts, kind="redeem")
