"""What happened to members, as a backtest reads it: some hundred members at a time.

Everything is read in one snapshot, so that tills that earn meanwhile change nothing of it. A
member's rows are numbered by the member, and these numbers order their history.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any
from uuid import UUID

import orjson
import psycopg
from django.db import connection as django_connection

from loyalty.earning.situation import UseKey
from loyalty.engine.load import LOT_ENDS, LOT_SLIDES
from loyalty.tiers.windows import ActivityDay
from loyalty.trials.past import EarlierUse, LevelChange, Move, OpeningLot, Past, PastOrder

CHUNK_ORDERS = 4_000
"""Orders read at once: about 20 MB, whatever the length of the period."""

_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

_COUNT = """
SELECT count(*) FROM loyalty_order WHERE program_id = %s AND day BETWEEN %s AND %s
"""

# Orders that came with a merged member were decided in that one's history, and stay as they are.
# Whose history is decided anew, and from which of the member's numbers on.
_WHO = """
SELECT member_id, min(first), sum(orders)::bigint FROM (
    SELECT o.member_id, min(o.number) AS first, count(*) AS orders FROM loyalty_order AS o
    WHERE o.program_id = %(program)s AND o.day BETWEEN %(begin)s AND %(end)s GROUP BY o.member_id
    UNION ALL
    SELECT m.id, 0, 0 FROM loyalty_member AS m
    JOIN loyalty_memberstate AS s ON s.member_id = m.id AND s.status <> 'merged'
    WHERE m.program_id = %(program)s
        AND (m.enrolled_at AT TIME ZONE %(zone)s)::date BETWEEN %(begin)s AND %(end)s
) AS found GROUP BY member_id ORDER BY member_id
"""

_OF = "FROM unnest(%(members)s::uuid[], %(first)s::bigint[]) AS r(member_id, first)"

# What carries points on that expire by inactivity, besides joining.
_IS_ACTIVITY = """(t.kind = 'earn' AND t.source_ref <> ''
    AND (t.order_number IS NOT NULL OR t.points > 0) OR t.kind IN ('redeem', 'hold')
    AND coalesce(t.explanation->>'given_for', 'free_redemption') = 'free_redemption')"""

_MEMBERS = f"""
SELECT s.member_id, m.enrolled_at, m.birth_date, g.level, g.since, g.valid_until, r.first, (
    SELECT coalesce(sum(l.pending + l.available), 0)::bigint FROM loyalty_lot AS l
    WHERE l.member_id = s.member_id AND coalesce({LOT_ENDS} > %(now)s, true)),
    greatest(m.enrolled_at, (
        SELECT max(t.occurred_at) FROM loyalty_ledgertransaction AS t
        WHERE t.member_id = s.member_id AND t.number < r.first AND {_IS_ACTIVITY}))
{_OF}
JOIN loyalty_memberstate AS s ON s.member_id = r.member_id
JOIN loyalty_member AS m ON m.id = s.member_id
LEFT JOIN loyalty_membertier AS g ON g.member_id = s.member_id
ORDER BY s.member_id
"""

_ORDERS = f"""
SELECT o.member_id, o.number, o.ref, o.store, o.channel,
    CASE WHEN o.awarded_to IS NULL THEN o.state ELSE 'merged' END, o.occurred_at, o.day,
    o.net_amount, o.lines::text, o.points, o.clawed_back, o.returns::text, o.recorded_at,
    o.taken::text, (t.explanation->'applied')::text,
    (SELECT l.active_at FROM loyalty_lot AS l
     WHERE l.member_id = o.member_id AND l.order_number = o.number ORDER BY l.number LIMIT 1),
    (SELECT {LOT_ENDS} FROM loyalty_lot AS l
     WHERE l.member_id = o.member_id AND l.order_number = o.number ORDER BY l.number LIMIT 1),
    (SELECT l.slides FROM loyalty_lot AS l
     WHERE l.member_id = o.member_id AND l.order_number = o.number ORDER BY l.number LIMIT 1)
{_OF}
JOIN loyalty_order AS o ON o.member_id = r.member_id AND o.number >= r.first
LEFT JOIN loyalty_ledgertransaction AS t
    ON t.member_id = o.member_id AND t.number = o.transaction_number
