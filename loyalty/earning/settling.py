"""What is left of an offer after the member's limit and the campaign's budget. Pure.

A limit reduces and says so; it never drops an award in silence.
"""

from datetime import date
from typing import NamedTuple

from loyalty.earning import words
from loyalty.earning.periods import period_start
from loyalty.earning.situation import Earner, Used, UseKey
from loyalty.programs.earning import EarningRule, Limit
from loyalty.programs.rules import PublishedProgram


class Taken(NamedTuple):
    """What an award takes of a limit or a budget; given back when the whole order comes back.

    Attributes:
        use: Of which rule in which period; None where it is of a campaign's budget.
        campaign: Of which budget; "" where it is of a limit.
    """

    use: UseKey | None
    campaign: str
    points: int


class Settled(NamedTuple):
    """Points that a rule may really give, and what was said where they are fewer.

    Attributes:
        points: 0 where nothing is left; then `because` says why.
        because: "" where nothing was reduced.
        taken: What giving them takes.
    """

    points: int
    because: str = ""
    taken: tuple[Taken, ...] = ()


def settle(
    program: PublishedProgram, rule: EarningRule, points: int, *, earner: Earner, day: date,
    budgets: dict[str, int],
) -> Settled:  # fmt: skip
    """Reduce what a rule offers to what its limit and its campaign's budget leave.

    Args:
        day: The local day of the order or occasion; it decides in which period that counts.
        budgets: What is left by campaign, after what this award took already.
    """
    if not points or (rule.limit is None and rule.campaign not in budgets):
        return Settled(points)
    settled = Settled(points)
    if rule.limit is not None:
        settled = _within_limit(rule, rule.limit, points, earner, day)
    if settled.points and rule.campaign in budgets:
        settled = _within_budget(program, rule, settled, budgets[rule.campaign])
    return settled


def _within_limit(
    rule: EarningRule, limit: Limit, points: int, earner: Earner, day: date
) -> Settled:
    key = UseKey(rule.code, limit.per, period_start(day, limit.per))
    used = earner.used.get(key, Used(0, 0))
    if limit.times is not None and used.times >= limit.times:
        return Settled(0, f"{words.limit_of(limit, points_kind=False)} is used up")
    left = points if limit.points is None else limit.points - used.points
    if left <= 0:
        return Settled(0, f"{words.limit_of(limit, points_kind=True)} is used up")
    if left >= points:
        return Settled(points, taken=(Taken(key, "", points),))
    because = f"; {points} reduced to {left} by {words.limit_of(limit, points_kind=True)}"
    return Settled(left, because, (Taken(key, "", left),))


def _within_budget(
    program: PublishedProgram, rule: EarningRule, settled: Settled, left: int
) -> Settled:
    campaign = program.campaigns[rule.campaign]
    if left <= 0:
        return Settled(0, f"the budget of campaign {campaign.name} is used up")
    points = settled.points
    if left >= points:
        taken = Taken(None, rule.campaign, points)
        return Settled(points, settled.because, (*settled.taken, taken))
    if campaign.when_short == "skip":
        return Settled(0, f"the budget of campaign {campaign.name} has only {left} points left")
    because = f"{settled.because}; {points} reduced to {left}, the last of campaign {campaign.name}"
    limited = tuple(part._replace(points=left) for part in settled.taken)
    return Settled(left, because, (*limited, Taken(None, rule.campaign, left)))
