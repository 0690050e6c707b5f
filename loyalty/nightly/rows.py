"""Which members a night has work with; read without locks, decided again under the lock.

The first queries list a step's members, each once.
"""

from typing import Final

from loyalty.engine.commands import REF, Read
from loyalty.engine.load import MEMBER_OF
from loyalty.engine.writing import Table
from loyalty.members.rows import expiring_after

DUE_HOLDS: Final = """
SELECT DISTINCT h.member_id FROM loyalty_hold AS h
WHERE h.program_id = %(program)s AND h.state = 'open' AND h.expires_at <= clock_timestamp()
"""

DUE_LOTS: Final = f"""
SELECT l.member_id FROM loyalty_lot AS l
WHERE l.program_id = %(program)s AND l.available > 0 AND l.expires_at <= clock_timestamp()
UNION
SELECT l.member_id FROM loyalty_lot AS l
WHERE l.program_id = %(program)s AND l.pending > 0 AND l.active_at <= clock_timestamp()
UNION
SELECT s.member_id FROM loyalty_memberstate AS s
WHERE s.program_id = %(program)s AND s.slides_until <= clock_timestamp()
UNION
{DUE_HOLDS}
"""

# Above the ground, and not in the quiet middle of a validity; %(levels)s are those that there are.
TO_REVIEW: Final = """
SELECT g.member_id FROM loyalty_membertier AS g
WHERE g.program_id = %(program)s AND g.level <> %(ground)s
    AND (g.valid_until IS NULL OR g.grace_until IS NOT NULL OR g.level <> ALL(%(levels)s)
        OR g.valid_until <= %(today)s::date + %(warning_days)s::int)
"""

TO_REDEEM: Final = """
SELECT w.member_id FROM loyalty_memberstate AS s
JOIN loyalty_wallet AS w ON w.member_id = s.member_id AND w.currency = 1
WHERE s.program_id = %(program)s AND s.status = 'active' AND w.available >= %(least)s
"""

EXPIRING_BETWEEN: Final = """
SELECT DISTINCT l.member_id FROM loyalty_lot AS l
WHERE l.program_id = %(program)s AND l.available > 0
    AND l.expires_at > greatest(clock_timestamp(), %(start)s) AND l.expires_at <= %(end)s
    AND NOT EXISTS (
        SELECT 1 FROM loyalty_notice AS n
        WHERE n.member_id = l.member_id AND n.kind = %(kind)s AND n.about = l.expires_at)
UNION
SELECT s.member_id FROM loyalty_memberstate AS s
JOIN loyalty_expirytotal AS x
    ON x.member_id = s.member_id AND x.expires_at = 'infinity' AND x.points > 0
WHERE s.program_id = %(program)s
    AND s.slides_until > greatest(clock_timestamp(), %(start)s) AND s.slides_until <= %(end)s
    AND NOT EXISTS (
        SELECT 1 FROM loyalty_notice AS n
        WHERE n.member_id = s.member_id AND n.kind = %(kind)s AND n.about = s.slides_until)
"""

LAST_ACTIVE: Final = """greatest(
    (m.enrolled_at AT TIME ZONE {zone})::date,
    (SELECT max(d.day) FROM loyalty_activityday AS d WHERE d.member_id = m.id),
    (SELECT (max(x.created_at) AT TIME ZONE {zone})::date FROM loyalty_redemption AS x
     WHERE x.member_id = m.id AND x.given_for IN ('', 'free_redemption')))"""

AWAY_BETWEEN: Final = f"""
SELECT m.id AS member_id FROM loyalty_member AS m
JOIN loyalty_memberstate AS s ON s.member_id = m.id
WHERE m.program_id = %(program)s AND s.status IN ('active', 'frozen')
    AND {LAST_ACTIVE.format(zone="%(zone)s")} BETWEEN %(first)s AND %(last)s
"""

BORN_ON: Final = """
SELECT m.id AS member_id FROM loyalty_member AS m
JOIN loyalty_memberstate AS s ON s.member_id = m.id
WHERE m.program_id = %(program)s AND s.status IN ('active', 'frozen')
    AND to_char(m.birth_date, 'MM-DD') = ANY(%(days)s)
"""

JOINED_ON: Final = """
SELECT m.id AS member_id FROM loyalty_member AS m
JOIN loyalty_memberstate AS s ON s.member_id = m.id
WHERE m.program_id = %(program)s AND s.status IN ('active', 'frozen')
    AND to_char(m.enrolled_at AT TIME ZONE %(zone)s, 'MM-DD') = ANY(%(days)s)
    AND (m.enrolled_at AT TIME ZONE %(zone)s)::date < %(today)s
"""

TOLD: Final = Read(
    "notices",
    f"""
SELECT r.ord, n.about
FROM {{questions}}
JOIN loyalty_notice AS n ON n.member_id = {MEMBER_OF}
WHERE n.kind = r.kind AND n.about >= r.since
""",
    {**REF, "kind": "text", "since": "timestamptz"},
)

LOTS_EXPIRING: Final = Read(
    "lots that expire soon",
    f"""
SELECT r.ord, e.expires_at, sum(e.points)::bigint
FROM {{questions}}
CROSS JOIN LATERAL (SELECT {MEMBER_OF} AS member_id OFFSET 0) AS x
CROSS JOIN LATERAL ({expiring_after("greatest(clock_timestamp(), r.after)", "x.member_id")}) AS e
WHERE e.expires_at <= r.until
    AND NOT EXISTS (
        SELECT 1 FROM loyalty_notice AS n
        WHERE n.member_id = x.member_id AND n.kind = r.kind AND n.about = e.expires_at)
GROUP BY r.ord, e.expires_at ORDER BY r.ord, e.expires_at
""",
    {**REF, "kind": "text", "after": "timestamptz", "until": "timestamptz"},
)

LAST_ACTIVITY: Final = Read(
    "last activity",
    f"""
SELECT r.ord, a.day, EXISTS (
    SELECT 1 FROM loyalty_notice AS n
    WHERE n.member_id = m.id AND n.kind = r.kind
        AND n.about = (a.day::timestamp AT TIME ZONE r.zone))
FROM {{questions}}
CROSS JOIN LATERAL (
    SELECT * FROM loyalty_member AS m WHERE m.id = {MEMBER_OF} OFFSET 0
) AS m
CROSS JOIN LATERAL (SELECT {LAST_ACTIVE.format(zone="r.zone")} AS day) AS a
""",
    {**REF, "kind": "text", "zone": "text"},
)

NOTICE: Final = Table(
    "loyalty_notice",
    {"member_id": "uuid", "kind": "text", "about": "timestamptz", "told_at": "timestamptz"},
    key=("member_id", "kind", "about"),
    tail="ON CONFLICT DO NOTHING",
)
