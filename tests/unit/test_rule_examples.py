"""docs/earning_rules.md is right: each row of its tables is computed by the rules above it."""

import re
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final, cast

import pytest

from loyalty.earning.periods import period_start
from loyalty.earning.rules import (
    Award,
    Earner,
    Occasion,
    Purchase,
    calculate_activity,
    calculate_points,
    occasion_awards,
)
from loyalty.earning.situation import Used, UseKey
from loyalty.programs import files
from loyalty.programs.compilation import compile_program
from loyalty.programs.currencies import parse_amount
from loyalty.programs.earning import Period
from loyalty.programs.rules import PublishedProgram
from loyalty.programs.shapes.conditions import WhenEntry
from tests.unit.earning_basket import LEVELS, basket

PAGE: Final = Path(__file__).parents[2] / "docs" / "earning_rules.md"
BLOCK: Final = re.compile(
    r"```yaml\n(?P<yaml>.*?)```|^\| (?P<row>[^-|\n][^\n]*) \|$", re.DOTALL | re.MULTILINE
)
HEAD: Final = """
program: grocer
name: Grocer
timezone: America/New_York
currency: USD
stores: [{code: "309"}, {code: "310"}]
"""
OCCASIONS: Final[dict[str, str]] = {
    "joining": "member.enrolled",
    "a birthday": "member.birthday",
    "an anniversary": "member.anniversary",
    "a friend's first purchase": "referral.referrer",
    "being brought": "referral.friend",
}
Found = dict[str, Any]
# What can be said of a purchase or an occasion, after its first words.
CLAUSES: Final[dict[str, Callable[[re.Match[str], Found], None]]] = {
    r"on (\S+) at (\S+)": lambda m, to: to.update(at=datetime.fromisoformat(f"{m[1]} {m[2]}")),
    r"at store (\w+)": lambda m, to: to.update(store=m[1]),
    r"through (\w+)": lambda m, to: to.update(channel=m[1]),
    r"at level (\w+)": lambda m, to: to.update(level=m[1]),
    r"in segment (.+)": lambda m, to: to.update(segments=frozenset(m[1].split(", "))),
    r"joined on (\S+)": lambda m, to: to.update(enrolled_on=date.fromisoformat(m[1])),
    r"born on (\S+)": lambda m, to: to.update(birth_date=date.fromisoformat(m[1])),
    r"order (\d+)": lambda m, to: to.update(orders=int(m[1]) - 1),
    r"(\S+) was had (\d+) times this (\w+)": lambda m, to: _use(to, m[1], m[3], times=int(m[2])),
    r"(\S+) gave (\d+) points this (\w+)": lambda m, to: _use(to, m[1], m[3], points=int(m[2])),
    r"(\d+) left of (\S+)": lambda m, to: to["budgets"].update({m[2]: int(m[1])}),
    r"of ([\d.]+)": lambda m, to: to.update(amount=parse_amount(m[1], 2)),
    r"(\w+) is (\w+)": lambda m, to: to["properties"].update({m[1]: m[2]}),
}


def _use(to: Found, rule: str, per: str, *, times: int = 1, points: int = 1) -> None:
    period = cast(Period, per)
    to["used"][UseKey(rule, period, period_start(to["at"].date(), period))] = Used(times, points)


def read(clauses: list[str]) -> Found:
    """Read what is said of a purchase; what is not said is as the page's head says."""
    found: Found = {
        "at": datetime(2026, 11, 21, 17, 30),
        "store": "309",
        "channel": "pos",
        "level": "bronze",
        "enrolled_on": date(2026, 1, 1),
        "budgets": {},
        "used": {},
        "properties": {},
        "amount": 0,
    }
    for clause in clauses:
        [use] = [(m, do) for words, do in CLAUSES.items() if (m := re.fullmatch(words, clause))]
        use[1](use[0], found)
    return found


def award_of(program: PublishedProgram, said: str) -> Award:
    """Compute what a row is about."""
    what, *clauses = said.split("; ")
    found = read(clauses)
    at, store, channel = (found.pop(name) for name in ("at", "store", "channel"))
    properties, amount = found.pop("properties"), found.pop("amount")
    earner = Earner(**found)
    if what not in OCCASIONS and not what.startswith("activity "):
        lines = basket(*what.split(", "))
        purchase = Purchase(store, channel, at.date(), lines, at.hour)
        return calculate_points(program=program, purchase=purchase, earner=earner)
    occasion = Occasion(
        at.date(), at.hour, what.removeprefix("activity "), channel, store, properties, amount
    )
    if what in OCCASIONS:
        return occasion_awards(
            program=program, trigger=OCCASIONS[what], occasion=occasion, earner=earner
        )
    return calculate_activity(program=program, occasion=occasion, earner=earner)


def sentences(award: Award) -> str:
    """Write what an award says of itself as the page does."""
    said = [f"{entry['points']}: {entry['because']}" for entry in award.explanation]
    return "<br>".join([*said, *(f"0: {entry['because']}" for entry in award.not_applied)])


def examples() -> Iterator[tuple[PublishedProgram, str, str, str]]:
    """Give each row of the page with the program above it."""
    program: PublishedProgram | None = None
    for block in BLOCK.finditer(PAGE.read_text()):
        if block["yaml"]:
            rules = block["yaml"]
            levels = "" if "tiers:" in rules else f"tiers: {{levels: {LEVELS}}}\n"
            document = files.read(f"{HEAD}{levels}{rules}")
            program = compile_program(document, id=1, version=1)
            continue
        said, points, because = block["row"].split(" | ")
        if points != "points":
            assert program is not None
            yield program, said, points, because


@pytest.mark.parametrize(("program", "said", "points", "because"), list(examples()))
def test_a_row_of_the_page_is_what_the_rules_give(
    program: PublishedProgram, said: str, points: str, because: str
) -> None:
    award = award_of(program, said)
    assert (str(award.points), sentences(award)) == (points, because)


def test_the_page_shows_every_kind_of_rule() -> None:
    text = PAGE.read_text()
    assert [name for name in WhenEntry.model_fields if f"{name}: " not in text] == []
