"""Which members a night has work with; read without locks, decided again under the lock."""

from loyalty.engine.commands import REF, Read
from loyalty.engine.load import MEMBER_OF

DUE_HOLDS = """
SELECT DISTINCT h.member_id FROM loyalty_hold AS h
WHERE h.program_id = %s AND h.state = 'open' AND h.expires_at <= clock_timestamp()
    AND h.member_id > %s
ORDER BY h.member_id LIMIT %s
"""

DUE_LOTS = """
SELECT member_id FROM (
    SELECT l.member_id FROM loyalty_lot AS l
    WHERE l.program_id = %(program)s AND l.available > 0 AND l.expires_at <= clock_timestamp()
    UNION
    SELECT l.member_id FROM loyalty_lot AS l
    WHERE l.program_id = %(program)s AND l.pending > 0 AND l.active_at <= clock_timestamp()
) AS due
WHERE member_id > %(after)s ORDER BY member_id LIMIT %(most)s
"""

ABOVE_GROUND = """
SELECT g.member_id FROM loyalty_membertier AS g
WHERE g.program_id = %s AND g.level <> %s AND g.member_id > %s
ORDER BY g.member_id LIMIT %s
"""

EXPIRING_BETWEEN = """
SELECT l.member_id, array_agg(DISTINCT l.expires_at) FROM loyalty_lot AS l
WHERE l.program_id = %s AND l.available > 0
    AND l.expires_at > greatest(clock_timestamp(), %s) AND l.expires_at <= %s AND l.member_id > %s
GROUP BY l.member_id ORDER BY l.member_id LIMIT %s
"""

LOTS_EXPIRING = Read(
    "lots that expire soon",
    f"""
SELECT r.ord, sum(l.available)::bigint
FROM {{questions}}
JOIN loyalty_lot AS l ON l.member_id = {MEMBER_OF}
WHERE l.available > 0 AND l.expires_at = r.expires_at AND l.expires_at > clock_timestamp()
GROUP BY r.ord
""",
    {**REF, "expires_at": "timestamptz"},
)
