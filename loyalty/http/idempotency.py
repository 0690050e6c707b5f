"""Idempotency keys: how a request names itself, and what makes two requests the same one.

The key is claimed and its answer stored by the engine, in the transaction of the effect; here
is only what HTTP says about it.
"""

import hashlib
import re
from datetime import timedelta

from django.utils import timezone

from loyalty.errors import IdempotencyKeyInvalid, IdempotencyKeyMissing
from loyalty.http.models import IdempotencyKey

KEPT = timedelta(days=30)
KEPT_BY_ENGINE = timedelta(days=400)

HEADER = "HTTP_IDEMPOTENCY_KEY"

_BARE = re.compile(r"[!-~]{1,255}\Z")
_QUOTED = re.compile(r'"((?:[!#-\[\]-~]|\\["\\])+)"\Z')


def read_key(header: str | None) -> str:
    """Read the Idempotency-Key header: a structured-field string, or the bare token of a till.

    Raises:
        IdempotencyKeyMissing: There is none.
        IdempotencyKeyInvalid: It is too long, or not visible ASCII.
    """
    if not header:
        raise IdempotencyKeyMissing()
    key = header
    if header.startswith('"'):
        quoted = _QUOTED.match(header)
        if quoted is None:
            raise IdempotencyKeyInvalid()
        key = re.sub(r"\\(.)", r"\1", quoted[1])
    if _BARE.match(key) is None:
        raise IdempotencyKeyInvalid()
    return key


def request_hash(method: str, path: str, canonical_body: bytes) -> bytes:
    """Compute what two uses of one key must have in common."""
    return hashlib.sha256(f"{method} {path}\n".encode() + canonical_body).digest()


def delete_old_keys() -> int:
    """Forget answers after 30 days, as the API promises; return how many.

    The engine's own keys (client 0) are kept longer: they say which notices were sent.
    """
    now = timezone.now()
    of_clients = IdempotencyKey.objects.filter(created_at__lt=now - KEPT).exclude(client=0)
    of_engine = IdempotencyKey.objects.filter(created_at__lt=now - KEPT_BY_ENGINE, client=0)
    return of_clients.delete()[0] + of_engine.delete()[0]
