"""Send several statements at once, and wait once for all their answers.

psycopg's pipeline does this too; but it flushes and polls after each statement and makes a cursor
for each, which was most of a command's CPU in this process (docs/performance.md). What is used here
is psycopg's public wrapper of libpq and its public adaptation of values.
"""

import select
from collections.abc import Sequence
from typing import Any, Final
from weakref import WeakKeyDictionary

import psycopg
from psycopg import pq
from psycopg.adapt import AdaptersMap, Dumper, PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.types.datetime import TimestamptzLoader

PREPARED_MOST: Final = 100
"""Statements that a connection keeps prepared; each costs the server some 50 kB."""

_FAILED: Final = (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.PIPELINE_ABORTED)

_Key = tuple[str, tuple[int, ...]]


class Binary(bytes):
    """A parameter as PostgreSQL takes it in binary; the statement's text says of which type."""

    __slots__ = ()


class _BinaryDumper(Dumper):
    """Hand a Binary through as it is."""

    format = pq.Format.BINARY
    oid = 0

    def dump(self, obj: Binary) -> Binary:
        return obj


class Statement:
    """A statement with its parameters ($1, $2 …), and later what it answered.

    Attributes:
        done: Whether the server has carried it out.
        rows: What it returned.
    """

    __slots__ = ("done", "parameters", "rows", "sql")

    def __init__(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        self.sql = sql
        self.parameters = parameters
        self.done = False
        self.rows: list[tuple[Any, ...]] = []


def exchange(connection: psycopg.Connection[Any], statements: Sequence[Statement]) -> None:
    """Carry out statements in one round trip.

    Raises:
        psycopg.Error: What the first one that failed raises; those after it were not carried out.
    """
    with connection.lock:
        try:
            failure = _channel_of(connection).exchange(statements)
        except BaseException:
            connection.close()  # nobody knows what is still under way on it
            raise
    if failure is not None:
        raise failure


class _Adaptation:
    """How a connection adapts values, but for times: Django reads them in Python, psycopg in C.

    And what is binary already is handed through.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self.adapters = AdaptersMap(connection.adapters)
        self.adapters.register_loader("timestamptz", TimestamptzLoader)
        self.adapters.register_dumper(Binary, _BinaryDumper)


class _Channel:
    """One connection: what it has prepared, and how values are written and read on it."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.pgconn = connection.pgconn
        self.encoding = connection.info.encoding
        self.poll = select.poll()
        self.threshold = connection.prepare_threshold
        # Once psycopg has prepared a statement itself, each rollback is followed by its
        # DEALLOCATE ALL, which would end ours too.
        connection.prepare_threshold = None
        self.values = Transformer.from_context(_Adaptation(connection))
        self.names: dict[_Key, bytes] = {}
        self.uses: dict[_Key, int] = {}
        self.prepared = 0  # counts on, so that no name is ever used twice

    def exchange(self, statements: Sequence[Statement]) -> psycopg.Error | None:
        """Send all, receive all; give the first error of the server."""
        self.pgconn.enter_pipeline_mode()
        awaited: list[Statement | _Key] = []
        for statement in statements:
            awaited += self._send(statement)
        self.pgconn.pipeline_sync()
        self._flush()
        failure = None
        for item in awaited:
            error = self._receive(item)
            failure = failure or error
        self._next_result()  # of the sync
        self.pgconn.exit_pipeline_mode()
        return failure

    def _send(self, statement: Statement) -> list[Statement | _Key]:
        """Send a statement, prepared when it comes again; list what to await."""
        values, formats = None, None
        types: tuple[int, ...] = ()
        if statement.parameters:
            wanted = [PyFormat.AUTO] * len(statement.parameters)
            values = self.values.dump_sequence(statement.parameters, wanted)
            types, formats = self.values.types or (), self.values.formats
        key = (statement.sql, types)
        awaited: list[Statement | _Key] = [statement]
        name = self.names.get(key)
        if name is None and self._is_worth_preparing(key):
            self.prepared += 1
            name = self.names[key] = f"loyalty_{self.prepared}".encode()
            self.pgconn.send_prepare(name, statement.sql.encode(self.encoding), types)
            awaited.insert(0, key)
        if name is None:
            sql = statement.sql.encode(self.encoding)
            self.pgconn.send_query_params(sql, values, types, formats)
        else:
            self.pgconn.send_query_prepared(name, values, formats)
        return awaited

    def _is_worth_preparing(self, key: _Key) -> bool:
        if self.threshold is None or len(self.names) >= PREPARED_MOST:
            return False
        self.uses[key] = uses = self.uses.get(key, 0) + 1
        return uses > self.threshold

    def _receive(self, item: Statement | _Key) -> psycopg.Error | None:
        """Take the answer of a statement, or of a preparation."""
        result = self._next_result()
        if result is None:
            raise psycopg.OperationalError("the server ended an answer before it began")
        failed = result.status in _FAILED
        if isinstance(item, tuple):
            if failed:
                del self.names[item]
        elif not failed:
            item.done = True
            if result.ntuples:
                self.values.set_pgresult(result)
                item.rows = self.values.load_rows(0, result.ntuples, tuple)
        self.pgconn.get_result()  # None, which ends this answer; it is there with it
        if result.status == pq.ExecStatus.FATAL_ERROR:
            return error_from_result(result, self.encoding)
        return None

    def _flush(self) -> None:
        """Send what is queued; read meanwhile, or both sides could wait for each other."""
        while self.pgconn.flush():
            if self._wait(select.POLLIN | select.POLLOUT) & select.POLLIN:
                self.pgconn.consume_input()

    def _next_result(self) -> "pq.abc.PGresult | None":
        while self.pgconn.is_busy():
            self._wait(select.POLLIN)
            self.pgconn.consume_input()
        return self.pgconn.get_result()

    def _wait(self, events: int) -> int:
        self.poll.register(self.pgconn.socket, events)
        return self.poll.poll()[0][1]


_channels: "WeakKeyDictionary[psycopg.Connection[Any], _Channel]" = WeakKeyDictionary()


def _channel_of(connection: psycopg.Connection[Any]) -> _Channel:
    found = _channels.get(connection)
    if found is None:
        found = _channels[connection] = _Channel(connection)
    return found
