"""Many rows are read page by page, and no cursor stays in a session."""

from collections.abc import Iterable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from loyalty.database.pages import by_key
from loyalty.members.models import Identifier
from tests.factories import open_till, rows

MANY = 7


@pytest.fixture
def cards() -> Any:
    till = open_till()
    members = [till.ids[till.member()] for _ in range(MANY)]
    return Identifier.objects.filter(member_id__in=members)


@pytest.mark.parametrize(("at_once", "asked"), [(3, 4), (7, 2), (500, 2)])
def test_each_row_comes_once_in_the_order_of_its_key(cards: Any, at_once: int, asked: int):
    with CaptureQueriesContext(connection) as queries:
        found = [card.pk for card in by_key(cards, at_once)]
    assert found == sorted(card.pk for card in cards)
    assert len(queries) == asked


def test_no_rows_are_none(cards: Any):
    assert list(by_key(cards.none())) == []


@pytest.mark.parametrize("read", [by_key, lambda cards: cards.iterator(chunk_size=2)])
def test_while_some_are_read_the_session_has_no_cursor(cards: Any, read: Any):
    found: Iterable[Any] = iter(read(cards))
    next(iter(found))
    assert rows("SELECT count(*) FROM pg_cursors WHERE is_holdable") == [(0,)]
