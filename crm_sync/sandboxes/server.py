"""What every vendor's sandbox has: an HTTP server, faults to order, and a page to look at.

A sandbox is no mock: it keeps what it is sent and answers from it. Faults are ordered by tests:
an error instead of an answer, or the work done and no answer given.
"""

import contextlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Self
from urllib.parse import parse_qs, urlsplit

from crm_sync.sandboxes.limits import Clock
from crm_sync.sandboxes.pages import Person as Person
from crm_sync.sandboxes.pages import page


@dataclass(frozen=True)
class Call:
    """One request as it came in."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any = None
    raw: bytes = b""


@dataclass(frozen=True)
class Reply:
    """What is answered."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """What goes wrong at the next call: `reply` instead of the work, or no answer after it.

    Attributes:
        path: What the call's path must have in it.
        says: What its body must have in it, at vendors where all calls go to one path.
    """

    reply: Reply | None = None
    hangs_up: bool = False
    path: str = ""
    says: str = ""


class Sandbox:
    """Base of all sandboxes; use it as a context, or `serve_forever` in a process of its own.

    Attributes:
        calls: All that came, for tests; nothing where `keeps_calls` is off, as in a demo.
        changes: How many calls may have changed something.
        clock: What limits and the ends of tokens go by.
    """

    title: ClassVar[str] = "A vendor"
    content_type: ClassVar[str] = "application/json"

    def __init__(self, port: int = 0) -> None:
        self.calls: list[Call] = []
        self.faults: list[Fault] = []
        self.keeps_calls = True
        self.changes = 0
        self.clock = Clock()
        self.lock = threading.RLock()
        self._server = _server(self, port)

    def handle(self, call: Call) -> Reply:
        """Answer one call, holding the lock."""
        raise NotImplementedError(f"{type(self).__name__} answers no calls")

    def people(self) -> list[Person]:
        """List the profiles for the page."""
        return []

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def serve_forever(self) -> None:
        """Serve until the process is told to end."""
        with self._server:
            self._server.serve_forever()

    @property
    def port(self) -> int:
        """Tell where it listens."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Give its address."""
        return f"http://127.0.0.1:{self.port}"

    def answer(self, call: Call) -> Reply | None:
        """Answer a call, or do as the next fault says; None hangs up."""
        if call.path == "/" and call.method == "GET":
            with self.lock:
                people = self.people()
            shown = page(f"{self.title}, as it would be", people, call.query)
            return Reply(body=shown, headers={"content-type": "text/html; charset=utf-8"})
        with self.lock:
            if self.keeps_calls:
                self.calls.append(call)
            self.changes += call.method != "GET"
            fault = self._next_fault(call)
            if fault and fault.reply:
                return fault.reply
            reply = self.handle(call)
            return None if fault and fault.hangs_up else reply

    def _next_fault(self, call: Call) -> Fault | None:
        for fault in self.faults:
            if fault.path in call.path and fault.says.encode() in call.raw:
                self.faults.remove(fault)
                return fault
        return None


def _server(sandbox: Sandbox, port: int) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            self._answer()

        do_GET = do_PUT = do_PATCH = do_DELETE = do_POST

        def _answer(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length") or 0))
            address = urlsplit(self.path)
            query = {n: v[0] for n, v in parse_qs(address.query, keep_blank_values=True).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            call = Call(self.command, address.path, query, headers, _parsed(raw), raw)
            reply = sandbox.answer(call)
            if reply is None:
                self.close_connection = True
                return
            self._send(reply)

        def _send(self, reply: Reply) -> None:
            body = reply.body if isinstance(reply.body, bytes) else _written(reply.body)
            self.send_response(reply.status)
            for name, value in {"content-type": sandbox.content_type, **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: `calls` has it all."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Say nothing of clients that hang up."""

    return Server(("127.0.0.1", port), Handler)


def _parsed(raw: bytes) -> Any:
    with contextlib.suppress(ValueError):
        return json.loads(raw)
    return None


def _written(body: Any) -> bytes:
    return b"" if body is None else json.dumps(body).encode()
