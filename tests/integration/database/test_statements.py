"""Statements that are prepared: their values, Django's transactions, and who counts them."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from django.db import DataError, connection, transaction
from django.test.utils import CaptureQueriesContext

from loyalty.database.statements import Prepared, PreparedRows, fetch_together
from loyalty.programs.models import Program
from tests.factories import open_till, unique

NAME = Prepared("UPDATE loyalty_program SET name = %(name)s WHERE id = %(id)s RETURNING name")


@pytest.fixture
def program() -> Program:
    return Program.objects.get(pk=open_till().program.pk)


def name_of(program: Program) -> str:
    return Program.objects.get(pk=program.pk).name


class TestValues:
    @pytest.mark.parametrize(
        ("type_", "value"),
        [
            ("text", 'it\'s "50 %" of \\ {a,b} %(id)s $1'),
            ("text", ""),
            ("text", None),
            ("uuid", UUID(int=7)),
            ("bigint", -(2**63)),
            ("float", 0.25),
            ("bool", True),
            ("timestamptz", datetime(2026, 2, 3, 4, 5, 6, 7, UTC)),
            ("uuid[]", [UUID(int=1), UUID(int=2)]),
            ("uuid[]", []),
            ("text[]", ["null", None, 'a "b" \\', "é\n"]),
            ("float[]", [0.25, None]),
            ("bool[]", [True, False]),
        ],
    )
    def test_they_arrive_as_they_are(self, type_: str, value: object) -> None:
        there = Prepared(f"SELECT %(value)s::{type_}, %(value)s::{type_} IS NULL")
        assert there.fetch({"value": value, "another": 1}) == [(value, value is None)]

    def test_one_that_is_missing_is_not_taken_for_null(self) -> None:
        with pytest.raises(KeyError):
            Prepared("SELECT %(value)s::text").fetch({})


def test_it_is_prepared_once(program: Program) -> None:
    there = Prepared(f"SELECT name, '{unique('p')}' FROM loyalty_program WHERE id = %(id)s")
    for _ in range(5):
        assert len(there.fetch({"id": program.pk})) == 1
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_prepared_statements WHERE statement = %s", [there.sql]
        )
        assert cursor.fetchone() == (1,)


def test_it_is_part_of_a_transaction_that_it_is_the_first_in(program: Program) -> None:
    before = name_of(program)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        assert NAME.fetch({"name": "changed", "id": program.pk}) == [("changed",)]
        raise ZeroDivisionError
    assert name_of(program) == before
    with transaction.atomic():
        NAME.fetch({"name": "changed", "id": program.pk})
    assert name_of(program) == "changed"


def test_outside_a_transaction_several_are_one(program: Program) -> None:
    before = name_of(program)
    with pytest.raises(DataError):
        fetch_together(
            [
                NAME.with_values({"name": "changed", "id": program.pk}),
                Prepared("SELECT 1 / %(zero)s::int").with_values({"zero": 0}),
            ]
        )
    assert name_of(program) == before


def test_what_fails_ends_a_transaction_as_it_does_by_django(program: Program) -> None:
    with pytest.raises(DataError), transaction.atomic():
        Prepared("SELECT 1 / %(zero)s::int").fetch({"zero": 0})
    assert NAME.fetch({"name": "changed", "id": program.pk}) == [("changed",)]


def test_they_are_counted(program: Program) -> None:
    with CaptureQueriesContext(connection) as asked:
        NAME.fetch({"name": "changed", "id": program.pk})
    assert [query["sql"] for query in asked] == [NAME.sql]


def test_rows_of_a_model_are_those_of_the_orm(program: Program) -> None:
    (found,) = PreparedRows(Program, "WHERE id = %(id)s").fetch({"id": program.pk})
    by_orm = Program.objects.get(pk=program.pk)
    names = [field.attname for field in Program._meta.concrete_fields]
    assert [getattr(found, name) for name in names] == [getattr(by_orm, name) for name in names]
    found.name = unique("name")
    found.save(update_fields=["name"])
    assert name_of(program) == found.name
