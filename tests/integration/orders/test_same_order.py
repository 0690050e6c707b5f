"""An order that comes again under another key is known by what it says, whatever came of it."""

from datetime import timedelta
from typing import Any

import pytest

from tests.factories import Till, database_time, line, open_till, unique

LINES = [line("1", "10.00", "2"), line("2", "3.50", category="DAIRY", brand="Own")]


@pytest.fixture
def till(committed: None) -> Till:
    return open_till()


def test_it_may_be_written_otherwise_and_have_come_back_in_part(till: Till) -> None:
    card, order, at = till.member(), unique("o"), database_time()
    first, returned = till.send(
        till.earning(card, order, lines=LINES, at=at), till.returning(order, "r", {"1": "1"})
    )
    written = [line("1", "10.0", "2.000"), *LINES[1:]]
    again = till.earn(card, order, lines=written, at=at)
    assert [first.status, returned.status, again.status] == [201, 201, 200]
    assert again.body["id"] == first.body["id"]


@pytest.mark.parametrize(
    "changes",
    [
        {"lines": LINES[:1]},
        {"lines": LINES[::-1]},
        {"lines": [line("1", "10.01", "2"), LINES[1]]},
        {"lines": [line("1", "10.00", "3"), LINES[1]]},
        {"lines": [LINES[0], line("2", "3.50", category="DAIRY")]},
        {"channel": "web"},
        {"at": timedelta(seconds=1)},
    ],
)
def test_another_one_of_its_number_is_refused(till: Till, changes: dict[str, Any]) -> None:
    """Scenario 2: with another key and other content."""
    card, order, at = till.member(), unique("o"), database_time() - timedelta(hours=1)
    told = {"lines": LINES, "at": at, "channel": "pos"}
    assert till.earn(card, order, **told).status == 201
    changes = {**changes, "at": at + changes.get("at", timedelta())}
    other = till.earn(card, order, **{**told, **changes})
    assert (other.status, other.body["code"]) == (409, "order_conflict")
    assert till.earn(card, order, **told).status == 200


def test_its_desired_state_is_what_is_compared(till: Till) -> None:
    card, order, at = till.member(), unique("o"), database_time()
    changed = [line("1", "12.00", "2")]
    replies = till.send(
        till.putting(card, order, 1, LINES, at=at), till.putting(card, order, 2, changed, at=at)
    )
    replies += till.send(till.earning(card, order, lines=LINES, at=at))
    replies += till.send(till.earning(card, order, lines=changed, at=at))
    assert [reply.status for reply in replies] == [201, 200, 409, 200]
