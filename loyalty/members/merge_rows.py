"""What a merge reads and writes: everything of a member that goes over to another one.

Rows that move keep their number plus a shift, so that no table of what became what is needed.
"""

from dataclasses import dataclass
from typing import Any

from loyalty.engine.commands import REF, Ask, MemberRef, Read
from loyalty.engine.load import LOT_COLUMNS, MEMBER_OF, PERSON
from loyalty.engine.session import MemberWork
from loyalty.engine.writing import Table

MEMBER_MERGE = Table(
    "loyalty_membermerge",
    {
        "member_id": "uuid",
        "number": "bigint",
        "program_id": "int",
        "survivor_id": "uuid",
        "survivor_number": "bigint",
        "base": "bigint",
        "size": "bigint",
        "status_before": "text",
        "level_before": "text",
        "terms_before": "jsonb",
        "level_after": "text",
        "debt": "bigint",
        "counted": "jsonb",
        "taken": "jsonb",
        "merged_at": "timestamptz",
        "reversible_until": "timestamptz",
    },
)

MERGE_UNDONE = Table(
    "loyalty_membermerge",
    {"member_id": "uuid", "number": "bigint", "undone_at": "timestamptz"},
    update=(
        "UPDATE loyalty_membermerge AS m SET undone_at = r.undone_at FROM {rows}"
        " WHERE m.member_id = r.member_id AND m.number = r.number"
    ),
)

_MOVE = {"was": "uuid", "becomes": "uuid", "above": "bigint", "upto": "bigint", "shift": "bigint"}
_THEIRS = "member_id = r.was AND {a}.number > r.above AND {a}.number <= r.upto"

IDENTIFIERS_MOVED = Table(
    "loyalty_identifier",
    _MOVE,
    update=(
        "UPDATE loyalty_identifier AS i SET member_id = r.becomes, number = i.number + r.shift"
        " FROM {rows} WHERE i." + _THEIRS.format(a="i")
    ),
)

# `awarded_to` says in whose ledger the award of an order stands; none where it is the order's own.
ORDERS_MOVED = Table(
    "loyalty_order",
    _MOVE,
    update=(
        "UPDATE loyalty_order AS o SET member_id = r.becomes, number = o.number + r.shift,"
        " awarded_to = CASE WHEN o.transaction_number IS NULL THEN NULL"
        " ELSE nullif(coalesce(o.awarded_to, r.was), r.becomes) END"
        " FROM {rows} WHERE o." + _THEIRS.format(a="o")
    ),
)

CLAIMS_MOVED = Table(
    "loyalty_orderclaim",
    _MOVE,
    update=(
        "UPDATE loyalty_orderclaim AS c SET member_id = r.becomes, number = c.number + r.shift"
        " FROM {rows} JOIN loyalty_order AS o ON o." + _THEIRS.format(a="o") + " WHERE"
        " c.program_id = o.program_id AND c.ref = o.ref AND c.member_id = r.was"
        " AND c.number = o.number"
    ),
)

# What the merged member has had of limited rules counts for the survivor too; their own rows stay,
# so that it is known what to take off again.
USES_JOINED = Table(
    "loyalty_ruleuse",
    {"merged": "uuid", "survivor": "uuid"},
    update=(
        "INSERT INTO loyalty_ruleuse AS u (member_id, starts_on, rule, per, times, points)"
        " SELECT r.survivor, o.starts_on, o.rule, o.per, o.times, o.points FROM {rows}"
        " JOIN loyalty_ruleuse AS o ON o.member_id = r.merged"
        " ON CONFLICT (member_id, starts_on, rule, per) DO UPDATE SET"
        " times = u.times + excluded.times, points = u.points + excluded.points"
    ),
)
# What the orders that moved take of limits now, and took then, is the merged member's, and so is
# what they got for friends: by how much the one differs from the other, theirs has changed since.
# Of the survivor's goes what is theirs.
_TAKEN = """SELECT t.rule, t.per, t."from" AS starts_on, count(*)::int AS times,
        sum(t.points)::bigint AS points
    FROM (
        SELECT o.taken FROM loyalty_order AS o
        WHERE o.member_id = {member} AND o.number > {above} AND o.number <= {upto}
        UNION ALL
        SELECT g.taken::json FROM {who} AS p (member_id)
        CROSS JOIN LATERAL (
            SELECT * FROM loyalty_referralstep AS g
            WHERE g.member_id = p.member_id AND g.step = 2 AND g.awarded_to IN {who}
                AND NOT EXISTS (SELECT FROM loyalty_referralstep AS b
                    WHERE b.member_id = g.member_id AND b.friend_id = g.friend_id AND b.step = 3
                        AND b.settled_at IS NOT NULL) OFFSET 0
        ) AS g
    ) AS k
    CROSS JOIN LATERAL json_to_recordset(k.taken)
        AS t(rule text, per text, "from" date, points bigint, back boolean)
    WHERE t.rule IS NOT NULL AND t.back IS NULL
    GROUP BY t.rule, t.per, t."from\""""
