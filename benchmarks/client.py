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
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks import tills

PATIENCE = 60.0  # seconds without any answer
TRIES = 100  # connections opened until all workers have their share


@dataclass
class Till:
    """One kept connection with the request that is under way."""

    socket: socket.socket
    requests: Iterator[bytes]
    sent_at: float = 0.0
    answered_at: float = 0.0
    received: bytearray = field(default_factory=bytearray)

    def send(self) -> None:
        """Send its next request, whole."""
        request = next(self.requests)
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
    """Send requests of one kind for some seconds, or a number of them, and time each.

    The seconds are those that a connection was in use, on average: of a few long requests the last
    one is under way while others have ended.
    """
    tills_open, opened = _spread(job)
    waiting = selectors.DefaultSelector()
    started, cpu = time.perf_counter(), time.process_time()
    for till in tills_open:
        waiting.register(till.socket, selectors.EVENT_READ, till)
        till.send()
    times = _until(waiting, job, started)
    return {
        "seconds": fmean(till.answered_at - started for till in tills_open),
        "times": times,
        "requests": len(times) + opened,
        "cpu": time.process_time() - cpu,
    }


def _requests(job: dict[str, Any]) -> list[Iterator[bytes]]:
    """Give what each connection sends, of members of its own where there are enough of them.

    Two batches of the same members would wait for each other, and a core would rest.
    """
    count, members = job["connections"], job["members"]
    return [
        tills.KINDS[job["kind"]](
            job["token"], members[till::count] or members, f"{job['prefix']}{till:02d}"
        )
        for till in range(count)
    ]


def _spread(job: dict[str, Any]) -> tuple[list[Till], int]:
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
    requests, found = _requests(job), list[Till]()
    for attempt in range(TRIES):
        connection = socket.create_connection(("127.0.0.1", job["port"]), timeout=PATIENCE)
        till = Till(connection, requests[len(found)])
        till.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        till.send()
        while not till.receive():
            pass
        _check(till, job["kind"])
        worker = _taker(till.socket, workers)
        if taken[worker] < share or attempt >= TRIES - job["connections"]:
            taken[worker] += 1
            found.append(till)
        else:
            till.socket.close()
        if len(found) == job["connections"]:
            break
    return found, attempt + 1


def _taker(connection: socket.socket, workers: list[int]) -> int:
    """Find the worker that has the other end of a connection."""
    ours, theirs = connection.getsockname()[1], connection.getpeername()[1]
    ends = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    inode = next(end[9] for end in ends if _ports(end) == (theirs, ours))
    return next(pid for pid in workers if f"socket:[{inode}]" in _open_files(pid))


def _ports(end: list[str]) -> tuple[int, int]:
    local, remote = (int(address.rpartition(":")[2], 16) for address in end[1:3])
    return local, remote


def _open_files(pid: int) -> set[str]:
    found = set()
    for entry in os.scandir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):  # closed meanwhile
            found.add(os.readlink(entry.path))
    return found


def _until(waiting: selectors.BaseSelector, job: dict[str, Any], started: float) -> list[float]:
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
            till.answered_at = now = time.perf_counter()
            times.append(now - till.sent_at)
            _check(till, job["kind"])
            if now - started < job["seconds"] and len(times) + under_way <= job["most"]:
                resting.append((now + job["rest"], till))
            else:
                under_way -= 1
                waiting.unregister(till.socket)
                till.socket.close()
        while resting and resting[0][0] <= time.perf_counter():
            resting.popleft()[1].send()
    return times


def _check(till: Till, kind: str) -> None:
    if till.status != tills.STATUS[kind]:
        raise AssertionError(f"{kind} was answered {till.status}: {till.body[:500].decode()}")
    if kind == "batch" and till.body.count(b'"status":201') != tills.BATCH:
        raise AssertionError(f"not all commands of a batch succeeded: {till.body[:500].decode()}")


if __name__ == "__main__":
    json.dump(work(json.load(sys.stdin)), sys.stdout)
