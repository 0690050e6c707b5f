"""What earning rules must know of a member: asked in the load, put together for the decision."""

from typing import Any

from loyalty.earning.plan import plan_of
from loyalty.earning.rows import birth_date_of, orders_of
from loyalty.earning.rules import Award, occasion_awards
from loyalty.earning.situation import Earner, Occasion
from loyalty.engine.commands import Ask, MemberRef
from loyalty.engine.session import MemberWork
from loyalty.programs.expiry import local_day, local_time
from loyalty.programs.rules import PublishedProgram


def asks_to_earn(program: PublishedProgram, ref: MemberRef) -> list[Ask]:
    """List what must be read before a member can earn; nothing where no rule needs it."""
    needs = plan_of(program).needs
    asks = []
    if "birthday" in needs:
        asks.append(birth_date_of(ref))
    if "nth_order" in needs:
        asks.append(orders_of(ref))
    return asks


def earner_of(work: MemberWork, ref: MemberRef, *, but_orders: int = 0) -> Earner:
    """Put together what the rules see of a member, as it is at this point of the run.

    Args:
        ref: As in `asks_to_earn`.
        but_orders: So many of the member's orders are left out: the one that is decided on.
    """
    orders = (_first(work, orders_of(ref)) or 0) + sum(day.orders for day in work.counted)
    return Earner(
        level=work.level,
        enrolled_on=local_day(work.enrolled_at, work.program.timezone),
        birth_date=work.birth_date or _first(work, birth_date_of(ref)),
        orders=orders - but_orders,
    )


def welcome_award(work: MemberWork) -> Award:
    """Calculate what a new member gets for joining; each rule's points are a lot of their own."""
    joined = local_time(work.enrolled_at, work.program.timezone)
    return occasion_awards(
        program=work.program,
        trigger="member.enrolled",
        occasion=Occasion(day=joined.date(), hour=joined.hour),
        earner=Earner(level=work.level, enrolled_on=joined.date(), birth_date=work.birth_date),
    )


def _first(work: MemberWork, ask: Ask) -> Any:
    found = work.session.found(ask)
    return found[0][0] if found else None