_WITH_THEM = """(SELECT m.member_id UNION ALL SELECT s.member_id FROM loyalty_memberstate AS s
        WHERE s.merged_into = m.survivor_id AND s.merged_base > m.base
            AND s.merged_base < m.base + m.size)"""
_CHANGED = f"""SELECT r.merged, r.survivor, c.rule, c.per, c.starts_on,
        sum(c.times) AS times, sum(c.points) AS points
    FROM {{rows}}
    JOIN loyalty_membermerge AS m ON m.member_id = r.merged AND m.number = r.number
    CROSS JOIN LATERAL (
        {_TAKEN.format(member="r.survivor", above="m.base", upto="m.base + m.size", who=_WITH_THEM)}
        UNION ALL
        SELECT b.rule, b.per, b.starts_on, -b.times, -b.points FROM jsonb_to_recordset(m.taken)
            AS b(rule text, per text, starts_on date, times int, points bigint)
    ) AS c
    GROUP BY r.merged, r.survivor, c.rule, c.per, c.starts_on
    HAVING sum(c.times) <> 0 OR sum(c.points) <> 0"""
USES_PARTED = Table(
    "loyalty_ruleuse",
    {"merged": "uuid", "survivor": "uuid", "number": "bigint"},
    update=(
        "INSERT INTO loyalty_ruleuse AS u (member_id, starts_on, rule, per, times, points)"
        f" WITH changed AS ({_CHANGED})"
        " SELECT n.member_id, n.starts_on, n.rule, n.per, sum(n.times), sum(n.points) FROM ("
        "SELECT merged AS member_id, rule, per, starts_on, times, points FROM changed"
        " UNION ALL SELECT survivor, rule, per, starts_on, -times, -points FROM changed"
        " UNION ALL SELECT r.survivor, o.rule, o.per, o.starts_on, -o.times, -o.points"
        " FROM {rows} JOIN loyalty_ruleuse AS o ON o.member_id = r.merged) AS n"
        " GROUP BY n.member_id, n.starts_on, n.rule, n.per"
        " ON CONFLICT (member_id, starts_on, rule, per) DO UPDATE SET"
        " times = greatest(0, u.times + excluded.times),"
        " points = greatest(0, u.points + excluded.points)"
    ),
)

# The survivor is in all segments of both; whose they were is kept, so that a merge can be undone.
SEGMENTS_JOINED = Table(
    "loyalty_segmentmember",
    {"merged": "uuid", "survivor": "uuid"},
    update=(
        "INSERT INTO loyalty_segmentmember (member_id, segment, program_id, since, came_from)"
        " SELECT r.survivor, o.segment, o.program_id, o.since, r.merged FROM {rows}"
        " JOIN loyalty_segmentmember AS o ON o.member_id = r.merged"
        " ON CONFLICT (member_id, segment) DO NOTHING"
    ),
)
SEGMENTS_PARTED = Table(
    "loyalty_segmentmember",
    {"merged": "uuid", "survivor": "uuid"},
    update=(
        "DELETE FROM loyalty_segmentmember AS s USING {rows}"
        " WHERE s.member_id = r.survivor AND s.came_from = r.merged"
    ),
)

MOVABLE_LOTS = Read(
    "lots that can move",
    f"""
SELECT r.ord, {LOT_COLUMNS}
FROM {{questions}}
CROSS JOIN LATERAL (
    SELECT * FROM loyalty_lot AS l
    WHERE l.member_id = {MEMBER_OF} AND (l.available > 0 OR l.pending > 0) OFFSET 0
) AS l
""",
    REF,
)

# What the orders numbered from `above` to `upto` count for, by day; what they take of limits; the
# rows of the day sums; how many identifiers and orders there are.
COUNTED = """(SELECT coalesce(json_agg(json_build_array(d.day, d.spend, d.points, d.orders)), '[]')
    FROM (
        SELECT o.day, sum(o.net_amount)::bigint AS spend,
            sum(o.points - o.clawed_back)::bigint AS points, sum(CASE WHEN EXISTS (
                SELECT FROM json_array_elements(o.lines) AS e
                WHERE (e->>'returned')::bigint <> 0) AND NOT EXISTS (
                SELECT FROM json_array_elements(o.lines) AS e
                WHERE coalesce((e->>'returned')::bigint, 0)
                    <> (e->>'quantity')::numeric * 10000)
            THEN 0 ELSE 1 END)::int AS orders
        FROM loyalty_order AS o
        WHERE o.member_id = {member} AND o.state = 'paid' AND o.number > {above}
            AND o.number <= {upto}
        GROUP BY o.day
    ) AS d)::text"""
TAKEN = f"(SELECT coalesce(json_agg(t), '[]') FROM ({_TAKEN}) AS t)::text"
DAYS = """(SELECT coalesce(json_agg(json_build_array(a.day, a.spend, a.points, a.orders)), '[]')
    FROM loyalty_activityday AS a WHERE a.member_id = {member})::text"""

