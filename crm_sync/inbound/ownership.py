"""What a vendor may change of a member: the fields that the mapping gives it, and no other. Pure.

What loyalty owns is never overwritten from outside, whatever a vendor sends under whatever name.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import orjson
from pydantic import ValidationError

from crm_sync.adapters.fields import Field, Form
from crm_sync.attributes import OWN_ATTRIBUTE, attribute_named
from loyalty.members.schemas import UpdateRequest

_INTEGER: Final = re.compile(r"-?[0-9]{1,15}")
_DECIMAL: Final = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")
PROFILE: Final = ("first_name", "last_name", "birth_date", "language")


def taken_in(fields: Sequence[Field], said: Mapping[str, Any]) -> dict[str, Any]:
    """Pick what the vendor owns, by our attributes' names."""
    return {
        field.attribute: _in_form(said[field.name], field.form)
        for field in fields
        if field.owner == "vendor" and field.name in said and _may_be_vendors(field.attribute)
    }


def profile_changes(
    taken: Mapping[str, Any], *, now: datetime
) -> tuple[UpdateRequest | None, list[str]]:
    """Make one change of what was taken in, and say in sentences what had to be left out.

    Emails and phone numbers are left out: they name a member at a till, and whoever could change
    them at a vendor could take over a balance.
    """
    profile, attributes, left_out = {}, {}, []
    for name, value in taken.items():
        place, key = _place_of(name)
        if not place:
            continue
        if not _is_good({place: {key: value}}, now):
            left_out.append(f"{name} was left out: it does not fit.")
        elif place == "profile":
            profile[key] = value
        else:
            attributes[key] = value
    if not profile and not attributes:
        return None, left_out
    parts = {"profile": profile, "attributes": attributes}
    return _read({name: part for name, part in parts.items() if part}), left_out


def _in_form(value: Any, form: Form) -> Any:
    """Read a text in the form that the mapping asks for: some vendors give nothing but texts.

    One that is not in that form stays as it is.
    """
    if not isinstance(value, str):
        return value
    if form == "boolean":
        return {"true": True, "false": False}.get(value.lower(), value)
    if form == "integer" and _INTEGER.fullmatch(value):
        return int(value)
    return float(value) if form == "decimal" and _DECIMAL.fullmatch(value) else value


def _may_be_vendors(attribute: str) -> bool:
    found = attribute_named(attribute)
    return found is not None and "vendor" in found.owners


def _place_of(attribute: str) -> tuple[str, str]:
    if attribute in PROFILE:
        return "profile", attribute
    if attribute.startswith(OWN_ATTRIBUTE):
        return "attributes", attribute.removeprefix(OWN_ATTRIBUTE)
    return "", ""


def _is_good(change: Mapping[str, Any], now: datetime) -> bool:
    try:
        read = _read(change)
    except (ValidationError, orjson.JSONEncodeError):
        return False
    return read.profile is None or read.profile.is_born_by(now)


def _read(change: Mapping[str, Any]) -> UpdateRequest:
    return UpdateRequest.model_validate_json(orjson.dumps(change))
