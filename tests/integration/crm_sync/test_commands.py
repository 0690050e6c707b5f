"""Commands for scripts and for trying things out."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from standardwebhooks import Webhook

from crm_sync.management.commands import webhook_receiver
from crm_sync.management.commands.webhook_receiver import BODY_BYTES_MAX
from crm_sync.management.commands.webhook_receiver import Receiver as DemoReceiver
from crm_sync.models import Connection
from crm_sync.services.connections import rotate_secret
from crm_sync.signing import current_secret
from loyalty.events.rules import event_id
from tests.integration.crm_sync.outbox import Outbox, drain
from tests.integration.crm_sync.receivers import Receiver

SECRET = "whsec_" + "A" * 43 + "="


def run(*arguments: str) -> str:
    output = StringIO()
    call_command(*arguments, stdout=output)
    return output.getvalue()


class TestCreateWebhook:
    def create(self, outbox: Outbox, url: str, *more: str) -> str:
        return run("create_webhook", "--program", outbox.program.code, "--url", url, *more)

    def test_prints_the_secret_alone_on_the_last_line(
        self, outbox: Outbox, receiver: Receiver
    ) -> None:
        printed = self.create(outbox, receiver.url, "--types", "points.*, tier.upgraded")
        destination = Connection.objects.get(program=outbox.program)
        assert printed.splitlines()[-1] == current_secret(destination)
        assert destination.event_types == ["points.*", "tier.upgraded"]

    def test_as_json(self, outbox: Outbox, receiver: Receiver) -> None:
        printed = json.loads(self.create(outbox, receiver.url, "--json"))
        destination = Connection.objects.get(program=outbox.program)
        assert printed == {"id": destination.pk, "secret": current_secret(destination)}

    def test_says_what_is_wrong(self, outbox: Outbox, receiver: Receiver) -> None:
        self.create(outbox, receiver.url)
        with pytest.raises(CommandError, match="already"):
            self.create(outbox, receiver.url)
        with pytest.raises(CommandError, match="URL"):
            self.create(outbox, "ftp://example.com", "--name", "Other")
        with pytest.raises(CommandError, match="no program"):
            run("create_webhook", "--program", "nobody", "--url", receiver.url)


class TestReplayEvents:
    def test_sends_a_time_again(self, outbox: Outbox, receiver: Receiver) -> None:
        """Scenario 11."""
        destination, member = outbox.connect(receiver.url), uuid4()
        for day in (1, 2, 3):
            outbox.write(member, at=datetime(2020, 1, day, tzinfo=UTC))
        drain()
        receiver.calls.clear()
        printed = run(
            "replay_events",
            f"--connection={destination.pk}",
            "--since=2020-01-02T00:00:00+00:00",
            "--until=2020-01-03T00:00:00+00:00",
        )
        assert printed.startswith("1 events")
        drain()
        assert receiver.event_ids == [event_id(member, 2)]

    def test_of_an_empty_time(self, outbox: Outbox) -> None:
        destination = outbox.connect()
        since = (timezone.now() + timedelta(days=1)).isoformat()
        printed = run(
            "replay_events",
            f"--connection={destination.pk}",
            f"--since={since}",
            f"--until={since}",
        )
        assert printed.startswith("0 events")

    def test_refuses_what_would_be_skipped(self, outbox: Outbox) -> None:
        destination = outbox.connect()
        Connection.objects.filter(pk=destination.pk).update(adapter="hubspot")
        now = timezone.now().isoformat()
        span = (f"--connection={destination.pk}", f"--since={now}", f"--until={now}")
        with pytest.raises(CommandError, match=r"would be skipped\. HubSpot knows no old events"):
            run("replay_events", *span)


class TestWebhookReceiver:
    @pytest.fixture
    def log(self, tmp_path: Path) -> Path:
        return tmp_path / "log.jsonl"

    @pytest.fixture
    def demo(self, log: Path) -> Iterator[DemoReceiver]:
        with DemoReceiver(0, log, lambda: [SECRET]) as server:
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            yield server
            server.shutdown()

    def post(self, demo: DemoReceiver, secret: str = SECRET, **body: Any) -> httpx.Response:
        content = json.dumps({"id": "evt_1", **body})
        now = datetime.now(UTC)
        headers = {
            "webhook-id": "evt_1",
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(secret).sign("evt_1", now, content),
        }
        url = f"http://127.0.0.1:{demo.server_port}/"
        return httpx.post(url, content=content, headers=headers)

    def test_keeps_each_event_once(self, demo: DemoReceiver, log: Path) -> None:
        assert self.post(demo, type="points.earned").status_code == 204
        assert self.post(demo, type="points.earned").status_code == 204
        (line,) = log.read_text().splitlines()
        assert json.loads(line)["type"] == "points.earned"
        assert "received_at" in json.loads(line)

    def test_knows_after_a_restart_what_it_has(self, demo: DemoReceiver, log: Path) -> None:
        self.post(demo)
        with DemoReceiver(0, log, lambda: [SECRET]) as again:
            assert again.seen == {"evt_1"}

    def test_refuses_what_is_not_signed(self, demo: DemoReceiver, log: Path) -> None:
        assert self.post(demo, "whsec_" + "B" * 43 + "=").status_code == 401
        url = f"http://127.0.0.1:{demo.server_port}/"
        assert httpx.post(url, content=b"{}").status_code == 401
        assert httpx.post(url, content=b"\xff\xfe", headers={"webhook-id": "x"}).status_code == 401
        assert httpx.post(url, content=b"x" * (BODY_BYTES_MAX + 1)).status_code == 413
        assert not log.exists()

    def test_connects_itself_and_follows_its_port(self, outbox: Outbox, settings: Any) -> None:
        for port in (8901, 8902):
            webhook_receiver.connect(program_code=outbox.program.code, port=port)
        destination = Connection.objects.get(program=outbox.program)
        assert destination.config == {"url": "http://127.0.0.1:8902/"}
        Connection.objects.filter(pk=destination.pk).update(name="Another")
        settings.CRM_ALLOW_PRIVATE_ADDRESSES = False
        with pytest.raises(CommandError, match="CRM_ALLOW_PRIVATE_ADDRESSES"):
            webhook_receiver.connect(program_code=outbox.program.code, port=8901)

    def test_knows_theknown_secrets(self, outbox: Outbox, log: Path, settings: Any) -> None:
        secrets = webhook_receiver.known_secrets
        with DemoReceiver(0, log, secrets) as server:
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            destination = outbox.connect(f"http://127.0.0.1:{server.server_port}/")
            member = uuid4()
            outbox.write(member)
            drain()
            rotate_secret(connection_id=destination.pk)
            outbox.write(member)
            drain()
            server.shutdown()
        assert [json.loads(line)["sequence"] for line in log.read_text().splitlines()] == [1, 2]
