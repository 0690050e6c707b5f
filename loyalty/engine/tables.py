"""What the write statement may write: one entry per table."""

from loyalty.engine.writing import Table

KEY_ANSWER = Table(
    "loyalty_idempotencykey",
    {
        "client": "bigint",
        "key": "text",
        "request_hash": "bytea",
        "status": "smallint",
        "body": "text",
        "personal_of": "uuid",
        "created_at": "timestamptz",
    },
    order_by="key",
    shared=frozenset({"client", "created_at"}),
)

MEMBER_STATE = Table(
    "loyalty_memberstate",
    {
        "member_id": "uuid",
        "status": "text",
        "event_seq": "bigint",
        "number_seq": "bigint",
        "slides_until": "timestamptz",
    },
    key=("member_id",),
    update=(
        "UPDATE loyalty_memberstate AS s SET status = r.status, event_seq = r.event_seq,"
        " number_seq = r.number_seq, slides_until = r.slides_until"
        " FROM {rows} WHERE s.member_id = r.member_id"
    ),
)

MEMBER_STATE_MERGED = Table(
    "loyalty_memberstate",
    {**MEMBER_STATE.columns, "merged_into": "uuid", "merged_base": "bigint"},
    key=("member_id",),
    update=(
        "UPDATE loyalty_memberstate AS s SET status = r.status, event_seq = r.event_seq,"
        " number_seq = r.number_seq, slides_until = r.slides_until,"
        " merged_into = r.merged_into, merged_base = r.merged_base"
        " FROM {rows} WHERE s.member_id = r.member_id"
    ),
)

NEW_MEMBER_STATE = Table(
    "loyalty_memberstate",
    {
        "member_id": "uuid",
        "program_id": "int",
        "status": "text",
        "event_seq": "bigint",
        "number_seq": "bigint",
        "slides_until": "timestamptz",
    },
)

NEW_WALLET = Table(
    "loyalty_wallet",
    {
        "member_id": "uuid",
        "currency": "smallint",
        "pending": "bigint",
        "available": "bigint",
        "held": "bigint",
        "debt": "bigint",
        "lifetime_earned": "bigint",
        "seq": "bigint",
    },
)

LEDGER_TRANSACTION = Table(
    "loyalty_ledgertransaction",
    {
        "member_id": "uuid",
        "number": "bigint",
        "program_id": "int",
        "program_version": "int",
        "kind": "text",
        "points": "bigint",
        "source": "text",
        "source_ref": "text",
        "actor": "text",
        "reason": "text",
        "store": "text",
        "order_number": "bigint",
        "redemption_number": "bigint",
        "reverses": "bigint",
        "counterpart_id": "uuid",
        "counterpart_number": "bigint",
        "request_id": "text",
        "occurred_at": "timestamptz",
        "recorded_at": "timestamptz",
        "explanation": "json",
    },
    shared=frozenset({"program_id", "program_version", "source", "actor", "recorded_at"}),
)

EMPTY_LOT = dict.fromkeys(
    (
        "granted",
        "pending",
        "available",
        "held",
        "redeemed",
        "expired",
        "revoked",
        "settled",
        "moved",
    ),
    0,
)

LOT = Table(
    "loyalty_lot",
    {
        "member_id": "uuid",
        "number": "bigint",
        "program_id": "int",
        "currency": "smallint",
        "granted": "bigint",
        "pending": "bigint",
        "available": "bigint",
        "held": "bigint",
        "redeemed": "bigint",
        "expired": "bigint",
        "revoked": "bigint",
        "settled": "bigint",
        "moved": "bigint",
        "active_at": "timestamptz",
        "expires_at": "timestamptz",
        "slides": "boolean",
        "origin": "bigint",
        "came_from": "text",
        "order_number": "bigint",
    },
    shared=frozenset({"program_id", "currency", *EMPTY_LOT}),
)

POSTING = Table(
    "loyalty_posting",
    {
        "member_id": "uuid",
        "currency": "smallint",
        "seq": "bigint",
        "transaction_number": "bigint",
        "lot_number": "bigint",
        "source": "smallint",
        "destination": "smallint",
        "amount": "bigint",
        "available_after": "bigint",
        "redemption_number": "bigint",
        "posted_at": "timestamptz",
    },
    shared=frozenset({"currency"}),
)

