"""Encryption of what others gave us: API keys, refresh tokens, access tokens.

Fernet of the `cryptography` library (AES-128-CBC with HMAC-SHA256), under CRM_SECRETS_KEYS: the
first key encrypts, all of them decrypt. A dump of the database holds none of these secrets.
"""

from collections.abc import Mapping
from typing import Any

import orjson
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

from crm_sync.adapters.access import SecretMissing

_NO_KEY = (
    "CRM_SECRETS_KEYS is not set, so no secret can be kept. Make one with `python3 -c 'import "
    "base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())'`, and keep it."
)


def seal(content: Mapping[str, Any]) -> str:
    """Encrypt.

    Raises:
        SecretMissing: No key is configured.
    """
    return _cipher().encrypt(orjson.dumps(content)).decode()


def unseal(text: str) -> dict[str, Any]:
    """Decrypt.

    Raises:
        SecretMissing: None of the keys that are configured fits.
    """
    try:
        content: dict[str, Any] = orjson.loads(_cipher().decrypt(text.encode()))
    except InvalidToken:
        raise SecretMissing(
            "The stored secrets cannot be read with CRM_SECRETS_KEYS: add the key that they were "
            "stored under, or enter them again."
        ) from None
    return content


def reseal(text: str) -> str:
    """Encrypt anew under the first key.

    Raises:
        SecretMissing: None of the keys that are configured fits.
    """
    return seal(unseal(text))


def _cipher() -> MultiFernet:
    if not settings.CRM_SECRETS_KEYS:
        raise SecretMissing(_NO_KEY)
    return MultiFernet([Fernet(key) for key in settings.CRM_SECRETS_KEYS])
