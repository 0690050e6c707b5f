"""Tests of the feed work with committed rows, as readers do."""

from collections.abc import Iterator

import pytest

from tests.integration.crm_sync.outbox import Outbox, committed_rows

_django_db_helper = pytest.fixture(committed_rows)


@pytest.fixture
def outbox(db: None) -> Iterator[Outbox]:
    """Return a program with an outbox; everything is committed, and taken away in the end."""
    writer = Outbox()
    yield writer
    writer.remove()
