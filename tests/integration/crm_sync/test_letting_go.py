"""A thread that waits for a destination holds nothing that others need meanwhile.

A worker has many more threads than connections to PostgreSQL.
"""

import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.backends.postgresql.base import DatabaseWrapper
from django.db.utils import ConnectionHandler

from crm_sync.adapters import transport
from crm_sync.adapters.outcomes import Delivered
from crm_sync.services import calls
from tests.integration.crm_sync.calls import adapter, outgoing, signed
from tests.integration.crm_sync.receivers import Answer, RawServer, Receiver


@pytest.fixture
def let_go() -> Iterator[list[float]]:
    """Return when something was let go."""
    times: list[float] = []
    with transport.letting_go(lambda: times.append(time.monotonic())):
        yield times


def test_a_quick_answer_on_an_open_connection_costs_nothing(
    receiver: Receiver, let_go: list[float]
) -> None:
    sender, target = adapter(), signed(receiver.url)
    sender.send(target, [outgoing(id="evt_1")])
    assert len(let_go) == 1  # to connect may take long
    sender.send(target, [outgoing(id=f"evt_{n}") for n in range(2, 5)])
    assert receiver.connections == len(let_go) == 1


def test_an_answer_that_takes_longer_than_a_moment_is_waited_for_with_nothing_in_hand(
    receiver: Receiver, let_go: list[float]
) -> None:
    sender, target = adapter(), signed(receiver.url)
    sender.send(target, [outgoing(id="evt_1")])
    let_go.clear()
    receiver.respond = lambda call: Answer(after_seconds=0.5)
    (outcome,) = sender.send(target, [outgoing(id="evt_2")])
    assert isinstance(outcome, Delivered)
    assert receiver.connections == 1
    assert let_go


def test_an_answer_byte_by_byte_is_a_long_one(let_go: list[float]) -> None:
    def drip(peer: socket.socket) -> None:
        peer.recv(65_536)
        peer.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 40\r\n\r\n")
        for _ in range(40):
            peer.sendall(b"x")
            time.sleep(0.01)

    with RawServer(drip) as server:
        (outcome,) = adapter().send(signed(server.url), [outgoing()])
    assert isinstance(outcome, Delivered)
    assert len(let_go) > 1


@pytest.fixture
def pooled(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a connection from a pool, as the threads of a worker have them."""
    settings = connection.settings_dict
    options = {**settings["OPTIONS"], "pool": {"min_size": 0, "max_size": 1, "timeout": 5.0}}
    handler = ConnectionHandler({"default": {**settings, "CONN_MAX_AGE": 0, "OPTIONS": options}})
    wrapper = handler["default"]
    monkeypatch.setattr(DatabaseWrapper, "_connection_pools", {})
    monkeypatch.setattr(calls, "database", wrapper)
    yield wrapper
    wrapper.close()
    wrapper.close_pool()


def test_what_is_lent_is_there_again_for_the_next_statement(pooled: Any) -> None:
    def ask() -> int:
        with pooled.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            return int(cursor.fetchone()[0])

    first = ask()
    assert pooled.pool.get_stats()["pool_available"] == 0
    calls.lend_database()
    assert pooled.pool.get_stats()["pool_available"] == 1
    assert ask() == first


def test_nothing_is_lent_in_the_middle_of_a_transaction(pooled: Any) -> None:
    with pooled.cursor():
        pooled.in_atomic_block = True
        calls.lend_database()
        assert pooled.pool.get_stats()["pool_available"] == 0
        pooled.in_atomic_block = False


def test_a_connection_that_is_from_no_pool_is_kept(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    calls.lend_database()
    assert connection.connection is not None
