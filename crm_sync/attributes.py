"""What we can tell a vendor about a member, and what only a vendor can tell us. Pure.

Every attribute has one owner, or says that a person may choose. What loyalty owns is pushed and put
right where it differs; what the vendor owns comes in and is never pushed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from crm_sync.adapters.fields import Form, Owner

OWN_ATTRIBUTE: Final = "attribute."


class Standing(Protocol):
    """The columns of a member's standing that are told."""

    @property
    def member_id(self) -> Any: ...
    @property
    def attributes(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Attribute:
    """One thing that is known of a member.

    Attributes:
        owners: Who may own it.
        form: How it is written unless a mapping says otherwise.
        source: The name in a member's standing; empty for what only vendors know.
    """

    name: str
    label: str
    form: Form
    owners: tuple[Owner, ...] = ("loyalty",)
    source: str = ""


_EITHER: tuple[Owner, ...] = ("loyalty", "vendor")
_VENDOR: tuple[Owner, ...] = ("vendor",)

ATTRIBUTES: Final = {
    attribute.name: attribute
    for attribute in (
        Attribute("member_id", "Member id", "text", source="member_id"),
        Attribute("program", "Program", "text", source="program"),
        Attribute("status", "Status", "text", source="status"),
        Attribute("enrolled_at", "Enrolled at", "datetime", source="enrolled_at"),
        Attribute("tier", "Tier", "text", source="tier"),
        Attribute("tier_since", "Tier since", "datetime", source="tier_since"),
        Attribute("points_available", "Points", "integer", source="available"),
        Attribute("points_pending", "Points, not usable yet", "integer", source="pending"),
        Attribute("points_held", "Points, reserved", "integer", source="held"),
        Attribute("points_debt", "Points, owed", "integer", source="debt"),
        Attribute("points_lifetime", "Points, ever earned", "integer", source="lifetime_earned"),
        Attribute("points_expiring", "Points that end next", "integer", source="expiring"),
        Attribute("points_expire_on", "Their last usable day", "date", source="expiring_on"),
        Attribute("last_redeemed_at", "Last redemption", "datetime", source="last_redeemed_at"),
        Attribute("referral_code", "Referral code", "text", source="referral_code"),
        Attribute("state_version", "Version of all this", "integer", source="sequence"),
        Attribute("first_name", "First name", "text", _EITHER, "first_name"),
        Attribute("last_name", "Last name", "text", _EITHER, "last_name"),
        Attribute("birth_date", "Birthday", "date", _EITHER, "birth_date"),
        Attribute("language", "Language", "text", _EITHER, "language"),
        Attribute("email", "Email", "text", _EITHER, "email"),
        Attribute("phone", "Phone number", "text", _EITHER, "phone"),
        Attribute("consent.email", "Consent to email", "boolean", _VENDOR),
        Attribute("consent.sms", "Consent to text messages", "boolean", _VENDOR),
        Attribute("segments", "Segments", "text", _VENDOR),
    )
}


def attribute_named(name: str) -> Attribute | None:
    """Find an attribute; `attribute.shoe_size` is one of the member's own."""
    found = ATTRIBUTES.get(name)
    if found is None and name.startswith(OWN_ATTRIBUTE) and len(name) > len(OWN_ATTRIBUTE):
        own = name.removeprefix(OWN_ATTRIBUTE)
        return Attribute(name, own.replace("_", " ").capitalize(), "text", _EITHER)
    return found


def value_of(standing: Standing, name: str) -> Any:
    """Give an attribute's value; None where nothing is known."""
    if name.startswith(OWN_ATTRIBUTE):
        return standing.attributes.get(name.removeprefix(OWN_ATTRIBUTE))
    attribute = ATTRIBUTES[name]
    value = getattr(standing, attribute.source) if attribute.source else None
    return None if value == "" else value
