"""How members are named: the four kinds of identifier, and references in a path or a body.

Pure: no Django, no database. Two spellings of one identifier must normalise to the same text,
or a person ends up with two accounts.
"""

import re
import unicodedata
from typing import Final, Literal, NamedTuple, get_args
from uuid import UUID

IdentifierType = Literal["card", "external", "email", "phone"]
IDENTIFIER_TYPES: Final[tuple[str, ...]] = get_args(IdentifierType)

# Email and phone are personal: they never stand in a path, which logs and proxies keep.
ReferenceType = Literal["id", "card", "external"]

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,189}\Z")
_PHONE = re.compile(r"\+?[0-9]{5,15}\Z")
_PHONE_PUNCTUATION = str.maketrans("", "", " ()-./\u00a0")
_MAX_CODE_LENGTH = 100


class MemberRef(NamedTuple):
    """How a request names a member: by our id, by a card, or by another system's id."""

    type: ReferenceType
    value: str

    def __str__(self) -> str:
        return self.value if self.type == "id" else f"{self.type}:{self.value}"


def parse_member_ref(text: str) -> MemberRef:
    """Read `<uuid>`, `card:…` or `external:…`.

    Raises:
        ValueError: with a sentence for the caller.
    """
    kind, colon, value = text.partition(":")
    if colon and kind == "card":
        return MemberRef("card", normalise("card", value))
    if colon and kind == "external":
        return MemberRef("external", normalise("external", value))
    if _UUID.match(text):
        return MemberRef("id", str(UUID(text)))
    raise ValueError("a member is named by id, card:… or external:…")


def parse_any_ref(text: str, type_: IdentifierType | None = None) -> tuple[str, str]:
    """Read how a list names a member: also by `email:…` or `phone:…`, which no path may have.

    Args:
        type_: What a text without one of these words is; a member's id unless set.

    Raises:
        ValueError: with a sentence for the caller.
    """
    kind, colon, value = text.strip().partition(":")
    for known in get_args(IdentifierType):
        if colon and kind == known:
            return (known, normalise(known, value))
    if type_ is not None:
        return (type_, normalise(type_, text))
    if _UUID.match(text.strip()):
        return ("id", str(UUID(text.strip())))
    raise ValueError("a member is named by id, card:…, external:…, email:… or phone:…")


def normalise(kind: IdentifierType, value: str) -> str:
    """Bring an identifier into the one form in which it is stored and looked up.

    Raises:
        ValueError: with a sentence for the caller.
    """
    value = value.strip()
    if not (value.isascii() and value.isprintable()):
        value = unicodedata.normalize("NFC", value)
        _refuse_invisible(value)
    if kind == "email":
        return _normalise_email(value)
    if kind == "phone":
        return _normalise_phone(value)
    if not 1 <= len(value) <= _MAX_CODE_LENGTH:
        raise ValueError(f"cards and external ids have 1 to {_MAX_CODE_LENGTH} characters")
    return value


def _normalise_email(value: str) -> str:
    value = unicodedata.normalize("NFC", value.casefold())
    if not _EMAIL.match(value):
        raise ValueError("this is not an email address")
    return value


def _normalise_phone(value: str) -> str:
    value = value.translate(_PHONE_PUNCTUATION)
    if not _PHONE.match(value):
        raise ValueError("a phone number has 5 to 15 digits, and may begin with +")
    return value


def _refuse_invisible(value: str) -> None:
    """Refuse control, format and unassigned characters: two names that look alike must be equal."""
    if any(unicodedata.category(char)[0] == "C" for char in value):
        raise ValueError("an identifier has no control or invisible characters")
