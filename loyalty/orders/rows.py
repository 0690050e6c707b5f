"""What commands write and read of orders."""

from loyalty.engine.commands import Ask, Read
from loyalty.engine.load import LOT_JSON
from loyalty.engine.session import MemberWork
from loyalty.engine.writing import Table
from loyalty.orders.rules import OrderRecord

NEW_ORDER = Table(
    "loyalty_order",
    {
        "member_id": "uuid",
        "number": "bigint",
        "program_id": "int",
        "ref": "text",
        "store": "text",
        "channel": "text",
        "state": "text",
        "revision": "bigint",
        "occurred_at": "timestamptz",
        "day": "date",
        "currency": "text",
        "net_amount": "bigint",
        "lines": "json",
        "points": "bigint",
        "clawed_back": "bigint",
        "returns": "json",
        "transaction_number": "bigint",
        "awarded_to": "uuid",
        "program_version": "int",
        "recorded_at": "timestamptz",
        "taken": "json",
    },
    key=("member_id", "number"),
    shared=frozenset({"program_id"}),
)

_CHANGING = (
    "state",
    "revision",
    "occurred_at",
    "day",
    "net_amount",
    "lines",
    "points",
    "clawed_back",
    "returns",
    "transaction_number",
    "awarded_to",
    "program_version",
    "taken",
)

# Not an UPDATE: the plan for many rows of one may look through all orders.
ORDER = Table(
    "loyalty_order",
    NEW_ORDER.columns,
    key=NEW_ORDER.key,
    tail=(
        "ON CONFLICT (member_id, number) DO UPDATE SET "
        + ", ".join(f"{name} = excluded.{name}" for name in _CHANGING)
    ),
    shared=NEW_ORDER.shared,
)

ORDER_CLAIM = Table(
    "loyalty_orderclaim",
    {
        "program_id": "int",
        "scope": "text",
        "ref": "text",
        "member_id": "uuid",
        "number": "bigint",
    },
    order_by="ref, scope",
    shared=frozenset({"program_id"}),
)

# $2 is a scope ("store:309") or '' for any. OFFSET 0 keeps the claims from being read before the
# questions, which a plan made while the table was small would do for ever.
ORDER_BY_REF = Read(
    "order by its ref",
    """
SELECT r.ord, o.member_id, c.scope, o.number, o.ref, o.store, o.channel, o.state, o.revision,
    o.occurred_at, o.day, o.currency, o.net_amount, o.lines::text, o.points, o.clawed_back,
    o.returns::text, o.transaction_number, o.awarded_to,
    o.program_version, o.recorded_at,
    o.taken::text,
    (SELECT t.explanation::text FROM loyalty_ledgertransaction AS t
     WHERE t.member_id = coalesce(o.awarded_to, o.member_id)
        AND t.number = o.transaction_number),
    loyalty_lots_of_order(o.member_id, o.number)::text
FROM {questions}
CROSS JOIN LATERAL (
    SELECT * FROM loyalty_orderclaim AS c
    WHERE c.program_id = $1 AND c.ref = r.ref AND r.scope IN ('', c.scope) OFFSET 0
) AS c
JOIN loyalty_order AS o ON o.member_id = c.member_id AND o.number = c.number
""",
    {"scope": "text", "ref": "text"},
)


ACTIVITY_CLAIM = Table(
    "loyalty_activityclaim",
    {
        "program_id": "int",
        "activity": "text",
        "ref": "text",
        "member_id": "uuid",
        "number": "bigint",
        "lot_number": "bigint",
        "content_hash": "text",
    },
    order_by="activity, ref",
)

# What happened stays with a member who was merged; whoever goes on for them asks about it.
ACTIVITY_BY_REF = Read(
    "activity by its ref",
    f"""
SELECT r.ord, c.member_id, coalesce(s.merged_into, c.member_id), c.number, c.content_hash, t.points,
    t.explanation::text,
    (SELECT {LOT_JSON}::text FROM loyalty_lot AS l
     WHERE l.member_id = c.member_id AND l.number = c.lot_number)
FROM {{questions}}
CROSS JOIN LATERAL (
    SELECT * FROM loyalty_activityclaim AS c
    WHERE c.program_id = $1 AND c.activity = r.activity AND c.ref = r.ref OFFSET 0
) AS c
JOIN loyalty_ledgertransaction AS t ON t.member_id = c.member_id AND t.number = c.number
JOIN loyalty_memberstate AS s ON s.member_id = c.member_id
""",
    {"activity": "text", "ref": "text"},
)


def activity_by_ref(activity: str, ref: str) -> Ask:
    """Ask for a recorded activity."""
    return Ask(ACTIVITY_BY_REF, (activity, ref))


def order_by_ref(scope: str, ref: str) -> Ask:
    """Ask for an order; without a scope for all orders with that ref."""
    return Ask(ORDER_BY_REF, (scope, ref))


def put_order(work: MemberWork, order: OrderRecord) -> None:
    """Write an order as it is now; one that this run recorded is still inserted."""
    work.rows.put(
        NEW_ORDER if order.is_new else ORDER,
        {
            "member_id": order.member_id,
            "number": order.number,
            "program_id": work.program.id,
            "ref": order.ref,
            "store": order.store,
            "channel": order.channel,
            "state": order.state,
            "revision": order.revision,
            "occurred_at": order.occurred_at,
            "day": order.day,
            "currency": order.currency,
            "net_amount": order.net_amount,
            "lines": order.lines,
            "points": order.points,
            "clawed_back": order.clawed_back,
            "returns": order.returns,
            "transaction_number": order.transaction_number,
            "awarded_to": order.awarded_to,
            "program_version": order.program_version,
            "recorded_at": order.recorded_at,
            "taken": order.taken,
        },
    )


def put_claim(work: MemberWork, order: OrderRecord) -> None:
    """Make the order's ref unique, for ever."""
    work.rows.put(
        ORDER_CLAIM,
        {
            "program_id": work.program.id,
            "scope": order.scope,
            "ref": order.ref,
            "member_id": work.member_id,
            "number": order.number,
        },
    )
