"""How rows are written: what describes a table, and the one statement for all rows.

Every row of every outcome goes into one statement. Its text depends only on which tables have
rows, and whether one or many, so that a process prepares a handful of statements and uses them
for ever. One row is parameters, many are an array of each column.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from operator import itemgetter
from typing import Any

from loyalty.database.exchange import Binary
from loyalty.database.values import Row, arrays_of, as_arrays, as_parameters


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """One table that commands write, and how.

    Attributes:
        name: Name of the table in the database.
        columns: SQL type by column, as in the rows.
        key: Columns that name a row, where later rows of the same command replace earlier ones;
            empty where rows are only added.
        tail: What follows the insert, such as an ON CONFLICT clause.
        update: A whole UPDATE to use instead of the insert; `{rows}` stands for the rows.
        add: Columns whose values are added up where rows have the same key.
        order_by: Columns by which many rows are inserted, where two runs may insert the same unique
            values: in one order nobody deadlocks. All else goes in the order of the rows, so that
            the ids of a member's events follow their sequence.
        few: How many rows are parameters at most.
        shared: Columns of which all rows of one run say the same, since the program, the caller,
            the moment or the table's kind of row does; of many rows they are sent once.
        pick: Takes the values of all columns out of a row that says them all.
    """

    name: str
    columns: Mapping[str, str]
    key: tuple[str, ...] = ()
    tail: str = ""
    update: str = ""
    add: tuple[str, ...] = ()
    order_by: str = ""
    few: int = 1
    shared: frozenset[str] = frozenset()
    pick: Callable[[Mapping[str, Any]], Row] = field(init=False)

    def __post_init__(self) -> None:
        """Make what every row is read by."""
        object.__setattr__(self, "pick", _picker(*self.columns))

    @property
    def place(self) -> tuple[str, bool, str]:
        """Where it comes among the tables of a statement; several may write the same one."""
        return self.name, bool(self.key), self.update + self.tail

    def row(self, said: Mapping[str, Any]) -> Row:
        """Give the values of a row in the order of the columns; what it does not say is null."""
        try:
            return self.pick(said)
        except KeyError:  # most rows say all columns
            return tuple(map(said.get, self.columns))

    def named(self, row: Row) -> dict[str, Any]:
        """Give a row as it was put."""
        return dict(zip(self.columns, row, strict=True))

    def statement(self, first: int, *, rows: int) -> str:
        """Give the SQL of this table with its parameters from number `first` on.

        Parameters spare PostgreSQL the starting of what reads arrays, and are known to be so many
        rows: it finds the row to update by its key.

        Args:
            rows: How many there are; 0 for any number.
        """
        names = ", ".join(self.columns)
        if self.update:
            return self.update.replace("{rows}", self._one(first) if rows else self._many(first))
        if rows:
            width = len(self.columns)
            values = (self._values(first + width * row) for row in range(rows))
            source = "VALUES " + ", ".join(f"({', '.join(row)})" for row in values)
        else:
            order = f" ORDER BY {self.order_by}" if self.order_by else ""
            source = f"SELECT {names} FROM {self._many(first)}{order}"
        return f"INSERT INTO {self.name} ({names}) {source} {self.tail}"

    def parameters(self, rows: Sequence[Row]) -> Sequence[str | Binary | None]:
        """Give the values of as many parameters as the statement for these rows takes."""
        if self.shape(rows):
            return as_parameters(self.columns, rows)
        return as_arrays(self.columns, rows, self.shared)

    def shape(self, rows: Sequence[Row]) -> int:
        """Tell for how many rows their statement is; 0 is any number."""
        few = 1 if self.update else self.few
        return len(rows) if len(rows) <= few else 0

    def _values(self, first: int) -> list[str]:
        return [f"${number}::{type_}" for number, type_ in enumerate(self.columns.values(), first)]

    def _one(self, first: int) -> str:
        values = zip(self._values(first), self.columns, strict=True)
        return f"(SELECT {', '.join(f'{value} AS {column}' for value, column in values)}) AS r"

    def _many(self, first: int) -> str:
        return f"({arrays_of(self.columns, first, self.shared)}) AS r"


def _picker(*columns: str) -> Callable[[Mapping[str, Any]], Row]:
    if len(columns) > 1:
        return itemgetter(*columns)
    [only] = columns
    return lambda said: (said[only],)


@lru_cache(maxsize=256)
def write_statement(tables: tuple[tuple[Table, int], ...]) -> str:
    """Compose the one statement that writes rows of these tables (parameters in their order).

    Args:
        tables: Each with the shape of its rows.
    """
    parts, first = [], 1
    for number, (table, rows) in enumerate(tables, 1):
        parts.append(f"w{number} AS ({table.statement(first, rows=rows)})")
        first += (rows or 1) * len(table.columns)
    return "WITH " + ",\n".join(parts) + "\nSELECT 1"


class Rows:
    """The rows that commands decided to write, in their order.

    A row is kept as its values: a batch puts ten thousand, and in dictionaries they would fill the
    processor's cache, and be looked through once for each column.
    """

    __slots__ = ("_rows",)

    def __init__(self) -> None:
        self._rows: list[tuple[Table, Row]] = []

    def put(self, table: Table, said: Mapping[str, Any]) -> None:
        """Add a row; in a table with a key it replaces or adds to the one with its key."""
        self._rows.append((table, table.row(said)))

    def extend(self, other: "Rows") -> None:
        """Take over all rows of another collection."""
        self._rows += other._rows

    def items(self) -> list[tuple[Table, list[Row]]]:
        """List tables with their rows, in an order that is the same for the same tables."""
        found: dict[Table, list[Row]] = defaultdict(list)
        for table, row in self._rows:
            found[table].append(row)
        merged = [
            (table, _by_key(table, rows) if table.key else rows) for table, rows in found.items()
        ]
        return sorted(merged, key=lambda item: item[0].place)


def _by_key(table: Table, rows: list[Row]) -> list[Row]:
    """Let each row replace, or add to, the earlier one with its key."""
    keyed: dict[Any, Row] = {}
    key_of = itemgetter(*map([*table.columns].index, table.key))
    for row in rows:
        key = key_of(row)
        earlier = keyed.get(key)
        keyed[key] = _sum_of(table, earlier, row) if earlier and table.add else row
    return list(keyed.values())


def _sum_of(table: Table, one: Row, other: Row) -> Row:
    return tuple(
        a + b if column in table.add else b
        for column, a, b in zip(table.columns, one, other, strict=True)
    )
