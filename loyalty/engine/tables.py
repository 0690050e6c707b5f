"""What the write statement may write: one entry per table, rows given as JSON.

Every row of every outcome goes into one statement. Its text depends only on which tables have
rows, so that a process prepares a handful of statements and uses them for ever.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """One table that commands write, and how.

    Attributes:
        name: Name of the table in the database.
        columns: SQL type by column, as in the rows.
        key: Columns that name a row, where later rows of the same command replace earlier ones;
            empty where rows are only added.
        tail: What follows the insert, such as an ON CONFLICT clause.
        update: A whole UPDATE to use instead of the insert; `{rows}` stands for the rows.
        add: Columns whose values are added up where rows have the same key.
        order_by: Columns by which rows are inserted: where defaults must be drawn in order, and
            where two runs may insert the same unique values (in one order nobody deadlocks).
    """

    name: str
    columns: Mapping[str, str]
    key: tuple[str, ...] = ()
    tail: str = ""
    update: str = ""
    add: tuple[str, ...] = ()
    order_by: str = ""

    def statement(self, parameter: int, *, single: bool) -> str:
        """Give the SQL of this table with its rows in parameter number `parameter`.

        A single row is an object, not an array: PostgreSQL then knows that it is one, and finds
        the row to update by its key. It takes an array for 100 rows and scans a small table.
        """
        types = ", ".join(f"{column} {type_}" for column, type_ in self.columns.items())
        function = "json_to_record" if single else "json_to_recordset"
        rows = f"{function}(${parameter}::json) AS r({types})"
        if self.update:
            return self.update.replace("{rows}", rows)
        names = ", ".join(self.columns)
        order = f" ORDER BY {self.order_by}" if self.order_by and not single else ""
        return f"INSERT INTO {self.name} ({names}) SELECT {names} FROM {rows}{order} {self.tail}"


@lru_cache(maxsize=256)
def write_statement(tables: tuple[tuple[Table, bool], ...]) -> str:
    """Compose the one statement that writes rows of these tables (parameters in their order).

    Args:
        tables: Each with whether it gets a single row.
    """
    parts = [
        f"w{number} AS ({table.statement(number, single=single)})"
        for number, (table, single) in enumerate(tables, 1)
    ]
    return "WITH " + ",\n".join(parts) + "\nSELECT 1"


class Rows:
    """The rows that a command decided to write, by table."""

    __slots__ = ("_added", "_keyed")

    def __init__(self) -> None:
        self._added: dict[Table, list[dict[str, Any]]] = {}
        self._keyed: dict[Table, dict[tuple[Any, ...], dict[str, Any]]] = {}

    def put(self, table: Table, row: dict[str, Any]) -> None:
        """Add a row; in a table with a key it replaces or adds to the one with its key."""
        if not table.key:
            self._added.setdefault(table, []).append(row)
            return
        keyed = self._keyed.setdefault(table, {})
        key = tuple([row[column] for column in table.key])
        earlier = keyed.get(key)
        if earlier is None or not table.add:
            keyed[key] = row
            return
        for column in table.add:
            earlier[column] += row[column]

    def extend(self, other: "Rows") -> None:
        """Take over all rows of another collection."""
        for table, added in other._added.items():
            self._added.setdefault(table, []).extend(added)
        for table, keyed in other._keyed.items():
            for row in keyed.values():
                self.put(table, row)

    def items(self) -> list[tuple[Table, list[dict[str, Any]]]]:
        """List tables with their rows, in an order that is the same for the same tables."""
        found = [(table, rows) for table, rows in self._added.items()]
        found += [(table, list(rows.values())) for table, rows in self._keyed.items()]
        return sorted(found, key=lambda item: item[0].name)


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
        "explanation": "jsonb",
    },
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
        "cause": "jsonb",
        "balances": "jsonb",
        "data": "jsonb",
    },
    order_by="sequence",
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
    update=(
        "UPDATE loyalty_poolcode AS c SET state = 'free', member_id = NULL, number = NULL"
        " FROM {rows} WHERE c.member_id = r.member_id AND c.number = r.number"
        " AND c.state = 'held'"
    ),
)
