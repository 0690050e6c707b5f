"""What a command reads and writes is found by its key, however large the tables have become.

PostgreSQL keeps the plans of a connection. One that looks through a table is quick while the table
is small, is therefore chosen on the first day, and is kept while the table grows.
"""

import re
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import orjson
import pytest
from django.db import connection

from loyalty import urls
from loyalty.engine.commands import REF, Read, fill_questions
from loyalty.engine.load import KEY, LOCK, LOT_JSON, MEMBERS, STORED
from loyalty.engine.writing import Table
from tests.factories import connect, open_till

FUNCTIONS = import_module("loyalty.migrations.0003_read_what_is_due")

SMALL = {
    "loyalty_program",
    "loyalty_rewardstock",
    "loyalty_campaignbudget",
    "loyalty_poolnotice",
    "loyalty_poolcode",  # the next of a pool, by an index that has the free ones only
}
KEYS = (
    *("member_id", "referrer_id", "merged_into", "personal_of"),
    *("ref)", "value)", "key)", "(code)", " id", "(id"),
)
"""What an index must be entered with: a member, or a name that is unique."""


def reads() -> dict[str, str]:
    """Every statement of the load, as a single command sends it, and as a batch does."""
    assert urls.urlpatterns  # which imports all domains
    modules = [module for name, module in sys.modules.items() if name.startswith("loyalty.")]
    found = {id(v): v for module in modules for v in vars(module).values() if isinstance(v, Read)}
    all_reads = [(read.name, read.sql, read.columns) for read in found.values()]
    all_reads += [("lock", LOCK, REF), ("members", MEMBERS, REF), ("stored answers", STORED, KEY)]
    return {
        f"{name}, {'one' if single else 'many'}": fill_questions(
            sql, tuple(columns.items()), single=single
        )
        for name, sql, columns in all_reads
        for single in (True, False)
    }


def updates() -> dict[str, str]:
    """Every statement that changes rows which are there, as a command sends it, and a batch."""
    assert urls.urlpatterns
    modules = [module for name, module in sys.modules.items() if name.startswith("loyalty.")]
    found = {
        name: value
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, Table) and value.update
    }
    return {
        f"{name}, {'one' if rows else 'many'}": table.statement(1, rows=rows)
        for name, table in found.items()
        for rows in (1, 0)
    }


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


# Whether PostgreSQL has counted the tests' small tables by now is chance. A plan for tables that
# were never counted is what connections of the first day keep.
UNCOUNTED = (
    "DELETE FROM pg_statistic WHERE starelid IN"
    " (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)",
    "UPDATE pg_class SET reltuples = -1, relpages = 0"
    " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i')",
)


def kept_plan(cursor: Any, statement: str) -> Any:
    """Ask for the plan for any parameters; PostgreSQL 15 gives it of prepared statements only."""
    used = {int(number) for number in re.findall(r"\$(\d+)", statement)}
    # Of what a statement does not use, PostgreSQL cannot see the type.
    types = ["unknown" if n in used else "int" for n in range(1, max(used) + 1)]
    cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
    cursor.execute(f"PREPARE asked ({', '.join(types)}) AS {statement}")
    cursor.execute(f"EXPLAIN (FORMAT JSON) EXECUTE asked ({', '.join('NULL' for _ in types)})")
    found = cursor.fetchone()[0]
    cursor.execute("DEALLOCATE asked")
    return found


def scans_through(statement: str, small: set[str] = SMALL) -> list[str]:
    """List the tables that a kept plan looks through, in the best case for it."""
    with connection.cursor() as cursor:
        for forgetting in UNCOUNTED:
            cursor.execute(forgetting)
        # How large the tests' tables are is chance; whether there is another way is not.
        cursor.execute("SET LOCAL enable_seqscan = off")
        found = kept_plan(cursor, statement)
    plan = (orjson.loads(found) if isinstance(found, str) else found)[0]["Plan"]
    tables = [node for node in nodes(plan) if node.get("Relation Name", "").startswith("loyalty_")]
    return [
        f"{node['Relation Name']} by {node['Node Type']}"
        for node in tables
        if node["Relation Name"] not in small and not entered_by_key(node)
    ]


def entered_by_key(node: dict[str, Any]) -> bool:
    conditions = [found.get("Index Cond", "") for found in nodes(node)]
    return any(key in condition for condition in conditions for key in KEYS)


@pytest.mark.django_db
@pytest.mark.parametrize("name", sorted(reads()))
def test_a_read_finds_its_rows_by_a_key(name: str):
    assert scans_through(reads()[name]) == []


@pytest.mark.django_db
@pytest.mark.parametrize("name", sorted(updates()))
def test_an_update_finds_its_rows_by_a_key(name: str):
    assert scans_through(updates()[name], SMALL - {"loyalty_poolcode"}) == []


@pytest.mark.django_db
def test_what_the_reads_call_finds_its_rows_by_a_key():
    """Functions have plans of their own, which EXPLAIN of the caller does not show."""
    for name, query in FUNCTIONS.QUERIES.items():
        assert scans_through(f"SELECT ({query})") == [], name


def test_lots_are_read_in_one_shape():
    assert FUNCTIONS.LOT == LOT_JSON


HAS = """
SELECT w.member_id, w.seq + 1, t.number, l.number, w.available - 1 FROM loyalty_wallet AS w
JOIN loyalty_lot AS l ON l.member_id = w.member_id
JOIN loyalty_ledgertransaction AS t ON t.member_id = w.member_id
WHERE w.member_id = ANY(%s)
"""
POST = """
INSERT INTO loyalty_posting (member_id, currency, seq, transaction_number, lot_number, source,
    destination, amount, available_after, posted_at)
SELECT r.member_id, 1, r.seq, r.transaction, r.lot, 2, 4, 1, r.after, now()
FROM unnest(%s::uuid[], %s::int[], %s::int[], %s::int[], %s::int[])
    AS r (member_id, seq, transaction, lot, after)
"""


SCANS = "SELECT pg_stat_get_xact_numscans('loyalty_wallet'::regclass)"


def test_a_batch_leaves_no_plan_that_a_single_posting_suffers_from():
    """The trigger's plans are kept, and a batch may be the first for which they are made."""
    till = open_till()
    ids = [till.ids[card] for card in (till.member(10) for _ in range(20))]
    with connect() as session:
        session.execute("ANALYZE loyalty_wallet")
        found = session.execute(HAS, [ids]).fetchall()
        with session.transaction(force_rollback=True):
            before = session.execute(SCANS).fetchone()
            for rows in (found[1:], found[:1]):
                session.execute(POST, [list(column) for column in zip(*rows, strict=True)])
            assert session.execute(SCANS).fetchone() == before
