"""What a basket would give whoever brought its member.

A till's earn does not lock them: they are given it by a command of their own, and so they are here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from loyalty.earning.rules import Occasion
from loyalty.engine.commands import Ask, Decision, Kind, MemberRef
from loyalty.engine.session import MemberWork, Session
from loyalty.orders.brought import bought_by
from loyalty.orders.rules import OrderRecord
from loyalty.programs.rules import PublishedProgram
from loyalty.referrals.services import occasion_of, referrer_of
from loyalty.referrals.settling import asks_of_reward, reward_of


@dataclass(frozen=True, slots=True)
class Brought:
    """The order of a friend, as the referrer's rules see it."""

    referrer: UUID
    occasion: Occasion

    @property
    def member(self) -> MemberRef:
        """Name who gets something, also after a merge."""
        return "id", str(self.referrer)


def brought_by(work: MemberWork, record: OrderRecord) -> Brought | None:
    """Tell what a referrer gets to see of an order; None where it converts no referral."""
    referrer = referrer_of(work, scope=record.scope, order=record.ref)
    if referrer is None:
        return None
    return Brought(referrer, occasion_of(bought_by(work, record)))


def _asks(brought: Brought, program: PublishedProgram) -> Sequence[Ask]:
    return asks_of_reward(program, brought.member, {brought.occasion.day})


def _decide(session: Session, decision: Decision) -> tuple[int, dict[str, Any]]:
    work, brought = decision.work, decision.payload
    if work is None or work.status == "closed":
        return 200, {"points": 0, "explanation": [], "not_applied": []}
    award, points = reward_of(work, brought.member, brought.occasion)
    told = {"explanation": award.explanation, "not_applied": award.not_applied}
    return 200, {"points": points, **told}


REFERRER = Kind("preview", member=lambda brought: brought.member, asks=_asks, decide=_decide)
