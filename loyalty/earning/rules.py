"""Decide what an order or an enrolment earns, line by line, and explain it to a shop clerk.

Pure: no Django, no clock, no database, no floats. Every earn at every till runs through
`calculate_points`, so it stays in the tens of microseconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Any

from loyalty.programs.currencies import format_amount
from loyalty.programs.rules import Conditions, EarningRule, PublishedProgram, Rounding, TierLevel


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One line of an order.

    Attributes:
        amount: Net amount in minor units: after discounts, without tax. May be negative.
    """

    line: str
    sku: str
    quantity: str
    amount: int
    category: str
    brand: str


@dataclass(frozen=True, slots=True)
class Purchase:
    """What the earning rules see of an order.

    Attributes:
        day: The local date of the order's `occurred_at` in the program's zone.
    """

    store: str
    channel: str
    day: date
    lines: tuple[OrderLine, ...]


@dataclass(frozen=True, slots=True)
class Award:
    """What an order earns, and why.

    Attributes:
        line_points: What each line earned; sums exactly to `points`, so that all returns
            together take back what was given.
        base_points: The part that multipliers and the tier work on.
        explanation: The rules that applied: {"rule", "points", "because"}.
        not_applied: The rules that did not: {"rule", "because"}.
    """

    points: int
    line_points: tuple[int, ...]
    base_points: int
    explanation: list[dict[str, Any]]
    not_applied: list[dict[str, Any]]


def calculate_points(*, program: PublishedProgram, purchase: Purchase, level: str | None) -> Award:
    """Calculate what an order earns under the rules in force on its day.

    Base rules give points for the amount; multipliers and the member's level add to these base
    points, each on its own, never to each other's; bonuses come on top. Each rule is rounded
    once, and its points are shared out to the lines that they came from.

    Args:
        level: Code of the member's tier level; None or an unknown one multiplies nothing.

    Source: docs/program_file.md#how-an-orders-points-come-about.
    """
    run = _Calculation(program, purchase)
    for rule in program.order_rules:
        run.apply(rule)
    tier = program.levels.get(level) if level is not None else None
    if tier is not None:
        run.apply_level(tier)
    return run.award()


def enrolment_bonuses(program: PublishedProgram, day: date) -> list[tuple[str, int, str]]:
    """List what a new member is given: (rule code, points, because).

    Args:
        day: The local date of the enrolment in the program's zone.
    """
    today = day.isoformat()
    return [
        (rule.code, rule.bonus, f"{_points(rule.bonus)} for joining")
        for rule in program.enrolment_rules
        if _out_of_season(rule, today) is None
    ]


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


