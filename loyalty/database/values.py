"""Values of rows as PostgreSQL reads them: each a parameter of its own, or an array a column."""

import struct
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import orjson

from loyalty.database.exchange import Binary

Row = tuple[Any, ...]
"""The values of a row, in the order of its table's columns."""


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _like_json(value: Any) -> str | None:
    """Take what JSON takes it for: a member of an enumeration is its value."""
    found = orjson.loads(orjson.dumps(value))
    return found if found is None or isinstance(found, str) else _json(found)


def _bare(value: Any) -> str:
    """Write an id or a time as JSON does, which takes half as long as its own methods do."""
    return orjson.dumps(value)[1:-1].decode()


_WRITERS: dict[type, Callable[[Any], str | Binary | None]] = {
    str: str,
    bytes: Binary,
    bool: lambda value: "true" if value else "false",
    UUID: _bare,
    datetime: _bare,
    date: _bare,
}


def as_parameters(columns: Mapping[str, str], rows: Iterable[Row]) -> list[str | Binary | None]:
    """Give the values of rows one after another, each as text that its column's type reads.

    Text, since psycopg would choose for each number the smallest type that holds it, and a
    statement is prepared anew for other types.
    """
    found: list[str | Binary | None] = []
    for row in rows:
        for value, type_ in zip(row, columns.values(), strict=True):
            kind = value.__class__
            if kind is int:  # most are
                found.append(str(value))
            elif value is None:
                found.append(None)
            elif type_ in _DOCUMENTS:
                found.append(_json(value))
            else:
                found.append(_WRITERS.get(kind, _like_json)(value))
    return found


def as_arrays(
    columns: Mapping[str, str], rows: Sequence[Row], shared: Collection[str] = ()
) -> list[str | Binary | None]:
    """Give the values of many rows, all of a column at once; `arrays_of` reads them.

    JSON writes a column faster than a loop here does, and between braces its text is that of an
    array. What PostgreSQL would read slowly, ids and words with quotes, goes as it keeps them.

    Args:
        shared: Columns of which all rows say the same: their value goes once.

    Raises:
        ValueError: They do not. What the first row says would be written for all.
    """
    found: list[str | Binary | None] = []
    for (column, type_), values in zip(columns.items(), zip(*rows, strict=True), strict=True):
        if column not in shared:
            found.append(array_of(type_, values))
        elif values.count(values[0]) == len(values):
            found += as_parameters({column: type_}, [values[:1]])
        else:
            raise ValueError(f"Rows do not say the same in {column}, which is sent once.")
    return found


def arrays_of(columns: Mapping[str, str], first: int, shared: Collection[str] = ()) -> str:
    """Give the SQL of columns that reads their values from the parameters from `first` on."""
    read = (
        (_VALUE if name in shared else _DOCUMENTS.get(type_, _ARRAY)).format(n=n, type=type_)
        + f" AS {name}"
        for n, (name, type_) in enumerate(columns.items(), first)
    )
    return f"SELECT {', '.join(read)}"


_VALUE: Final = "${n}::{type}"
_ARRAY: Final = "unnest(${n}::{type}[])"
_DOCUMENTS: Final = {
    "json": "json_array_elements(${n}::json)",  # of columns that are never null
    "jsonb": "nullif(jsonb_array_elements(${n}::jsonb), 'null')",
}


def array_of(type_: str, values: Sequence[Any]) -> str | Binary:
    """Write values of a type as an array of it; of documents, as an array of JSON."""
    if type_ == "uuid" and set(map(type, values)) == {UUID}:
        return _array(2950, [_ID + value.int.to_bytes(16, "big") for value in values])
    if values and values[0].__class__ is bytes:
        return _array(_BYTES[type_], [_length(len(value)) + value for value in values])
    text = orjson.dumps(values)
    if type_ in _DOCUMENTS:
        return text.decode()
    if type_ == "text" and b"\\" in text:  # an array's text escapes other characters than JSON
        return _array(25, [_NULL if value is None else _word(value) for value in values])
    return f"{{{text[1:-1].decode()}}}"


def _array(oid: int, parts: list[bytes]) -> Binary:
    """Write an array as it goes over the wire: the number of its type, one dimension, values."""
    return Binary(_head(1, 1, oid, len(parts), 1) + b"".join(parts))


def _word(value: Any) -> bytes:
    word = value.encode() if value.__class__ is str else (_like_json(value) or "").encode()
    return _length(len(word)) + word


_head: Final = struct.Struct(">iiIii").pack
_length: Final = struct.Struct(">i").pack
_NULL: Final = _length(-1)
_ID: Final = _length(16)
_BYTES: Final = {"bytea": 17, "text": 25}
