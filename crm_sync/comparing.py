"""Whether a vendor has what it was told, field by field, whatever way it writes it. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from crm_sync.adapters.fields import Field, Form

NO_PROFILE: Final = ""  # the name under which a profile that is not there at all is reported
SHOWN_CHARACTERS: Final = 500
_TRUE, _FALSE = {"true", "yes", "1"}, {"false", "no", "0"}


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that the vendor has otherwise, in words for people.

    Attributes:
        name: The vendor's; NO_PROFILE where the vendor does not know the person.
    """

    name: str
    here: str
    there: str


def compared_fields(fields: Sequence[Field]) -> list[Field]:
    """Give the fields that must be the same there.

    Not what the vendor owns, and not the version: it grows with every event, and is told only
    along with something else.
    """
    return [f for f in fields if f.owner == "loyalty" and f.attribute != "state_version"]


def differences(
    told: Mapping[str, Any], there: Mapping[str, Any] | None, fields: Sequence[Field]
) -> list[Difference]:
    """Compare what a vendor was told with what it has; what was left out is not compared."""
    if there is None:
        return [Difference(NO_PROFILE, "a profile", "")]
    return [
        Difference(field.name, _shown(told[field.name]), _shown(there.get(field.name)))
        for field in compared_fields(fields)
        if field.name in told and not _is_same(told[field.name], there.get(field.name), field.form)
    ]


def _is_same(here: Any, there: Any, form: Form) -> bool:
    """Compare as the form means it: vendors write numbers as text, and times in their own zone."""
    if _is_nothing(here) or _is_nothing(there):
        return _is_nothing(here) and _is_nothing(there)
    try:
        return bool(_READERS[form](here) == _READERS[form](there))
    except (ValueError, InvalidOperation, OverflowError, OSError):  # the last: of a far year
        return str(here) == str(there)


def _is_nothing(value: Any) -> bool:
    return value is None or value == ""


def _number(value: Any) -> Decimal:
    return Decimal(str(value))


def _boolean(value: Any) -> bool:
    text = str(value).lower()
    if text not in _TRUE | _FALSE:
        raise ValueError(text)
    return text in _TRUE


def _instant(value: Any) -> int:
    """Give the second: some vendors keep no more."""
    text = str(value)
    if text.isdigit():
        return int(text) // 1000
    found = datetime.fromisoformat(text)
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())


def _day(value: Any) -> date:
    text = str(value)
    if text.isdigit():
        return datetime.fromtimestamp(int(text) / 1000, UTC).date()
    if "T" not in text and " " not in text:
        return date.fromisoformat(text)
    found = datetime.fromisoformat(text)
    return found.astimezone(UTC).date() if found.tzinfo else found.date()


def _shown(value: Any) -> str:
    if value is None:
        return ""
    text = value.isoformat() if isinstance(value, date | time) else str(value)
    return text.replace("\x00", "")[:SHOWN_CHARACTERS]


_READERS: Final[Mapping[Form, Callable[[Any], Any]]] = {
    "text": str,
    "integer": _number,
    "decimal": _number,
    "boolean": _boolean,
    "date": _day,
    "datetime": _instant,
    "epoch_ms": _instant,
}
