"""As much of Salesforce's query language as an adapter asks in: one object, conditions, order."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Record = Mapping[str, Any]
Condition = Callable[[Record], bool]
_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\]|\\.)*')|(?P<time>\d{4}-\d\d-\d\dT[\d:.]+Z)"
    r"|(?P<number>-?\d+(?:\.\d+)?)|(?P<word>[\w.]+)|(?P<sign><=|>=|!=|[<>=(),]))"
)


class Malformed(ValueError):
    """It cannot be read."""


@dataclass(frozen=True)
class Query:
    """What is asked."""

    columns: list[str]
    sobject: str
    condition: Condition
    names: set[str]
    order: list[str]
    limit: int | None


def parse(text: str) -> Query:
    """Read a query."""
    return _Parser(text).query()


def comparable(value: Any) -> Any:
    """Give a value as it is compared: texts without regard to case, moments without fractions."""
    if isinstance(value, str):
        moment = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d).*", value)
        return moment[1] if moment else value.lower()
    return value


class _Parser:
    def __init__(self, text: str) -> None:
        self.names: set[str] = set()
        self._tokens: list[tuple[str, str]] = []
        place = 0
        while place < len(text.rstrip()):
            found = _TOKEN.match(text, place)
            if found is None:
                raise Malformed(f"unexpected token at {place}")
            self._tokens.append((str(found.lastgroup), found[str(found.lastgroup)]))
            place = found.end()

    def query(self) -> Query:
        self._take("SELECT")
        columns = [self._name()]
        while self._skip(","):
            columns.append(self._name())
        self._take("FROM")
        sobject = self._word()
        condition = self._any_of() if self._skip("WHERE") else lambda _: True
        order = []
        if self._skip("ORDER"):
            self._take("BY")
            order.append(self._name())
            while self._skip(","):
                order.append(self._name())
        limit = int(self._word()) if self._skip("LIMIT") else None
        if self._tokens:
            raise Malformed(f"unexpected token: {self._tokens[0][1]}")
        return Query(columns, sobject, condition, self.names, order, limit)

    def _any_of(self) -> Condition:
        ways = [self._all_of()]
        while self._skip("OR"):
            ways.append(self._all_of())
        return lambda record: any(way(record) for way in ways)

    def _all_of(self) -> Condition:
        parts = [self._one()]
        while self._skip("AND"):
            parts.append(self._one())
        return lambda record: all(part(record) for part in parts)

    def _one(self) -> Condition:
        if self._skip("("):
            inner = self._any_of()
            self._take(")")
            return inner
        name, sign = self._name(), self._word().upper()
        if sign == "IN":
            self._take("(")
            values = [self._value()]
            while self._skip(","):
                values.append(self._value())
            self._take(")")
            return lambda record: comparable(record.get(name)) in values
        value = self._value()
        return lambda record: _compare(comparable(record.get(name)), sign, value)

    def _value(self) -> Any:
        if not self._tokens:
            raise Malformed("a value is missing")
        kind, text = self._tokens.pop(0)
        if kind == "text":
            return comparable(re.sub(r"\\(.)", r"\1", text[1:-1]))
        if kind == "number":
            return float(text)
        words = {"null": None, "true": True, "false": False}
        return words[text.lower()] if text.lower() in words else comparable(text)

    def _name(self) -> str:
        name = self._word()
        self.names.add(name)
        return name

    def _word(self) -> str:
        if not self._tokens:
            raise Malformed("unexpected end")
        return self._tokens.pop(0)[1]

    def _skip(self, word: str) -> bool:
        if self._tokens and self._tokens[0][1].upper() == word:
            self._tokens.pop(0)
            return True
        return False

    def _take(self, word: str) -> None:
        if not self._skip(word):
            raise Malformed(f"{word} is missing")


def _compare(there: Any, sign: str, value: Any) -> bool:
    if sign in ("=", "!="):
        return (there == value) is (sign == "=")
    if there is None:
        return False
    return bool(
        {">": there > value, ">=": there >= value, "<": there < value, "<=": there <= value}[sign]
    )
