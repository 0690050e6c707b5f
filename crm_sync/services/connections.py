"""Setting up destinations: create, change, enable, disable, new secret, test event."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from crm_sync.adapters import build_adapters
from crm_sync.adapters.contract import (
    ANSWER_CHARACTERS,
    Adapter,
    ConfigRefused,
    Configuration,
    Environment,
    Outcome,
    Outgoing,
)
from crm_sync.models import Connection, Relay
from crm_sync.services import lanes
from crm_sync.signing import valid_secrets
from loyalty.events import selectors as events
from loyalty.events import services as event_services

TEST_EVENT = "connection.test"


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
    return adapters()[adapter].check(config)


def create_connection(
    *,
    program_id: int,
    name: str,
    adapter: str,
    config: Mapping[str, Any],
    event_types: Sequence[str] = (),
    from_beginning: bool = False,
) -> Connection:
    """Create an enabled connection.

    Args:
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
    add_connection(connection, from_beginning=from_beginning)
    return connection


def add_connection(connection: Connection, *, from_beginning: bool) -> None:
    """Save a new connection whose configuration is checked, with the cursor that it needs."""
    while event_services.stamp_events():
        pass  # what was committed until now is not "still to come"
    with transaction.atomic():
        connection.save(force_insert=True)
        position = 0 if from_beginning else events.last_position()
        Relay.objects.create(connection=connection, position=position)


def enable_connection(*, connection_id: int) -> None:
    """Let a connection continue where it stopped, at once."""
    with transaction.atomic():
        Relay.objects.select_for_update().get(connection_id=connection_id)
        Relay.objects.filter(connection_id=connection_id).update(
            failures=0, failing_since=None, resume_at=None
        )
        Connection.objects.filter(pk=connection_id).update(is_enabled=True, disabled_reason="")
        lanes.wake_lanes(connection_id=connection_id)


def disable_connection(*, connection_id: int, reason: str) -> None:
    """Stop a connection; what is under way is finished, and nothing is lost."""
    Connection.objects.filter(pk=connection_id).update(
        is_enabled=False, disabled_reason=reason[:500]
    )


def rotate_secret(*, connection_id: int) -> Connection:
    """Begin a new signing secret; the one before stays valid for CRM_SECRET_OVERLAP_HOURS."""
    with transaction.atomic():
        connection = Connection.objects.select_for_update(no_key=True).get(pk=connection_id)
        connection.secret_generation += 1
        connection.rotated_at = timezone.now()
        connection.save(update_fields=["secret_generation", "rotated_at"])
    return connection


def send_test_event(connection: Connection) -> Outcome:
    """Send an event that means nothing, now, and say what came of it.

    It is in no lane and no feed; it takes up to CRM_TOTAL_SECONDS, so no transaction may be open.
    """
    correlation_id = uuid4()
    now = timezone.now().isoformat()
    body = {
        "id": f"evt_test_{correlation_id.hex}",
        "type": TEST_EVENT,
        "version": 1,
        "member": None,
        "sequence": 0,
        "occurred_at": now,
        "recorded_at": now,
        "cause": {"kind": "test"},
        "balances": {},
        "data": {"connection": connection.name},
    }
    outgoing = Outgoing(event_id=str(body["id"]), body=body, correlation_id=correlation_id)
    return send(connection, [outgoing])[0]


def send(connection: Connection, deliveries: Sequence[Outgoing]) -> list[Outcome]:
    """Hand deliveries to the connection's adapter; no adapter is a wrong configuration."""
    adapter = adapters().get(connection.adapter)
    if adapter is None:
        return [Configuration(error=f"There is no adapter {connection.adapter}.")]
    secrets = valid_secrets(connection, at=timezone.now()) if adapter.is_signed else []
    outcomes = adapter.send(config=connection.config, secrets=secrets, deliveries=deliveries)
    return [_storable(outcome) for outcome in outcomes]


def _storable(outcome: Outcome) -> Outcome:
    """Cut what a destination or a library said to what a column takes; PostgreSQL takes no NUL."""
    return replace(
        outcome,
        error=outcome.error.replace("\x00", "")[:500],
        answer=outcome.answer.replace("\x00", "")[:ANSWER_CHARACTERS],
    )
