"""An order's lines: what each earned, what came back of it, and what that takes back.

Pure: no Django, no clock, no database. Quantities are integers of 1/10,000.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import orjson

from loyalty.earning.rules import OrderLine, points_of_part
from loyalty.errors import LineUnknown, ReversalExceedsOriginal
from loyalty.ledger.rules import LotState

QUANTITY_SCALE = 4


@dataclass(slots=True)
class OrderRecord:
    """An order as recorded; `lines` are the JSON objects of the table.

    Attributes:
        scope: Where its ref is unique: "store:CODE" or "channel:NAME".
        awarded_to: In whose ledger its first award is, if not in the member's own.
        returns: By the ref of the return: its content and its answer.
        taken: What it took of limits and budgets; "back" where that was given back.
        explanation: Of its first award.
        lots: What it earned.
        is_new: Whether it is being recorded in this run.
    """

    member_id: UUID
    scope: str
    number: int
    ref: str
    store: str
    channel: str
    state: str
    revision: int
    occurred_at: datetime
    day: date
    currency: str
    net_amount: int
    lines: list[dict[str, Any]]
    points: int
    clawed_back: int
    returns: dict[str, Any]
    transaction_number: int | None
    awarded_to: UUID | None
    program_version: int
    recorded_at: datetime
    taken: list[dict[str, Any]] = field(default_factory=list)
    explanation: dict[str, Any] = field(default_factory=dict)
    lots: list[LotState] = field(default_factory=list)
    is_new: bool = False


def order_scope(store: str | None, channel: str | None) -> str:
    """Say within what an order's ref is unique: its store, or its channel where it has none."""
    return f"store:{store}" if store else f"channel:{channel or ''}"


@lru_cache(maxsize=4096)
def quantity_units(text: str) -> int:
    """Read a decimal string as an integer of 1/10,000; most are "1", over and over."""
    whole, _, fraction = text.partition(".")
    return int(whole + fraction.ljust(QUANTITY_SCALE, "0"))


def quantity_text(units: int) -> str:
    """Write an integer of 1/10,000 as a short decimal string."""
    whole, fraction = divmod(units, 10**QUANTITY_SCALE)
    return f"{whole}.{fraction:0{QUANTITY_SCALE}d}".rstrip("0").rstrip(".")


def line_json(line: OrderLine, points: int) -> dict[str, Any]:
    """Make a recorded line of which nothing has come back yet.

    What is empty is left out, and so is what came back until something does: an order is kept for
    ever, and these made up two fifths of its lines.
    """
    name, sku, quantity, amount, category, brand = line
    made = {"line": name, "quantity": quantity, "amount": amount, "points": points}
    if sku:
        made["sku"] = sku
    if category:
        made["category"] = category
    if brand:
        made["brand"] = brand
    return made


def bought_line(line: dict[str, Any]) -> OrderLine:
    """Give what was bought, of a recorded line."""
    said = line.get
    sku, category, brand = said("sku", ""), said("category", ""), said("brand", "")
    return OrderLine(line["line"], sku, line["quantity"], line["amount"], category, brand)


def returned_of(line: dict[str, Any]) -> int:
    """Tell how much came back of a recorded line, in 1/10,000."""
    units: int = line.get("returned", 0)
    return units


def kept_points(line: dict[str, Any]) -> int:
    """Tell what a recorded line earned that was not taken back."""
    kept: int = line["points"] - line.get("clawed_back", 0)
    return kept


def same_lines(recorded: Sequence[dict[str, Any]], lines: Sequence[OrderLine]) -> bool:
    """Tell whether the lines are as recorded, whatever came back of them."""
    return [_facts(line) for line in recorded] == [
        (one.line, one.sku, quantity_units(one.quantity), one.amount, one.category, one.brand)
        for one in lines
    ]


def _facts(line: dict[str, Any]) -> tuple[Any, ...]:
    name, sku, quantity, amount, category, brand = bought_line(line)
    return name, sku, quantity_units(quantity), amount, category, brand


@dataclass(frozen=True, slots=True)
class Part:
    """What now comes back of a line: units of 1/10,000, minor units, points."""

    line: dict[str, Any]
    units: int
    amount: int
    points: int


def part_of(line: dict[str, Any], *, units: int, amount: int | None = None) -> Part:
    """Work out what belongs to a returned part of a line.

    Counted from the line's beginning, so that all parts together are exactly the line.

    Args:
        units: How much comes back now, in 1/10,000; may be negative where an order's desired
            state says that less came back than was known.
        amount: What was paid back for it, in minor units; its share of the line unless told.

    Raises:
        ReversalExceedsOriginal: More comes back than was bought.
    """
    whole = quantity_units(line["quantity"])
    before = returned_of(line)
    if not 0 <= before + units <= whole:
        raise ReversalExceedsOriginal(
            f"Line {line['line']}: {quantity_text(whole)} bought,"
            f" {quantity_text(before)} came back before.",
            errors=[{"pointer": "/lines", "message": f"line {line['line']}: too many"}],
            line=line["line"],
            bought=quantity_text(whole),
            returned=quantity_text(before),
        )
    if whole == 0:
        return Part(line, 0, 0, 0)
    points = points_of_part(points=line["points"], whole=whole, before=before, part=units)
    if amount is None:
        amount = share_of(line, before=before, units=units)
    return Part(line, units, amount, points)


def share_of(line: dict[str, Any], *, before: int, units: int) -> int:
    """Give what was paid for a part of a line, in minor units."""
    whole, total = quantity_units(line["quantity"]), abs(line["amount"])
    share = points_of_part(points=total, whole=whole, before=before, part=units) if whole else 0
    return share if line["amount"] >= 0 else -share


def find_line(lines: Iterable[dict[str, Any]], name: str) -> dict[str, Any]:
    """Give the recorded line of that id.

    Raises:
        LineUnknown: There is none.
    """
    for line in lines:
        if line["line"] == name:
            return line
    raise LineUnknown(f"The order has no line {name}.", line=name)


def take_part(part: Part) -> None:
    """Note on the line what came back."""
    line = part.line
    line["returned"] = returned_of(line) + part.units
    line["returned_amount"] = line.get("returned_amount", 0) + part.amount
    line["clawed_back"] = line.get("clawed_back", 0) + part.points


def all_returned(lines: Iterable[dict[str, Any]]) -> bool:
    """Tell whether something came back, and nothing that was bought is left."""
    found = list(lines)
    return any(map(returned_of, found)) and all(
        returned_of(line) == quantity_units(line["quantity"]) for line in found
    )


def net_spend(lines: Iterable[dict[str, Any]]) -> int:
    """Sum what was paid and not paid back, in minor units; never below 0."""
    net: int = sum(line["amount"] - line.get("returned_amount", 0) for line in lines)
    return max(0, net)


def content_of(order: dict[str, Any]) -> bytes:
    """Write an order's content canonically, for telling whether it is the same."""
    return orjson.dumps(order, option=orjson.OPT_SORT_KEYS)
