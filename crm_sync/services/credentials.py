"""A connection's secrets: put in by people, renewed by workers, one at a time."""

import time
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID, uuid4

from django.db import connection as database
from django.db import transaction

from crm_sync import vault
from crm_sync.adapters.access import MustWait, SecretMissing, Token
from crm_sync.models import Vault
from loyalty.database.statements import Prepared

RENEWAL_SECONDS = 45  # longer than any call may take
EARLY_SECONDS = 60  # a token is renewed so long before it ends
WAIT_SECONDS = 1.0

_CONTENT = Prepared("SELECT content FROM crm_sync_vault WHERE connection_id = %(connection)s")

# Claimed only if nobody has changed the row since it was read: whoever comes late reads again.
_CLAIM = """
UPDATE crm_sync_vault
SET renewal = %(renewal)s, renewing_until = clock_timestamp() + make_interval(secs => %(seconds)s)
WHERE connection_id = %(connection)s AND content = %(seen)s
  AND (renewing_until IS NULL OR renewing_until < clock_timestamp())
"""


def set_secrets(*, connection_id: int, given: Mapping[str, str]) -> None:
    """Store the secrets that a person filled in; what is not named stays.

    Tokens that were obtained with the old ones are forgotten.

    Raises:
        SecretMissing: They cannot be encrypted, or the stored ones cannot be read.
    """
    if not given:
        return
    with transaction.atomic():
        row = Vault.objects.select_for_update().filter(connection_id=connection_id).first()
        kept = _secrets(vault.unseal(row.content)) if row else {}
        content = vault.seal({"secrets": {**kept, **given}})
        Vault.objects.update_or_create(
            connection_id=connection_id,
            defaults={"content": content, "renewal": None, "renewing_until": None},
        )


def reseal_all() -> int:
    """Encrypt all secrets anew under the first of CRM_SECRETS_KEYS; return how many rows.

    Raises:
        SecretMissing: Some were stored under a key that is not configured any more.
    """
    count = 0
    for connection_id in Vault.objects.order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            row = Vault.objects.select_for_update().get(pk=connection_id)
            row.content = vault.reseal(row.content)
            row.save(update_fields=["content"])
            count += 1
    return count


class StoredCredentials:
    """What an adapter gets for a turn of calls; reads the row when it is asked, and not before.

    What it has read it keeps as long as that is good: to decrypt it for each call costs more than
    all else that a secret is needed for.
    """

    def __init__(self, connection_id: int) -> None:
        self._connection_id = connection_id
        self._seen: tuple[str, dict[str, Any]] | None = None

    def get(self, name: str) -> str:
        """Give a secret.

        Raises:
            SecretMissing: It was never given.
        """
        value = _secrets(self._read()[1]).get(name)
        if not value:
            raise SecretMissing(f"The secret {name} is missing; enter it at the connection.")
        return value

    def token(self, obtain: Callable[[], Token], *, refused: str = "") -> str:
        """Give an access token; whoever finds none that is good obtains one, alone.

        Raises:
            MustWait: Somebody else is obtaining one.
        """
        if self._seen and (good := _good_token(self._seen[1], refused)) is not None:
            return good
        seen, content = self._read_anew()
        if (good := _good_token(content, refused)) is not None:
            return good
        renewal = uuid4()
        if not self._claim(renewal, seen):
            good = _good_token(self._read_anew()[1], refused)
            if good is None:
                raise MustWait(WAIT_SECONDS)
            return good
        try:
            token = obtain()
        except BaseException:
            self._release(renewal)
            raise
        finally:
            self._seen = None
        self._store(renewal, token)
        return token.access_token

    def _read(self) -> tuple[str, dict[str, Any]]:
        return self._seen or self._read_anew()

    def _read_anew(self) -> tuple[str, dict[str, Any]]:
        found = _CONTENT.fetch({"connection": self._connection_id})
        if not found:
            raise SecretMissing("This connection has no secrets; enter them in the admin.")
        ((content,),) = found
        self._seen = content, vault.unseal(content)
        return self._seen

    def _claim(self, renewal: UUID, seen: str) -> bool:
        values: dict[str, Any] = {
            "connection": self._connection_id,
            "renewal": renewal,
            "seen": seen,
            "seconds": RENEWAL_SECONDS,
        }
        with database.cursor() as cursor:
            cursor.execute(_CLAIM, values)
            return bool(cursor.rowcount == 1)

    def _release(self, renewal: UUID) -> None:
        Vault.objects.filter(connection_id=self._connection_id, renewal=renewal).update(
            renewal=None, renewing_until=None
        )

    def _store(self, renewal: UUID, token: Token) -> None:
        """Store the token and what it replaced, unless a person entered new secrets meanwhile."""
        with transaction.atomic():
            row = Vault.objects.select_for_update().filter(
                connection_id=self._connection_id, renewal=renewal
            )
            for found in row:
                secrets = {**_secrets(vault.unseal(found.content)), **token.rotated}
                found.content = vault.seal(
                    {
                        "secrets": secrets,
                        "access_token": token.access_token,
                        "ends_at": time.time() + token.seconds,
                    }
                )
                found.renewal = found.renewing_until = None
                found.save()


def _secrets(content: Mapping[str, Any]) -> dict[str, str]:
    return dict(content.get("secrets") or {})


def _good_token(content: Mapping[str, Any], refused: str) -> str | None:
    token = content.get("access_token")
    if not token or token == refused or content["ends_at"] - EARLY_SECONDS < time.time():
        return None
    return str(token)
