"""What earning rules must know of a member, and what an award takes of their limits."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

from loyalty.earning.plan import Plan, plan_of
from loyalty.earning.rows import (
    CAMPAIGN_BUDGET,
    RULE_USE,
    birth_date_of,
    budget_of,
    orders_of,
    segments_found,
    segments_of,
    uses_of,
)
from loyalty.earning.rules import Award, occasion_awards
from loyalty.earning.settling import Taken
from loyalty.earning.situation import Earner, Occasion, Used, UseKey
from loyalty.engine.commands import Ask, MemberRef
from loyalty.engine.session import MemberWork
from loyalty.programs.expiry import local_day, local_time
from loyalty.programs.rules import PublishedProgram


def asks_to_earn(program: PublishedProgram, ref: MemberRef, occurred_at: datetime) -> list[Ask]:
    """List what must be read before a member can earn; nothing where no rule needs it."""
    plan = plan_of(program)
    asks = _asks_of_rules(program, plan, ref, occurred_at) if plan.asks_more else []
    if program.points.unknown_member == "enrol":
        asks += asks_of_occasion(program, "member.enrolled")
    return asks


def _asks_of_rules(
    program: PublishedProgram, plan: Plan, ref: MemberRef, occurred_at: datetime
) -> list[Ask]:
    day = local_day(occurred_at, program.timezone)
    asks = asks_segments(program, ref)
    if "birthday" in plan.needs:
        asks.append(birth_date_of(ref))
    if "nth_order" in plan.needs:
        asks.append(orders_of(ref))
    asks += asks_uses(program, ref, day)
    return asks + [budget_of(code) for code in _budgets(program, day)]


def asks_of_occasion(program: PublishedProgram, trigger: str) -> list[Ask]:
    """List what must be read before an occasion can earn.

    Its day is the database's, and known only after the lock: so budgets of any day.
    """
    return [budget_of(code) for code in plan_of(program).occasion_budgets[trigger]]


def asks_segments(program: PublishedProgram, ref: MemberRef) -> list[Ask]:
    """Ask for a member's segments, where a rule is for some of them."""
    return [segments_of(ref)] if "segment" in plan_of(program).needs else []


def asks_uses(program: PublishedProgram, ref: MemberRef, day: date) -> list[Ask]:
    """Ask what a member has had of limited rules, where there are any."""
    return [uses_of(ref, day)] if plan_of(program).is_limited else []


def _budgets(program: PublishedProgram, day: date) -> list[str]:
    """The campaigns of a day that have a budget."""
    return [code for code in plan_of(program).budgets if _runs(program, code, day)]


def _runs(program: PublishedProgram, code: str, day: date) -> bool:
    campaign = program.campaigns[code]
    return campaign.starts_on <= day.isoformat() <= campaign.ends_on


def earner_of(
    work: MemberWork,
    ref: MemberRef,
    day: date,
    *,
    but_orders: int = 0,
    but_taken: Sequence[dict[str, Any]] = (),
) -> Earner:
    """Put together what the rules see of a member, as it is at this point of the run.

    Args:
        ref: As in `asks_to_earn`.
        day: The local day of the order or occasion.
        but_orders: So many of the member's orders are left out: the one that is decided on.
        but_taken: What that one took of limits and budgets, as `take` returned it; left out too.
    """
    program = work.program
    plan = plan_of(program)
    earner = Earner(work.level, local_day(work.enrolled_at, program.timezone))
    if not plan.asks_more:
        return earner
    earner = _with_facts(earner, plan, work, ref, day, but_orders)
    return _without(earner, but_taken) if but_taken else earner


def _with_facts(
    earner: Earner, plan: Plan, work: MemberWork, ref: MemberRef, day: date, but_orders: int
) -> Earner:
    """Add the facts that rules ask for; in many programs they ask for none."""
    birth_date, orders = work.birth_date, 0
    if "birthday" in plan.needs:
        birth_date = birth_date or _first(work, birth_date_of(ref))
    if "nth_order" in plan.needs:
        before = _first(work, orders_of(ref)) or 0
        orders = before + sum(counted.orders for counted in work.counted) - but_orders
    return earner._replace(
        birth_date=birth_date,
        orders=orders,
        segments=segments_found(work.session, ref),
        used=_used(work, ref, day) if plan.is_limited else {},
        budgets={code: _left(work, code) for code in _budgets(work.program, day)},
    )


