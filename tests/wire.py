"""A wire between the engine and PostgreSQL that counts, and that can be cut at a chosen moment.

It passes bytes on as they are. A turn is a wait for the server: PostgreSQL says "ready for query"
at its end. So BEGIN, COMMIT and everything else counts, whoever sends it.
"""

import contextlib
import socket
import threading
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit


class Wire:
    """A TCP proxy in front of PostgreSQL.

    Attributes:
        turns: How often clients waited for the server since `reset`.
        cut_before: Called with each chunk that a client sends; True keeps it from the server.
        cut_after: The same, but the chunk arrives, and nothing of the answer comes back.
    """

    def __init__(self, host: str, port: int) -> None:
        self.server = (host, port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.turns = 0
        self.cut_before: Callable[[bytes], bool] = lambda chunk: False
        self.cut_after: Callable[[bytes], bool] = lambda chunk: False
        self.was_cut = threading.Event()
        self.sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, url: str) -> str:
        """Rewrite a database URL so that it leads through this wire."""
        parts = urlsplit(url)
        login = parts.netloc.rpartition("@")[0]
        return urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{self.port}"))

    def reset(self) -> None:
        """Count from 0 again."""
        self.turns = 0

    def close(self) -> None:
        """Hang up."""
        for one in [self.listener, *self.sockets]:
            _hang_up(one)
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
                server = socket.create_connection(self.server)
            except OSError:
                return
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sockets += [client, server]
            line = _Line(self, client, server)
            threading.Thread(target=line.requests, daemon=True).start()
            threading.Thread(target=line.answers, daemon=True).start()


class _Line:
    """One connection through the wire."""

    def __init__(self, wire: Wire, client: socket.socket, server: socket.socket) -> None:
        self.wire, self.client, self.server = wire, client, server
        self.cut = False
        self.rest = b""
        self.negotiated = False

    def requests(self) -> None:
        while chunk := _receive(self.client):
            if self.cut or self.wire.cut_before(chunk):
                self._cut()
                continue
            if self.wire.cut_after(chunk):
                self._cut()
            _send(self.server, chunk)
        _hang_up(self.server)

    def answers(self) -> None:
        while chunk := _receive(self.server):
            self._count(chunk)
            if not self.cut:
                _send(self.client, chunk)
        _hang_up(self.client)

    def _count(self, chunk: bytes) -> None:
        """Count the server's messages of type Z: type, then a length that includes itself."""
        if not self.negotiated and chunk == b"N":
            return  # no TLS here
        self.negotiated = True
        self.rest += chunk
        while len(self.rest) >= 5:
            length = 1 + int.from_bytes(self.rest[1:5], "big")
            if len(self.rest) < length:
                return
            self.wire.turns += self.rest[:1] == b"Z"
            self.rest = self.rest[length:]

    def _cut(self) -> None:
        self.cut = True
        self.wire.was_cut.set()


def _receive(one: socket.socket) -> bytes:
    try:
        return one.recv(1 << 18)
    except OSError:
        return b""


def _send(one: socket.socket, chunk: bytes) -> None:
    try:
        one.sendall(chunk)
    except OSError:
        _hang_up(one)


def _hang_up(one: socket.socket) -> None:
    """Tell the other side, even while another thread waits for it; `close` alone would not."""
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
