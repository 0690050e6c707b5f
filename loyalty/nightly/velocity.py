"""Signals of fraud: a card that collects on many receipts, a key that adjusts much.

Counted in each hour of the clock, from the ledger, once a minute. It stops nobody: a family with
one card at a market is no thief, and a till that refuses cannot be argued with. Somebody should
look.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import connection

from loyalty.engine.commands import Ask, Command, Decision, Kind, MemberRef
from loyalty.engine.run import run
from loyalty.engine.session import Session
from loyalty.errors import MemberNotFound, NotFound
from loyalty.http.auth import Principal
from loyalty.nightly.rows import NOTICE, TOLD
from loyalty.programs.models import Program
from loyalty.programs.selectors import published_program

# The present hour, and the one before while its last minute may not have been counted.
_HOURS: Final = """
WITH hour AS (
    SELECT DISTINCT date_trunc('hour', clock_timestamp() - n * interval '2 minutes') AS start
    FROM generate_series(0, 1) AS n
)"""

# The one that was too many, and whose it was: the same however often it is counted again.
ORDERS: Final = f"""{_HOURS}
SELECT t.member_id, '', count(*), (array_agg(t.recorded_at ORDER BY t.number))[%(most)s + 1]
FROM hour JOIN loyalty_ledgertransaction AS t ON t.program_id = %(program)s
    AND t.recorded_at >= hour.start AND t.recorded_at < hour.start + interval '1 hour'
WHERE t.kind = 'earn' AND t.order_number IS NOT NULL
GROUP BY hour.start, t.member_id HAVING count(*) > %(most)s
"""
ADJUSTMENTS: Final = f"""{_HOURS}
SELECT (array_agg(t.member_id ORDER BY t.recorded_at, t.member_id, t.number))[%(most)s + 1],
    t.actor, count(*),
    (array_agg(t.recorded_at ORDER BY t.recorded_at, t.member_id, t.number))[%(most)s + 1]
FROM hour JOIN loyalty_ledgertransaction AS t ON t.program_id = %(program)s
    AND t.recorded_at >= hour.start AND t.recorded_at < hour.start + interval '1 hour'
WHERE t.kind = 'adjust'
GROUP BY hour.start, t.actor HAVING count(*) > %(most)s
"""


@dataclass(frozen=True, slots=True)
class Suspect:
    """More of something in an hour than the program takes for usual.

    Attributes:
        pattern: `orders` of the member, or `adjustments` by the actor, the last one theirs.
        at: When the one happened that was too many.
    """

    member: MemberRef
    pattern: str
    actor: str
    count: int
    most: int
    at: datetime

    @property
    def kind(self) -> str:
        """Name the notice by which it is told once."""
        return f"fraud:{self.pattern}"


def _told(payload: Suspect) -> Ask:
    return Ask(TOLD, (*payload.member, payload.kind, payload.at))


def _decide(session: Session, decision: Decision) -> tuple[int, dict[str, Any]]:
    payload: Suspect = decision.payload
    work = decision.work
    if work is None:
        raise MemberNotFound()
    if payload.at in {row[0] for row in session.found(_told(payload))}:
        return 200, {"changed": False}
    row = {"member_id": work.member_id, "kind": payload.kind, "about": payload.at}
    work.rows.put(NOTICE, {**row, "told_at": work.now})
    data = {
        "pattern": payload.pattern,
        "count": payload.count,
        "most": payload.most,
        "actor": payload.actor or None,
        "at": payload.at.isoformat(),
    }
    work.event("fraud.signal", data, kind="watch")
    return 200, {"changed": True}


SIGNAL = Kind(
    "fraud_signal",
    member=lambda payload: payload.member,
    decide=_decide,
    asks=lambda payload, program: [_told(payload)],
)


def raise_signals() -> int:
    """Tell of what is unusual in all programs that ask for it; return how many were found."""
    found = 0
    for program_id in Program.objects.filter(version__gt=0).values_list("id", flat=True):
        try:
            points = published_program(program_id).points
        except NotFound:
            continue
        suspects = [
            *_find(ORDERS, program_id, "orders", points.orders_per_hour),
            *_find(ADJUSTMENTS, program_id, "adjustments", points.adjustments_per_hour),
        ]
        found += len(suspects)
        for suspect in suspects:
            run([Command(SIGNAL, suspect, request_id="watch")], principal=_watch(program_id))
    return found


def _find(query: str, program_id: int, pattern: str, most: int | None) -> list[Suspect]:
    if most is None:
        return []
    with connection.cursor() as cursor:
        cursor.execute(query, {"program": program_id, "most": most})
        rows = cursor.fetchall()
    return [
        Suspect(("account", str(member)), pattern, actor, count, most, at)
        for member, actor, count, at in rows
    ]


def _watch(program_id: int) -> Principal:
    return Principal(
        key_id=0, program_id=program_id, name="engine", scopes=frozenset(), source="watch"
    )
