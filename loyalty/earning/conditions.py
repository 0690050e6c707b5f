"""Turn a rule's conditions into checks, once per published version.

Each check has its sentence ready, so that a rule that does not apply costs an earn no more than a
comparison: hundreds of active rules must not make a till wait. Pure.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from loyalty.earning import words
from loyalty.earning.periods import is_birthday
from loyalty.earning.situation import Situation
from loyalty.programs.earning import Conditions, EarningRule
from loyalty.programs.rules import PublishedProgram

Holds = Callable[[Situation], bool]
Sentence = tuple[Holds, str]


@dataclass(frozen=True, slots=True)
class Ready:
    """A rule with what can be worked out before there is an order.

    Attributes:
        checks: What must hold, each with the entry of `not_applied` where it does not. These
            entries are shared by all answers; nobody changes them.
        rate: How many points for how much, of a base rule, in words.
        factor: How many times base points count, of a multiplier, in words.
        scope: The lines that it is for, in words.
        circumstances: Its other conditions, in words.
    """

    rule: EarningRule
    checks: tuple[tuple[Holds, dict[str, Any]], ...]
    rate: str
    factor: str
    scope: str
    circumstances: str


def make_ready(program: PublishedProgram, rule: EarningRule) -> Ready:
    """Prepare a rule of a published version."""
    found = [*_season(rule), *_of_order(program, rule.when), *_of_member(program, rule.when)]
    return Ready(
        rule=rule,
        checks=tuple((holds, {"rule": rule.code, "because": text}) for holds, text in found),
        rate=f"{words.points(rule.points)} per {words.money(program, rule.per)}",
        factor=words.decimal(rule.multiply),
        scope=words.scope(rule.when),
        circumstances=words.circumstances(program, rule.when),
    )


def _season(rule: EarningRule) -> Iterator[Sentence]:
    starts, ends = rule.starts_on, rule.ends_on
    if starts:
        yield lambda at: at.today >= starts, f"starts on {starts}"
    if ends:
        yield lambda at: at.today <= ends, f"ended on {ends}"


def _of_order(program: PublishedProgram, when: Conditions) -> Iterator[Sentence]:
    stores, channels, days, hour = when.store, when.channel, when.weekday, when.hour
    least, most = when.order_amount_min, when.order_amount_max
    if stores:
        yield lambda at: at.store in stores, f"not at store {words.either(stores)}"
    if channels:
        yield lambda at: at.channel in channels, f"not through {words.either(channels)}"
    if days:
        yield lambda at: at.weekday in days, f"not on {words.weekdays(when)}"
    if hour:
        yield lambda at: _is_between(at.hour, *hour), f"not {words.hours(hour)}"
    if least is not None:
        yield lambda at: at.net >= least, f"the order is below {words.money(program, least)}"
    if most is not None:
        yield lambda at: at.net <= most, f"the order is above {words.money(program, most)}"
    if when.of_lines:
        yield _has_line(when), f"no line{words.scope(when)}"
    for name, values in when.properties:
        yield _has_property(name, values), f"{name} is not {words.either(values)}"


def _of_member(program: PublishedProgram, when: Conditions) -> Iterator[Sentence]:
    tiers, segments, others = when.tier, when.segment, when.not_in_segment
    youngest, oldest = when.member_age_min, when.member_age_max
    if tiers:
        text = f"the member is not at {words.levels(program, tiers)}"
        yield lambda at: at.earner.level in tiers, text
    if segments:
        text = f"the member is not in segment {words.either(segments)}"
        yield lambda at: not segments.isdisjoint(at.earner.segments), text
    if others:
        text = f"the member is in segment {words.either(others)}"
        yield lambda at: others.isdisjoint(at.earner.segments), text
    if youngest is not None:
        text = f"the member joined less than {words.points(youngest, 'day')} ago"
        yield lambda at: at.member_age >= youngest, text
    if oldest is not None:
        text = f"the member joined more than {words.points(oldest, 'day')} ago"
        yield lambda at: at.member_age <= oldest, text
    yield from _of_history(when)


def _of_history(when: Conditions) -> Iterator[Sentence]:
    nth, every = when.nth_order, when.every_order
    if nth is not None:
        text = f"it is not the member's {words.ordinal(nth)} order"
        yield lambda at: at.earner.orders + 1 == nth, text
    if every is not None:
        text = f"it is not one of each {words.points(every, 'order')}"
        yield lambda at: (at.earner.orders + 1) % every == 0, text
    if when.birthday == "day":
        yield _on_birthday, "it is not the member's birthday"
    if when.birthday == "month":
        yield _in_birthday_month, "it is not the month of the member's birthday"


def _is_between(hour: int, first: int, end: int) -> bool:
    return first <= hour < end if first < end else hour >= first or hour < end


def _has_line(when: Conditions) -> Holds:
    """Look at lines only where no condition alone decides it; most orders miss most rules."""
    categories, brands = when.category, when.brand
    decides_alone = not when.sku and not (categories and brands)

    def holds(at: Situation) -> bool:
        if categories and categories.isdisjoint(at.seen_categories):
            return False
        if brands and brands.isdisjoint(at.seen_brands):
            return False
        return decides_alone or any(matches(when, at))

    return holds


def matches(when: Conditions, at: Situation) -> list[bool]:
    """Tell for each line whether a rule is for it."""
    return [
        (not when.sku or sku in when.sku)
        and (not when.category or category in when.category)
        and (not when.brand or brand in when.brand)
        for sku, category, brand in zip(at.skus, at.categories, at.brands, strict=True)
    ]


def _has_property(name: str, values: frozenset[str]) -> Holds:
    return lambda at: at.properties.get(name) in values


def _on_birthday(at: Situation) -> bool:
    return at.birth_date is not None and is_birthday(at.birth_date, at.day)


def _in_birthday_month(at: Situation) -> bool:
    return at.birth_date is not None and at.birth_date.month == at.day.month
