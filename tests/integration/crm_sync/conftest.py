"""Tests of delivery work with committed rows, as relay and workers do."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client

from crm_sync.adapters.access import Target
from crm_sync.adapters.klaviyo import REVISION, KlaviyoAdapter
from crm_sync.models import Connection
from crm_sync.sandboxes.klaviyo import Klaviyo
from crm_sync.services import connections
from tests.factories import Till, open_till
from tests.integration.crm_sync.calls import environment, target
from tests.integration.crm_sync.outbox import Outbox, committed_rows, forget
from tests.integration.crm_sync.receivers import Receiver

_django_db_helper = pytest.fixture(committed_rows)


@pytest.fixture
def outbox(db: None, settings: Any) -> Iterator[Outbox]:
    """Return a program with an outbox; everything is committed, and taken away in the end."""
    settings.CRM_ALLOW_PRIVATE_ADDRESSES = True
    settings.CRM_TOTAL_SECONDS = 2.0
    writer = Outbox()
    yield writer
    writer.remove()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Return a receiver of webhooks that takes everything."""
    with Receiver() as running:
        yield running


@pytest.fixture
def till(db: None) -> Iterator[Till]:
    """Return a till of a program with real members; its connections are taken away in the end."""
    opened = open_till()
    yield opened
    forget(opened.program)


@pytest.fixture
def connect_vendor(till: Till, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Connection]:
    """Return a function that connects an adapter of a test's own to the till's program."""

    def connect(adapter: Any, **options: Any) -> Connection:
        real = connections.adapters()
        monkeypatch.setattr(connections, "_build", lambda _: {**real, "vendor": adapter})
        values = {"name": "Vendor", "adapter": "vendor", "config": {}, **options}
        return connections.create_connection(program_id=till.program.pk, **values)

    return connect


@pytest.fixture
def klaviyo() -> Iterator[Klaviyo]:
    with Klaviyo() as running:
        yield running


@pytest.fixture
def adapter() -> KlaviyoAdapter:
    return KlaviyoAdapter(environment(total=2.0))


@pytest.fixture
def account(klaviyo: Klaviyo) -> Target:
    return target({"revision": REVISION, "address": klaviyo.url}, api_key=klaviyo.api_key)


@pytest.fixture
def page(till: Till) -> Iterator[Client]:
    """Return an administrator's browser."""
    user = User.objects.create_superuser(f"admin-{uuid4().hex[:8]}")
    client = Client()
    client.force_login(user)
    yield client
    LogEntry.objects.filter(user=user).delete()
    Session.objects.all().delete()
    user.delete()
