"""Signals of fraud: a card that collects on many receipts, a key that adjusts much.

Counted in any sixty minutes, from the ledger, once a minute. It stops nobody: a family with one
card at a market is no thief, and a till that refuses cannot be argued with. Somebody should look.
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

KIND: Final = "fraud:{}"
BY_MEMBER: Final = "orders"
BY_ACTOR: Final = "adjustments"

# More than so many in the hour that ends with one of them, the last of these, and whose it was: a
# worker that stood still has a quarter of an hour to count it. It is told once an hour, however
# long it goes on, because the one that was told of is known by its notice.
_MANY: Final = """
WITH recent AS (
    SELECT t.member_id, t.recorded_at AS at, {who} AS who
    FROM loyalty_ledgertransaction AS t
    WHERE t.program_id = %(program)s AND {which}
        AND t.recorded_at > clock_timestamp() - interval '75 minutes'
), counted AS (
    SELECT c.member_id, c.at, c.who, count(*) OVER (
        PARTITION BY c.who ORDER BY c.at
        RANGE BETWEEN interval '1 hour' PRECEDING AND CURRENT ROW) AS within
    FROM recent AS c
    WHERE c.who IN (SELECT who FROM recent GROUP BY who HAVING count(*) > %(most)s)
)
SELECT DISTINCT ON (c.who) c.member_id, c.who, c.within, c.at FROM counted AS c
WHERE c.within > %(most)s AND c.at > clock_timestamp() - interval '15 minutes'
    AND NOT EXISTS (
        SELECT FROM recent AS r JOIN loyalty_notice AS n ON n.member_id = r.member_id
            AND n.kind = %(kind)s AND n.about = r.at
        WHERE r.who = c.who AND r.at > c.at - interval '1 hour')
ORDER BY c.who, c.at DESC, c.member_id
"""
ORDERS: Final = _MANY.format(
    who="t.member_id::text", which="t.kind = 'earn' AND t.order_number IS NOT NULL"
)
ADJUSTMENTS: Final = _MANY.format(who="t.actor", which="t.kind = 'adjust'")


@dataclass(frozen=True, slots=True)
class Suspect:
    """More of something in an hour than the program takes for usual.

    Attributes:
        pattern: `orders` of the member, or `adjustments` by the actor, the last one theirs.
        at: When the last of them happened.
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
        return KIND.format(self.pattern)


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
            *_find(ORDERS, program_id, BY_MEMBER, points.orders_per_hour),
            *_find(ADJUSTMENTS, program_id, BY_ACTOR, points.adjustments_per_hour),
        ]
        found += len(suspects)
        for suspect in suspects:
            run([Command(SIGNAL, suspect, request_id="watch")], principal=_watch(program_id))
    return found


def _find(query: str, program_id: int, pattern: str, most: int | None) -> list[Suspect]:
    if most is None:
        return []
    with connection.cursor() as cursor:
        kind = KIND.format(pattern)
        cursor.execute(query, {"program": program_id, "most": most, "kind": kind})
        rows = cursor.fetchall()
    return [
        Suspect(
            ("account", str(member)), pattern, who if pattern == BY_ACTOR else "", count, most, at
        )
        for member, who, count, at in rows
    ]


def _watch(program_id: int) -> Principal:
    return Principal(
        key_id=0, program_id=program_id, name="engine", scopes=frozenset(), source="watch"
    )
