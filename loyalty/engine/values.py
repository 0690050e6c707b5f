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


_WRITERS: dict[type, Callable[[Any], str | None]] = {
    str: str,
    int: str,
    bool: lambda value: "true" if value else "false",
    UUID: str,
    datetime: datetime.isoformat,
    date: date.isoformat,
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
            if value is None:
                found.append(None)
            elif type_ == "jsonb":
                found.append(_json(value))
            else:
                found.append(_WRITERS.get(value.__class__, _like_json)(value))
    return found
