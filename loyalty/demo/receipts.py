"""Read receipts: rows of a CSV become baskets, in the order in which they were bought."""

import csv
import gzip
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, TextIO

COLUMNS = (
    "basket_id",
    "household_id",
    "store_id",
    "purchased_at",
    "product_id",
    "department",
    "brand",
    "quantity",
    "sales_value",
)
CENT = Decimal("0.01")
# The source counts fuel in thousandths of a gallon, and nothing else by the thousand.
FUEL_FROM = 1000
FUEL = "fuel in thousandths of a gallon: sent in gallons"

Row = Mapping[str, str]


class ReceiptsUnreadable(Exception):
    """A file that holds no receipts; its sentence says why."""


@dataclass(slots=True)
class Receipt:
    """One basket.

    Attributes:
        purchased_at: Local time of the store, without a zone.
        lines: As `POST /v1/earn` takes them.
        odd: What was odd about a line, and what was done about it.
    """

    basket: str
    household: str
    store: str
    purchased_at: datetime
    lines: list[dict[str, Any]] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Receipts:
    """All baskets of a file.

    Attributes:
        baskets: The earliest first.
        skipped: What could not be read, and why.
    """

    baskets: list[Receipt]
    skipped: Counter[str]

    def odd(self) -> Counter[str]:
        """Count what was odd about lines that are sent all the same."""
        return Counter(what for receipt in self.baskets for what in receipt.odd)

    def stores(self) -> set[str]:
        """Give the numbers of the stores."""
        return {receipt.store for receipt in self.baskets}


def read_receipts(path: Path) -> Receipts:
    """Read a CSV of receipt lines, gzipped or not.

    Raises:
        ReceiptsUnreadable: It is not there, lacks a column, or holds no receipt.
    """
    try:
        with _open(path) as file:
            receipts = _collect(_rows(file, path))
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise ReceiptsUnreadable(f"{path} cannot be read: {error}.") from None
    if not receipts.baskets:
        raise ReceiptsUnreadable(f"{path} holds no receipt.")
    return receipts


def _open(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def _rows(file: Iterable[str], path: Path) -> Iterator[Row]:
    reader = csv.DictReader(file)
    missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
    if missing:
        raise ReceiptsUnreadable(f"{path} lacks the column {', '.join(missing)}.")
    yield from reader


def _collect(rows: Iterable[Row]) -> Receipts:
    found: dict[str, Receipt] = {}
    skipped: Counter[str] = Counter()
    for row in rows:
        try:
            receipt = found.get(row["basket_id"]) or _receipt(row)
            _add_line(receipt, row)
        except (ValueError, InvalidOperation, TypeError, AttributeError):
            skipped["lines whose time, quantity or amount cannot be read"] += 1
        else:
            found[receipt.basket] = receipt
    return Receipts(sorted(found.values(), key=lambda receipt: receipt.purchased_at), skipped)


def _receipt(row: Row) -> Receipt:
    return Receipt(
        basket=row["basket_id"],
        household=row["household_id"],
        store=row["store_id"],
        purchased_at=datetime.fromisoformat(row["purchased_at"]),
    )


def _add_line(receipt: Receipt, row: Row) -> None:
    quantity, amount = _decimal(row["quantity"]), _decimal(row["sales_value"]).quantize(CENT)
    category, brand = row["department"].strip().upper(), row["brand"].strip()
    if quantity < 0:
        raise ValueError("not a quantity")
    odd = {
        FUEL: quantity >= FUEL_FROM,
        "quantity 0: sent as it is": quantity == 0,
        "amount 0.00: sent as it is, earns nothing": amount == 0,
        "no department: sent without a category": not category,
    }
    receipt.odd += [what for what, is_so in odd.items() if is_so]
    if odd[FUEL]:
        quantity /= 1000
    line = {
        "line": str(len(receipt.lines) + 1),
        "sku": row["product_id"],
        "quantity": f"{quantity.normalize():f}",
        "amount": str(amount),
        "category": category,
        "brand": brand,
    }
    receipt.lines.append({name: value for name, value in line.items() if value})


def _decimal(text: str) -> Decimal:
    number = Decimal(text)
    if not number.is_finite():
        raise ValueError("not a number")
    return number
