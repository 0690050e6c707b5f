"""Calling adapters: never in a transaction, never longer than a lease, and never with an exception.

What comes back can be stored as it is.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import structlog
from django.conf import settings
from django.db import connection as database
from django.utils import timezone

from crm_sync.adapters import transport
from crm_sync.adapters.access import Target
from crm_sync.adapters.contract import Adapter
from crm_sync.adapters.outcomes import Configuration, Outcome, Retryable, storable
from crm_sync.models import Connection
from crm_sync.services.connections import adapters
from crm_sync.services.credentials import StoredCredentials
from crm_sync.services.throttle import SharedThrottle
from crm_sync.signing import valid_secrets

SHARE_OF_LEASE = 0.8
FAILED_HERE: Final = Retryable(error="It failed here; the worker's log says how.")
Result = TypeVar("Result")
log = structlog.get_logger(__name__)


def adapter_of(connection: Connection) -> Adapter | None:
    """Give the connection's adapter; None if there is none of that name any more."""
    return adapters().get(connection.adapter)


def no_adapter(connection: Connection) -> Outcome:
    """Say that there is none."""
    return Configuration(error=f"There is no adapter {connection.adapter}.")


def target_of(connection: Connection) -> Target:
    """Give what the connection's adapter may see of it."""
    adapter = adapter_of(connection)
    is_signed = adapter is not None and adapter.is_signed
    return Target(
        config=connection.config,
        credentials=StoredCredentials(connection.pk),
        throttle=SharedThrottle(connection.pk),
        signing_secrets=valid_secrets(connection, at=timezone.now()) if is_signed else (),
    )


@contextmanager
def within_lease() -> Iterator[None]:
    """Let all calls of the block together end well within a lease, and hold nothing up meanwhile.

    A thread that waits for a destination needs no connection to PostgreSQL.
    """
    seconds = settings.CRM_LEASE_SECONDS * SHARE_OF_LEASE
    with transport.deadline(seconds), transport.letting_go(lend_database):
        yield


def lend_database() -> None:
    """Give this thread's connection to PostgreSQL back to the pool, if it is from one.

    The next statement takes one again. So a few connections do for many threads that wait.
    """
    if database.settings_dict["OPTIONS"].get("pool") and not database.in_atomic_block:
        database.close()


def call(
    connection: Connection, do: Callable[[Target], Result], target: Target | None = None
) -> Result | Outcome:
    """Call an adapter; what it gives, or the outcome that its own failure is.

    A bug in an adapter must not keep a lane until the lease runs out, again and again.

    Args:
        target: What `target_of` gave, where several calls follow each other.
    """
    if database.in_atomic_block:
        raise RuntimeError("A destination must not be called while a transaction is open.")
    try:
        with within_lease():
            return do(target or target_of(connection))
    except Exception:
        log.exception("adapter failed", connection=connection.pk)
        return Retryable(error="The adapter itself failed; the worker's log says how.")


def call_for_outcomes(
    connection: Connection,
    do: Callable[[Target], Sequence[Outcome]],
    target: Target | None = None,
) -> list[Outcome]:
    """Call an adapter for one outcome each; its own failure is the first one's."""
    found: Any = call(connection, lambda given: [storable(one) for one in do(given)], target)
    outcomes = [storable(found)] if isinstance(found, Outcome) else found
    if not outcomes:  # or the lane would be served again and again, without a trace
        outcomes = [Retryable(error="The adapter gave no outcome.")]
    return outcomes
