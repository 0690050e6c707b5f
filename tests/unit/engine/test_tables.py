"""The rows that commands put, and the one statement that writes them."""

from loyalty.engine.tables import (
    ACTIVITY_DAY,
    HOLD,
    KEY_ANSWER,
    MEMBER_STATE,
    OUTBOX_EVENT,
    POSTING,
    Rows,
)


def found(rows: Rows) -> dict[str, list[dict]]:
    return {table.name: list(values) for table, values in rows.items()}


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
    tables = (KEY_ANSWER, POSTING, OUTBOX_EVENT, HOLD)
    for rows, order in ((one, tables), (other, tables[::-1])):
        for table in order:
            rows.put(table, {"client": 1, "key": "k", "member_id": 1, "number": 1})
    assert [table for table, _ in one.items()] == [table for table, _ in other.items()]
