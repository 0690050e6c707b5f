"""Read rows in one round trip, outside the engine.

Nothing is prepared: psycopg ends what it has prepared by DEALLOCATE ALL, which would end the
engine's statements as well (loyalty/database/exchange.py).
"""

from collections.abc import Sequence
from typing import Any

import psycopg
from django.db import connection


def fetch(sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Run one reading statement with $1, $2 … and give its rows.

    A connection that died while it was idle (the server was restarted) is replaced once:
    reading twice harms nobody.
    """
    try:
        return _fetch(sql, parameters)
    except psycopg.OperationalError:
        if connection.connection is None or not connection.connection.closed:
            raise
        reconnect()
        return _fetch(sql, parameters)


def reconnect() -> None:
    """Drop a connection that died while it was idle, and those of its pool that died with it.

    The next one would be dead, too, and only one try is left.
    """
    connection.close()
    pool = getattr(connection, "pool", None)  # None where each thread keeps its own
    if pool is not None:
        pool.check()


def _fetch(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    connection.ensure_connection()
    raw: psycopg.Connection[Any] = connection.connection
    with psycopg.RawCursor(raw) as cursor:
        return cursor.execute(sql, parameters, prepare=False).fetchall()
