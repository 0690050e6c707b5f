"""Statements that travel together: answers, errors, preparation, and what a dead server leaves."""

import json
from datetime import UTC, date, datetime
from uuid import UUID

import psycopg
import pytest
from django.db import connection as django_connection

from loyalty.database.exchange import Statement, exchange
from loyalty.database.values import arrays_of, as_arrays
from loyalty.ledger.buckets import Bucket
from loyalty.ledger.models import MemberState

pytestmark = pytest.mark.django_db


@pytest.fixture
def raw():
    """Give a connection of its own, as Django makes them."""
    parameters = {**django_connection.get_connection_params(), "prepare_threshold": 2}
    parameters.pop("cursor_factory", None)
    with psycopg.connect(**parameters, autocommit=True) as connection:
        yield connection


def prepared(connection):
    found = connection.execute(
        "SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'loyalty%'"
    )
    return found.fetchone()[0]


def test_each_statement_has_its_rows(raw):
    one, none, two = (
        Statement("SELECT $1::int, $2::text", [7, "x"]),
        Statement("SELECT 1 WHERE false"),
        Statement("SELECT n FROM unnest($1::int[]) AS n", [[1, 2]]),
    )
    exchange(raw, [one, none, two])
    assert (one.rows, none.rows, two.rows) == ([(7, "x")], [], [(1,), (2,)])
    assert one.done and none.done and two.done


@pytest.mark.parametrize(
    ("type_", "values"),
    [
        ("text", ["", "null", "NULL", "{a, b}", "a,b", "é 🙂", None]),
        ("text", ["", "null", 'say "\\n"', "two\nlines\t", '"', "\\", None]),
        ("uuid", [UUID(int=1), UUID(int=2**128 - 1)]),
        ("uuid", [UUID(int=1), None]),
        ("bigint", [0, -1, 2**63 - 1, -(2**63), None]),
        ("boolean", [True, False, None]),
        ("date", [date(2026, 2, 1), None]),
        ("timestamptz", [datetime(2026, 2, 3, 4, 5, 6, 7, UTC), None]),
    ],
)
def test_many_rows_arrive_as_they_were_sent(raw, type_, values):
    assert there_and_back(raw, type_, values) == values


@pytest.mark.parametrize("type_", ["json", "jsonb"])
def test_many_documents_arrive_as_they_were_sent(raw, type_):
    documents = ['{"[]"}', "", [], {"a": [1, {"b": 'c "d" \\n'}]}, 7, False, [None]]
    found = there_and_back(raw, type_, documents)
    assert [read if type_ == "json" else json.loads(read) for read in found] == documents


def test_of_many_documents_one_can_be_missing(raw):
    assert there_and_back(raw, "jsonb", [{}, None]) == ["{}", None]


def test_many_bytes_arrive_as_bytes_and_as_text(raw):
    answers = [b'{"say":"\xc3\xa9 \\"x\\""}', b"", b"NULL"]
    assert there_and_back(raw, "bytea", answers) == answers
    assert there_and_back(raw, "text", answers) == [answer.decode() for answer in answers]


def test_what_all_rows_say_alike_is_sent_once(raw):
    columns = {"number": "int", "version": "smallint", "at": "timestamptz"}
    now = datetime(2026, 2, 3, 4, 5, 6, 7, UTC)
    rows = [(number, 1, now) for number in (1, 2)]
    shared = {"version", "at"}
    sent = Statement(arrays_of(columns, 1, shared), as_arrays(columns, rows, shared))
    exchange(raw, [sent])
    assert sent.parameters == ["{1,2}", "1", now.isoformat()]
    assert sent.rows == [(1, 1, now), (2, 1, now)]


def test_what_rows_do_not_say_alike_is_not_written_for_all():
    rows = [(number, number) for number in (1, 2)]
    with pytest.raises(ValueError, match="version"):
        as_arrays({"number": "int", "version": "smallint"}, rows, {"version"})


def there_and_back(connection, type_, values):
    columns = {"number": "int", "value": type_}
    sent = Statement(arrays_of(columns, 1), as_arrays(columns, [*enumerate(values)]))
    exchange(connection, [sent])
    assert [number for number, _ in sent.rows] == list(range(len(values)))
    return [value for _, value in sent.rows]


def test_of_many_rows_none_is_null_and_a_constant_is_its_value(raw):
    columns = {"id": "uuid", "status": "text", "bucket": "smallint", "hash": "bytea"}
    rows = [
        (str(UUID(int=1)), MemberState.Status.FROZEN, Bucket.HELD, None),
        (None, 'a "word"', None, "\\x00ff"),
    ]
    sent = Statement(arrays_of(columns, 1), as_arrays(columns, rows))
    exchange(raw, [sent])
    frozen, held = MemberState.Status.FROZEN.value, Bucket.HELD.value
    assert sent.rows == [
        (UUID(int=1), frozen, held, None),
        (None, 'a "word"', None, b"\x00\xff"),
    ]


def test_the_first_error_is_raised_and_nothing_after_it_is_done(raw):
    first, wrong, after = (
        Statement("SELECT 1"),
        Statement("SELECT 1 / $1::int", [0]),
        Statement("SELECT 2"),
    )
    with pytest.raises(psycopg.errors.DivisionByZero):
        exchange(raw, [Statement("BEGIN"), first, wrong, after])
    assert first.done and not wrong.done and not after.done
    assert raw.info.transaction_status == psycopg.pq.TransactionStatus.INERROR
    raw.execute("ROLLBACK")
    exchange(raw, [after])
    assert after.rows == [(2,)]


def test_a_statement_is_prepared_when_it_comes_again(raw):
    for number in range(6):
        again = Statement("SELECT $1::int + 1", [number])
        exchange(raw, [again])
        assert again.rows == [(number + 1,)]
    assert prepared(raw) == 1


def test_without_a_threshold_nothing_is_prepared(raw):
    raw.prepare_threshold = None
    for _ in range(6):
        exchange(raw, [Statement("SELECT $1::int", [1])])
    assert prepared(raw) == 0


def test_a_preparation_that_fails_is_tried_again(raw):
    for _ in range(5):
        with pytest.raises(psycopg.errors.UndefinedTable):
            exchange(raw, [Statement("SELECT * FROM not_there WHERE 1 = $1::int", [1])])
    raw.execute("CREATE TEMP TABLE not_there AS SELECT 1 AS one")
    found = Statement("SELECT * FROM not_there WHERE 1 = $1::int", [1])
    exchange(raw, [found])
    assert found.rows == [(1,)]


def test_much_in_both_directions_does_not_block(raw):
    text = "x" * 3_000_000
    statements = [Statement("SELECT $1::text", [text]) for _ in range(4)]
    exchange(raw, statements)
    assert [one.rows[0][0] == text for one in statements] == [True] * 4


def test_a_dead_connection_is_closed_and_raises(raw):
    exchange(raw, [Statement("SELECT 1")])
    with psycopg.connect(**{**raw.info.get_parameters(), "password": raw.info.password}) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [raw.info.backend_pid])
    with pytest.raises(psycopg.OperationalError):
        exchange(raw, [Statement("SELECT 1")])
    assert raw.closed
