"""The friend's side of a referral: joining with a code, the order that converts it, its return.

What the referrer is told and given for it is left as a step, in the same transaction: their lock
is not held here (docs/decisions/0015).
"""

import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from loyalty.earning.lots import status_of
from loyalty.earning.plan import plan_of
from loyalty.earning.rules import Award, Occasion, qualifies
from loyalty.earning.services import earner_of, occasion_award
from loyalty.engine.activity import today_of
from loyalty.engine.commands import Ask, MemberRef
from loyalty.engine.session import MemberWork, Session
from loyalty.errors import ReferralCodeUnknown, SelfReferral
from loyalty.ledger.clawback import ClawedBack
from loyalty.ledger.rules import has_room
from loyalty.programs.expiry import local_day
from loyalty.programs.rules import PublishedProgram
from loyalty.referrals.gifts import give, take_gift_back
from loyalty.referrals.rows import (
    CODE,
    REFERRAL,
    STEP,
    converted_referrals,
    no_gift,
    open_referral,
    owner_of_code,
)
from loyalty.referrals.rules import (
    Bought,
    Gift,
    Referral,
    draw_code,
    is_oneself,
    may_convert,
)

KEPT = "referral"
CREATED, CONVERTED, REVERSED = 1, 2, 3


# Joining


def put_code(work: MemberWork) -> str:
    """Give a new member a code of their own; one that somebody has is drawn anew by the run."""
    code = draw_code(secrets.choice)
    row = {"program_id": work.program.id, "code": code, "member_id": work.member_id}
    work.rows.put(CODE, row)
    return code


def referrer_found(session: Session, code: str, identifiers: Iterable[tuple[str, str]]) -> UUID:
    """Give whose code it is.

    Raises:
        ReferralCodeUnknown: Nobody's, or that of somebody who is no member any more.
        SelfReferral: The new member has the mailbox or the phone of its owner.
    """
    found = session.found(owner_of_code(code))
    if not found or found[0][1] == "closed":
        raise ReferralCodeUnknown(
            errors=[{"pointer": "/referred_by", "message": "nobody has this code"}]
        )
    referrer, _, theirs = found[0]
    if is_oneself(identifiers, orjson.loads(theirs or "[]")):
        raise SelfReferral()
    known: UUID = referrer
    return known


def refer(work: MemberWork, referrer: UUID) -> None:
    """Write down who brought a new member, and let the referrer be told."""
    referral = Referral(
        member_id=work.member_id,
        referrer_id=referrer,
        present_referrer=referrer,
        state="open",
        created_at=work.enrolled_at,
        known_since=work.enrolled_at,
    )
    _put(work, referral)
    _put_step(work, referral, CREATED, day=today_of(work), occurred_at=work.now)


def _put(work: MemberWork, referral: Referral) -> None:
    work.kept.setdefault(KEPT, {})[referral.member_id] = referral
    gift = referral.gift
    work.rows.put(
        REFERRAL,
        {
            "member_id": referral.member_id,
            "program_id": work.program.id,
            "referrer_id": referral.referrer_id,
            "state": referral.state,
            "created_at": referral.created_at,
            "changed_at": work.now,
            "order_scope": referral.order_scope,
            "order_ref": referral.order_ref,
            "awarded_to": gift.awarded_to,
            "transaction_number": gift.transaction_number,
            "lot_number": gift.lot_number,
            "points": gift.points,
            "taken": gift.taken,
        },
    )


def _put_step(
    work: MemberWork,
    referral: Referral,
    step: int,
    *,
    day: Any,
    occurred_at: datetime,
    facts: dict[str, Any] | None = None,
) -> None:
    work.rows.put(
        STEP,
        {
            "member_id": referral.referrer_id,
            "friend_id": referral.member_id,
            "step": step,
            "program_id": work.program.id,
            "day": day,
            "facts": facts or {},
            "occurred_at": occurred_at,
            "recorded_at": work.now,
            **no_gift(),
        },
    )


# The first order that qualifies


def asks_to_convert(program: PublishedProgram, ref: MemberRef) -> list[Ask]:
    """List what an order must know of who brought its member; nothing where no rule is for that."""
    return [open_referral(ref)] if plan_of(program).converting else []