class _Calculation:
    """One run over the rules; collects points by line and the sentences that explain them."""

    __slots__ = (
        "base",
        "brands",
        "categories",
        "explanation",
        "extra",
        "net",
        "not_applied",
        "program",
        "purchase",
        "today",
        "weights",
    )

    def __init__(self, program: PublishedProgram, purchase: Purchase) -> None:
        lines = purchase.lines
        self.program = program
        self.purchase = purchase
        self.today = purchase.day.isoformat()
        self.net = max(0, sum(line.amount for line in lines))
        self.weights = [line.amount if line.amount > 0 else 0 for line in lines]
        self.categories = [line.category.upper() for line in lines]
        self.brands = [line.brand.upper() for line in lines]
        self.base = [0] * len(lines)
        self.extra = [0] * len(lines)
        self.explanation: list[dict[str, Any]] = []
        self.not_applied: list[dict[str, Any]] = []

    def apply(self, rule: EarningRule) -> None:
        obstacle = self._obstacle(rule)
        if obstacle is None:
            if rule.kind == "base":
                obstacle = self._add_base(rule)
            elif rule.kind == "multiplier":
                obstacle = self._multiply(rule)
            else:
                obstacle = self._add_bonus(rule)
        if obstacle is not None:
            self.not_applied.append({"rule": rule.code, "because": obstacle})

    def apply_level(self, level: TierLevel) -> None:
        base_points = sum(self.base)
        if level.earn_multiplier == 1 or not base_points:
            return
        because = f"{_counts(base_points, level.earn_multiplier)} at {level.name or level.code}"
        self._spread(f"tier:{level.code}", level.earn_multiplier, self.base, because)

    def award(self) -> Award:
        line_points = tuple(map(int.__add__, self.base, self.extra))
        return Award(
            points=sum(line_points),
            line_points=line_points,
            base_points=sum(self.base),
            explanation=self.explanation,
            not_applied=self.not_applied,
        )

    def _obstacle(self, rule: EarningRule) -> str | None:
        """Why the order as a whole is not what the rule is for, or None."""
        reason = _out_of_season(rule, self.today)
        if reason is not None:
            return reason
        when = rule.when
        if when.store and self.purchase.store not in when.store:
            return f"not at store {_either(when.store)}"
        if when.order_amount_min is not None and self.net < when.order_amount_min:
            return f"the order is below {self._money(when.order_amount_min)}"
        if (when.category or when.brand) and not any(self._matches(when)):
            return f"no line{_scope(when)}"
        return None

    def _matches(self, when: Conditions) -> list[bool]:
        return [
            (not when.category or category in when.category)
            and (not when.brand or brand in when.brand)
            for category, brand in zip(self.categories, self.brands, strict=True)
        ]

    def _of_matching(self, when: Conditions, values: list[int]) -> list[int]:
        """The values of the lines that a rule matches, and 0 for the others."""
        if not when.category and not when.brand:
            return values
        return [
            value if match else 0 for value, match in zip(values, self._matches(when), strict=True)
        ]

    def _amount_for(self, when: Conditions) -> int:
        """What a rule counts: its lines' net amount, and never more than the whole order's."""
        if not when.category and not when.brand:
            return self.net
        amounts = self._of_matching(when, [line.amount for line in self.purchase.lines])
        return min(self.net, max(0, sum(amounts)))

    def _add_base(self, rule: EarningRule) -> str | None:
        amount = self._amount_for(rule.when)
        if rule.steps == "whole":
            points, proportion = amount // rule.per * rule.points, ""
        else:
            points = _round(amount * rule.points, rule.per, self.program.points.rounding)
            proportion = ", in proportion"
        if points:
            _add(self.base, share_out(points, self._of_matching(rule.when, self.weights)))
        rate = f"{_points(rule.points)} per {self._money(rule.per)}"
        because = f"{rate} of {self._money(amount)}{_scope(rule.when)}{proportion}"
        self.explanation.append({"rule": rule.code, "points": points, "because": because})
        return None

    def _multiply(self, rule: EarningRule) -> str | None:
        base = self._of_matching(rule.when, self.base)
        base_points = sum(base)
        scope = _scope(rule.when)
        if not base_points:
            return f"there are no base points{scope} to multiply"
        because = _counts(base_points, rule.multiply, scope)
        self._spread(rule.code, rule.multiply, base, because)
        return None

    def _add_bonus(self, rule: EarningRule) -> str | None:
        if not self._amount_for(rule.when):
            return f"nothing was paid for{_scope(rule.when)}"
        weights = self._of_matching(rule.when, self.weights)
        _add(self.extra, share_out(rule.bonus, weights))
        because = f"{_points(rule.bonus)} for {self._occasion(rule.when)}"
        self.explanation.append({"rule": rule.code, "points": rule.bonus, "because": because})
        return None

    def _spread(self, rule: str, factor: Fraction, base: list[int], because: str) -> None:
        """Add (factor - 1) times base points, to the lines that have them."""
        gain, denominator = factor.numerator - factor.denominator, factor.denominator
        points = _round(sum(base) * gain, denominator, self.program.points.rounding)
        if points:
            _add(self.extra, share_out(points, base))
        self.explanation.append({"rule": rule, "points": points, "because": because})

    def _occasion(self, when: Conditions) -> str:
        words = "an order" if not (when.category or when.brand) else f"a purchase{_scope(when)}"
        if when.order_amount_min is not None:
            words += f" from {self._money(when.order_amount_min)}"
        if when.store:
            words += f" at store {self.purchase.store}"
        return words

    def _money(self, minor: int) -> str:
        return f"{format_amount(minor, self.program.currency_scale)} {self.program.currency}"


def _out_of_season(rule: EarningRule, today: str) -> str | None:
    if rule.starts_on is not None and today < rule.starts_on:
        return f"starts on {rule.starts_on}"
    if rule.ends_on is not None and today > rule.ends_on:
        return f"ended on {rule.ends_on}"
    return None


def _round(numerator: int, denominator: int, rounding: Rounding) -> int:
    """Round a fraction that is not negative; "nearest" takes halves up."""
    if rounding == "down":
        return numerator // denominator
    if rounding == "up":
        return -(-numerator // denominator)
    return (2 * numerator + denominator) // (2 * denominator)


def _add(totals: list[int], shares: list[int]) -> None:
    totals[:] = map(int.__add__, totals, shares)


def _points(count: int, word: str = "point") -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _counts(base_points: int, factor: Fraction, scope: str = "") -> str:
    verb = "counts" if base_points == 1 else "count"
    return f"{_points(base_points, 'base point')}{scope} {verb} {_decimal(factor)} times"


def _decimal(factor: Fraction) -> str:
    scaled, rest = divmod(factor.numerator * 10_000, factor.denominator)
    if rest:
        return str(factor)
    return format_amount(scaled, 4).rstrip("0").rstrip(".")


def _scope(when: Conditions) -> str:
    """The lines that a rule is for, in words: " in DAIRY or PRODUCE of brand PRIVATE"."""
    words = f" in {_either(when.category)}" if when.category else ""
    return words + (f" of brand {_either(when.brand)}" if when.brand else "")


def _either(names: frozenset[str]) -> str:
    *most, last = sorted(names)
    return f"{', '.join(most)} or {last}" if most else last
