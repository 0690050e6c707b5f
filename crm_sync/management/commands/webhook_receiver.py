"""`manage.py webhook_receiver`: a small receiver that shows how deliveries arrive.

For demos and for trying things out, not for production. It knows the secrets of this installation's
own connections, so it works without being told any.
"""

import json
import threading
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from django.core.management.base import BaseCommand, CommandError
from django.db import close_old_connections
from django.utils import timezone
from standardwebhooks import Webhook, WebhookVerificationError

from crm_sync.adapters.contract import ConfigRefused
from crm_sync.models import Connection
from crm_sync.sandboxes.pages import EVENTS_AT_ONCE, Person, page
from crm_sync.services.connections import create_connection
from crm_sync.signing import valid_secrets
from loyalty.programs.selectors import get_program

CONNECTION: Final = "Receiver on this machine"
BODY_BYTES_MAX: Final = 256 * 1024
CALLS_AT_ONCE: Final = 16
TIMEOUT_SECONDS: Final = 10.0


class Receiver(ThreadingHTTPServer):
    """Takes signed events, each id once, and appends them to a file, one JSON line each.

    Args:
        secrets: Gives the secrets that are valid now.
    """

    daemon_threads = True

    def __init__(self, port: int, log: Path, secrets: Callable[[], list[str]]) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.log = log
        self.secrets = secrets
        self.slots = threading.BoundedSemaphore(CALLS_AT_ONCE)
        self.writing = threading.Lock()
        self.seen: set[str] = set()
        self.people: dict[str, Person] = {}
        for event in _events(log):
            self._take(event)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Wait for a slot before the next thread: so many at once, and no more."""
        self.slots.acquire()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection, and free its slot."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            close_old_connections()
            self.slots.release()

    def accept(self, headers: dict[str, str], body: bytes) -> bool:
        """Check the signature and keep the event; a repeat is taken and not written again.

        Raises:
            WebhookVerificationError: If no valid secret fits.
        """
        event = self._verify(headers, body)
        with self.writing:
            is_new = event["id"] not in self.seen
            if is_new:
                received_at = datetime.now(UTC).isoformat()
                line = json.dumps({"received_at": received_at, **event}, ensure_ascii=False)
                with self.log.open("a", encoding="utf-8") as file:
                    file.write(line + "\n")
                self._take(event)
        return is_new

    def page(self, query: dict[str, str]) -> bytes:
        """Show whom the events were about, with their newest balances."""
        with self.writing:
            people = list(self.people.values())
            return page("Webhook receiver", people, query)

    def _take(self, event: dict[str, Any]) -> None:
        self.seen.add(event["id"])
        member = str(event.get("member") or "nobody")
        known = self.people.get(member, Person(member, {}, []))
        entry = f"{event.get('occurred_at', '')} {event.get('type', '')}"
        timeline = [*known.timeline, entry][-EVENTS_AT_ONCE:]
        fields = event.get("balances") or known.fields
        self.people[member] = Person(member, fields, timeline)

    def _verify(self, headers: dict[str, str], body: bytes) -> dict[str, Any]:
        for secret in self.secrets():
            try:
                event: dict[str, Any] = Webhook(secret).verify(body, headers)
                return event
            except (WebhookVerificationError, ValueError):
                continue
        raise WebhookVerificationError("No secret of this installation fits the signature.")


class Handler(BaseHTTPRequestHandler):
    """Answers 204 to what is signed, 401 to what is not."""

    server: Receiver
    protocol_version = "HTTP/1.0"  # no connection is kept: it would keep a slot
    timeout = TIMEOUT_SECONDS

    def do_POST(self) -> None:
        """Take one event."""
        length = self.headers.get("content-length", "")
        if not length.isascii() or not length.isdigit():
            return self._answer(411, "Say how long the body is.")
        if int(length) > BODY_BYTES_MAX:
            return self._answer(413, f"A body has at most {BODY_BYTES_MAX} bytes.")
        body = self.rfile.read(int(length))
        try:
            self.server.accept(dict(self.headers.items()), body)
        except WebhookVerificationError as error:
            return self._answer(401, str(error))
        return self._answer(204, "")

    def do_GET(self) -> None:
        """Show what came."""
        query = {n: v[0] for n, v in parse_qs(urlsplit(self.path).query).items()}
        self.send_response(200)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(self.server.page(query))

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the file tells what came."""


class Command(BaseCommand):
    """Run the receiver until it is interrupted."""

    help = "Receive webhooks on this machine, check their signatures, and append them to a file."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare where it listens and where it writes."""
        parser.add_argument("--port", type=int, default=8900)
        parser.add_argument("--log", type=Path, required=True, metavar="FILE")
        parser.add_argument(
            "--secret", action="append", help="instead of those of this installation's webhooks"
        )
        parser.add_argument(
            "--connect", metavar="PROGRAM", help="have this program's new events sent here"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Listen."""
        given = options["secret"]
        secrets = (lambda: given) if given else known_secrets
        if options["connect"]:
            connect(program_code=options["connect"], port=options["port"])
        with Receiver(options["port"], options["log"], secrets) as server:
            self.stdout.write(f"Listening on http://127.0.0.1:{server.server_port}/ …")
            server.serve_forever()


def connect(*, program_code: str, port: int) -> None:
    """Make the connection that leads here, or turn it to the port where we listen now.

    Raises:
        CommandError: There is no such program, or private addresses are not allowed.
    """
    program = get_program(program_code)
    config = {"url": f"http://127.0.0.1:{port}/"}
    known = Connection.objects.filter(program=program, name=CONNECTION)
    if known.update(config=config):
        return
    try:
        create_connection(program_id=program.pk, name=CONNECTION, adapter="webhook", config=config)
    except ConfigRefused as error:
        raise CommandError(f"{error} Set CRM_ALLOW_PRIVATE_ADDRESSES=on to try it.") from None


def known_secrets() -> list[str]:
    """List the signing secrets of this installation's webhooks that are valid now."""
    connections = Connection.objects.filter(adapter="webhook")
    now = timezone.now()
    return [secret for connection in connections for secret in valid_secrets(connection, at=now)]


def _events(log: Path) -> Iterator[dict[str, Any]]:
    """Read the events that the file has already."""
    if not log.exists():
        return
    with log.open(encoding="utf-8") as lines:
        yield from (json.loads(line) for line in lines if line.strip())
