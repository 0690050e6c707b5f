"""A destination that takes everything at once: `python -m benchmarks.sink` prints its port.

It stands for another machine, so it does as little as it can: plain sockets, and a look at the id
of each event. A GET is answered with what has arrived, as JSON.
"""

import json
import re
import socket
import threading
from collections.abc import Iterator

_ID = re.compile(rb"webhook-id: evt_([0-9a-f]{32})_(\d+)", re.IGNORECASE)
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_TAKEN = b"HTTP/1.1 204 No Content\r\n\r\n"


class Arrivals:
    """What has arrived.

    Attributes:
        counts: Different events, repeats, and those that came before their turn.
    """

    def __init__(self) -> None:
        self.counts = {"events": 0, "repeats": 0, "too_early": 0}
        self._last: dict[bytes, int] = {}
        self._lock = threading.Lock()

    def note(self, member: bytes, sequence: int) -> None:
        """Look at an event: a member's are counted without gaps."""
        with self._lock:
            last = self._last.get(member, sequence - 1)
            if sequence <= last:
                self.counts["repeats"] += 1
                return
            self.counts["events"] += 1
            self.counts["too_early"] += sequence > last + 1
            self._last[member] = sequence

    def answer(self) -> bytes:
        """Say it in an answer to a GET."""
        body = json.dumps(self.counts).encode()
        return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


def serve(peer: socket.socket, arrivals: Arrivals) -> None:
    """Answer one request after the other."""
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with peer:
        for head in _requests(peer):
            id_ = _ID.search(head)
            if id_:
                arrivals.note(id_[1], int(id_[2]))
            peer.sendall(_TAKEN if id_ else arrivals.answer())


def _requests(peer: socket.socket) -> Iterator[bytes]:
    """Give the head of each request when all of it has come."""
    received = b""
    while chunk := peer.recv(65536):
        received += chunk
        while (end := received.find(b"\r\n\r\n") + 4) >= 4:
            length = _LENGTH.search(received, 0, end)
            end_of_body = end + (int(length[1]) if length else 0)
            if len(received) < end_of_body:
                break
            yield received[:end]
            received = received[end_of_body:]


if __name__ == "__main__":
    arrivals = Arrivals()
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            peer, _ = server.accept()
            threading.Thread(target=serve, args=(peer, arrivals), daemon=True).start()
