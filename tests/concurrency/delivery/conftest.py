"""Tests of delivery with real workers; everything is committed."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.crm_sync.outbox import Outbox, committed_rows
from tests.integration.crm_sync.receivers import Receiver
from tests.stack import Stack

_django_db_helper = pytest.fixture(committed_rows)


@pytest.fixture
def outbox(db: None, settings: Any) -> Iterator[Outbox]:
    """Return a program with an outbox; everything is committed, and taken away in the end."""
    settings.CRM_ALLOW_PRIVATE_ADDRESSES = True
    writer = Outbox()
    yield writer
    writer.remove()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Return a receiver of webhooks that takes everything."""
    with Receiver() as running:
        yield running


@pytest.fixture(scope="package")
def engine() -> Iterator[Stack]:
    """Return the whole engine as real processes, whose worker has no pace, with no fsync."""
    stack = Stack(CRM_ALLOW_PRIVATE_ADDRESSES="on", CRM_DELIVERIES_PER_SECOND="0")
    try:
        stack.start()
        if stack.postgres is not None:
            stack.sql("ALTER SYSTEM SET fsync = off")
            stack.sql("SELECT pg_reload_conf()")
        yield stack
    finally:
        stack.stop()