HOLD = Table(
    "loyalty_hold",
    {
        "member_id": "uuid",
        "number": "bigint",
        "program_id": "int",
        "amount": "bigint",
        "captured": "bigint",
        "released": "bigint",
        "state": "text",
        "expires_at": "timestamptz",
    },
    key=("member_id", "number"),
    tail=(
        "ON CONFLICT (member_id, number) DO UPDATE SET captured = excluded.captured,"
        " released = excluded.released, state = excluded.state"
    ),
)

OUTBOX_EVENT = Table(
    "loyalty_outboxevent",
    {
        "member_id": "uuid",
        "sequence": "bigint",
        "program_id": "int",
        "type": "text",
        "version": "smallint",
        "occurred_at": "timestamptz",
        "recorded_at": "timestamptz",
        "cause": "json",
        "balances": "json",
        "data": "json",
    },
    few=2,  # most commands tell one event or two
    shared=frozenset({"program_id", "version", "recorded_at"}),
)

MEMBER_TIER = Table(
    "loyalty_membertier",
    {
        "member_id": "uuid",
        "program_id": "int",
        "level": "text",
        "since": "timestamptz",
        "valid_until": "date",
        "grace_until": "date",
        "earned_level": "text",
        "earned_until": "date",
    },
    key=("member_id",),
    tail=(
        "ON CONFLICT (member_id) DO UPDATE SET level = excluded.level, since = excluded.since,"
        " valid_until = excluded.valid_until, grace_until = excluded.grace_until,"
        " earned_level = excluded.earned_level, earned_until = excluded.earned_until"
    ),
)

TIER_CHANGE = Table(
    "loyalty_tierchange",
    {
        "member_id": "uuid",
        "number": "bigint",
        "from_level": "text",
        "to_level": "text",
        "kind": "text",
        "reason": "text",
        "actor": "text",
        "valid_until": "date",
        "metric": "bigint",
        "program_version": "int",
        "changed_at": "timestamptz",
    },
)

ACTIVITY_DAY = Table(
    "loyalty_activityday",
    {"member_id": "uuid", "day": "date", "spend": "bigint", "points": "bigint", "orders": "int"},
    key=("member_id", "day"),
    add=("spend", "points", "orders"),
    tail=(
        "ON CONFLICT (member_id, day) DO UPDATE SET"
        " spend = loyalty_activityday.spend + excluded.spend,"
        " points = loyalty_activityday.points + excluded.points,"
        " orders = loyalty_activityday.orders + excluded.orders"
    ),
)

REDEMPTION_STATE = Table(
    "loyalty_redemption",
    {
        "member_id": "uuid",
        "number": "bigint",
        "state": "text",
        "counts": "boolean",
        "took_stock": "boolean",
        "updated_at": "timestamptz",
    },
    key=("member_id", "number"),
    update=(
        "UPDATE loyalty_redemption AS d SET state = r.state, counts = r.counts,"
        " took_stock = r.took_stock, updated_at = r.updated_at FROM {rows}"
        " WHERE d.member_id = r.member_id AND d.number = r.number"
    ),
)

STOCK = Table(
    "loyalty_rewardstock",
    {"program_id": "int", "reward": "text", "taken": "int"},
    key=("program_id", "reward"),
    add=("taken",),
    # Locked in one order first: two runs that give back several would wait for each other.
    update=(
        "UPDATE loyalty_rewardstock AS s SET remaining = s.remaining - n.taken FROM ("
        "SELECT k.id, r.taken FROM {rows} JOIN loyalty_rewardstock AS k"
        " ON k.program_id = r.program_id AND k.reward = r.reward"
        " ORDER BY k.reward FOR NO KEY UPDATE OF k) AS n WHERE s.id = n.id"
    ),
)

CODE_BACK = Table(
    "loyalty_poolcode",
    {"member_id": "uuid", "number": "bigint"},
    key=("member_id", "number"),
    # By ids, so that no plan of the first day looks through all codes for those of many.
    update=(
        "UPDATE loyalty_poolcode AS c SET state = 'free', member_id = NULL, number = NULL"
        " WHERE c.state = 'held' AND c.id = ANY (ARRAY(SELECT k.id FROM {rows}"
        " CROSS JOIN LATERAL (SELECT k.id FROM loyalty_poolcode AS k"
        " WHERE k.member_id = r.member_id AND k.number = r.number OFFSET 0) AS k))"
    ),
)
