"""What commands write and read of redemptions."""

from typing import Any
from uuid import UUID

from loyalty.engine.commands import REF, Ask, MemberRef, Read
from loyalty.engine.load import LOT_COLUMNS, MEMBER_OF, PERSON
from loyalty.engine.writing import Table

REDEMPTION = Table(
    "loyalty_redemption",
    {
        "member_id": "uuid",
        "number": "bigint",
        "program_id": "int",
        "reward": "text",
        "points": "bigint",
        "captured": "bigint",
        "reinstated": "bigint",
        "state": "text",
        "gives": "jsonb",
        "store": "text",
        "order_ref": "text",
        "ref": "text",
        "held_until": "timestamptz",
        "created_at": "timestamptz",
        "updated_at": "timestamptz",
        "counts": "boolean",
        "fulfilment": "text",
        "fulfilment_note": "text",
        "took_stock": "boolean",
        "given_for": "text",
    },
    key=("member_id", "number"),
    tail=(
        "ON CONFLICT (member_id, number) DO UPDATE SET captured = excluded.captured,"
        " reinstated = excluded.reinstated, state = excluded.state, gives = excluded.gives,"
        " updated_at = excluded.updated_at, counts = excluded.counts,"
        " fulfilment = excluded.fulfilment, took_stock = excluded.took_stock,"
        " fulfilment_note = coalesce(nullif(excluded.fulfilment_note, ''),"
        " loyalty_redemption.fulfilment_note)"
    ),
)

REDEMPTION_CLAIM = Table(
    "loyalty_redemptionclaim",
    {
        "program_id": "int",
        "store": "text",
        "ref": "text",
        "member_id": "uuid",
        "number": "bigint",
        "content_hash": "text",
    },
    order_by="store, ref",
)

COLUMNS = """d.number, d.reward, d.points, d.captured, d.reinstated, d.state, d.gives::text,
    d.store, d.order_ref, d.ref, d.held_until, d.created_at, d.updated_at, d.counts,
    d.fulfilment, d.took_stock, d.given_for"""

REDEMPTION_OF = Read(
    "redemption",
    f"""
SELECT r.ord, {COLUMNS}, h.expires_at, c.id, c.sealed, c.valid_until
FROM {{questions}}
CROSS JOIN LATERAL (
    SELECT * FROM loyalty_redemption AS d
    WHERE d.member_id = r.member_id AND d.number = r.number AND d.program_id = $1 OFFSET 0
) AS d
LEFT JOIN loyalty_hold AS h ON h.member_id = d.member_id AND h.number = d.number
LEFT JOIN loyalty_poolcode AS c
    ON c.member_id = d.member_id AND c.number = d.number AND c.state IN ('held', 'given')
""",
    {"member_id": "uuid", "number": "bigint"},
)

# What is still held (bucket 3) and what is redeemed (4) by a redemption, lot by lot.
REDEMPTION_LOTS = Read(
    "lots of a redemption",
    f"""
SELECT r.ord, {LOT_COLUMNS}, u.held, u.redeemed
FROM {{questions}}
CROSS JOIN LATERAL (
    SELECT p.lot_number,
        sum(CASE 3 WHEN p.destination THEN p.amount WHEN p.source THEN -p.amount ELSE 0 END)
            ::bigint AS held,
        sum(CASE 4 WHEN p.destination THEN p.amount WHEN p.source THEN -p.amount ELSE 0 END)
            ::bigint AS redeemed
    FROM loyalty_posting AS p
    WHERE p.member_id = r.member_id AND p.redemption_number = r.number
    GROUP BY p.lot_number
) AS u
JOIN loyalty_lot AS l ON l.member_id = r.member_id AND l.number = u.lot_number
""",
    {"member_id": "uuid", "number": "bigint"},
)

