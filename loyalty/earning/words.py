"""The sentences of explanations: what a shop clerk reads to a customer. Pure."""

from collections.abc import Iterable
from fractions import Fraction
from typing import Final

from loyalty.programs.currencies import format_amount
from loyalty.programs.earning import Conditions, Limit
from loyalty.programs.rules import PublishedProgram
from loyalty.programs.sentences import ordinal as ordinal

WEEKDAY_NAMES: Final = (
    "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"
)  # fmt: skip

NAMED_MOST: Final = 5
"""So many products are named in a sentence; a list of hundreds helps nobody."""


def points(count: int, word: str = "point") -> str:
    """Count points: 1 point, 2 points."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def money(program: PublishedProgram, minor: int) -> str:
    """Write an amount with its currency."""
    return f"{format_amount(minor, program.currency_scale)} {program.currency}"


def counts(base_points: int, factor: str, where: str = "") -> str:
    """Say that base points count more: `factor` times, as `decimal` writes it."""
    verb = "counts" if base_points == 1 else "count"
    return f"{points(base_points, 'base point')}{where} {verb} {factor} times"


def decimal(factor: Fraction) -> str:
    """Write a factor: 2, 1.25, or 4/3 where decimals would be too many."""
    scaled, rest = divmod(factor.numerator * 10_000, factor.denominator)
    if rest:
        return str(factor)
    return format_amount(scaled, 4).rstrip("0").rstrip(".")


def either(names: Iterable[str]) -> str:
    """List alternatives: A, B or C; of many the first few."""
    found = list(names) if isinstance(names, list) else sorted(names)
    if len(found) > NAMED_MOST:
        return f"{', '.join(found[:NAMED_MOST])} or {len(found) - NAMED_MOST} others"
    *most, last = found
    return f"{', '.join(most)} or {last}" if most else last


def scope(when: Conditions) -> str:
    """Name the lines that a rule is for: " in DAIRY or PRODUCE of brand PRIVATE"."""
    words = f" of product {either(when.sku)}" if when.sku else ""
    words += f" in {either(when.category)}" if when.category else ""
    return words + (f" of brand {either(when.brand)}" if when.brand else "")


def weekdays(when: Conditions) -> str:
    """Name days of the week in their order."""
    return either([WEEKDAY_NAMES[number - 1] for number in sorted(when.weekday)])


def hours(hour: tuple[int, int]) -> str:
    """Say between which hours."""
    return f"between {hour[0]:02}:00 and {hour[1]:02}:00"


def levels(program: PublishedProgram, codes: Iterable[str]) -> str:
    """Name tier levels as members know them."""
    known = program.levels
    return either([known[code].name for code in sorted(codes) if code in known] or sorted(codes))


def circumstances(program: PublishedProgram, when: Conditions) -> str:
    """Say under which conditions of the moment and the member a rule gave its points."""
    words = []
    if when.channel:
        words.append(f"through {either(when.channel)}")
    if when.weekday:
        words.append(f"on {weekdays(when)}")
    if when.hour:
        words.append(hours(when.hour))
    if when.order_amount_max is not None:
        words.append(f"up to {money(program, when.order_amount_max)}")
    if when.properties:
        asked = [f"{name} {either(values)}" for name, values in when.properties]
        words.append(f"with {' and '.join(asked)}")
    words += _of_member(program, when)
    return "".join(f" {part}" for part in words)


def _of_member(program: PublishedProgram, when: Conditions) -> list[str]:
    words = []
    if when.tier:
        words.append(f"at {levels(program, when.tier)}")
    if when.segment:
        words.append(f"in segment {either(when.segment)}")
    if when.not_in_segment:
        words.append(f"outside segment {either(when.not_in_segment)}")
    if when.member_age_max is not None:
        words.append(f"in the first {points(when.member_age_max, 'day')} as a member")
    if when.member_age_min is not None:
        words.append(f"after {points(when.member_age_min, 'day')} as a member")
    if when.nth_order is not None:
        words.append(f"as the {ordinal(when.nth_order)} order")
    if when.every_order is not None:
        words.append(f"as each {ordinal(when.every_order)} order")
    if when.birthday:
        words.append("on the birthday" if when.birthday == "day" else "in the birthday month")
    return words


def limit_of(limit: Limit, *, points_kind: bool) -> str:
    """Name a limit: "the limit of 3 times per week"."""
    much = points(limit.points or 0) if points_kind else points(limit.times or 0, "time")
    return f"the limit of {much} {'in all' if limit.per == 'ever' else f'per {limit.per}'}"
