"""Several connections that see one moment of the database, and answer side by side."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from queue import SimpleQueue
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper

SETTINGS = (
    # Sums over a whole ledger want memory: so much for each step of a plan, then it goes to disk.
    "SET LOCAL work_mem = '128MB'",
    # Compiling statements that run once takes longer than it saves.
    "SET LOCAL jit = off",
    # One may have nothing left to do while another works on.
    "SET LOCAL idle_in_transaction_session_timeout = 0",
)


class Snapshot:
    """Carries out statements on whichever of its connections is free, in the order asked."""

    def __init__(self, workers: ThreadPoolExecutor, free: "SimpleQueue[BaseDatabaseWrapper]"):
        self._workers = workers
        self._free = free

    def ask(self, sql: str) -> "Future[list[dict[str, Any]]]":
        """Ask for the rows of a statement, as dictionaries."""
        return self._workers.submit(self._rows, sql)

    def _rows(self, sql: str) -> list[dict[str, Any]]:
        session = self._free.get()
        try:
            return rows_of(session, sql)
        finally:
            self._free.put(session)


def rows_of(
    session: Any, sql: str, parameters: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Give the rows of a statement as dictionaries."""
    with session.cursor() as cursor:
        cursor.execute(sql, parameters)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@contextmanager
def snapshot(number: int) -> Iterator[Snapshot]:
    """Open so many connections of one's own; what others commit meanwhile, none of them sees."""
    free: SimpleQueue[BaseDatabaseWrapper] = SimpleQueue()
    with ExitStack() as ends:
        name = ""
        for _ in range(number):
            session = connections.create_connection(DEFAULT_DB_ALIAS)
            session.inc_thread_sharing()
            ends.callback(session.close)
            name = _begin(session, name)
            free.put(session)
        workers = ThreadPoolExecutor(number)
        ends.callback(workers.shutdown, cancel_futures=True)
        yield Snapshot(workers, free)


def _begin(session: BaseDatabaseWrapper, name: str) -> str:
    """Begin to read in the snapshot of that name, or in a new one; return its name."""
    with session.cursor() as cursor:
        cursor.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        if name:
            cursor.execute("SET TRANSACTION SNAPSHOT %s", [name])
        else:
            cursor.execute("SELECT pg_export_snapshot()")
            name = str(cursor.fetchone()[0])
        for statement in SETTINGS:
            cursor.execute(statement)
    return name
