"""Decide what an order or another occasion earns, line by line, and explain it to a shop clerk.

Pure: no Django, no clock, no database, no floats. Every earn at every till runs through
`calculate_points`, so it stays in the tens of microseconds.
"""

from collections.abc import Sequence
from fractions import Fraction
from operator import add
from typing import Any, NamedTuple

from loyalty.earning import words
from loyalty.earning.conditions import Ready, matches
from loyalty.earning.plan import Stage, plan_of
from loyalty.earning.settling import Settled, Taken, settle
from loyalty.earning.situation import Earner as Earner
from loyalty.earning.situation import Occasion as Occasion
from loyalty.earning.situation import OrderLine as OrderLine
from loyalty.earning.situation import Purchase as Purchase
from loyalty.earning.situation import Situation
from loyalty.programs.rules import PublishedProgram, Rounding, TierLevel


class Award(NamedTuple):
    """What an order or an occasion earns, and why.

    Attributes:
        line_points: What each line earned; sums exactly to `points`, so that all returns
            together take back what was given. Empty where nothing was bought.
        base_points: The part that multipliers and the tier work on.
        explanation: The rules that applied: {"rule", "points", "because"}, and "campaign".
        not_applied: The rules that did not: {"rule", "because"}.
        taken: What it takes of limits and budgets.
    """

    points: int
    line_points: tuple[int, ...]
    base_points: int
    explanation: list[dict[str, Any]]
    not_applied: list[dict[str, Any]]
    taken: tuple[Taken, ...] = ()


def calculate_points(*, program: PublishedProgram, purchase: Purchase, earner: Earner) -> Award:
    """Calculate what an order earns under the rules in force on its day.

    Base rules give points for the amount; multipliers and the member's level add to these base
    points, each on its own, never to each other's; bonuses come on top. Each rule is rounded
    once, then reduced by its limit and its campaign's budget, and its points are shared out to
    the lines that they came from.

    Source: docs/program_file.md#how-an-orders-points-come-about.
    """
    run = _Calculation(program, Situation(purchase, earner))
    for stage in plan_of(program).stages:
        run.apply(stage)
    tier = program.levels.get(earner.level)
    if tier is not None:
        run.apply_level(tier)
    return run.award()


def calculate_activity(*, program: PublishedProgram, occasion: Occasion, earner: Earner) -> Award:
    """Calculate what a named activity earns, such as a review."""
    return _bonuses(program, plan_of(program).activities[occasion.activity], occasion, earner)


def occasion_awards(
    *, program: PublishedProgram, trigger: str, occasion: Occasion, earner: Earner
) -> Award:
    """Calculate what an enrolment, a birthday, an anniversary or a side of a referral earns.

    Whether it is the member's birthday is for the caller to know; see `periods`.

    Args:
        trigger: What sets it off, and of a referral for whom: member.birthday, referral.friend.
    """
    return _bonuses(program, plan_of(program).others[trigger], occasion, earner)


def qualifies(program: PublishedProgram, occasion: Occasion) -> bool:
    """Tell whether an order is one that any rule of referrals is for, whoever gets the points."""
    at = Situation(occasion, Earner())
    stage = plan_of(program).converting
    return any(all(holds(at) for holds, _ in ready.checks) for ready in stage)


def _bonuses(program: PublishedProgram, stage: Stage, occasion: Occasion, earner: Earner) -> Award:
    run = _Calculation(program, Situation(occasion, earner))
    run.apply(stage)
    return run.award()