# How often in the present period, whether never any, how often for nothing this year, whether a
# level gave it within a year, and whether one that came at a balance was given back since the last.
# What a level gives is no redemption of the member's.
# OFFSET 0 and LIMIT 1, as with an order's ref: a plan of the first day would look through all rows.
REWARD_USE = Read(
    "use of a reward",
    f"""
SELECT r.ord, n.times,
    NOT EXISTS (SELECT FROM {PERSON} AS o (member_id) CROSS JOIN LATERAL (
        SELECT FROM loyalty_redemption AS d
        WHERE d.member_id = o.member_id AND d.given_for <> 'tier_entry' LIMIT 1) AS d),
    n.free, n.by_level, n.given_back
FROM {{questions}}
JOIN loyalty_program AS p ON p.id = $1
CROSS JOIN LATERAL (SELECT {MEMBER_OF} AS member_id OFFSET 0) AS x
CROSS JOIN LATERAL (
    SELECT clock_timestamp() AS now, clock_timestamp() AT TIME ZONE p.timezone AS local
) AS t
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE d.takes_turn AND (r.per = 'ever'
            OR d.created_at >= date_trunc(r.per, t.local) AT TIME ZONE p.timezone)) AS times,
        count(*) FILTER (WHERE d.takes_turn AND d.given_for = 'free_redemption'
            AND d.created_at >= date_trunc('year', t.local) AT TIME ZONE p.timezone) AS free,
        count(*) FILTER (WHERE d.given_for = 'tier_entry'
            AND d.created_at > t.now - interval '1 year') > 0 AS by_level,
        coalesce(max(d.updated_at) FILTER (WHERE d.given_for = 'auto_redeem'
                AND d.state = 'reversed')
            > max(d.created_at) FILTER (WHERE d.given_for = 'auto_redeem'), false) AS given_back
    FROM {PERSON} AS o (member_id) CROSS JOIN LATERAL (
        SELECT d.created_at, d.updated_at, d.state, d.given_for,
            d.counts AND NOT (d.state = 'held' AND d.held_until <= t.now) AS takes_turn
        FROM loyalty_redemption AS d
        WHERE d.member_id = o.member_id AND d.reward = r.reward OFFSET 0) AS d
) AS n
""",
    {**REF, "reward": "text", "per": "text"},
)

# OFFSET 0: as with an order's ref.
REDEMPTION_BY_REF = Read(
    "redemption by the till's ref",
    f"""
SELECT r.ord, c.member_id, c.content_hash, {COLUMNS}
FROM {{questions}}
CROSS JOIN LATERAL (
    SELECT * FROM loyalty_redemptionclaim AS c
    WHERE c.program_id = $1 AND c.store = r.store AND c.ref = r.ref OFFSET 0
) AS c
JOIN loyalty_redemption AS d ON d.member_id = c.member_id AND d.number = c.number
""",
    {"store": "text", "ref": "text"},
)

# The row that many tills want: locked after everything else.
STOCK_LEFT = Read(
    "stock",
    """
SELECT r.ord, s.remaining
FROM {questions} JOIN loyalty_rewardstock AS s ON s.program_id = $1 AND s.reward = r.reward
ORDER BY s.reward FOR NO KEY UPDATE OF s
""",
    {"reward": "text"},
    rank=9,
)


def redemption_of(member_id: UUID, number: int) -> Ask:
    """Ask for one redemption."""
    return Ask(REDEMPTION_OF, (member_id, number))


def lots_of_redemption(member_id: UUID, number: int) -> Ask:
    """Ask which lots a redemption used."""
    return Ask(REDEMPTION_LOTS, (member_id, number))


def use_of(ref: MemberRef, reward: str, per: str) -> Ask:
    """Ask how often a member had a reward in the present period, and whether ever any."""
    return Ask(REWARD_USE, (*ref, reward, per))


def redemption_by_ref(store: str, ref: str) -> Ask:
    """Ask for the redemption with a till's own number."""
    return Ask(REDEMPTION_BY_REF, (store, ref))


def stock_of(reward: str) -> Ask:
    """Ask how many of a reward are left, and lock that row."""
    return Ask(STOCK_LEFT, (reward,))


def put_redemption(work: Any, redemption: Any) -> None:
    """Write a redemption as it is now."""
    work.rows.put(
        REDEMPTION,
        {
            "member_id": work.member_id,
            "number": redemption.number,
            "program_id": work.program.id,
            "reward": redemption.reward,
            "points": redemption.points,
            "captured": redemption.captured,
            "reinstated": redemption.reinstated,
            "state": redemption.state,
            "gives": redemption.gives,
            "store": redemption.store,
            "order_ref": redemption.order_ref,
            "ref": redemption.ref,
            "held_until": redemption.held_until,
            "created_at": redemption.created_at,
            "updated_at": work.now,
            "counts": redemption.counts,
            "fulfilment": redemption.fulfilment,
            "fulfilment_note": redemption.new_note,
            "took_stock": redemption.took_stock,
            "given_for": redemption.given_for,
        },
    )
