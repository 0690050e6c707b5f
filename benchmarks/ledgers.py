"""A large ledger beside a small one: the same calls, and the audit.

A ledger is made of one member with real orders, who is copied row by row, all columns as they are:
by SQL, with the triggers off, since the engine itself would need an hour. Indexes that are not keys
are made again at the end, as a restore does it.
"""

import re
from collections.abc import Sequence

import psycopg
from psycopg import sql

from benchmarks import tills
from benchmarks.rounds import Plan, Row, Sample, absolute, interleave, play, ratio
from benchmarks.stage import Site, Stage

ORDERS = 10
POSTINGS = ORDERS + 1  # and the points of the start
MODEL = 0

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
    "loyalty_outboxevent": {},
}
KEYS = """
INSERT INTO loyalty_idempotencykey (client, key, request_hash, status, body, created_at)
SELECT k.client, k.key || '-' || c.n, k.request_hash, k.status, k.body, k.created_at
FROM loyalty_idempotencykey AS k, copies AS c
WHERE k.key IN (SELECT ref FROM loyalty_order WHERE member_id = %(model)s)
"""


def ledger(stage: Stage, plan: Plan) -> list[Row]:
    """A ledger with many postings beside one with few; then the audit of the large one."""
    small = _with_postings(stage, "engine-small", plan.small)
    big = _with_postings(stage, "engine-big", plan.big)
    rows = []
    for kind in ("earn", "balance"):
        print(f"  {kind}")
        seen = _compare(stage, plan, kind, [(big, plan.big), (small, plan.small)])
        what = f"{kind}: time, {plan.big:,} postings to {plan.small:,}"
        rows.append(ratio(what, seen[big.name], seen[small.name], _mean, "<= 1.3"))
    return [*rows, _audit(big, plan)]


def _mean(sample: Sample) -> float:
    return sample.mean


def _compare(
    stage: Stage, plan: Plan, kind: str, sites: Sequence[tuple[Site, int]]
) -> dict[str, list[Sample]]:
    for site, postings in sites:
        play(stage, site, kind, seconds=plan.seconds / 2, members=_some(postings), connections=2)
    return interleave(
        plan.rounds,
        {
            site.name: lambda site=site, postings=postings: play(
                stage, site, kind, seconds=plan.seconds, members=_some(postings), connections=2
            )
            for site, postings in sites
        },
    )


def _some(postings: int) -> list[int]:
    """Choose members from everywhere in the ledger."""
    members = postings // POSTINGS
    step = max(1, members // tills.MEMBERS)
    return list(range(tills.MEMBERS, tills.MEMBERS + members, step))


def _with_postings(stage: Stage, name: str, postings: int) -> Site:
    site = stage.site(name)
    play(stage, site, "earn", seconds=60, most=ORDERS, members=[MODEL], connections=1)
    print(f"  making {postings:,} postings", flush=True)
    with psycopg.connect(site.database_url, autocommit=True) as connection:
        _copy_member(connection, postings // POSTINGS)
    return site


def _copy_member(connection: psycopg.Connection, times: int) -> None:
    connection.execute("SET session_replication_role = replica")
    connection.execute("SET maintenance_work_mem = '256MB'")
    found = connection.execute(
        "SELECT member_id FROM loyalty_identifier WHERE value = %s", [tills.card(MODEL)]
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
    for table, changed in TABLES.items():
        _copy_rows(connection, table, changed, found[0])
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


def _audit(site: Site, plan: Plan) -> Row:
    rates = []
    for _ in range(min(plan.rounds, 3)):
        told = site.run("manage.py", "audit_ledger")
        found = re.search(r"([\d,]+) postings a second", told)
        if found is None or "The ledger is proved" not in told:
            raise SystemExit(f"The audit failed:\n{told}")
        rates.append(float(found[1].replace(",", "")))
    return absolute("audit_ledger: postings a second", rates, ">= 200,000", "/s")
