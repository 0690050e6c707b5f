"""What every part of a program's document is for its rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from loyalty.programs import document
from loyalty.programs.problems import DocumentInvalid, dotted
from loyalty.programs.shapes.entry import Entry
from loyalty.programs.values import Context

Row = Any
Columns = dict[str, Any]
Written = Mapping[str, Any]

DATES = {"from": "starts_on", "to": "ends_on"}


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of row and its place in the document.

    Attributes:
        shape: What the entry must look like.
        write: From a row to its entry.
        read: From an entry to the row's columns.
        columns: The column to which a problem with a key belongs, where the names differ.
        blocks: Keys whose whole block is one column.
    """

    shape: type[Entry]
    write: Callable[[Row], dict[str, Any]]
    read: Callable[[Written], Columns]
    columns: Mapping[str, str]
    blocks: tuple[str, ...] = ()

    def problems(self, row: Row, context: Context) -> dict[str, list[str]]:
        """List what is wrong with a row, by column; "" is the row as a whole."""
        found: dict[str, list[str]] = {}
        try:
            document.parse(self.shape, self.write(row), context)
        except DocumentInvalid as invalid:
            for problem in invalid.problems:
                column, message = self._of_column(dotted(problem.path), problem.message)
                found.setdefault(column, []).append(message)
        return found

    def _of_column(self, place: str, message: str) -> tuple[str, str]:
        """Find the column of a place; one column may hold a whole block of keys."""
        key = place.split("[")[0]
        block, _, rest = place.partition(".")
        if block in self.blocks and rest:
            return block, f"{rest}: {message}"
        return self.columns.get(key, key), message


def text_of(value: Decimal | int | str | None) -> str | None:
    """Write a number as a file has it."""
    return None if value is None else str(value)


def decimal_of(text: str | None) -> Decimal | None:
    """Read a number as a column has it."""
    return None if text is None else Decimal(text)
