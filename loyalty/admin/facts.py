"""What is known of a program's members when its draft is reviewed; asked in bounded time."""

from decimal import Decimal
from typing import Any

from django.db import OperationalError, connection, transaction
from django.utils import timezone

from loyalty.members.segments import filled_segments
from loyalty.programs.advice import Facts
from loyalty.programs.budgets import used_of
from loyalty.programs.currencies import SCALES
from loyalty.programs.expiry import local_day
from loyalty.programs.models import Program, RewardStock
from loyalty.rewards.pools import stocked_pools

PATIENCE = "3s"
"""A review waits no longer for sums over all members; it does without them."""

_MOST_POINTS = """
SELECT max(w.available) FROM loyalty_memberstate AS s
JOIN loyalty_wallet AS w ON w.member_id = s.member_id
WHERE s.program_id = %s AND s.status IN ('active', 'frozen')
"""

# In all their time: whatever the window is, nobody has more.
_MOST_METRIC = """
SELECT max(total) FROM (
    SELECT sum(CASE %s WHEN 'spend' THEN a.spend WHEN 'points' THEN a.points ELSE a.orders END)
        AS total
    FROM loyalty_memberstate AS s JOIN loyalty_activityday AS a ON a.member_id = s.member_id
    WHERE s.program_id = %s GROUP BY a.member_id
) AS sums
"""

# The newest orders say what tills send; a look through all of them would take minutes.
_SOLD = """
SELECT DISTINCT line->>'category'
FROM (SELECT lines FROM loyalty_order WHERE program_id = %s ORDER BY id DESC LIMIT 1000) AS newest,
    json_array_elements(newest.lines) AS line
WHERE line->>'category' <> ''
"""


def facts_of(program: Program) -> Facts:
    """Gather what warnings are made from."""
    points, metric = _most(program)
    scale = SCALES[program.currency] if program.qualify_by == "spend" else 0
    stock = RewardStock.objects.filter(program_id=program.pk)
    today = local_day(timezone.now(), program.timezone)
    return Facts(
        today=today.isoformat(),
        most_points=points,
        most_metric=None if metric is None else Decimal(metric).scaleb(-scale),
        filled=filled_segments(program.pk),
        stocked=stocked_pools(program.pk, today),
        given=used_of(program.pk),
        sold=_sold(program),
        taken={row.reward: row.total - row.remaining for row in stock},
    )


def _sold(program: Program) -> frozenset[str] | None:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = '{PATIENCE}'")
            cursor.execute(_SOLD, [program.pk])
            found = frozenset(row[0].casefold() for row in cursor.fetchall())
    except OperationalError:
        return None
    return found or None


def _most(program: Program) -> tuple[int | None, Any]:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = '{PATIENCE}'")
            cursor.execute(_MOST_POINTS, [program.pk])
            points = cursor.fetchone()[0]
            cursor.execute(_MOST_METRIC, [program.qualify_by, program.pk])
            return points, cursor.fetchone()[0]
    except OperationalError:
        return None, None
