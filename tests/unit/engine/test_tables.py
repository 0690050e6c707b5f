"""The rows that commands put, and the one statement that writes them."""

import re
from datetime import UTC, date, datetime
from uuid import UUID

import pytest

from loyalty.database.values import Row, as_parameters
from loyalty.engine.tables import (
    ACTIVITY_DAY,
    HOLD,
    KEY_ANSWER,
    MEMBER_STATE,
    OUTBOX_EVENT,
    POSTING,
)
from loyalty.engine.writing import Rows, Table, write_statement
from loyalty.ledger.buckets import Bucket
from loyalty.ledger.models import MemberState
from loyalty.orders.rows import NEW_ORDER, ORDER


def found(rows: Rows) -> dict[str, list[dict]]:
    return {table.name: [said(table, row) for row in found] for table, found in rows.items()}


def said(table: Table, row: Row) -> dict:
    return {name: value for name, value in table.named(row).items() if value is not None}


def test_rows_of_a_table_without_a_key_are_all_kept():
    rows = Rows()
    rows.put(POSTING, {"seq": 1})
    rows.put(POSTING, {"seq": 1})
    assert found(rows) == {"loyalty_posting": [{"seq": 1}, {"seq": 1}]}


def test_a_later_row_replaces_the_one_with_its_key():
    rows = Rows()
    rows.put(HOLD, {"member_id": 1, "number": 2, "state": "open"})
    rows.put(HOLD, {"member_id": 1, "number": 3, "state": "open"})
    rows.put(HOLD, {"member_id": 1, "number": 2, "state": "captured"})
    assert [row["state"] for row in found(rows)["loyalty_hold"]] == ["captured", "open"]


def test_sums_of_the_same_day_are_added_up():
    rows = Rows()
    for spend in (500, -200):
        rows.put(ACTIVITY_DAY, {"member_id": 1, "day": 9, "spend": spend, "points": 1, "orders": 1})
    for _ in range(2):  # asking changes nothing
        assert found(rows)["loyalty_activityday"] == [
            {"member_id": 1, "day": 9, "spend": 300, "points": 2, "orders": 2}
        ]


def test_taking_over_rows_follows_the_same_rules():
    one, other = Rows(), Rows()
    one.put(MEMBER_STATE, {"member_id": 1, "number_seq": 5})
    other.put(MEMBER_STATE, {"member_id": 1, "number_seq": 6})
    one.extend(other)
    assert found(one)["loyalty_memberstate"] == [{"member_id": 1, "number_seq": 6}]


def test_the_same_tables_come_in_the_same_order():
    one, other = Rows(), Rows()
    tables = (KEY_ANSWER, POSTING, OUTBOX_EVENT, HOLD, NEW_ORDER, ORDER)
    for rows, order in ((one, tables), (other, tables[::-1])):
        for table in order:
            rows.put(table, {"client": 1, "key": "k", "member_id": 1, "number": 1})
    assert [table for table, _ in one.items()] == [table for table, _ in other.items()]


def test_one_row_is_parameters_and_many_are_an_array_of_each_column():
    row = ACTIVITY_DAY.row(
        {"member_id": UUID(int=1), "day": date(2026, 1, 2), "spend": 5, "points": -1}
    )
    assert ACTIVITY_DAY.parameters([row]) == [
        "00000000-0000-0000-0000-000000000001",
        "2026-01-02",
        "5",
        "-1",
        None,
    ]
    assert [ACTIVITY_DAY.shape([row] * count) for count in (1, 2, 1000)] == [1, 0, 0]
    days, spends = ACTIVITY_DAY.parameters([row, row])[1:3]
    assert (days, spends) == ('{"2026-01-02","2026-01-02"}', "{5,5}")
    assert "VALUES ($3::uuid, $4::date," in ACTIVITY_DAY.statement(3, rows=1)
    assert "unnest($3::uuid[]) AS member_id, unnest($4::date[])" in ACTIVITY_DAY.statement(
        3, rows=0
    )


def test_parameters_are_numbered_through_all_tables():
    sql = write_statement(((OUTBOX_EVENT, 2), (POSTING, 0), (MEMBER_STATE, 1)))
    numbers = [int(found) for found in re.findall(r"\$(\d+)::", sql)]
    assert numbers == list(range(1, 37))  # 2 x 10, 11, 5


@pytest.mark.parametrize(
    ("type_", "value", "text"),
    [
        ("text", 'a "b" \\ é', 'a "b" \\ é'),
        ("text", MemberState.Status.FROZEN, "frozen"),
        ("smallint", Bucket.HELD, "3"),
        ("boolean", True, "true"),
        ("boolean", False, "false"),
        ("timestamptz", datetime(2026, 1, 2, 3, 4, 5, 6, UTC), "2026-01-02T03:04:05.000006+00:00"),
        ("jsonb", "word", '"word"'),
        ("jsonb", {"at": date(2026, 1, 2)}, '{"at":"2026-01-02"}'),
        ("jsonb", [], "[]"),
        ("jsonb", None, None),
        ("bigint", None, None),
    ],
)
def test_a_value_is_what_postgresql_reads_for_its_type(type_, value, text):
    assert as_parameters({"column": type_}, [(value,)]) == [text]
