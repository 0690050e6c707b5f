"""One destination is well, beside many that are not, or have much to get.

Scenario 48 with a worker: fifty destinations hang, drip and flood at once.
"""

import socket
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest
from django.db import connection

from loyalty.events.rules import event_id
from tests.concurrency.delivery.workers import Workers
from tests.integration.crm_sync.outbox import Outbox
from tests.integration.crm_sync.receivers import RawServer, Receiver

HOSTILE = 50
NAME = "a worker in a crowd"
AS_INSTALLED = {"CRM_TOTAL_SECONDS": "15", "CRM_LEASE_SECONDS": "60"}


def silence(peer: socket.socket) -> None:
    time.sleep(60)


def drip_head(peer: socket.socket) -> None:
    peer.sendall(b"HTTP/1.1 200 OK\r\nx-more: ")
    drip(peer)


def drip_body(peer: socket.socket) -> None:
    peer.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n")
    drip(peer)


def drip(peer: socket.socket) -> None:
    while True:
        peer.sendall(b"x")
        time.sleep(1.0)


def flood_head(peer: socket.socket) -> None:
    peer.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        peer.sendall(b"x-more: " + b"y" * 1000 + b"\r\n")


def flood_body(peer: socket.socket) -> None:
    peer.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n")
    while True:
        peer.sendall(b"x" * 65_536)


KINDS: list[Callable[[socket.socket], None]] = [
    silence,
    drip_head,
    drip_body,
    flood_head,
    flood_body,
]


@pytest.fixture
def hostile() -> Iterator[list[RawServer]]:
    with ExitStack() as stack:
        yield [stack.enter_context(RawServer(KINDS[n % len(KINDS)])) for n in range(HOSTILE)]


def connections_to_postgres() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [NAME])
        return int(cursor.fetchone()[0])


def test_fifty_hostile_destinations_do_not_delay_a_well_one(
    outbox: Outbox,
    receiver: Receiver,
    hostile: list[RawServer],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """95 of 100 events arrive within 5 s of their commit, while each hostile one has its calls."""
    outbox.connect(receiver.url)
    with Workers(tmp_path, 1, threads=256, DB_APPLICATION_NAME=NAME, **AS_INSTALLED):
        outbox.write(uuid4())
        receiver.wait_for(1, seconds=60)
        for server in hostile:
            outbox.connect(server.url, from_beginning=False)
        delays = delays_of(outbox, receiver, events=60, every_seconds=0.33)
        used = connections_to_postgres()
    late = statistics.quantiles(delays, n=20)[-1]
    with capsys.disabled():
        print(f"\n  beside fifty: {statistics.median(delays):.2f} s, 95 % in {late:.2f} s")
    assert late < 5
    assert all(server.connections >= 4 for server in hostile)
    assert 1 <= used <= 16


def test_forty_backlogs_do_not_delay_what_just_happened_at_another_one(
    outbox: Outbox, receiver: Receiver, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They share the worker's pace, and it is kept; first come, first served took half a minute."""
    with Receiver() as busy:
        for _ in range(40):
            outbox.connect(busy.url, event_types=["points.earned"])
        outbox.write_many(members=100, each=2)
        outbox.connect(receiver.url, from_beginning=False)
        with Workers(tmp_path, 1, threads=256, **AS_INSTALLED):
            busy.wait_for(200, seconds=60)
            began, before = time.monotonic(), len(busy.calls)
            delays = delays_of(outbox, receiver, events=30, every_seconds=0.25)
            rate = (len(busy.calls) - before) / (time.monotonic() - began)
    late = statistics.quantiles(delays, n=20)[-1]
    with capsys.disabled():
        print(f"\n  beside forty: {statistics.median(delays):.2f} s, 95 % in {late:.2f} s")
    assert late < 12  # 4 on a busy machine; 23 where who came first goes first
    assert rate < 2 * 120  # what was sent is counted afterwards


def delays_of(
    outbox: Outbox, receiver: Receiver, *, events: int, every_seconds: float
) -> list[float]:
    """Return how long each of some events takes from its commit until it arrives."""
    written: dict[str, float] = {}
    for _ in range(events):
        event = outbox.write(uuid4(), "points.expired")
        written[event_id(event.member_id, event.sequence)] = time.monotonic()
        time.sleep(every_seconds)
    receiver.wait_for(len(set(receiver.event_ids) | set(written)), seconds=60)
    arrived = {call.event_id: call.at for call in receiver.calls}
    return [arrived[key] - at for key, at in written.items()]
