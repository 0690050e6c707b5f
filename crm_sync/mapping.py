"""From a member's standing to a vendor's fields, as a connection's mapping says. Pure."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, Final

import orjson

from crm_sync.adapters.contract import Person
from crm_sync.adapters.fields import Field, FieldLimits, Form
from crm_sync.attributes import ATTRIBUTES, OWN_ATTRIBUTE, Standing, attribute_named, value_of

_YES, _NO = {"true", "yes", "1"}, {"false", "no", "0"}


class FormMismatch(ValueError):
    """A value cannot be written in the form that the mapping asks for."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """A vendor's fields with their values, and what had to be left out, in sentences.

    One name that is too long must not keep a balance from being told.
    """

    fields: Mapping[str, Any]
    left_out: tuple[str, ...] = ()


def map_fields(standing: Standing, fields: Sequence[Field], limits: FieldLimits) -> Mapped:
    """Write what loyalty owns; None where nothing is known, which clears the field."""
    written: dict[str, Any] = {}
    left_out = []
    for field in fields:
        if field.owner != "loyalty":
            continue
        try:
            written[field.name] = _within(
                limits, write_value(value_of(standing, field.attribute), field.form)
            )
        except FormMismatch as error:
            left_out.append(f"{field.name} was left out: {error}.")
    return Mapped(written, tuple(left_out))


def write_value(value: Any, form: Form) -> Any:
    """Write a value in a form; None stays None.

    Raises:
        FormMismatch: It cannot be.
    """
    return None if value is None else _WRITERS[form](value)


def problem_of(field: Field, limits: FieldLimits) -> str:
    """Say what is wrong with one field by itself; empty if nothing is."""
    attribute = attribute_named(field.attribute)
    if attribute is None:
        known = ", ".join(ATTRIBUTES)
        return (
            f"There is no attribute {field.attribute}. There are {known}, and a member's own, such "
            f"as {OWN_ATTRIBUTE}shoe_size."
        )
    if field.owner not in attribute.owners:
        owner = "loyalty" if field.owner == "vendor" else "the vendor"
        return f"{field.attribute} belongs to {owner}, always."
    refusal = limits.refuse(field)
    return f"{field.name}: {refusal}" if refusal else ""


def problems_of(fields: Sequence[Field], limits: FieldLimits) -> list[str]:
    """Say what is wrong with a mapping before anything is sent; empty if nothing is."""
    problems = [said for field in fields if (said := problem_of(field, limits))]
    names = Counter(field.name for field in fields)
    problems += [f"{name} is mapped twice." for name, count in names.items() if count > 1]
    if len(fields) > limits.fields:
        problems.append(f"This vendor takes {limits.fields} fields; these are {len(fields)}.")
    return problems


def fingerprint(person: Person, fields: Mapping[str, Any]) -> str:
    """Hash what a vendor is told, to see that it is told nothing new.

    Call it without the field that is mapped to `state_version`: that grows with every event, also
    with those that change nothing else.
    """
    addresses = [person.email, person.phone, sorted(person.unproven)]  # some get proven ones only
    told = [*addresses, person.external_ids, dict(fields)]
    return hashlib.sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).hexdigest()


def hash_identity(person: Person) -> str:
    """Hash what a vendor may find a member by, to see that nothing of it has changed."""
    told = [person.email, person.phone, sorted(person.external_ids), sorted(person.unproven)]
    return hashlib.sha256(orjson.dumps(told)).hexdigest()


def _within(limits: FieldLimits, value: Any) -> Any:
    if isinstance(value, str) and len(value) > limits.text_characters:
        raise FormMismatch(f"it has {len(value)} characters, and {limits.text_characters} fit")
    return value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return _datetime(value)
    return value.isoformat() if isinstance(value, date) else str(value)


def _integer(value: Any) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = None
    if number is None or isinstance(value, bool) or (isinstance(value, float) and number != value):
        raise FormMismatch(f"{str(value)[:40]} is not a whole number")
    return number


def _decimal(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FormMismatch(f"{str(value)[:40]} is not a number")
    return value


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if str(value).lower() in _YES | _NO:
        return str(value).lower() in _YES
    raise FormMismatch(f"{str(value)[:40]} is neither yes nor no")


def _instant(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    try:
        return datetime.fromisoformat(str(value)).astimezone(UTC)
    except ValueError:
        raise FormMismatch(f"{str(value)[:40]} is not a time") from None


def _datetime(value: Any) -> str:
    return _instant(value).strftime("%Y-%m-%dT%H:%M:%SZ")


def _date(value: Any) -> str:
    return _instant(value).date().isoformat()


def _epoch_ms(value: Any) -> int:
    return int(_instant(value).timestamp()) * 1000


_WRITERS: Final = {
    "text": _text,
    "integer": _integer,
    "decimal": _decimal,
    "boolean": _boolean,
    "date": _date,
    "datetime": _datetime,
    "epoch_ms": _epoch_ms,
}
