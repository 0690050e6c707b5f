"""Who is asking: an API key becomes a principal.

A key is `lyk_<prefix>_<secret>`. The prefix finds the row, the secret proves the key: only its
keyed hash is stored, so neither a copy of the database nor a look at the admin gives a key away.
"""

import hashlib
import hmac
import re
import secrets
import string
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Final, Literal, get_args

from django.conf import settings
from django.db.models.functions import Now

from loyalty.errors import ScopeMissing, StoreNotAllowed, Unauthenticated, ValidationFailed
from loyalty.http.models import ApiKey
from loyalty.http.reads import fetch

Scope = Literal["earn", "redeem", "members:read", "members:write", "adjust", "config", "events"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)

# Longer than a burst of requests, shorter than anybody waits for a revoked key to die.
CACHE_SECONDS: Final = 5.0
CACHED_KEYS_MAX: Final = 10_000

PEOPLE: Final = "admin:"
"""Begins the names of people as actors. Keys have none like it: a key would pass for that person,
where one person must not approve what they asked for."""

_ALPHABET: Final = string.digits + string.ascii_letters
_KEY = re.compile(r"(lyk_[0-9A-Za-z]{12})_[0-9A-Za-z]{43}\Z")

_FIND_KEY = """
SELECT id, program_id, name, secret_hash, scopes, stores, rate_limit FROM loyalty_apikey
WHERE prefix = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())
"""


@dataclass(frozen=True, slots=True)
class Principal:
    """What a key may do: one program, some scopes, some stores.

    Attributes:
        stores: Codes of the stores it may act for; None means all of them.
        source: Where its ledger transactions say they came from.
        rate_limit: Requests per minute; None, as for most, is no limit.
    """

    key_id: int
    program_id: int
    name: str
    scopes: frozenset[str]
    stores: frozenset[str] | None = None
    source: str = "api"
    rate_limit: int | None = None


@dataclass(frozen=True, slots=True)
class _Known:
    principal: Principal
    secret_hash: bytes
    until: float


_known: dict[str, _Known] = {}
_known_lock = threading.Lock()


def authenticate(header: str | None) -> Principal:
    """Find out who sends this Authorization header.

    A warm process asks the database once in 5 seconds about a key that is good, and each time
    about one that is not.

    Raises:
        Unauthenticated: No key, or one that is wrong, revoked or expired.
    """
    scheme, _, key = (header or "").partition(" ")
    match = _KEY.match(key) if scheme.lower() == "bearer" else None
    if match is None:
        raise Unauthenticated()
    prefix, secret_hash = match[1], hash_key(key)
    known = _known.get(prefix)
    if known is None or known.until < time.monotonic():
        known = _load(prefix)
    if known is None or not hmac.compare_digest(known.secret_hash, secret_hash):
        raise Unauthenticated("This API key is unknown, expired or revoked.")
    return known.principal


def _load(prefix: str) -> _Known | None:
    asked_at = time.monotonic()
    rows = fetch(_FIND_KEY, [prefix])
    if not rows:
        _known.pop(prefix, None)
        return None
    key_id, program_id, name, secret_hash, scopes, stores, rate_limit = rows[0]
    principal = Principal(
        key_id=key_id,
        program_id=program_id,
        name=name,
        scopes=frozenset(scopes),
        stores=frozenset(stores) if stores else None,
        rate_limit=rate_limit,
    )
    known = _Known(principal, bytes(secret_hash), asked_at + CACHE_SECONDS)
    with _known_lock:
        if len(_known) >= CACHED_KEYS_MAX:
            _known.clear()
        _known[prefix] = known
    return known


def require_scope(principal: Principal, accepted: Sequence[str]) -> None:
    """Refuse a key that has none of the accepted scopes.

    Raises:
        ScopeMissing: naming them.
    """
    if principal.scopes.isdisjoint(accepted):
        wanted = " or ".join(accepted)
        raise ScopeMissing(f"This call needs the scope {wanted}.", scopes=list(accepted))


def store_for(principal: Principal, store: str | None, *, pointer: str) -> str | None:
    """Say for which store a call acts: the one it names, or the key's only one.

    Raises:
        StoreNotAllowed: The key is bound to other stores.
        ValidationFailed: The key is bound to several, and the call names none.
    """
    allowed = principal.stores
    if allowed is None:
        return store
    if store is None:
        if len(allowed) == 1:
            return next(iter(allowed))
        message = "This API key acts for several stores: say for which."
        raise ValidationFailed(message, errors=[{"pointer": pointer, "message": message}])
    if store not in allowed:
        raise StoreNotAllowed(f"This API key may not act for store {store}.")
    return store


def hash_key(key: str) -> bytes:
    """Hash a key for storage; without the pepper the hash cannot be computed.

    Keyed BLAKE2b is a code of authentication by itself, and needs nothing set up. An HMAC is set up
    by OpenSSL anew each time, which took longer than all else that a warm process does about a key.

    Source: RFC 7693.
    """
    secret = _secret_of(settings.LOYALTY_PEPPER)
    return hashlib.blake2b(key.encode(), key=secret, digest_size=32).digest()


@cache
def _secret_of(pepper: str) -> bytes:
    """Give BLAKE2b's key of a pepper, which may be longer than the 64 bytes that it takes."""
    return hashlib.blake2b(pepper.encode()).digest()


def create_api_key(
    *,
    program_id: int,
    scopes: Sequence[str],
    name: str,
    stores: Sequence[str] = (),
    expires_at: datetime | None = None,
    rate_limit: int | None = None,
) -> tuple[ApiKey, str]:
    """Make a key; return its row, and the key itself, which cannot be shown again.

    Raises:
        ValueError: There is no such scope, or none is given; or the name is like a person's.
    """
    check_name(name)
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise ValueError(f"Scopes are {', '.join(SCOPES)}; not {', '.join(unknown) or 'none'}.")
    prefix = f"lyk_{_random(12)}"
    plain = f"{prefix}_{_random(43)}"
    row = ApiKey.objects.create(
        program_id=program_id,
        name=name,
        prefix=prefix,
        secret_hash=hash_key(plain),
        scopes=sorted(set(scopes), key=list(SCOPES).index),
        stores=sorted(set(stores)),
        expires_at=expires_at,
        rate_limit=rate_limit,
    )
    return row, plain


def check_name(name: str) -> None:
    """Refuse a name by which a key would pass for a person.

    Raises:
        ValueError: saying so.
    """
    if name.strip().lower().startswith(PEOPLE):
        raise ValueError(f"A key's name cannot begin with {PEOPLE}, as people's names do.")


def revoke(key: ApiKey) -> None:
    """Make a key useless everywhere within 5 seconds; revoking it again changes nothing."""
    ApiKey.objects.filter(pk=key.pk, revoked_at__isnull=True).update(revoked_at=Now())
    key.refresh_from_db(fields=["revoked_at"])
    _known.pop(key.prefix, None)


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