"""

# What orders do is decided anew; what is due by itself happens by itself.
_MOVES = f"""
SELECT t.member_id, t.number, t.kind, t.points, t.redemption_number, t.order_number, t.recorded_at,
    t.source_ref, CASE WHEN {_IS_ACTIVITY} THEN t.occurred_at END,
    l.active_at, {LOT_ENDS}, l.slides,
    CASE t.kind WHEN 'earn' THEN (t.explanation->'applied')::text END
{_OF}
JOIN loyalty_ledgertransaction AS t ON t.member_id = r.member_id AND t.number >= r.first
LEFT JOIN LATERAL (
    SELECT p.lot_number FROM loyalty_posting AS p
    WHERE p.member_id = t.member_id AND p.transaction_number = t.number AND p.source IN (0, 8)
    LIMIT 1) AS p ON t.points > 0 AND t.redemption_number IS NULL
LEFT JOIN loyalty_lot AS l ON l.member_id = t.member_id AND l.number = p.lot_number
WHERE t.kind <> 'mature' AND (t.order_number IS NULL OR t.order_number < r.first)
"""

_OPENING = f"""
SELECT x.member_id, l.number, l.order_number, l.active_at, {LOT_ENDS}, l.slides,
    x.pending, x.available, x.debt
FROM (
    SELECT p.member_id, p.lot_number,
        sum(CASE 1 WHEN p.destination THEN p.amount WHEN p.source THEN -p.amount ELSE 0 END)::bigint
            AS pending,
        sum(CASE 2 WHEN p.destination THEN p.amount WHEN p.source THEN -p.amount ELSE 0 END)::bigint
            AS available,
        sum(CASE 7 WHEN p.source THEN p.amount WHEN p.destination THEN -p.amount ELSE 0 END)::bigint
            AS debt
    {_OF}
    JOIN loyalty_posting AS p ON p.member_id = r.member_id AND p.transaction_number < r.first
    GROUP BY p.member_id, p.lot_number
) AS x LEFT JOIN loyalty_lot AS l ON l.member_id = x.member_id AND l.number = x.lot_number
WHERE x.pending > 0 OR x.available > 0 OR x.debt <> 0
"""

# What was used before and came back afterwards: it goes back into the lots that it came from.
_USES = f"""
SELECT t.member_id, t.redemption_number, p.lot_number, l.active_at, {LOT_ENDS}, {LOT_SLIDES},
    sum(CASE p.source WHEN 2 THEN p.amount ELSE -p.amount END)::bigint
FROM (
    SELECT DISTINCT t.member_id, t.redemption_number, r.first
    {_OF} JOIN loyalty_ledgertransaction AS t ON t.member_id = r.member_id AND t.number >= r.first
    WHERE t.points > 0 AND t.redemption_number < r.first
) AS t
JOIN loyalty_posting AS p ON p.member_id = t.member_id
    AND p.redemption_number = t.redemption_number AND p.transaction_number < t.first
