"""Signing secrets of connections: derived when needed, stored nowhere.

HMAC-SHA256 of the connection's key id and generation under the installation's SECRET_KEY. A dump of
the database holds no secret, and there is no cipher of our own to get wrong (docs/decisions/0004).
"""

import base64
import hashlib
import hmac
from datetime import datetime, timedelta

from django.conf import settings

from crm_sync.models import Connection

_PURPOSE = "crm_sync webhook signing secret"


def current_secret(connection: Connection) -> str:
    """Give the secret that receivers verify with, as Standard Webhooks writes it (whsec_…)."""
    return secret_of(connection, connection.secret_generation)


def secret_of(connection: Connection, generation: int) -> str:
    """Give the secret of a generation: an answer that is repeated names its own, not the newest."""
    return _derive(str(settings.SECRET_KEY), connection, generation)


def valid_secrets(connection: Connection, *, at: datetime) -> list[str]:
    """List the secrets to sign with, the current one first.

    The one before stays valid for CRM_SECRET_OVERLAP_HOURS after a rotation, and those of
    SECRET_KEY_FALLBACKS as long as they are configured: a receiver is never without one that works.
    """
    generations = [connection.secret_generation]
    overlap = timedelta(hours=settings.CRM_SECRET_OVERLAP_HOURS)
    if connection.rotated_at is not None and at < connection.rotated_at + overlap:
        generations.append(connection.secret_generation - 1)
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return [_derive(str(key), connection, generation) for key in keys for generation in generations]


def _derive(key: str, connection: Connection, generation: int) -> str:
    message = f"{_PURPOSE}:{connection.key_id.hex}:{generation}".encode()
    digest = hmac.new(key.encode(), message, hashlib.sha256).digest()
    return "whsec_" + base64.b64encode(digest).decode()
