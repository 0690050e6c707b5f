"""One member with a real history, copied row by row, all columns as they are.

By SQL, with the triggers off, since the engine itself would need an hour. Indexes that are not keys
are made again at the end, as a restore does it.
"""

from collections.abc import Mapping

import psycopg
from psycopg import sql

from benchmarks import tills

# Tables with their members' column; what must differ besides it, with n as the copy's number.
TABLES: dict[str, dict[str, str]] = {
    "loyalty_member": {},
    "loyalty_memberstate": {},
    "loyalty_wallet": {},
    "loyalty_identifier": {"value": f"lpad((c.n + {tills.MEMBERS})::text, 8, '0')"},
    "loyalty_membertier": {},
    "loyalty_tierchange": {},
    "loyalty_activityday": {},
    "loyalty_ledgertransaction": {"source_ref": "t.source_ref || '-' || c.n"},
    "loyalty_lot": {},
    "loyalty_expirytotal": {},
    "loyalty_posting": {},
    "loyalty_order": {"ref": "t.ref || '-' || c.n"},
    "loyalty_orderclaim": {"ref": "t.ref || '-' || c.n"},
    "loyalty_redemption": {},
    "loyalty_outboxevent": {},
}
KEYS = """
INSERT INTO loyalty_idempotencykey (client, key, request_hash, status, body, created_at)
SELECT k.client, k.key || '-' || c.n, k.request_hash, k.status, k.body, k.created_at
FROM loyalty_idempotencykey AS k, copies AS c
WHERE k.key IN (SELECT ref FROM loyalty_order WHERE member_id = %(model)s)
"""


def copy_member(
    connection: psycopg.Connection,
    card: str,
    times: int,
    changed: Mapping[str, Mapping[str, str]] | None = None,
) -> None:
    """Copy the member with this card so many times; the copies' cards go on behind all members'.

    Args:
        connection: In autocommit.
        changed: By table and column, what its rows have instead, as SQL over the row `t`.
    """
    connection.execute("SET session_replication_role = replica")
    connection.execute("SET maintenance_work_mem = '256MB'")
    found = connection.execute(
        "SELECT member_id FROM loyalty_identifier WHERE value = %s", [card]
    ).fetchone()
    assert found is not None
    # As the engine's own ids: those of members who enrol later are larger.
    connection.execute(
        "CREATE TEMP TABLE copies AS SELECT n, overlay(gen_random_uuid()::text"
        " PLACING to_char(n, 'FM00000000-0000') FROM 1 FOR 13)::uuid AS member_id"
        " FROM generate_series(0, %s - 1) AS n",
        [times],
    )
    made_again = _drop_indexes(connection)
    for table, own in TABLES.items():
        _copy_rows(connection, table, {**own, **(changed or {}).get(table, {})}, found[0])
    connection.execute(KEYS, {"model": found[0]})
    for statement in made_again:
        connection.execute(statement)
    connection.execute("VACUUM ANALYZE")
    connection.execute("CHECKPOINT")


def _drop_indexes(connection: psycopg.Connection) -> list[bytes]:
    """Drop the indexes that are not keys; return the statements that make them again."""
    found = connection.execute(
        "SELECT x.indexrelid::regclass::text, pg_get_indexdef(x.indexrelid) FROM pg_index AS x"
        " WHERE NOT x.indisunique AND x.indrelid = ANY(%s::regclass[])",
        [[*TABLES, "loyalty_idempotencykey"]],
    ).fetchall()
    for name, _ in found:
        connection.execute(f"DROP INDEX {name}".encode())
    return [definition.encode() for _, definition in found]


def _copy_rows(
    connection: psycopg.Connection, table: str, changed: dict[str, str], model: object
) -> None:
    """Copy the model's rows of one table, whatever columns it has."""
    member = "id" if table == "loyalty_member" else "member_id"
    columns = [
        row[0]
        for row in connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
            " AND NOT attisdropped AND attidentity = ''",
            [table],
        )
    ]
    values = {column: f"t.{column}" for column in columns} | changed | {member: "c.member_id"}
    statement = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} AS t, copies AS c WHERE {} = {}")
    connection.execute(
        statement.format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.SQL(", ").join(sql.SQL(values[column]) for column in columns),
            sql.Identifier(table),
            sql.Identifier("t", member),
            sql.Literal(model),
        )
    )
