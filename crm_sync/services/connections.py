"""Setting up destinations: create, change, enable, disable, new secret, test event."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from crm_sync.adapters import build_adapters
from crm_sync.adapters.access import SecretMissing
from crm_sync.adapters.contract import Adapter, ConfigRefused, Environment, PushesProfiles
from crm_sync.models import Connection, FieldMapping, Relay
from crm_sync.services import lanes
from crm_sync.services.credentials import set_secrets
from loyalty.events import selectors as events
from loyalty.events import services as event_services


def adapters() -> dict[str, Adapter]:
    """Give the adapters, as the settings want them."""
    return _build(
        Environment(
            home=settings.LOYALTY_HOME,
            allow_private_addresses=settings.CRM_ALLOW_PRIVATE_ADDRESSES,
            connect_seconds=settings.CRM_CONNECT_SECONDS,
            total_seconds=settings.CRM_TOTAL_SECONDS,
        )
    )


_build = lru_cache(maxsize=4)(build_adapters)


def check_config(*, adapter: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration as it is to be stored.

    Raises:
        ConfigRefused: If there is no such adapter, or it cannot be set up like this.
    """
    if adapter not in adapters():
        raise ConfigRefused(f"There is no adapter {adapter}; choose {', '.join(adapters())}.")
    for setting in adapters()[adapter].settings:
        if setting.is_secret and setting.name in config:
            raise ConfigRefused(f"{setting.name} is a secret, and not part of the configuration.")
    return adapters()[adapter].check(config)


def create_connection(
    *,
    program_id: int,
    name: str,
    adapter: str,
    config: Mapping[str, Any],
    secrets: Mapping[str, str] | None = None,
    event_types: Sequence[str] = (),
    from_beginning: bool = False,
) -> Connection:
    """Create an enabled connection.

    Args:
        secrets: What the adapter's secret settings ask for; encrypted, and never shown again.
        from_beginning: Send all events that are kept, not only those that are still to come.

    Raises:
        ConfigRefused: If it cannot be set up like this.
    """
    connection = Connection(
        program_id=program_id,
        name=name,
        adapter=adapter,
        config=check_config(adapter=adapter, config=config),
        event_types=list(event_types),
    )
    add_connection(connection, secrets=secrets or {}, from_beginning=from_beginning)
    return connection


def add_connection(
    connection: Connection, *, secrets: Mapping[str, str], from_beginning: bool
) -> None:
    """Save a new connection whose configuration is checked, with the cursor that it needs.

    Raises:
        ConfigRefused: A secret is missing, is none of its kind's, or cannot be encrypted.
    """
    check_secrets(adapter=connection.adapter, given=secrets, is_new=True)
    while event_services.stamp_events():
        pass  # what was committed until now is not "still to come"
    with transaction.atomic():
        connection.save(force_insert=True)
        head = events.last_position()
        position = 0 if from_beginning else head
        Relay.objects.create(connection=connection, position=position, live_from=head)
        store_secrets(connection_id=connection.pk, given=secrets)
        _map_defaults(connection)


def _map_defaults(connection: Connection) -> None:
    adapter = adapters()[connection.adapter]
    if isinstance(adapter, PushesProfiles):
        FieldMapping.objects.bulk_create(
            FieldMapping(
                connection=connection,
                attribute=field.attribute,
                name=field.name,
                form=field.form,
                owner=field.owner,
            )
            for field in adapter.default_fields
        )


def check_secrets(*, adapter: str, given: Mapping[str, str], is_new: bool) -> None:
    """Refuse secrets that the adapter does not ask for, or that are missing.

    Raises:
        ConfigRefused: naming the first of them.
    """
    if adapter not in adapters():
        raise ConfigRefused(f"There is no adapter {adapter}; choose {', '.join(adapters())}.")
    asked = {setting.name: setting for setting in adapters()[adapter].settings if setting.is_secret}
    for name in sorted(set(given) - set(asked)):
        raise ConfigRefused(f"{adapter} has no secret named {name}.")
    if given and not settings.CRM_SECRETS_KEYS:
        raise ConfigRefused("No secret can be kept before CRM_SECRETS_KEYS is set.")
    for name, setting in asked.items():
        if is_new and setting.is_required and not given.get(name):
            raise ConfigRefused(f"{setting.label} is required.")


def store_secrets(*, connection_id: int, given: Mapping[str, str]) -> None:
    """Encrypt and store secrets; those that are not named stay.

    Raises:
        ConfigRefused: They cannot be encrypted, or the stored ones cannot be read.
    """
    try:
        set_secrets(connection_id=connection_id, given=given)
    except SecretMissing as error:
        raise ConfigRefused(str(error)) from None


def enable_connection(*, connection_id: int) -> None:
    """Let a connection continue where it stopped, at once."""
    with transaction.atomic():
        Relay.objects.select_for_update().get(connection_id=connection_id)
        Relay.objects.filter(connection_id=connection_id).update(
            failures=0, failing_since=None, last_error="", resume_at=None
        )
        Connection.objects.filter(pk=connection_id).update(is_enabled=True, disabled_reason="")
        lanes.wake_lanes(connection_id=connection_id)


def disable_connection(*, connection_id: int, reason: str) -> None:
    """Stop a connection; what is under way is finished, and nothing is lost."""
    Connection.objects.filter(pk=connection_id).update(
        is_enabled=False, disabled_reason=reason[:500]
    )


def remove_connection(*, connection_id: int, reason: str) -> None:
    """Stop a connection for good and free its name; what it was sent stays on record."""
    disable_connection(connection_id=connection_id, reason=reason)
    Connection.objects.filter(pk=connection_id).update(removed_at=timezone.now())


def webhooks_of(program_id: int) -> QuerySet[Connection]:
    """Give the program's webhooks."""
    rows = Connection.objects.filter(program_id=program_id, adapter="webhook")
    return rows.filter(removed_at=None)


def is_name_taken(*, program_id: int, name: str) -> bool:
    """Say whether another connection of the program has this name."""
    rows = Connection.objects.filter(program_id=program_id, name=name, removed_at=None)
    return rows.exists()


def rotate_secret(*, connection_id: int) -> Connection:
    """Begin a new signing secret; the one before stays valid for CRM_SECRET_OVERLAP_HOURS."""
    with transaction.atomic():
        connection = Connection.objects.select_for_update(no_key=True).get(pk=connection_id)
        connection.secret_generation += 1
        connection.rotated_at = timezone.now()
        connection.save(update_fields=["secret_generation", "rotated_at"])
    return connection