def share_out(points: int, weights: Sequence[int]) -> list[int]:
    """Share points out by weight, by largest remainder: the shares sum exactly to `points`.

    Equal remainders go to the earlier weight first, so that the same order is always shared in
    the same way. A weight of 0 gets nothing.

    Args:
        points: At least 0.
        weights: None below 0, and not all of them 0.
    """
    total = sum(weights)
    shares = [points * weight // total for weight in weights]
    left = points - sum(shares)
    if left:
        remainders = [-(points * weight % total) for weight in weights]
        for index in sorted(range(len(weights)), key=remainders.__getitem__)[:left]:
            shares[index] += 1
    return shares


def points_of_part(*, points: int, whole: int, before: int, part: int) -> int:
    """Tell which share of a line's points goes back when a part of the line is returned.

    Counted from the line's beginning and rounded there, so that a line that comes back in three
    thirds takes back exactly what it earned, in whatever order.

    Args:
        points: What the line earned.
        whole: The line's quantity or amount, as an integer in its smallest unit, > 0.
        before: How much of it was returned earlier.
        part: How much of it is returned now; `before + part` is at most `whole`.
    """
    return points * (before + part) // whole - points * before // whole


class _Offer(NamedTuple):
    """What a rule would give, before its limit: to which lines, and why."""

    ready: Ready
    points: int
    weights: list[int]
    because: str


class _Calculation:
    """One run over the rules; collects points by line and the sentences that explain them."""

    __slots__ = (
        "at",
        "base",
        "budgets",
        "explanation",
        "extra",
        "not_applied",
        "others",
        "program",
        "taken",
        "weights",
    )

    def __init__(self, program: PublishedProgram, at: Situation) -> None:
        self.program = program
        self.at = at
        self.weights = [amount if amount > 0 else 0 for amount in at.amounts]
        self.base = [0] * len(at.amounts)
        self.extra = [0] * len(at.amounts)
        self.others = 0  # points that no line earned
        self.budgets = dict(at.budgets)
        self.explanation: list[dict[str, Any]] = []
        self.not_applied: list[dict[str, Any]] = []
        self.taken: list[Taken] = []

    def apply(self, stage: Stage) -> None:
        """Apply rules of one kind, all to the same points; of a group only the best."""
        grouped: dict[str, list[_Offer]] = {}
        at, refuse = self.at, self.not_applied.append
        for ready in stage:
            for holds, refusal in ready.checks:
                if not holds(at):
                    refuse(refusal)
                    break
            else:
                offer = self._offer(ready)
                if isinstance(offer, str):
                    refuse({"rule": ready.rule.code, "because": offer})
                elif ready.rule.group:
                    grouped.setdefault(ready.rule.group, []).append(offer)
                else:
                    self._give(offer, self._settle(offer))
        for group, offers in grouped.items():
            self._give_best(group, offers)

    def apply_level(self, level: TierLevel) -> None:
        """Let the member's level multiply the base points."""
        base_points = sum(self.base)
        if level.earn_multiplier == 1 or not base_points:
            return
        points = self._gain(base_points, level.earn_multiplier)
        factor = words.decimal(level.earn_multiplier)
        because = f"{words.counts(base_points, factor)} at {level.name}"
        self._share(self.extra, points, self.base)
        self.explanation.append(
            {"rule": f"tier:{level.code}", "points": points, "because": because}
        )

    def award(self) -> Award:
        """Sum up."""
        line_points = tuple(map(add, self.base, self.extra))
        return Award(
            points=sum(line_points) + self.others,
            line_points=line_points,
            base_points=sum(self.base),
            explanation=self.explanation,
            not_applied=self.not_applied,
            taken=tuple(self.taken),
        )

    def _offer(self, ready: Ready) -> _Offer | str:
        """What a rule would give whose conditions hold, or why it gives nothing."""
        if ready.rule.kind == "base":
            return self._offer_base(ready)
        if ready.rule.kind == "multiplier":
            return self._offer_multiplier(ready)
        return self._offer_bonus(ready)

    def _offer_base(self, ready: Ready) -> _Offer:
        rule = ready.rule
        amount = self._amount_for(ready)
        if rule.steps == "whole":
            points, proportion = amount // rule.per * rule.points, ""
        else:
            points = _round(amount * rule.points, rule.per, self.program.points.rounding)
            proportion = ", in proportion"
        where = f"{ready.scope}{ready.circumstances}"
        because = f"{ready.rate} of {self._money(amount)}{where}{proportion}"
        return _Offer(ready, points, self._of_matching(ready, self.weights), because)

    def _offer_multiplier(self, ready: Ready) -> _Offer | str:
        base = self._of_matching(ready, self.base)
        base_points = sum(base)
        if not base_points:
            return f"there are no base points{ready.scope} to multiply"
        because = words.counts(base_points, ready.factor, ready.scope) + ready.circumstances
        return _Offer(ready, self._gain(base_points, ready.rule.multiply), base, because)

    def _offer_bonus(self, ready: Ready) -> _Offer | str:
        rule = ready.rule
        if rule.trigger != "order":
            because = f"{words.points(rule.bonus)} for {self._occasion(ready)}"
            return _Offer(ready, rule.bonus, [], because)
        if not self._amount_for(ready):
            return f"nothing was paid for{ready.scope}"
        because = f"{words.points(rule.bonus)} for {self._purchase(ready)}"
        return _Offer(ready, rule.bonus, self._of_matching(ready, self.weights), because)

    def _settle(self, offer: _Offer) -> Settled:
        return settle(
            self.program,
            offer.ready.rule,
            offer.points,
            earner=self.at.earner,
            day=self.at.day,
            budgets=self.budgets,
        )

    def _give(self, offer: _Offer, settled: Settled) -> None:
        rule = offer.ready.rule
        if offer.points and not settled.points:
            self.not_applied.append({"rule": rule.code, "because": settled.because})
            return
        target = self.base if rule.kind == "base" else self.extra
        if rule.trigger == "order":
            self._share(target, settled.points, offer.weights)
        else:
            self.others += settled.points
        entry = {
            "rule": rule.code,
            "points": settled.points,
            "because": offer.because + settled.because,
        }
        if rule.campaign:
            entry["campaign"] = rule.campaign
        self.explanation.append(entry)
        for taken in settled.taken:
            self.taken.append(taken)
            if taken.campaign:
                self.budgets[taken.campaign] -= taken.points

    def _give_best(self, group: str, offers: list[_Offer]) -> None:
        """Give the offer of a group that is worth most after its limit; of equals the first."""
        settled = [self._settle(offer) for offer in offers]
        best = max(range(len(offers)), key=lambda index: settled[index].points)
        winner = offers[best].ready.rule.code
        self._give(offers[best], settled[best])
        for index, offer in enumerate(offers):
            if index == best:
                continue
            spent = settled[index].because if offer.points and not settled[index].points else ""
            because = spent or f"{winner} is at least as good, and only the best of {group} counts"
            self.not_applied.append({"rule": offer.ready.rule.code, "because": because})

    def _share(self, totals: list[int], points: int, weights: list[int]) -> None:
        if points:
            totals[:] = map(add, totals, share_out(points, weights))

    def _gain(self, base_points: int, factor: Fraction) -> int:
        """Work out (factor - 1) times base points."""
        gain = factor.numerator - factor.denominator
        return _round(base_points * gain, factor.denominator, self.program.points.rounding)

    def _of_matching(self, ready: Ready, values: list[int]) -> list[int]:
        """The values of the lines that a rule matches, and 0 for the others."""
        if not ready.scope:
            return values
        found = matches(ready.rule.when, self.at)
        return [value if match else 0 for value, match in zip(values, found, strict=True)]

    def _amount_for(self, ready: Ready) -> int:
        """What a rule counts: its lines' net amount, and never more than the whole order's."""
        if not ready.scope:
            return self.at.net
        return min(self.at.net, max(0, sum(self._of_matching(ready, self.at.amounts))))

    def _purchase(self, ready: Ready) -> str:
        when = ready.rule.when
        said = f"a purchase{ready.scope}" if ready.scope else "an order"
        if when.order_amount_min is not None:
            said += f" from {self._money(when.order_amount_min)}"
        if when.store:
            said += f" at store {self.at.store}"
        return said + ready.circumstances

    def _occasion(self, ready: Ready) -> str:
        rule = ready.rule
        said = _OCCASIONS.get(rule.occasion) or f"activity {rule.activity}"
        if rule.trigger == "referral":
            least, stores = rule.when.order_amount_min, rule.when.store
            said += f" from {self._money(least)}" if least is not None else ""
            said += f" at store {self.at.store}" if stores else ""
        return said + ready.circumstances

    def _money(self, minor: int) -> str:
        return words.money(self.program, minor)


_OCCASIONS = {
    "member.enrolled": "joining",
    "member.birthday": "the birthday",
    "member.anniversary": "the anniversary of joining",
    "referral.referrer": "a friend's first purchase",
    "referral.friend": "a first purchase as somebody's friend",
}


def _round(numerator: int, denominator: int, rounding: Rounding) -> int:
    """Round a fraction that is not negative; "nearest" takes halves up."""
    if rounding == "down":
        return numerator // denominator
    if rounding == "up":
        return -(-numerator // denominator)
    return (2 * numerator + denominator) // (2 * denominator)
