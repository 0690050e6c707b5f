"""Run a program over the orders of a period, and set it against what happened.

The whole backtest without its row: what the page, the command and the tests call.
"""

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from loyalty.programs.currencies import format_amount
from loyalty.programs.expiry import local_day
from loyalty.programs.rules import PublishedProgram
from loyalty.rewards.payment import worth
from loyalty.trials.history import archive
from loyalty.trials.life import Outcome
from loyalty.trials.past import LevelChange, Past
from loyalty.trials.replay import is_welcome, replay
from loyalty.trials.rules import SIDES, Tally

Progress = Callable[[int, int], None]
"""Called with the orders done and all orders, after each member."""


def evaluate(
    tried: PublishedProgram,
    live: PublishedProgram,
    *,
    begin: date,
    end: date,
    now: datetime,
    progress: Progress = lambda done, total: None,
) -> dict[str, Any]:
    """Try a program over a period; returns the result document.

    It is as if the program had become live before the first purchase of the period, and what
    is live had come back after the last one.

    Args:
        begin, end: First and last day, by the days of the purchases in the program's zone.
        now: Up to when members' histories go on.
        progress: May raise, to stop.
    """
    tally = Tally()
    with archive(tried.id, now=now) as past:
        total = past.count_orders(begin, end)
        outstanding = {"happened": past.outstanding(), "tried": 0}
        progress(0, total)
        change = done = 0
        budgets = past.budgets()
        for member in past.members(begin, end, tried.timezone):
            outcome = replay(
                member,
                program=tried,
                live=live,
                begin=begin,
                end=end,
                now=now,
                budgets=budgets,
            )
            _count(tally, member, outcome, live=live, tried=tried, begin=begin, end=end)
            change += outcome.outstanding - member.outstanding
            done += sum(begin <= order.day <= end for order in member.orders)
            progress(done, total)
    outstanding["tried"] = outstanding["happened"] + change
    found = tally.document()
    found["outstanding"] = outstanding
    return {**found, **_in_money(found, live=live, tried=tried)}


def _in_money(
    found: dict[str, Any], *, live: PublishedProgram, tried: PublishedProgram
) -> dict[str, Any]:
    """Value points as each program does: what was issued is the cost, what is left is owed."""
    programs = {"happened": live, "tried": tried}

    def value(points: dict[str, int]) -> dict[str, str]:
        return {side: _money(programs[side], points[side]) for side in SIDES}

    return {
        "currency": tried.currency,
        "cost": value({side: found["totals"][side]["net"] for side in SIDES}),
        "liability": value(found["outstanding"]),
        "level_names": _level_names(live, tried),
    }


def _level_names(live: PublishedProgram, tried: PublishedProgram) -> list[list[str]]:
    """List codes and names from the ground up; a list, because JSON columns forget an order."""
    names = {level.code: level.name for level in (*_levels(tried), *_levels(live))}
    return [[code, name] for code, name in names.items()]


def _money(program: PublishedProgram, points: int) -> str:
    amount = format_amount(worth(program, abs(points)), program.currency_scale)
    return f"-{amount}" if points < 0 else amount


def _levels(program: PublishedProgram) -> tuple[Any, ...]:
    return program.tiers.levels if program.tiers else ()


def _count(
    tally: Tally,
    past: Past,
    outcome: Outcome,
    *,
    live: PublishedProgram,
    tried: PublishedProgram,
    begin: date,
    end: date,
) -> None:
    happened = _count_happened(tally, past, begin=begin, end=end, zone=tried.timezone)
    for award in outcome.awards:
        tally.award(
            "tried",
            award.day,
            issued=award.points,
            taken_back=award.taken_back,
            rules=award.rules,
        )
    after = sum(award.points - award.taken_back for award in outcome.awards)
    tally.member(str(past.member_id), happened=happened, tried=after)
    _count_levels(tally, past, outcome, live=live, tried=tried, begin=begin, end=end)
    tally.expired["happened"] -= sum(m.points for m in past.moves if m.kind == "expire")
    tally.expired["tried"] += outcome.expired
    if outcome.unaffordable:
        tally.unaffordable["members"] += 1
        tally.unaffordable["redemptions"] += outcome.unaffordable
        tally.unaffordable["points"] += outcome.unaffordable_points


def _count_happened(tally: Tally, past: Past, *, begin: date, end: date, zone: str) -> int:
    """Count what the ledger has; return what the member kept of it."""
    kept = 0
    for order in past.orders:
        if not begin <= order.day <= end:
            continue
        if order.state != "paid":
            tally.skipped[order.state] += 1
            continue
        tally.orders += 1
        tally.month(order.day).orders += 1
        kept += order.kept
        tally.award(
            "happened",
            order.day,
            issued=order.points,
            taken_back=order.clawed_back,
            rules=order.rules,
        )
    for move in past.moves:
        if is_welcome(past, move):
            kept += move.points
            joined = local_day(past.enrolled_at, zone)
            tally.award("happened", joined, issued=move.points, taken_back=0, rules=move.rules)
    return kept


def _count_levels(
    tally: Tally,
    past: Past,
    outcome: Outcome,
    *,
    live: PublishedProgram,
    tried: PublishedProgram,
    begin: date,
    end: date,
) -> None:
    if live.tiers is None and tried.tiers is None:
        return
    ground = _levels(live)[0].code if live.tiers else ""
    tally.levels[(past.level or ground, outcome.level)] += 1
    ranks = _ranks(live)
    for change in past.changes:
        day = _day_of(past, change, tried.timezone)
        moved = change.before != change.after and change.number >= past.first
        if moved and begin <= day <= end:
            rise = ranks.get(change.after, -1) > ranks.get(change.before, -1)
            tally.level_move("happened", day, rise=rise)
    ranks = _ranks(tried)
    for move in outcome.moves:
        if begin <= move.day <= end:
            rise = ranks.get(move.after, -1) > ranks.get(move.before, -1)
            tally.level_move("tried", move.day, rise=rise)


def _ranks(program: PublishedProgram) -> dict[str, int]:
    return {level.code: rank for rank, level in enumerate(_levels(program))}


def _day_of(past: Past, change: LevelChange, zone: str) -> date:
    """Give the day of the purchase that lifted the member, or the day of the night."""
    lifted = [order for order in past.orders if order.number < change.number]
    if change.kind != "earn" or not lifted:
        return local_day(change.at, zone)
    return max(lifted, key=lambda order: order.number).day
