"""Statements that travel together: answers, errors, preparation, and what a dead server leaves."""

import psycopg
import pytest
from django.db import connection as django_connection

from loyalty.engine.exchange import Statement, exchange

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
