"""What commands write and read of referrals."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from loyalty.engine.commands import REF, Ask, MemberRef, Read
from loyalty.engine.load import LOT_JSON, MEMBER_OF, PERSON
from loyalty.engine.writing import Table

CODE: Final = Table(
    "loyalty_referralcode",
    {"program_id": "int", "code": "text", "member_id": "uuid"},
    order_by="code",
)

_GIFT: Final = {
    "awarded_to": "uuid",
    "transaction_number": "bigint",
    "lot_number": "bigint",
    "points": "bigint",
    "taken": "jsonb",
}

REFERRAL: Final = Table(
    "loyalty_referral",
    {
        "member_id": "uuid",
        "program_id": "int",
        "referrer_id": "uuid",
        "state": "text",
        "created_at": "timestamptz",
        "changed_at": "timestamptz",
        "order_scope": "text",
        "order_ref": "text",
        **_GIFT,
    },
    key=("member_id",),
    tail=(
        "ON CONFLICT (member_id) DO UPDATE SET state = excluded.state,"
        " changed_at = excluded.changed_at, order_scope = excluded.order_scope,"
        " order_ref = excluded.order_ref, awarded_to = excluded.awarded_to,"
        " transaction_number = excluded.transaction_number, lot_number = excluded.lot_number,"
        " points = excluded.points, taken = excluded.taken"
    ),
)

STEP: Final = Table(
    "loyalty_referralstep",
    {
        "member_id": "uuid",
        "friend_id": "uuid",
        "step": "smallint",
        "program_id": "int",
        "day": "date",
        "facts": "jsonb",
        "occurred_at": "timestamptz",
        "recorded_at": "timestamptz",
        "points": "bigint",
        "taken": "jsonb",
    },
    key=("member_id", "friend_id", "step"),
)

# Inserted onto themselves, so that no plan of the first day looks through all steps for many.
STEP_SETTLED: Final = Table(
    "loyalty_referralstep",
    {
        "member_id": "uuid",
        "friend_id": "uuid",
        "step": "smallint",
        "settled_at": "timestamptz",
        **_GIFT,
    },
    key=("member_id", "friend_id", "step"),
    update=(
        "INSERT INTO loyalty_referralstep (member_id, friend_id, step, program_id, day, facts,"
        " occurred_at, recorded_at, settled_at, awarded_to, transaction_number, lot_number, points,"
        " taken) SELECT t.member_id, t.friend_id, t.step, t.program_id, t.day, t.facts,"
        " t.occurred_at, t.recorded_at, r.settled_at, r.awarded_to, r.transaction_number,"
        " r.lot_number, r.points, r.taken FROM {rows} CROSS JOIN LATERAL ("
        "SELECT * FROM loyalty_referralstep AS t WHERE t.member_id = r.member_id"
        " AND t.friend_id = r.friend_id AND t.step = r.step OFFSET 0) AS t"
        " ON CONFLICT (member_id, friend_id, step) DO UPDATE SET settled_at = excluded.settled_at,"
        " awarded_to = excluded.awarded_to, transaction_number = excluded.transaction_number,"
        " lot_number = excluded.lot_number, points = excluded.points, taken = excluded.taken"
    ),
)

# Whoever was merged away leads to who goes on for them, who may be closed by now.
CODE_OWNER: Final = Read(
    "owner of a referral code",
    """
SELECT r.ord, s.member_id, s.status,
    (SELECT json_agg(json_build_array(i.type, i.value))::text FROM loyalty_identifier AS i
     WHERE i.member_id = s.member_id)
FROM {questions}
CROSS JOIN LATERAL (
    SELECT * FROM loyalty_referralcode AS c
    WHERE c.program_id = $1 AND c.code = r.code OFFSET 0
) AS c
JOIN loyalty_memberstate AS o ON o.member_id = c.member_id
JOIN loyalty_memberstate AS s ON s.member_id = coalesce(o.merged_into, o.member_id)
""",
    {"code": "text"},
)

# How the numbers of gift {g}'s ledger grew in that of member x, who has it now: none where x never
# had it, or has it no more since a merge was taken back.
_BASE: Final = """(CASE WHEN {g}.awarded_to = x.member_id THEN 0 ELSE (
        SELECT b.merged_base FROM loyalty_memberstate AS b
        WHERE b.member_id = {g}.awarded_to AND b.merged_into = x.member_id) END)"""

# The lots of a gift: what was renewed or came back names the lot that it continues.
_LOTS: Final = f"""(SELECT json_agg({LOT_JSON})::text
    FROM (SELECT {{g}}.lot_number + {_BASE} AS number) AS n
    JOIN loyalty_lot AS l ON l.member_id = x.member_id AND n.number IN (l.number, l.origin))"""

_PEOPLE: Final = f"""CROSS JOIN LATERAL (SELECT {MEMBER_OF} AS member_id OFFSET 0) AS x
CROSS JOIN LATERAL {PERSON} AS o (member_id)"""

_GIFT_OF: Final = f"""{{g}}.awarded_to, {{g}}.transaction_number, {{g}}.lot_number,
    CASE WHEN {_BASE} IS NULL THEN 0 ELSE {{g}}.points END, {{g}}.taken"""

REFERRALS: Final = Read(
    "open referral",
    f"""
SELECT r.ord, f.member_id, f.referrer_id, coalesce(s.merged_into, f.referrer_id), f.state,
    f.created_at, (
        SELECT min(m.enrolled_at) FROM {PERSON} AS p (member_id)
        JOIN loyalty_member AS m ON m.id = p.member_id)
