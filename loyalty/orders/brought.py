"""What an order means for whoever brought its member: the first that qualifies converts."""

from typing import Any

from loyalty.earning.plan import plan_of
from loyalty.engine.commands import Ask, MemberRef
from loyalty.engine.session import MemberWork
from loyalty.ledger.clawback import ClawedBack
from loyalty.orders.rules import OrderRecord, all_returned
from loyalty.programs.expiry import local_time
from loyalty.programs.rules import PublishedProgram
from loyalty.referrals.rows import converted_referrals
from loyalty.referrals.rules import Bought
from loyalty.referrals.services import asks_to_convert, convert, take_referral_back
from loyalty.referrals.settling import asks_to_settle


def asks_of_referrals(program: PublishedProgram, ref: MemberRef) -> list[Ask]:
    """List what an order must know of referrals on both sides; only where rules are for them."""
    return [*asks_to_convert(program, ref), *asks_to_settle(program, ref)]


def asks_to_reverse(ref: MemberRef, order_ref: str) -> list[Ask]:
    """List what it takes to take back what an order brought, whatever rules there are by now."""
    return [converted_referrals(ref, order_ref)]


def follow_referral(work: MemberWork, ref: MemberRef, record: OrderRecord) -> dict[str, Any]:
    """Convert the member's referral by a paid order, or reverse it by one that came to nothing.

    Returns:
        What the answer says of it; empty where nothing was converted.
    """
    if record.state == "paid" and not all_returned(record.lines):
        if not plan_of(work.program).converting:
            return {}
        converted = convert(work, ref, bought_by(work, record))
        return {"referral": converted} if converted else {}
    if record.state != "open":
        reverse_referral(work, ref, record)
    return {}


def reverse_referral(
    work: MemberWork, ref: MemberRef, record: OrderRecord
) -> tuple[int, ClawedBack]:
    """Take back what an order brought of which nothing is left; say how much of the friend."""
    return take_referral_back(work, ref, scope=record.scope, order=record.ref)


def bought_by(work: MemberWork, record: OrderRecord) -> Bought:
    """Show a referral what it sees of a paid order."""
    local = local_time(record.occurred_at, work.program.timezone)
    return Bought(
        scope=record.scope,
        ref=record.ref,
        occurred_at=record.occurred_at,
        day=local.date(),
        hour=local.hour,
        store=record.store,
        channel=record.channel,
        net=record.net_amount,
    )
