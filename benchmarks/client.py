"""The tills: a process of its own that sends requests over kept connections and checks each answer.

One thread and raw sockets, because it shares two cores with what it measures. It reads a job as
JSON from its standard input and writes what it saw to its standard output.
"""

import contextlib
import json
import os
import selectors
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from benchmarks import tills

PATIENCE = 60.0  # seconds without any answer
TRIES = 100  # connections opened until all workers have their share


@dataclass
class Till:
    """One kept connection with the request that is under way."""

    socket: socket.socket
    sent_at: float = 0.0
    received: bytearray = field(default_factory=bytearray)

    def send(self, request: bytes) -> None:
        """Send a whole request."""
        self.received.clear()
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> bool:
        """Take what is there; tell whether the answer is complete.

        Raises:
            ConnectionError: The server hung up.
        """
        part = self.socket.recv(1 << 18)
        if not part:
            raise ConnectionError("the server closed a kept connection")
        self.received += part
        end = self.received.find(b"\r\n\r\n")
        return end >= 0 and len(self.received) >= end + 4 + self._length(end)

    def _length(self, end: int) -> int:
        head = bytes(self.received[:end]).lower()
        return int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])

    @property
    def status(self) -> int:
        """The status of the complete answer."""
        return int(self.received[9:12])

    @property
    def body(self) -> bytes:
        """The body of the complete answer."""
        return bytes(self.received).partition(b"\r\n\r\n")[2]


def work(job: dict[str, Any]) -> dict[str, Any]:
    """Send requests of one kind for some seconds, or a number of them, and time each."""
    requests = tills.KINDS[job["kind"]](job["token"], job["members"], job["prefix"])
    tills_open, opened = _spread(job, requests)
    waiting = selectors.DefaultSelector()
    started, cpu = time.perf_counter(), time.process_time()
    for till in tills_open:
        waiting.register(till.socket, selectors.EVENT_READ, till)
        till.send(next(requests))
    times = _until(waiting, requests, job, started)
    seconds = time.perf_counter() - started
    return {
        "seconds": seconds,
        "times": times,
        "requests": len(times) + opened,
        "cpu": time.process_time() - cpu,
    }


def _spread(job: dict[str, Any], requests: Iterator[bytes]) -> tuple[list[Till], int]:
    """Open the connections so that each worker of the server has as many of them.

    Which worker takes a connection is chance, and a connection is kept: eight could all go to one
    worker and leave a core idle, which hundreds of tills would not do. Each connection is opened
    with a request, whose cost is counted and whose time is not.

    Returns:
        The connections, and how many were opened.
    """
    workers: list[int] = job["workers"]
    share = -(-job["connections"] // len(workers))
    taken = dict.fromkeys(workers, 0)
    found: list[Till] = []
    for attempt in range(TRIES):
        before = {pid: _sockets(pid) for pid in workers}
        till = Till(socket.create_connection(("127.0.0.1", job["port"]), timeout=PATIENCE))
        till.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        till.send(next(requests))
        while not till.receive():
            pass
        _check(till, job["kind"])
        worker = max(workers, key=lambda pid: _sockets(pid) - before[pid])
        if taken[worker] < share or attempt >= TRIES - job["connections"]:
            taken[worker] += 1
            found.append(till)
        else:
            till.socket.close()
        if len(found) == job["connections"]:
            break
    return found, attempt + 1


def _sockets(pid: int) -> int:
    found = 0
    for entry in os.scandir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            found += os.readlink(entry.path).startswith("socket:")
    return found


def _until(
    waiting: selectors.BaseSelector, requests: Iterator[bytes], job: dict[str, Any], started: float
) -> list[float]:
    times: list[float] = []
    resting: deque[tuple[float, Till]] = deque()
    under_way = job["connections"]
    while under_way:
        rest = resting[0][0] - time.perf_counter() if resting else PATIENCE
        ready = waiting.select(max(rest, 0))
        if not ready and not resting:
            raise TimeoutError(f"no answer for {PATIENCE:.0f} seconds")
        for key, _ in ready:
            till: Till = key.data
            if not till.receive():
                continue
            now = time.perf_counter()
            times.append(now - till.sent_at)
            _check(till, job["kind"])
            if now - started < job["seconds"] and len(times) + under_way <= job["most"]:
                resting.append((now + job["rest"], till))
            else:
                under_way -= 1
                waiting.unregister(till.socket)
                till.socket.close()
        while resting and resting[0][0] <= time.perf_counter():
            resting.popleft()[1].send(next(requests))
    return times


def _check(till: Till, kind: str) -> None:
    if till.status != tills.STATUS[kind]:
        raise AssertionError(f"{kind} was answered {till.status}: {till.body[:500].decode()}")
    if kind == "batch" and till.body.count(b'"status":201') != tills.BATCH:
        raise AssertionError(f"not all commands of a batch succeeded: {till.body[:500].decode()}")


if __name__ == "__main__":
    json.dump(work(json.load(sys.stdin)), sys.stdout)
