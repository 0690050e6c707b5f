"""Count round trips to PostgreSQL on the wire: a proxy that sees every wait for the server."""

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import connection


@dataclass
class Counted:
    """How often the client spoke after the server had: each is one wait for the server."""

    round_trips: int = 0
    servers_turn: bool = False

    def client_spoke(self) -> None:
        """Count a burst of the client's as one."""
        if not self.servers_turn:
            self.round_trips += 1
            self.servers_turn = True

    def server_spoke(self) -> None:
        """Give the turn back."""
        self.servers_turn = False


@contextmanager
def counted_wire() -> Iterator[Counted]:
    """Let this thread's connection go through the proxy; it is warm when it counts."""
    settings = connection.settings_dict
    target = (settings["HOST"] or "127.0.0.1", int(settings["PORT"] or 5432))
    counted = Counted()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        threading.Thread(target=_serve, args=(listener, target, counted), daemon=True).start()
        connection.close()
        original = settings["HOST"], settings["PORT"]
        settings["HOST"], settings["PORT"] = "127.0.0.1", port
        try:
            yield counted
        finally:
            connection.close()
            settings["HOST"], settings["PORT"] = original


def _serve(listener: socket.socket, target: tuple[str, int], counted: Counted) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        with client, socket.create_connection(target) as server:
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _pass_on(client, server, counted)


def _pass_on(client: socket.socket, server: socket.socket, counted: Counted) -> None:
    while True:
        for ready in select.select([client, server], [], [])[0]:
            data = ready.recv(1 << 20)
            if not data:
                return
            if ready is client:
                counted.client_spoke()
                server.sendall(data)
            else:
                counted.server_spoke()
                client.sendall(data)
