"""Fields of a vendor's profile: which of our attributes they show, in which form, and how large."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Form = Literal["text", "integer", "decimal", "boolean", "date", "datetime", "epoch_ms"]
Owner = Literal["loyalty", "vendor"]


@dataclass(frozen=True, slots=True)
class Field:
    """One of our attributes in one of the vendor's fields.

    Attributes:
        attribute: Ours; crm_sync/attributes.py lists them.
        name: The vendor's.
        form: How the value is written.
        owner: loyalty: pushed, and repaired where it differs. vendor: only taken in.
    """

    attribute: str
    name: str
    form: Form
    owner: Owner = "loyalty"


LOYALTY_FIELDS = (
    Field("member_id", "loyalty_member_id", "text"),
    Field("program", "loyalty_program", "text"),
    Field("status", "loyalty_status", "text"),
    Field("enrolled_at", "loyalty_enrolled_at", "datetime"),
    Field("tier", "loyalty_tier", "text"),
    Field("tier_since", "loyalty_tier_since", "datetime"),
    Field("points_available", "loyalty_points_balance", "integer"),
    Field("points_pending", "loyalty_points_pending", "integer"),
    Field("points_lifetime", "loyalty_lifetime_points", "integer"),
    Field("points_expiring", "loyalty_points_expiring", "integer"),
    Field("points_expire_on", "loyalty_points_expire_on", "date"),
    Field("last_redeemed_at", "loyalty_last_redemption_at", "datetime"),
    Field("referral_code", "loyalty_referral_code", "text"),
    Field("state_version", "loyalty_state_version", "integer"),
)
"""What vendors get whose names are words with underscores, unless the mapping says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldLimits:
    """What a vendor takes.

    Attributes:
        name_pattern: Regular expression that the whole name must match.
        name_hint: The same in words.
        forms: How values may be written there.
        reserved: Names that mean something else at the vendor, or that only the vendor may write,
            as consent is.
        their_pattern: What the names of fields must match that are only taken in, where the vendor
            has more kinds of those; `their_hint` is the same in words.
    """

    name_pattern: str = r"[A-Za-z][A-Za-z0-9_]*"
    name_hint: str = "letters, digits and underscores, beginning with a letter"
    name_characters: int = 100
    text_characters: int = 500
    fields: int = 100
    forms: Sequence[Form] = ("text", "integer", "decimal", "boolean", "date", "datetime")
    reserved: frozenset[str] = frozenset()
    their_pattern: str = ""
    their_hint: str = ""

    def refuse(self, field: Field) -> str:
        """Say in one sentence what is wrong with a field; empty if nothing is."""
        if len(field.name) > self.name_characters:
            return f"A field's name has at most {self.name_characters} characters here."
        is_theirs = field.owner == "vendor" and self.their_pattern
        if re.fullmatch(self.their_pattern if is_theirs else self.name_pattern, field.name) is None:
            return f"A field's name is {self.their_hint if is_theirs else self.name_hint}."
        if field.owner == "loyalty" and field.name in self.reserved:
            return f"{field.name} belongs to the vendor and is never written."
        if field.form not in self.forms:
            return f"This vendor takes no {field.form}; choose {', '.join(self.forms)}."
        return ""
