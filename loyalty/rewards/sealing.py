"""Codes at rest: sealed so that a copy of the database shows none, hashed so that one is found.

The key is derived from LOYALTY_PEPPER; the cipher is Fernet of the library `cryptography`.
"""

import base64
import hashlib
import hmac
import re
from functools import cache
from typing import Final

import orjson
from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings

MARK: Final = "sealed:"
_IN_ANSWER: Final = re.compile(rb'"code":"sealed:([A-Za-z0-9_=-]+)"')


def seal(code: str) -> str:
    """Encrypt a code."""
    return _cipher(settings.LOYALTY_PEPPER).encrypt(code.encode()).decode()


def unseal(sealed: str) -> str:
    """Decrypt a code."""
    return _cipher(settings.LOYALTY_PEPPER).decrypt(sealed.encode()).decode()


def hash_code(code: str) -> bytes:
    """Hash a code, so that the same one is recognised; without the pepper nobody can guess it."""
    return hmac.digest(settings.LOYALTY_PEPPER.encode(), f"code {code}".encode(), hashlib.sha256)


def hint_of(code: str) -> str:
    """Show enough of a code to tell it from others: at most its last four characters."""
    return f"…{code[-min(4, len(code) // 2) :]}" if len(code) > 1 else "…"


def open_answer(body: bytes) -> bytes:
    """Put codes in clear into an answer that is stored with sealed ones, now and at each replay."""
    return _IN_ANSWER.sub(_opened, body) if b'"sealed:' in body else body


def _opened(found: re.Match[bytes]) -> bytes:
    try:
        return b'"code":' + orjson.dumps(unseal(found[1].decode()))
    except InvalidToken:
        return found[0]


@cache
def _cipher(pepper: str) -> Fernet:
    derived = hmac.digest(pepper.encode(), b"codes of pools", hashlib.sha256)
    return Fernet(base64.urlsafe_b64encode(derived))
