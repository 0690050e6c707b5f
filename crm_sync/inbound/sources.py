"""Setting up sources: create, change the secret, remove."""

import base64
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from crm_sync import vault
from crm_sync.adapters.access import SecretMissing
from crm_sync.adapters.contract import ConfigRefused
from crm_sync.inbound.contract import Kind, NamesAccount
from crm_sync.inbound.models import InboxMessage, Source
from crm_sync.inbound.vendors import KINDS
from crm_sync.models import Connection
from loyalty.database.pages import by_key


def kind_of(source: Source) -> Kind | None:
    """Give what a source's kind can do; None if there is none of that name any more."""
    return KINDS.get(source.kind)


def check_source(*, kind: str, config: Mapping[str, Any], secret: str, is_new: bool) -> Any:
    """Return the configuration as it is to be stored.

    Raises:
        ConfigRefused: A source cannot be set up like this.
    """
    if kind not in KINDS:
        raise ConfigRefused(f"There is no kind of source named {kind}; choose {', '.join(KINDS)}.")
    if not settings.CRM_SECRETS_KEYS:
        raise ConfigRefused("No secret can be kept before CRM_SECRETS_KEYS is set.")
    if KINDS[kind].makes_secret:
        if secret:
            raise ConfigRefused("The secret of this kind of source is made here.")
    elif is_new and not secret:
        raise ConfigRefused("Enter the secret under which the vendor signs.")
    return KINDS[kind].check(config)


def check_account(*, kind: str, config: Mapping[str, Any], connection: Connection | None) -> None:
    """Refuse a connection to another account of the vendor than the one that sends here.

    One app's secret signs for all who installed it, and what one shop says is no other's.

    Raises:
        ConfigRefused: saying which accounts they are.
    """
    judge: object = KINDS.get(kind)
    if connection is not None and connection.adapter == kind and isinstance(judge, NamesAccount):
        judge.check_account(config, connection.config)


def check_sources_of(connection: Connection, config: Mapping[str, Any]) -> None:
    """Refuse settings of a connection that lead to another account than its sources'.

    Raises:
        ConfigRefused: naming the first of these sources.
    """
    for source in Source.objects.filter(connection__pk=connection.pk or 0, removed_at=None):
        judge: object = kind_of(source)
        if source.kind == connection.adapter and isinstance(judge, NamesAccount):
            try:
                judge.check_account(source.config, config)
            except ConfigRefused as error:
                raise ConfigRefused(f"The source {source} belongs to it. {error}") from None


def create_source(
    *,
    program_id: int,
    name: str,
    kind: str,
    config: Mapping[str, Any] | None = None,
    secret: str = "",
    connection_id: int | None = None,
) -> tuple[Source, str]:
    """Create a source; return it with its secret, which is never shown again.

    Raises:
        ConfigRefused: It cannot be set up like this.
    """
    source = Source(
        program_id=program_id,
        name=name,
        kind=kind,
        config=check_source(kind=kind, config=config or {}, secret=secret, is_new=True),
        connection_id=connection_id,
    )
    check_account(kind=kind, config=source.config, connection=source.connection)
    return source, add_source(source, secret=secret)


def add_source(source: Source, *, secret: str) -> str:
    """Save a new source whose configuration is checked; return its secret."""
    secret = secret or _new_secret(source.kind)
    source.secrets = vault.seal({"secrets": [secret]})
    source.save(force_insert=True)
    return secret


def change_secret(*, source_id: int, secret: str = "") -> str:
    """Begin a new secret; the one before is accepted for CRM_SECRET_OVERLAP_HOURS.

    Args:
        secret: The vendor's new one; empty where we make it.
    """
    with transaction.atomic():
        source = Source.objects.select_for_update().get(pk=source_id)
        secret = secret or _new_secret(source.kind)
        try:
            known = vault.unseal(source.secrets)["secrets"][:1]
        except SecretMissing:
            known = []  # under a key that is lost: the new one alone
        source.secrets = vault.seal({"secrets": [secret, *known]})
        source.rotated_at = timezone.now()
        source.save(update_fields=["secrets", "rotated_at"])
    return secret


def valid_secrets(source: Source, *, at: datetime) -> Sequence[str]:
    """List the secrets that are accepted, the current one first.

    Raises:
        SecretMissing: They cannot be read with the keys that are configured.
    """
    known: list[str] = vault.unseal(source.secrets)["secrets"]
    overlap = timedelta(hours=settings.CRM_SECRET_OVERLAP_HOURS)
    is_over = source.rotated_at is None or at >= source.rotated_at + overlap
    return known[:1] if is_over else known


def remove_source(*, source_id: int) -> None:
    """Close a source's address for good, and free its name; what came in stays on record."""
    Source.objects.filter(pk=source_id).update(removed_at=timezone.now(), is_enabled=False)


def reseal_sources() -> int:
    """Encrypt secrets, and messages, anew under the first key; return how many sources.

    Raises:
        SecretMissing: Some were sealed under a key that is not configured any more.
    """
    count = 0
    for source_id in Source.objects.order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            row = Source.objects.select_for_update().get(pk=source_id)
            row.secrets = vault.reseal(row.secrets)
            row.save(update_fields=["secrets"])
            count += 1
    sealed = InboxMessage.objects.exclude(content="").only("pk", "content")
    for message in by_key(sealed, at_once=100):
        content = vault.reseal(message.content)
        InboxMessage.objects.filter(pk=message.pk, content=message.content).update(content=content)
    return count


def _new_secret(kind: str) -> str:
    if kind == "standard":
        return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    return "lys_" + secrets.token_urlsafe(32)
