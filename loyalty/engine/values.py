"""Values of rows as PostgreSQL reads them, each as a parameter of its own."""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID

import orjson


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _like_json(value: Any) -> str | None:
    """Take what JSON takes it for: a member of an enumeration is its value."""
    found = orjson.loads(orjson.dumps(value))
    return found if found is None or isinstance(found, str) else _json(found)


def _bare(value: Any) -> str:
    """Write an id or a time as JSON does, which takes half as long as its own methods do."""
    return orjson.dumps(value)[1:-1].decode()


_WRITERS: dict[type, Callable[[Any], str | None]] = {
    str: str,
    bool: lambda value: "true" if value else "false",
    UUID: _bare,
    datetime: _bare,
    date: _bare,
}


def as_parameters(
    columns: Mapping[str, str], rows: Iterable[Mapping[str, Any]]
) -> list[str | None]:
    """Give the values of rows one after another, each as text that its column's type reads.

    Text, since psycopg would choose for each number the smallest type that holds it, and a
    statement is prepared anew for other types. What a column does not say is null, as in JSON.
    """
    found: list[str | None] = []
    for row in rows:
        for column, type_ in columns.items():
            value = row.get(column)
            kind = value.__class__
            if kind is int:  # most are
                found.append(str(value))
            elif value is None:
                found.append(None)
            elif type_ == "jsonb":
                found.append(_json(value))
            else:
                found.append(_WRITERS.get(kind, _like_json)(value))
    return found