def convert(work: MemberWork, ref: MemberRef, bought: Bought) -> dict[str, Any] | None:
    """Convert the member's referral if this order does so; give them what is theirs of it.

    Returns:
        What the answer says of it; None where nothing was converted.
    """
    program = work.program
    referral = _open(work, ref)
    if referral is None:
        return None
    joined_on = local_day(referral.created_at, program.timezone)
    if not may_convert(referral, friend=work.member_id, joined_on=joined_on, bought=bought):
        return None
    occasion = occasion_of(bought)
    if not qualifies(program, occasion):
        return None
    award = occasion_award(work, "referral.friend", occasion, earner_of(work, ref, bought.day))
    status = _give(work, referral, award, bought)
    referral.state = "converted"
    referral.order_scope, referral.order_ref = bought.scope, bought.ref
    _put(work, referral)
    facts = {
        "hour": bought.hour,
        "channel": bought.channel,
        "store": bought.store,
        "net": bought.net,
    }
    _put_step(
        work, referral, CONVERTED, day=bought.day, occurred_at=bought.occurred_at, facts=facts
    )
    return {
        "points": referral.gift.points,
        "status": status,
        "explanation": award.explanation,
        "not_applied": award.not_applied,
    }


def occasion_of(bought: Bought) -> Occasion:
    """Show rules of referrals the order that converts one."""
    return Occasion(
        day=bought.day,
        hour=bought.hour,
        channel=bought.channel,
        store=bought.store,
        amount=bought.net,
    )


def referrer_of(work: MemberWork, *, scope: str, order: str) -> UUID | None:
    """Tell whose referral an order of this run converted; None where it converted none."""
    kept: dict[UUID, Referral] = work.kept.get(KEPT, {})
    wanted = ("converted", scope, order)
    found = (r for r in kept.values() if (r.state, r.order_scope, r.order_ref) == wanted)
    return next((referral.present_referrer for referral in found), None)


def _open(work: MemberWork, ref: MemberRef) -> Referral | None:
    kept: dict[UUID, Referral] = work.kept.get(KEPT, {})
    found = [Referral(*row) for row in work.session.found(open_referral(ref)) if row[0] not in kept]
    still = [*found, *(referral for referral in kept.values() if referral.state == "open")]
    return min(still, key=lambda referral: referral.created_at, default=None)


def _give(work: MemberWork, referral: Referral, award: Award, bought: Bought) -> str:
    if not award.points or not has_room(work.books, award.points):
        return "none"
    about = {"referrer": str(referral.referrer_id)}
    referral.gift, lot = give(
        work, award, occurred_at=bought.occurred_at, about=about, order=bought.ref
    )
    return status_of(lot, work)


# The order comes back


def take_referral_back(
    work: MemberWork, ref: MemberRef, *, scope: str, order: str
) -> tuple[int, ClawedBack]:
    """Reverse the referral that an order converted of which nothing is left.

    Args:
        ref: As `converted_referrals` was asked.
        scope, order: Of the order.

    Returns:
        How many points were taken back of the friend, and from where.
    """
    referral, lots = _converted(work, ref, scope, order)
    if referral is None:
        return 0, ClawedBack()
    about = {"referrer": str(referral.referrer_id)}
    taken = take_gift_back(work, referral.gift, lots, about=about, order=order)
    referral.state = "reversed"
    _put(work, referral)
    _put_step(work, referral, REVERSED, day=today_of(work), occurred_at=work.now)
    return referral.gift.points, taken


def _converted(
    work: MemberWork, ref: MemberRef, scope: str, order: str
) -> tuple[Referral | None, Sequence[dict[str, Any]]]:
    wanted = ("converted", scope, order)
    kept: dict[UUID, Referral] = work.kept.get(KEPT, {})
    for known_now in kept.values():
        if (known_now.state, known_now.order_scope, known_now.order_ref) == wanted:
            return known_now, ()
    for row in work.session.found(converted_referrals(ref, order)):
        if row[0] in kept:
            continue
        friend, referrer, present, state, created, known, at, of = row[:8]
        to, transaction, lot, points, taken, lots = row[8:]
        gift = Gift(to, transaction, lot, points, _loads(taken))
        referral = Referral(friend, referrer, present, state, created, known, at, of, gift)
        if (referral.state, referral.order_scope, referral.order_ref) == wanted:
            return referral, orjson.loads(lots or "[]")
    return None, ()


def _loads(found: Any) -> Any:
    return orjson.loads(found) if isinstance(found, str | bytes) else found
