"""Many tills at the same moment, each with a connection of its own."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, TypeVar

from django.db import connection

from tests.factories import rows

T = TypeVar("T")


def at_once(things: Sequence[Callable[[], T]], *, tills: int = 0) -> list[T]:
    """Do all things, as many at a time as there are tills; the first of them start together."""
    tills = tills or len(things)
    start = threading.Barrier(min(tills, len(things)))
    started = threading.local()

    def do(thing: Callable[[], T]) -> T:
        if not getattr(started, "yes", False):
            started.yes = True
            rows("SELECT 1")  # connected before the race begins
            start.wait(20)
        return thing()

    def leave(_: Any) -> None:
        last.wait(20)
        connection.close()  # and its statistics are told to PostgreSQL

    last = threading.Barrier(min(tills, len(things)))
    with ThreadPoolExecutor(min(tills, len(things))) as pool:
        futures = [pool.submit(do, thing) for thing in things]
        wait(futures)
        list(pool.map(leave, range(min(tills, len(things)))))
    return [future.result() for future in futures]


def deadlocks() -> int:
    """Count the deadlocks that this database has had."""
    rows("SELECT pg_stat_clear_snapshot()")
    query = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    return int(rows(query)[0][0])


def statuses(replies: Sequence[Any]) -> dict[int, int]:
    """Count replies by status."""
    found = [reply.status for reply in replies]
    return {status: found.count(status) for status in sorted(set(found))}
