"""Reading published programs: once per process and version."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from loyalty.errors import NotFound
from loyalty.programs import selectors
from loyalty.programs.models import Program


def test_a_known_version_costs_no_query(grocer: Program) -> None:
    first = selectors.published_program(grocer.pk, version=1)

    with CaptureQueriesContext(connection) as queries:
        again = selectors.published_program(grocer.pk, version=1)

    assert again is first
    assert len(queries) == 0


def test_the_present_version_costs_one(grocer: Program) -> None:
    selectors.published_program(grocer.pk, version=1)

    with CaptureQueriesContext(connection) as queries:
        found = selectors.published_program(grocer.pk)

    assert found.version == 1
    assert len(queries) == 1


def test_amounts_are_minor_units(grocer: Program) -> None:
    found = selectors.published_program(grocer.pk)

    assert found.tiers is not None
    assert [level.threshold for level in found.tiers.levels] == [0, 25_000, 100_000]
    assert [rule.per for rule in found.earning_rules if rule.kind == "base"] == [100]
    assert found.rewards["five-off"].amount == 500
    assert (found.currency_scale, found.points.value_amount) == (2, 100)


@pytest.mark.django_db
def test_what_is_not_there() -> None:
    unpublished = Program.objects.create(code="new", name="New", currency="USD")

    with pytest.raises(NotFound, match="not published"):
        selectors.published_program(unpublished.pk)
    with pytest.raises(NotFound, match="no such program"):
        selectors.published_program(0)
    with pytest.raises(NotFound, match='no program with the code "nobody"'):
        selectors.get_program("nobody")
    assert selectors.live_document(unpublished.pk) is None
