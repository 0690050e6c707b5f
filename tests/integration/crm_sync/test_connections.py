"""Setting up destinations: secrets, test events, consoles, health."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone
from standardwebhooks import Webhook

from crm_sync.adapters.contract import ConfigRefused
from crm_sync.adapters.outcomes import Configuration, Delivered
from crm_sync.models import Connection
from crm_sync.selectors import list_health
from crm_sync.services.connections import (
    disable_connection,
    rotate_secret,
)
from crm_sync.services.probe import probe
from crm_sync.signing import current_secret, valid_secrets
from tests.integration.crm_sync.outbox import Outbox, drain
from tests.integration.crm_sync.receivers import Answer, Receiver


class TestSecrets:
    def test_each_connection_has_its_own(self, outbox: Outbox) -> None:
        one, two = outbox.connect(), outbox.connect()
        assert current_secret(one) != current_secret(two)
        assert current_secret(one) == current_secret(Connection.objects.get(pk=one.pk))
        assert current_secret(one).startswith("whsec_")

    def test_it_is_nowhere_in_the_database(self, outbox: Outbox) -> None:
        destination = outbox.connect()
        secret = current_secret(destination)
        with connection.cursor() as cursor:
            cursor.execute("SELECT c::text FROM crm_sync_connection AS c")
            assert not any(secret[6:] in row[0] for row in cursor.fetchall())

    def test_rotation_keeps_the_old_one_for_a_day(self, outbox: Outbox, receiver: Receiver) -> None:
        """Scenario 49."""
        destination = outbox.connect(receiver.url)
        old = current_secret(destination)
        rotated = rotate_secret(connection_id=destination.pk)
        new = current_secret(rotated)
        assert new != old
        outbox.write(uuid4())
        drain()
        for secret in (old, new):
            Webhook(secret).verify(receiver.calls[0].body, receiver.calls[0].headers)
        tomorrow = timezone.now() + timedelta(hours=25)
        assert valid_secrets(rotated, at=tomorrow) == [new]

    def test_a_new_secret_key_does_not_break_receivers(self, outbox: Outbox, settings: Any) -> None:
        destination = outbox.connect()
        old = current_secret(destination)
        settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
        settings.SECRET_KEY = "another-" * 5
        assert valid_secrets(destination, at=timezone.now()) == [current_secret(destination), old]


class TestTestEvent:
    def test_it_is_signed_and_says_what_it_is(self, outbox: Outbox, receiver: Receiver) -> None:
        destination = outbox.connect(receiver.url)
        assert isinstance(probe(destination), Delivered)
        call = receiver.calls[0]
        event = Webhook(current_secret(destination)).verify(call.body, call.headers)
        assert event["type"] == "connection.test"
        assert event["id"] == call.event_id

    def test_it_says_what_is_wrong(self, outbox: Outbox, receiver: Receiver) -> None:
        receiver.respond = lambda call: Answer(404)
        outcome = probe(outbox.connect(receiver.url))
        assert isinstance(outcome, Configuration)
        assert "404" in outcome.error


class TestCreation:
    def test_addresses_inside_are_refused_where_it_is_not_development(
        self, outbox: Outbox, receiver: Receiver, settings: Any
    ) -> None:
        settings.CRM_ALLOW_PRIVATE_ADDRESSES = False
        for url in (receiver.url, receiver.url.replace("http", "https")):
            with pytest.raises(ConfigRefused):
                outbox.connect(url)
        assert not Connection.objects.filter(program=outbox.program).exists()
        assert receiver.connections == 0

    def test_one_that_was_made_in_development_is_refused_at_connect(
        self, outbox: Outbox, receiver: Receiver, settings: Any
    ) -> None:
        destination = outbox.connect(receiver.url)
        settings.CRM_ALLOW_PRIVATE_ADDRESSES = False
        outbox.write(uuid4())
        drain()
        assert receiver.connections == 0
        assert list_health([destination])[destination.pk].state == "down"

    def test_an_unknown_adapter_is_refused(self, outbox: Outbox) -> None:
        with pytest.raises(ConfigRefused, match="fax"):
            outbox.connect(adapter="fax")


class TestConsole:
    def test_writes_whole_events_to_a_file_below_home(
        self, outbox: Outbox, settings: Any, tmp_path: Path
    ) -> None:
        settings.LOYALTY_HOME = tmp_path
        outbox.connect(config={"path": "demo/events.jsonl"})
        member = uuid4()
        outbox.write(member)
        outbox.write(member)
        drain()
        lines = (tmp_path / "demo/events.jsonl").read_text().splitlines()
        assert [json.loads(line)["sequence"] for line in lines] == [1, 2]

    @pytest.mark.parametrize(
        "path", ["../out.jsonl", "/etc/passwd", "services.json", "a/../../b.jsonl", "/tmp/x.jsonl"]
    )
    def test_and_nowhere_else(
        self, outbox: Outbox, settings: Any, tmp_path: Path, path: str
    ) -> None:
        settings.LOYALTY_HOME = tmp_path / "home"
        with pytest.raises(ConfigRefused):
            outbox.connect(config={"path": path})

    def test_a_file_that_cannot_be_written_stops_the_connection(
        self, outbox: Outbox, settings: Any, tmp_path: Path
    ) -> None:
        settings.LOYALTY_HOME = tmp_path
        (tmp_path / "events.jsonl").mkdir()
        destination = outbox.connect(config={"path": "events.jsonl"})
        outbox.write(uuid4())
        drain()
        assert list_health([destination])[destination.pk].pending == 1


class TestHealth:
    def test_tells_what_waits_and_since_when(self, outbox: Outbox, receiver: Receiver) -> None:
        receiver.respond = lambda call: Answer(422 if call.event["sequence"] == 1 else 500)
        destination, idle = outbox.connect(receiver.url), outbox.connect()
        disable_connection(connection_id=idle.pk, reason="no need")
        member = uuid4()
        for _ in range(3):
            outbox.write(member)
        drain()
        idle.refresh_from_db()
        health = list_health([destination, idle])
        mine = health[destination.pk]
        assert (mine.state, mine.pending, mine.dead, mine.behind) == ("failing", 2, 1, 0)
        assert mine.oldest_pending_at is not None
        assert mine.failing_since is not None
        assert (health[idle.pk].state, health[idle.pk].behind >= 3) == ("disabled", True)
