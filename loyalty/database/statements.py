"""Statements with named parameters on Django's connection, prepared where they come again.

Django's own cursors write the values into a statement's text, so PostgreSQL parses and plans it
anew each time: of a delivery that was a third of what it cost there. For statements that are
carried out again and again; others are written with Django's.
"""

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

import psycopg
from django.db import DEFAULT_DB_ALIAS
from django.db import connection as database
from django.db.models import Model
from psycopg import pq

from loyalty.database.exchange import Statement, exchange
from loyalty.database.values import array_of, as_parameters

Instance = TypeVar("Instance", bound=Model)
_NAMED: Final = re.compile(r"%\((\w+)\)s(?:::(\w+)(\[\])?)?")


class Prepared:
    """A statement whose parameters are named, `%(member)s`, and may have a type behind them.

    An array has to have one, `%(members)s::uuid[]`; of others PostgreSQL sees what they are.
    """

    def __init__(self, text: str) -> None:
        self._types: dict[str, tuple[str, bool]] = {}
        self.sql: Final = _NAMED.sub(self._numbered, text)

    def fetch(self, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Carry it out, inside a transaction that may be open, and give its rows."""
        return fetch_together([self.with_values(values)])[0]

    def with_values(self, values: Mapping[str, Any]) -> Statement:
        """Give it as it is sent with these values; there may be others beside them."""
        return Statement(
            self.sql,
            [
                array_of(type_, list(values[name]))
                if is_array
                else as_parameters({name: type_}, [(values[name],)])[0]
                for name, (type_, is_array) in self._types.items()
            ],
        )

    def _numbered(self, found: re.Match[str]) -> str:
        name, type_, brackets = found.groups()
        known, is_array = self._types.get(name, ("", False))
        self._types[name] = (known or type_ or "", is_array or bool(brackets))
        number = 1 + list(self._types).index(name)
        return f"${number}" + (f"::{type_}{brackets or ''}" if type_ else "")


class PreparedRows(Generic[Instance]):
    """Rows of a model, read by a condition in SQL: what the ORM would make of it, made once.

    Args:
        where: What comes behind FROM and the table's name.
    """

    def __init__(self, model: type[Instance], where: str) -> None:
        fields = model._meta.concrete_fields
        table = model._meta.db_table
        columns = ", ".join(f'"{table}"."{field.column}"' for field in fields)
        self._model = model
        self._names = [field.attname for field in fields]
        self._readers = [
            (place, field.from_db_value)
            for place, field in enumerate(fields)
            if hasattr(field, "from_db_value")
        ]
        self._statement = Prepared(f'SELECT {columns} FROM "{table}" {where}')

    def fetch(self, values: Mapping[str, Any]) -> list[Instance]:
        """Read them."""
        return [self._made(row) for row in self._statement.fetch(values)]

    def _made(self, row: Sequence[Any]) -> Instance:
        found = list(row)
        for place, read in self._readers:
            found[place] = read(found[place], None, database)
        return self._model.from_db(DEFAULT_DB_ALIAS, self._names, found)


def fetch_together(statements: Sequence[Statement]) -> list[list[tuple[Any, ...]]]:
    """Carry out statements in one round trip, and give the rows of each.

    Where Django's transaction is only to begin they begin it; outside of any they are one.

    Raises:
        django.db.DatabaseError: What the first one that failed raises, as of Django's own cursors.
    """
    began = time.monotonic()
    with database.wrap_database_errors:
        connection = _connected()
        exchange(connection, [*_beginning(connection), *statements])
    if database.queries_logged:  # or nobody could count them
        seconds = time.monotonic() - began
        for one in statements:
            database.queries_log.append({"sql": one.sql, "time": f"{seconds:.3f}"})
    return [one.rows for one in statements]


def _beginning(connection: psycopg.Connection[Any]) -> list[Statement]:
    """Give what psycopg's own cursors send before the first statement of a transaction."""
    is_due = connection.pgconn.transaction_status == pq.TransactionStatus.IDLE
    return [Statement("BEGIN")] if is_due and not connection.autocommit else []


def _connected() -> psycopg.Connection[Any]:
    """Give Django's connection as one of its cursors would get it."""
    database.close_if_health_check_failed()
    database.ensure_connection()
    raw: psycopg.Connection[Any] = database.connection
    return raw