JOIN loyalty_lot AS l ON l.member_id = p.member_id AND l.number = p.lot_number
WHERE 2 IN (p.source, p.destination)
GROUP BY t.member_id, t.redemption_number, p.lot_number, l.member_id, l.number
"""

_ACTIVITY = f"""
SELECT a.member_id, a.day, a.spend, a.points, a.orders
{_OF} JOIN loyalty_activityday AS a ON a.member_id = r.member_id
"""

_LIMITS = f"""
SELECT u.member_id, u.rule, u.per, u.starts_on, u.times, u.points
{_OF} JOIN loyalty_ruleuse AS u ON u.member_id = r.member_id
"""

# As they are now: nobody knows who was in them then.
_SEGMENTS = f"""
SELECT m.member_id, m.segment
{_OF} JOIN loyalty_segmentmember AS m ON m.member_id = r.member_id
"""

_RISES_AND_FALLS = f"""
SELECT c.member_id, c.number, c.from_level, c.to_level, c.kind, c.changed_at, c.valid_until
{_OF} JOIN loyalty_tierchange AS c ON c.member_id = r.member_id
"""

_ALL_OUTSTANDING = f"""
SELECT coalesce(sum(l.pending + l.available), 0)::bigint FROM loyalty_lot AS l
WHERE l.program_id = %s AND coalesce({LOT_ENDS} > %s, true)
"""

_BUDGETS = "SELECT campaign, used FROM loyalty_campaignbudget WHERE program_id = %s"


class Archive:
    """One program's past, in one snapshot on a connection of its own."""

    def __init__(
        self, connection: "psycopg.Connection[Any]", program_id: int, now: datetime
    ) -> None:
        self._connection = connection
        self._program_id = program_id
        self._now = now

    def count_orders(self, begin: date, end: date) -> int:
        """Count the orders of a period, by the days of the purchases."""
        return int(self._row(_COUNT, (self._program_id, begin, end))[0])

    def outstanding(self) -> int:
        """Sum the points that all members have now."""
        return int(self._row(_ALL_OUTSTANDING, (self._program_id, self._now))[0])

    def budgets(self) -> dict[str, int]:
        """Tell what was taken of campaigns' budgets so far."""
        found = self._connection.execute(_BUDGETS.encode(), (self._program_id,))
        return {campaign: int(used) for campaign, used in found}

    def members(self, begin: date, end: date, zone: str) -> Iterator[Past]:
        """Give all members who bought or joined in the period, some hundred in memory at once."""
        given = {"program": self._program_id, "begin": begin, "end": end, "zone": zone}
        with self._connection.cursor("loyalty_backtest") as cursor:
            cursor.itersize = 1_000
            cursor.execute(_WHO, given)
            for chunk in _chunks(cursor):
                yield from self._read(chunk)

    def _row(self, sql: str, given: Sequence[Any] = ()) -> tuple[Any, ...]:
        found = self._connection.execute(sql.encode(), given).fetchone()
        assert found is not None
        return tuple(found)

    def _read(self, chunk: list[tuple[UUID, int, int]]) -> Iterator[Past]:
        given = {
            "members": [who for who, *_ in chunk],
            "first": [first for _, first, _ in chunk],
            "now": self._now,
        }
        found: dict[UUID, Past] = {}
        for member_id, enrolled_at, *state in self._all(_MEMBERS, given):
            found[member_id] = Past(member_id, enrolled_at, *state)
        for sql, put in _LISTS:
            for member_id, *row in self._all(sql, given):
                put(found[member_id], row)
        yield from found.values()

    def _all(self, sql: str, given: dict[str, Any]) -> Any:
        return self._connection.execute(sql.encode(), given)


@contextmanager
def archive(program_id: int, *, now: datetime) -> Iterator[Archive]:
    """Open a program's past as it is at this moment; nothing can be written through it."""
    own = django_connection.copy()
    own.ensure_connection()
    raw: psycopg.Connection[Any] = own.connection
    raw.adapters.register_loader("timestamptz", psycopg.types.datetime.TimestamptzLoader)  # in C
    try:
        raw.execute(_SNAPSHOT)
        yield Archive(raw, program_id, now)
    finally:
        own.close()


def _chunks(rows: Any) -> Iterator[list[tuple[UUID, int, int]]]:
    chunk: list[tuple[UUID, int, int]] = []
    orders = 0
    for row in rows:
        chunk.append(row)
        orders += row[2] + 1
        if orders >= CHUNK_ORDERS:
            yield chunk
            chunk, orders = [], 0
    if chunk:
        yield chunk


def _move(columns: list[Any]) -> Move:
    columns[-1] = orjson.loads(columns[-1]) if columns[-1] else []
    return Move(*columns)


def _order(columns: list[Any]) -> PastOrder:
    columns[8] = orjson.loads(columns[8])
    columns[11] = orjson.loads(columns[11])
    columns[13] = orjson.loads(columns[13])
    columns[14] = orjson.loads(columns[14]) if columns[14] else []
    return PastOrder(*columns)


def _put_use_of_limit(past: Past, columns: list[Any]) -> None:
    rule, per, starts_on, times, points = columns
    past.used[UseKey(rule, per, starts_on)] = (times, points)


_LISTS: tuple[tuple[str, Callable[[Past, list[Any]], None]], ...] = (
    (_ORDERS, lambda past, row: past.orders.append(_order(row))),
    (_MOVES, lambda past, row: past.moves.append(_move(row))),
    (_OPENING, lambda past, row: past.opening.append(OpeningLot(*row))),
    (_USES, lambda past, row: past.uses.append(EarlierUse(*row))),
    (_ACTIVITY, lambda past, row: past.activity.append(ActivityDay(*row))),
    (_LIMITS, _put_use_of_limit),
    (_RISES_AND_FALLS, lambda past, row: past.changes.append(LevelChange(*row))),
    (_SEGMENTS, lambda past, row: past.segments.append((row[0],))),
)