def _without(earner: Earner, kept: Iterable[dict[str, Any]]) -> Earner:
    """See a member as `give_back` of what an order took would leave them."""
    used, budgets = dict(earner.used), dict(earner.budgets)
    for taken in _not_back(kept):
        if taken.use is not None:
            before = used.get(taken.use, Used(0, 0))
            used[taken.use] = Used(before.times - 1, before.points - taken.points)
        elif taken.campaign in budgets:
            budgets[taken.campaign] += taken.points
    return earner._replace(used=used, budgets=budgets)


def _left(work: MemberWork, code: str) -> int:
    """What is left of a budget; all of it, less this run's, where nothing is kept of it yet."""
    whole = work.program.campaigns[code].budget_points or 0
    found = work.session.found(budget_of(code))
    left: int = found[0][0] if found else whole
    return left - work.session.budgets.get(code, 0)


def _used(work: MemberWork, ref: MemberRef, day: date) -> dict[UseKey, Used]:
    """What was read, with what this run has added: the sums may not be written yet."""
    found = {
        UseKey(rule, per, starts_on): Used(times, points)
        for rule, per, starts_on, times, points in work.session.found(uses_of(ref, day))
    }
    for key, (times, points) in work.used.items():
        before = found.get(key, Used(0, 0))
        found[key] = Used(before.times + times, before.points + points)
    return found


def take(work: MemberWork, award: Award) -> list[dict[str, Any]]:
    """Take of the member's limits what an award gives; return it as the order keeps it."""
    for taken in award.taken:
        _count(work, taken, 1)
    return taken_by(award)


def taken_by(award: Award) -> list[dict[str, Any]]:
    """Write what an award takes of limits and budgets as an order keeps it."""
    return [_written(taken) for taken in award.taken]


def give_back(work: MemberWork, kept: Iterable[dict[str, Any]]) -> None:
    """Give back what an order took of limits: as a whole it came back, or it earns anew.

    Args:
        kept: As `take` returned it; entries marked "back" were given back before.
    """
    for taken in _not_back(kept):
        _count(work, taken, -1)


def _not_back(kept: Iterable[dict[str, Any]]) -> list[Taken]:
    return [_read(entry) for entry in kept if "back" not in entry]


def _count(work: MemberWork, taken: Taken, sign: int) -> None:
    if taken.use is None:
        _spend(work, taken.campaign, sign * taken.points)
        return
    rule, per, starts_on = taken.use
    times, points = work.used.get(taken.use, (0, 0))
    work.used[taken.use] = (times + sign, points + sign * taken.points)
    work.rows.put(
        RULE_USE,
        {
            "member_id": work.member_id,
            "starts_on": starts_on,
            "rule": rule,
            "per": per,
            "times": sign,
            "points": sign * taken.points,
        },
    )


def _spend(work: MemberWork, campaign: str, points: int) -> None:
    budgets = work.session.budgets
    budgets[campaign] = budgets.get(campaign, 0) + points
    row = {"program_id": work.program.id, "campaign": campaign, "points": points}
    work.rows.put(CAMPAIGN_BUDGET, row)


def _written(taken: Taken) -> dict[str, Any]:
    if taken.use is None:
        return {"campaign": taken.campaign, "points": taken.points}
    rule, per, starts_on = taken.use
    return {"rule": rule, "per": per, "from": starts_on.isoformat(), "points": taken.points}


def _read(entry: dict[str, Any]) -> Taken:
    if "campaign" in entry:
        return Taken(None, entry["campaign"], entry["points"])
    key = UseKey(entry["rule"], entry["per"], date.fromisoformat(entry["from"]))
    return Taken(key, "", entry["points"])


def welcome_award(work: MemberWork) -> Award:
    """Calculate what a new member gets for joining; each rule's points are a lot of their own."""
    joined = local_time(work.enrolled_at, work.program.timezone)
    earner = Earner(level=work.level, enrolled_on=joined.date(), birth_date=work.birth_date)
    occasion = Occasion(day=joined.date(), hour=joined.hour)
    return occasion_award(work, "member.enrolled", occasion, earner)


def occasion_award(work: MemberWork, trigger: str, occasion: Occasion, earner: Earner) -> Award:
    """Calculate what an occasion gives, and take it of the budgets of its campaigns."""
    program = work.program
    codes = plan_of(program).occasion_budgets[trigger]
    budgets = {code: _left(work, code) for code in codes if _runs(program, code, occasion.day)}
    award = occasion_awards(
        program=program,
        trigger=trigger,
        occasion=occasion,
        earner=earner._replace(budgets=budgets),
    )
    take(work, award)
    return award


def _first(work: MemberWork, ask: Ask) -> Any:
    found = work.session.found(ask)
    return found[0][0] if found else None
