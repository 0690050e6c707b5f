"""What few members have at a time is read by functions, called only for those who have it.

A statement starts all of its parts each time it runs, also those that find nothing; for what was
due that took longer than all else that is read of a member (docs/performance.md).
"""

from django.db import migrations

# As `loyalty.engine.load.LOT_JSON`, which a test compares.
LOT = """json_build_object('number', l.number, 'pending', l.pending,
    'available', l.available, 'held', l.held, 'active_at', l.active_at,
    'expires_at', CASE WHEN l.slides AND l.expires_at IS NULL THEN (
        SELECT e.slides_until FROM loyalty_memberstate AS e WHERE e.member_id = l.member_id)
    ELSE l.expires_at END, 'origin', l.origin, 'order_number', l.order_number,
    'slides', (l.slides AND l.expires_at IS NULL))"""

# OFFSET 0 keeps a plan from going by the index of what is due, which has all members in it.
QUERIES = {
    "loyalty_expired_lots(uuid, timestamptz)": f"""
SELECT json_agg({LOT}) FROM loyalty_lot AS l
WHERE l.member_id = $1 AND l.available > 0 AND NOT l.slides AND l.expires_at <= $2
""",
    "loyalty_matured_lots(uuid, timestamptz)": f"""
SELECT json_agg({LOT}) FROM (
    SELECT * FROM loyalty_lot AS l WHERE l.member_id = $1 AND l.pending > 0 OFFSET 0
) AS l WHERE l.active_at <= $2
""",
    "loyalty_sliding_lots(uuid)": f"""
SELECT json_agg({LOT}) FROM loyalty_lot AS l
WHERE l.member_id = $1 AND l.available > 0 AND l.slides
""",
    "loyalty_lapsed_holds(uuid, timestamptz)": f"""
SELECT json_agg(json_build_object('number', h.number, 'amount', h.amount,
    'expires_at', h.expires_at,
    'reward_stock', CASE WHEN d.took_stock THEN d.reward ELSE '' END,
    'has_code', d.gives ? 'code_from_pool',
    'lots', (
        SELECT json_agg(json_build_object('held_here', u.amount, 'lot', {LOT}))
        FROM (
            SELECT p.lot_number,
                sum(CASE WHEN p.destination = 3 THEN p.amount ELSE -p.amount END) AS amount
            FROM loyalty_posting AS p
            WHERE p.member_id = h.member_id AND p.redemption_number = h.number
                AND 3 IN (p.source, p.destination)
            GROUP BY p.lot_number
        ) AS u JOIN loyalty_lot AS l ON l.member_id = h.member_id AND l.number = u.lot_number
        WHERE u.amount > 0)) ORDER BY h.expires_at, h.number)
FROM (
    SELECT * FROM loyalty_hold AS h WHERE h.member_id = $1 AND h.state = 'open' OFFSET 0
) AS h JOIN loyalty_redemption AS d ON d.member_id = h.member_id AND d.number = h.number
WHERE h.expires_at <= $2
""",
    "loyalty_lots_of_order(uuid, bigint)": f"""
SELECT json_agg({LOT}) FROM loyalty_lot AS l WHERE l.member_id = $1 AND l.order_number = $2
""",
}

# STABLE: they see what the statement that calls them sees, and nothing later. In PL/pgSQL, since
# PostgreSQL keeps its plans; before version 18 it plans a function in SQL each time.
CREATE = "".join(
    f"CREATE FUNCTION {name} RETURNS json LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN ({query}); END $$;\n"
    for name, query in QUERIES.items()
)
DROP = f"DROP FUNCTION {', '.join(QUERIES)};"


class Migration(migrations.Migration):
    """Make the functions."""

    dependencies = [("loyalty", "0002_protect_ledger")]

    operations = [migrations.RunSQL(CREATE, DROP)]
