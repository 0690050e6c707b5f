"""May this member have this reward now, and if not, why not.

Pure: no Django, no clock, no database. The same function answers the list of rewards and decides
a redemption, so that a reward that is shown as available does not fail at the till.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import orjson

from loyalty.errors import (
    FulfilmentConflict,
    InsufficientPoints,
    LoyaltyError,
    RewardLimitReached,
    RewardNotAvailable,
    RewardSoldOut,
)
from loyalty.http.ids import encode_id
from loyalty.programs.rewards import FULFILLED_OUTSIDE, Reward
from loyalty.programs.rules import PublishedProgram


@dataclass(slots=True)
class RedemptionState:
    """One redemption as it is now.

    Attributes:
        held_until: When a hold lapses; None where the points were taken at once.
        counts: Whether it counts towards the member's limit.
        took_stock: Whether it has one of the stock, as the reward was when it was redeemed.
        fulfilment: What others have done of it, such as `shipped`; empty where they have nothing
            to do, or not yet.
        given_for: Why it came without being asked for, or for nothing; empty for all others.
        once: A sealed code that is only in this answer.
        new_note: What colleagues are told of the delivery now; what was said before is not read.
    """

    number: int
    reward: str
    points: int
    captured: int
    reinstated: int
    state: str
    gives: dict[str, Any]
    store: str
    order_ref: str
    ref: str
    held_until: datetime | None
    created_at: datetime
    updated_at: datetime
    counts: bool
    fulfilment: str = ""
    took_stock: bool = False
    given_for: str = ""
    once: str = ""
    new_note: str = ""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a reward is not available: a code, a sentence, and the numbers in it."""

    code: str
    because: str
    facts: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Give it as the list of rewards shows it."""
        return {"code": self.code, "because": self.because, **self.facts}


NOT_ACTIVE: Final = Reason("member_not_active", "The member is frozen or closed.", {})
SWITCHED_OFF: Final = Reason("switched_off", "It is switched off.", {})


def reasons_against(
    program: PublishedProgram,
    reward: Reward,
    *,
    available: int,
    level: str,
    segments: Set[str] = frozenset(),
    used: int,
    remaining: int | None,
    today: date,
    free: bool = False,
) -> list[Reason]:
    """List everything that stands between a member and a reward; empty: they may have it.

    Args:
        available: The member's available points.
        segments: Those that the member is in.
        used: How often they had it in the present period of its limit.
        remaining: How many are left; None where no stock is kept.
        today: The local day in the program's zone.
        free: Whether the member's level gives it for nothing.
    """
    found = [
        *_against_dates(reward, today),
        *_against_tier(program, reward, level),
        *_against_segments(reward, segments),
        *_against_stock(remaining),
    ]
    limit = reward.per_member
    if limit is not None and used >= limit.times:
        period = "in all" if limit.per == "ever" else f"per {limit.per}"
        facts = {"times": limit.times, "per": limit.per}
        found.append(Reason("limit_reached", f"It may be had {limit.times} × {period}.", facts))
    cost = 0 if free else reward.cost_for(level)
    if available < cost:
        missing = cost - available
        facts = {"needed": cost, "available": available, "missing": missing}
        found.append(Reason("insufficient_points", f"{missing} points are missing.", facts))
    return found


def reasons_not_to_issue(reward: Reward, *, remaining: int | None, today: date) -> list[Reason]:
    """List what keeps a level from giving a reward: not its price, nor to whom it is offered."""
    return [*_against_dates(reward, today), *_against_stock(remaining)]


def free_left(program: PublishedProgram, level: str, reward: str, *, used: int) -> int:
    """Tell how many of a reward a member of a level still gets for nothing this year.

    Args:
        used: How many the member had for nothing this year.
    """
    held = program.levels.get(level)
    return max(0, held.free_redemptions.get(reward, 0) - used) if held else 0


def _against_stock(remaining: int | None) -> list[Reason]:
    if remaining is None or remaining > 0:
        return []
    return [Reason("sold_out", "None are left.", {})]


def _against_dates(reward: Reward, today: date) -> list[Reason]:
    day = today.isoformat()
    if reward.starts_on and day < reward.starts_on:
        facts = {"starts_on": reward.starts_on}
        return [Reason("not_started", f"It starts on {reward.starts_on}.", facts)]
    if reward.ends_on and day > reward.ends_on:
        return [Reason("ended", f"It ended on {reward.ends_on}.", {"ends_on": reward.ends_on})]
    return []


def _against_tier(program: PublishedProgram, reward: Reward, level: str) -> list[Reason]:
    if not reward.tiers or level in reward.tiers:
        return []
    names = [program.levels[code].name for code in reward.tiers if code in program.levels]
    facts = {"tiers": list(reward.tiers)}
    return [Reason("tier_too_low", f"It is for {', '.join(names) or 'other tiers'}.", facts)]


def _against_segments(reward: Reward, segments: Set[str]) -> list[Reason]:
    found = []
    if reward.segments and segments.isdisjoint(reward.segments):
        facts = {"segments": list(reward.segments)}
        found.append(Reason("not_in_segment", f"It is for {_named(reward.segments)}.", facts))
    barred = [code for code in reward.not_in_segments if code in segments]
    if barred:
        facts = {"segments": barred}
        found.append(Reason("in_segment", f"It is not for {_named(barred)}.", facts))
    return found


def _named(segments: Sequence[str]) -> str:
    return f"segment {' or '.join(segments)}"


_ERRORS: dict[str, type[LoyaltyError]] = {
    "insufficient_points": InsufficientPoints,
    "sold_out": RewardSoldOut,
    "limit_reached": RewardLimitReached,
}


def refusal(reasons: list[Reason]) -> LoyaltyError:
    """Turn reasons into the error that the till gets: of the first one, naming all."""
    first = reasons[0]
    error = _ERRORS.get(first.code, RewardNotAvailable)
    found = [reason.as_json() for reason in reasons]
    return error(first.because, reason=first.code, reasons=found, **first.facts)


# Fulfilment by others

NEXT_STATES: Final = {
    "ordered": ("shipped", "delivered", "cancelled"),
    "shipped": ("delivered", "cancelled"),
    "delivered": (),
    "cancelled": (),
}


def is_fulfilled_outside(gives: Mapping[str, Any]) -> bool:
    """Tell whether somebody else has something to do after this was redeemed."""
    return not FULFILLED_OUTSIDE.isdisjoint(gives)


def first_fulfilment(gives: Mapping[str, Any]) -> str:
    """Give the state in which fulfilment begins; empty where nobody has anything to do."""
    return "ordered" if is_fulfilled_outside(gives) else ""


def check_fulfilment(redemption: RedemptionState, to: str) -> None:
    """Refuse a step that the fulfilment of a redemption cannot take.

    Raises:
        FulfilmentConflict: With the states that it can go into.
    """
    at = redemption.fulfilment
    possible = NEXT_STATES.get(at, ())
    if to in possible:
        return
    if not at:
        nothing = "has nothing to deliver" if redemption.state != "held" else "is only held yet"
        raise FulfilmentConflict(f"This redemption {nothing}.", fulfilment=None, possible=[])
    raise FulfilmentConflict(
        f"This redemption is {at} and cannot become {to}.", fulfilment=at, possible=list(possible)
    )


def redemption_body(member_id: UUID, redemption: RedemptionState) -> dict[str, Any]:
    """Describe a redemption as every call that answers one does."""
    held_until = redemption.held_until if redemption.state == "held" else None
    return {
        "id": encode_id("rdm", member_id, redemption.number),
        "state": redemption.state,
        "member": str(member_id),
        "reward": redemption.reward or None,
        "points": redemption.points,
        "captured": redemption.captured,
        "reinstated": redemption.reinstated,
        "gives": {**redemption.gives, **({"code": redemption.once} if redemption.once else {})},
        "fulfilment": redemption.fulfilment or None,
        "given_for": redemption.given_for or None,
        "store": redemption.store or None,
        "order_ref": redemption.order_ref or None,
        "ref": redemption.ref or None,
        "held_until": held_until.isoformat() if held_until else None,
        "created_at": redemption.created_at.isoformat(),
    }


def state_of(row: Sequence[Any]) -> RedemptionState:
    """Make a redemption of its columns as read."""
    values = list(row[:17])
    values[6] = orjson.loads(values[6])
    return RedemptionState(*values)
