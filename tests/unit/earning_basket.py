"""Programs, baskets and members for tests of earning rules, written as in a program file.

award = earn(rules, basket("12.00", "PRODUCE 8.00"), at="2026-11-21 17:30", level="gold")
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from loyalty.earning.rules import Award, Earner, OrderLine, Purchase, calculate_points
from loyalty.programs.compilation import compile_program
from loyalty.programs.currencies import parse_amount
from loyalty.programs.document import validate
from loyalty.programs.rules import PublishedProgram

SATURDAY = "2026-11-21 17:30"
BASE = {"code": "base", "points": 1, "per": "1.00"}
LEVELS = [
    {"code": "bronze", "from": "0"},
    {"code": "silver", "from": "250.00"},
    {"code": "gold", "from": "1000.00"},
]


def compiled(*rules: Mapping[str, Any], **changes: Any) -> PublishedProgram:
    """Compile a program with these rules, as publishing does."""
    document = {
        "program": "grocer",
        "name": "Grocer",
        "timezone": "America/New_York",
        "currency": "USD",
        "stores": [{"code": "309"}, {"code": "310"}],
        "tiers": {"levels": LEVELS},
        "earning_rules": [dict(rule) for rule in rules],
        **changes,
    }
    return compile_program(validate(document), id=1, version=1)


def basket(*lines: str) -> tuple[OrderLine, ...]:
    """Read lines such as "PRODUCE 8.00" or "12.00"; the sku is the line's number: sku-1."""
    found = []
    for number, text in enumerate(lines, 1):
        *words, amount = text.split()
        category = words[0] if words else "GROCERY"
        brand = words[1] if len(words) > 1 else "National"
        minor = parse_amount(amount, 2)
        found.append(OrderLine(str(number), f"sku-{number}", "1", minor, category, brand))
    return tuple(found)


def earn(
    rules: Sequence[Mapping[str, Any]] | PublishedProgram,
    lines: tuple[OrderLine, ...] | None = None,
    *,
    at: str = SATURDAY,
    store: str = "309",
    channel: str = "pos",
    born: str | None = None,
    joined: str = "2026-01-01",
    **member: Any,
) -> Award:
    """Calculate what an order of 20.00 earns, unless told otherwise."""
    local = datetime.fromisoformat(at)
    program = rules if isinstance(rules, PublishedProgram) else compiled(*rules)
    earner = Earner(
        enrolled_on=date.fromisoformat(joined),
        birth_date=date.fromisoformat(born) if born else None,
        **member,
    )
    purchase = Purchase(store, channel, local.date(), lines or basket("20.00"), local.hour)
    return calculate_points(program=program, purchase=purchase, earner=earner)


def why(award: Award, rule: str) -> str:
    """Give the sentence about a rule, whether it applied or not."""
    [because] = [
        entry["because"]
        for entry in (*award.explanation, *award.not_applied)
        if entry["rule"] == rule
    ]
    assert isinstance(because, str)
    return because
