"""How vendors prove that they sent something: keyed hashes of the raw body, and its age."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from crm_sync.adapters.outcomes import ID_CHARACTERS
from crm_sync.inbound.contract import SignatureRefused

REPLAY_SECONDS: Final = 300
_PREFIX: Final = "whsec_"


def sha256_base64(secret: bytes, message: bytes) -> str:
    """Sign as Shopify, HubSpot and Standard Webhooks do."""
    return base64.b64encode(hmac.new(secret, message, hashlib.sha256).digest()).decode()


def sha256_hex(secret: bytes, message: bytes) -> str:
    """Sign as Klaviyo and Attentive do."""
    return hmac.new(secret, message, hashlib.sha256).hexdigest()


def sha1_hex(secret: bytes, message: bytes) -> str:
    """Sign as Segment does."""
    return hmac.new(secret, message, hashlib.sha1).hexdigest()


def require_match(expected: Sequence[str], given: Iterable[str]) -> None:
    """Refuse unless one of the given signatures is one of those expected.

    All of them are compared, and each in a time that does not tell where it differs.

    Raises:
        SignatureRefused: None is.
    """
    sent = [signature.encode() for signature in given if signature]
    if not sent:
        raise SignatureRefused("The request has no signature.")
    good = [hmac.compare_digest(e.encode(), s) for e in expected for s in sent]
    if not any(good):
        raise SignatureRefused("The signature does not fit the body and the secret.")


def require_fresh(seconds: str, now: datetime, *, per_second: int = 1) -> None:
    """Refuse what was signed more than five minutes ago, or will be.

    Args:
        seconds: Since 1970, as the header says it.
        per_second: 1000 where the header counts milliseconds.

    Raises:
        SignatureRefused: It is too old, too new, or no time at all.
    """
    if not (seconds.isascii() and seconds.isdigit() and len(seconds) <= 16):
        raise SignatureRefused("The request does not say when it was signed.")
    age = now.timestamp() - int(seconds) / per_second
    if abs(age) > REPLAY_SECONDS:
        raise SignatureRefused("The request was not signed within the last five minutes.")


def seconds_of(text: str) -> str:
    """Read a time that is written out, as seconds since 1970; digits stay what they are."""
    if text.isascii() and text.isdigit():
        return text
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return ""
    return str(int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()))


def key_of(secret: str) -> bytes:
    """Read a secret as Standard Webhooks writes it: base64 after whsec_."""
    text = secret.removeprefix(_PREFIX)
    try:
        return base64.b64decode(text + "==", validate=False)
    except binascii.Error:
        return secret.encode()


def fitting_id(text: str) -> str:
    """Give a vendor's id as a column takes it: a hash of one that is too long, never a part.

    Two that begin alike are two.
    """
    is_fit = len(text) <= ID_CHARACTERS and "\x00" not in text
    return text if is_fit else content_id(text.encode())


def content_id(body: bytes) -> str:
    """Name a message by what it says, where the vendor gives it no id."""
    return f"sha256:{hashlib.sha256(body).hexdigest()}"
