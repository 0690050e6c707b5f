"""The referrer's side of referrals: being told, being given points, losing them again.

Done by a command of the referrer's own, once for each step: by the job each minute, or by the
next earn or redemption of theirs.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

import orjson

from loyalty.earning.plan import plan_of
from loyalty.earning.rules import Award, Occasion
from loyalty.earning.services import (
    asks_of_occasion,
    asks_segments,
    asks_uses,
    earner_of,
    occasion_award,
)
from loyalty.engine.commands import Ask, Decision, Kind, MemberRef
from loyalty.engine.session import MemberWork, Session
from loyalty.errors import MemberNotFound
from loyalty.ledger.rules import has_room
from loyalty.programs.rules import PublishedProgram
from loyalty.referrals.gifts import give, take_gift_back
from loyalty.referrals.rows import STEP_SETTLED, due_steps
from loyalty.referrals.rules import Gift
from loyalty.referrals.services import CONVERTED, CREATED, REVERSED

KEPT = "referral_steps"


@dataclass(slots=True)
class Step:
    """A step as it was read.

    Attributes:
        present_friend: Who goes on for the friend, where they were merged since.
        gift: Of a reversed referral: what converting it gave, and `lots` the lots of that.
    """

    member_id: UUID
    friend_id: UUID
    step: int
    day: date
    facts: dict[str, Any]
    occurred_at: datetime
    present_friend: UUID
    gift: Gift = field(default_factory=Gift)
    lots: list[dict[str, Any]] = field(default_factory=list)

    @property
    def key(self) -> tuple[UUID, UUID, int]:
        """Name it."""
        return self.member_id, self.friend_id, self.step


def asks_to_settle(program: PublishedProgram, ref: MemberRef) -> list[Ask]:
    """Ask for steps to do, where rules of referrals make it likely that there are any."""
    return [due_steps(ref)] if plan_of(program).converting else []


def settle_referrals(work: MemberWork, ref: MemberRef) -> None:
    """Do the steps of a member's referrals that were read and are not done yet.

    Args:
        ref: As `due_steps` was asked.
    """
    found = work.session.found(due_steps(ref))
    if not found:
        return
    done: dict[Any, Gift] = work.kept.setdefault(KEPT, {})
    due = [step for step in map(_read, found) if step.key not in done]
    if work.status != "closed":
        _ask_for_rules(work, ref, due)
    for step in due:
        gift = Gift()
        if work.status != "closed" and _counts(work, step, done):
            gift = _do(work, ref, step, done)
        done[step.key] = gift
        _put_settled(work, step, gift)


def _counts(work: MemberWork, step: Step, done: dict[Any, Gift]) -> bool:
    """Nobody brings themselves; but what was given before a merge showed it goes with the order."""
    if step.present_friend != work.member_id:
        return True
    return step.step == REVERSED and _converted_gift(step, done).points > 0


def _converted_gift(step: Step, done: dict[Any, Gift]) -> Gift:
    """Give what a reversed referral had given, perhaps in this run."""
    return done.get((step.member_id, step.friend_id, CONVERTED), step.gift)


def _read(row: Any) -> Step:
    member, friend, step, day, facts, occurred_at, present = row[:7]
    to, transaction, lot, points, taken, lots = row[7:]
    gift = Gift(to, transaction, lot, points or 0, _loads(taken) or [])
    found = _loads(lots) or []
    return Step(member, friend, step, day, _loads(facts), occurred_at, present, gift, found)


def _loads(found: Any) -> Any:
    return orjson.loads(found) if isinstance(found, str | bytes) else found


def _ask_for_rules(work: MemberWork, ref: MemberRef, due: list[Step]) -> None:
    """Read what the rules need, which few commands do: one round trip more where they do."""
    days = {step.day for step in due if step.step == CONVERTED}
    if not days:
        return
    work.session.fetch(asks_of_reward(work.program, ref, days))


def asks_of_reward(program: PublishedProgram, ref: MemberRef, days: Collection[date]) -> list[Ask]:
    """List what must be known of a referrer before friends' orders of some days give them."""
    uses = [ask for day in sorted(days) for ask in asks_uses(program, ref, day)]
    budgets = asks_of_occasion(program, "referral.referrer")
    return [*asks_segments(program, ref), *uses, *budgets]


def reward_of(work: MemberWork, ref: MemberRef, occasion: Occasion) -> tuple[Award, int]:
    """Calculate what a friend's order gives its referrer, and what of it they have room for."""
    award = occasion_award(work, "referral.referrer", occasion, earner_of(work, ref, occasion.day))
    gives = bool(award.points) and has_room(work.books, award.points)
    return award, award.points if gives else 0


def _do(work: MemberWork, ref: MemberRef, step: Step, done: dict[Any, Gift]) -> Gift:
    friend = {"friend": str(step.friend_id)}
    if step.step == CREATED:
        work.event("referral.created", friend, kind="referral", occurred_at=step.occurred_at)
        return Gift()
    if step.step == CONVERTED:
        return _reward(work, ref, step)
    gift = _converted_gift(step, done)
    told = {**friend, "points": gift.points}
    work.event("referral.reversed", told, kind="referral", occurred_at=step.occurred_at)
    take_gift_back(work, gift, step.lots, about=friend)
    return Gift()


def _reward(work: MemberWork, ref: MemberRef, step: Step) -> Gift:
    facts = step.facts
    occasion = Occasion(
        day=step.day,
        hour=facts["hour"],
        channel=facts["channel"],
        store=facts["store"],
        amount=facts["net"],
    )
    award, points = reward_of(work, ref, occasion)
    told = {"friend": str(step.friend_id), "points": points}
    rules = [entry["rule"] for entry in award.explanation]
    at = step.occurred_at
    work.event("referral.converted", told, kind="referral", rules=rules, occurred_at=at)
    if not points:
        return Gift()
    about = {"friend": str(step.friend_id)}
    return give(work, award, occurred_at=step.occurred_at, about=about)[0]


def _put_settled(work: MemberWork, step: Step, gift: Gift) -> None:
    work.rows.put(
        STEP_SETTLED,
        {
            "member_id": step.member_id,
            "friend_id": step.friend_id,
            "step": step.step,
            "settled_at": work.now,
            "awarded_to": gift.awarded_to,
            "transaction_number": gift.transaction_number,
            "lot_number": gift.lot_number,
            "points": gift.points,
            "taken": gift.taken,
        },
    )


def _decide(session: Session, decision: Decision) -> tuple[int, dict[str, Any]]:
    """Also for a closed account, whose steps are ticked off and give nothing."""
    if decision.work is None:
        raise MemberNotFound()
    settle_referrals(decision.work, decision.payload.member)
    return 200, {"changed": True}


SETTLE_REFERRALS = Kind(
    "referral",
    member=lambda payload: payload.member,
    decide=_decide,
    asks=lambda payload, program: [due_steps(payload.member)],
)