BELONGINGS = Read(
    "what a member has",
    f"""
SELECT r.ord, {COUNTED.format(member="x.member_id", above="0", upto="x.upto")},
    {TAKEN.format(member="x.member_id", above="0", upto="x.upto", who=PERSON)},
    {DAYS.format(member="x.member_id")},
    (SELECT count(*) FROM loyalty_identifier AS i WHERE i.member_id = x.member_id),
    (SELECT count(*) FROM loyalty_order AS o WHERE o.member_id = x.member_id),
    EXISTS (SELECT FROM loyalty_hold AS h WHERE h.member_id = x.member_id AND h.state = 'open'
        AND h.expires_at > clock_timestamp())
FROM {{questions}}
CROSS JOIN LATERAL (SELECT {MEMBER_OF} AS member_id, 9223372036854775807 AS upto) AS x
""",
    REF,
)

LAST_MERGE = Read(
    "last merge of a member",
    f"""
SELECT r.ord, m.number, m.survivor_id, m.base, m.size, m.status_before, m.level_before,
    m.level_after, m.debt, m.counted::text, m.reversible_until, m.undone_at, s.merged_into,
    {COUNTED.format(member="m.survivor_id", above="m.base", upto="m.base + m.size")},
    {DAYS.format(member="m.member_id")},
    (SELECT count(*) FROM loyalty_identifier AS i
     WHERE i.member_id = m.survivor_id AND i.number > m.base AND i.number <= m.base + m.size),
    (SELECT count(*) FROM loyalty_order AS o
     WHERE o.member_id = m.survivor_id AND o.number > m.base AND o.number <= m.base + m.size),
    m.terms_before::text
FROM {{questions}}
CROSS JOIN LATERAL (
    SELECT * FROM loyalty_membermerge AS m WHERE m.member_id = {MEMBER_OF}
    ORDER BY m.number DESC LIMIT 1
) AS m
JOIN loyalty_memberstate AS s ON s.member_id = m.member_id
""",
    REF,
)

THEIR_LOTS = Read(
    "lots that came with a merge",
    f"""
SELECT r.ord, {LOT_COLUMNS}
FROM {{questions}}
CROSS JOIN LATERAL (
    SELECT * FROM loyalty_membermerge AS m WHERE m.member_id = {MEMBER_OF}
    ORDER BY m.number DESC LIMIT 1
) AS m
CROSS JOIN LATERAL (
    SELECT * FROM loyalty_lot AS l
    WHERE l.member_id = m.survivor_id AND (l.available > 0 OR l.pending > 0)
        AND (l.number > m.base AND l.number <= m.base + m.size
            OR l.origin > m.base AND l.origin <= m.base + m.size
            OR l.order_number > m.base AND l.order_number <= m.base + m.size) OFFSET 0
) AS l
""",
    REF,
)

MERGED_WITH = Read(
    "who was merged into a member",
    f"""
SELECT r.ord, s.member_id, s.merged_base FROM {{questions}}
JOIN loyalty_memberstate AS s ON s.merged_into = {MEMBER_OF}
""",
    REF,
)

MERGED_TO = Read(
    "where a member's rows went",
    f"""
SELECT r.ord, s.merged_base FROM {{questions}}
CROSS JOIN LATERAL (
    SELECT * FROM loyalty_memberstate AS s WHERE s.member_id = {MEMBER_OF} OFFSET 0
) AS s
""",
    REF,
)


def movable_lots(ref: MemberRef) -> Ask:
    """Ask for all lots of a member that have points, usable or pending."""
    return Ask(MOVABLE_LOTS, tuple(ref))


def belongings_of(ref: MemberRef) -> Ask:
    """Ask what a member's orders and days count for, and what else they have."""
    return Ask(BELONGINGS, tuple(ref))


def last_merge_of(ref: MemberRef) -> Ask:
    """Ask for the last merge in which this member was merged away."""
    return Ask(LAST_MERGE, tuple(ref))


def their_lots(ref: MemberRef) -> Ask:
    """Ask for the survivor's lots that came with this member."""
    return Ask(THEIR_LOTS, tuple(ref))


def merged_with(ref: MemberRef) -> Ask:
    """Ask who was merged into this member, and by how much their numbers grew."""
    return Ask(MERGED_WITH, tuple(ref))


def merged_to(ref: MemberRef) -> Ask:
    """Ask by how much the numbers of a member's rows grew when they were merged away."""
    return Ask(MERGED_TO, tuple(ref))


@dataclass(frozen=True, slots=True)
class Move:
    """Whose rows become whose: those numbered above `above` up to `upto`, plus `shift`."""

    was: MemberWork
    becomes: MemberWork
    above: int
    upto: int
    shift: int

    def put(self) -> None:
        """Move identifiers, and orders with their claims."""
        row: dict[str, Any] = {
            "was": self.was.member_id,
            "becomes": self.becomes.member_id,
            "above": self.above,
            "upto": self.upto,
            "shift": self.shift,
        }
        for table in (IDENTIFIERS_MOVED, ORDERS_MOVED, CLAIMS_MOVED):
            self.becomes.rows.put(table, row)
