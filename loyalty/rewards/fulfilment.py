"""Move the fulfilment of what others deliver: ordered, shipped, delivered, cancelled."""

from typing import Any

from loyalty.engine.commands import Decision, Kind
from loyalty.engine.session import Session
from loyalty.rewards.rows import put_redemption
from loyalty.rewards.rules import check_fulfilment
from loyalty.rewards.schemas import MoveFulfilment
from loyalty.rewards.settling import (
    account_of,
    answer_passed_on,
    asks_reverse,
    give_points_back,
    loaded,
    member_of,
)
from loyalty.rewards.taking import tell


def _decide_fulfilment(session: Session, decision: Decision) -> tuple[int, Any]:
    work, redemption, uses = loaded(session, decision, redeemed=True)
    request: MoveFulfilment = decision.payload
    to, note = request.body.state, request.body.note
    if to == redemption.fulfilment:
        return answer_passed_on(work, redemption)
    check_fulfilment(redemption, to)
    if to == "cancelled":
        left = redemption.captured - redemption.reinstated
        reason = note or "The delivery was cancelled."
        give_points_back(work, redemption, uses, points=left, reason=reason)
    else:
        redemption.fulfilment, redemption.new_note = to, note or ""
        put_redemption(work, redemption)
        tell(work, f"reward.{to}", "fulfilment", redemption)
    return answer_passed_on(work, redemption)


FULFIL = Kind(
    "fulfilment",
    member=account_of,
    decide=_decide_fulfilment,
    asks=asks_reverse,
    others=lambda request: [member_of(request)],
)