FROM {{questions}}
{_PEOPLE}
CROSS JOIN LATERAL (
    SELECT * FROM loyalty_referral AS f
    WHERE f.member_id = o.member_id AND f.state = 'open' OFFSET 0
) AS f
JOIN loyalty_memberstate AS s ON s.member_id = f.referrer_id
""",
    REF,
)

# Only for the order that converted it: finding the lots of a gift looks through the member's.
CONVERTED: Final = Read(
    "converted referrals",
    f"""
SELECT r.ord, f.member_id, f.referrer_id, f.referrer_id, f.state, f.created_at, f.created_at,
    f.order_scope, f.order_ref, {_GIFT_OF.format(g="f")}, {_LOTS.format(g="f")}
FROM {{questions}}
{_PEOPLE}
CROSS JOIN LATERAL (
    SELECT * FROM loyalty_referral AS f
    WHERE f.member_id = o.member_id AND f.state = 'converted' AND f.order_ref = r.order_ref OFFSET 0
) AS f
""",
    {**REF, "order_ref": "text"},
)

AT_ONCE: Final = 100
"""So many steps one command does: somebody with thousands of friends holds nobody up."""

# What was converted is done before it is reversed, whoever's clock says what.
STEPS: Final = Read(
    "steps of referrals",
    f"""
SELECT r.ord, t.*
FROM {{questions}}
CROSS JOIN LATERAL (SELECT {MEMBER_OF} AS member_id OFFSET 0) AS x
CROSS JOIN LATERAL (
    SELECT t.member_id, t.friend_id, t.step, t.day, t.facts::text, t.occurred_at,
        coalesce(s.merged_into, t.friend_id), {_GIFT_OF.format(g="g")}, {_LOTS.format(g="g")}
    FROM {PERSON} AS o (member_id)
    CROSS JOIN LATERAL (
        SELECT * FROM loyalty_referralstep AS t
        WHERE t.program_id = $1 AND t.member_id = o.member_id AND t.settled_at IS NULL OFFSET 0
    ) AS t
    JOIN loyalty_memberstate AS s ON s.member_id = t.friend_id
    LEFT JOIN LATERAL (
        SELECT * FROM loyalty_referralstep AS g
        WHERE t.step = 3 AND g.step = 2 AND g.member_id = t.member_id
            AND g.friend_id = t.friend_id OFFSET 0
    ) AS g ON true
    ORDER BY t.step, t.recorded_at, t.friend_id LIMIT {AT_ONCE}
) AS t
ORDER BY r.ord, t.step
""",
    REF,
)

# Those who have steps to do; whoever was merged away has them done by who goes on.
DUE: Final = """
SELECT DISTINCT coalesce(s.merged_into, t.member_id) AS member_id
FROM loyalty_referralstep AS t JOIN loyalty_memberstate AS s ON s.member_id = t.member_id
WHERE t.program_id = %(program)s AND t.settled_at IS NULL
"""

# Whom a member, or who was merged into them, brought: the newest first, each with what they got.
FRIENDS: Final = Read(
    "friends",
    f"""
SELECT r.ord, f.member_id, f.state, f.created_at, f.changed_at,
    CASE WHEN f.state = 'reversed' THEN 0 ELSE g.points END, g.is_due
FROM {{questions}}
CROSS JOIN LATERAL (SELECT {MEMBER_OF} AS member_id OFFSET 0) AS x
CROSS JOIN LATERAL (
    SELECT f.* FROM {PERSON} AS o (member_id)
    CROSS JOIN LATERAL (
        SELECT * FROM loyalty_referral AS f
        WHERE f.referrer_id = o.member_id AND f.created_at <= r.joined_by
            AND (f.created_at, f.member_id) < (r.joined_by, r.before)
        ORDER BY f.created_at DESC, f.member_id DESC LIMIT r.most
    ) AS f
    ORDER BY f.created_at DESC, f.member_id DESC LIMIT r.most
) AS f
CROSS JOIN LATERAL (
    SELECT coalesce(sum(t.points), 0)::bigint AS points,
        coalesce(bool_or(t.settled_at IS NULL), false) AS is_due
    FROM loyalty_referralstep AS t
    WHERE t.member_id = f.referrer_id AND t.friend_id = f.member_id
) AS g
ORDER BY r.ord, f.created_at DESC, f.member_id DESC
""",
    {**REF, "joined_by": "timestamptz", "before": "uuid", "most": "int"},
)

ERASED_CODE: Final = Table(
    "loyalty_referralcode",
    {"member_id": "uuid"},
    update="DELETE FROM loyalty_referralcode AS c USING {rows} WHERE c.member_id = r.member_id",
)


def owner_of_code(code: str) -> Ask:
    """Ask whose code it is."""
    return Ask(CODE_OWNER, (code,))


def open_referral(ref: MemberRef) -> Ask:
    """Ask who brought a member, where that has come to nothing yet."""
    return Ask(REFERRALS, tuple(ref))


def converted_referrals(ref: MemberRef, order_ref: str) -> Ask:
    """Ask for a member's referrals that orders of that ref converted, with what they got."""
    return Ask(CONVERTED, (*ref, order_ref))


def due_steps(ref: MemberRef) -> Ask:
    """Ask what a member is still to be told of, and given for, the friends they brought."""
    return Ask(STEPS, tuple(ref))


def friends_of(ref: MemberRef, *, joined_by: datetime, before: UUID, most: int) -> Ask:
    """Ask whom a member brought, from the one before these on."""
    return Ask(FRIENDS, (*ref, joined_by, before, most))


def no_gift() -> dict[str, Any]:
    """Give the columns of a gift that is not given yet, where a table must have them."""
    return {"points": 0, "taken": []}
