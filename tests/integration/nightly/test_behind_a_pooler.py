"""A night whose every transaction may be in another session, as a pooler such as PgBouncer has it.

Nothing may be kept in a session from one transaction to the next, and nothing may be left in one.
"""

import time
from datetime import UTC, timedelta
from typing import Any

import pytest
from django.db import connection

from loyalty.nightly import services as nightly
from tests.factories import Till, balance_of, connect, database_time, open_till, rows


@pytest.fixture
def another_session_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """End the session after each page, so that the next one is in a new one."""
    command = nightly._command

    def in_a_session_of_its_own(*of_a_page: Any) -> Any:
        connection.close()
        try:
            return command(*of_a_page)
        finally:
            connection.close()

    monkeypatch.setattr(nightly, "_command", in_a_session_of_its_own)


def with_points_that_ended(many: int) -> tuple[Till, list[str]]:
    """Give points that end in a moment: the tests' clock is kept in a session, and ends with it."""
    till = open_till()
    cards = [till.member() for _ in range(many)]
    ends = database_time() + timedelta(milliseconds=300)
    till.send(*(till.adjusting(card, 20, ends=ends) for card in cards))
    while database_time() <= ends:
        time.sleep(0.05)
    return till, cards


def is_locked(till: Till) -> bool:
    with connect() as other:
        tried = other.execute("SELECT pg_try_advisory_lock(4013, %s)", [till.program.pk])
        return tried.fetchone() == (False,)


@pytest.mark.parametrize("listed", [3, 100])
def test_its_members_are_all_seen_once(
    others_closed: None,
    another_session_each_time: None,
    monkeypatch: pytest.MonkeyPatch,
    listed: int,
):
    monkeypatch.setattr(nightly, "BATCH", 2)
    monkeypatch.setattr(nightly, "LISTED", listed)
    till, cards = with_points_that_ended(6)
    record = nightly.run_night(till.program.pk, today=database_time().astimezone(UTC).date())
    assert record.steps.get(name="points").members == 6
    assert {balance_of(till.ids[card])["available"] for card in cards} == {0}


def test_it_is_alone_from_its_first_page_to_its_last(
    others_closed: None,
    another_session_each_time: None,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(nightly, "BATCH", 2)
    monkeypatch.setattr(nightly, "NIGHT_HOUR", 0)
    till, _ = with_points_that_ended(4)
    command, locked = nightly._command, []

    def look(*of_a_page: Any) -> Any:
        found = command(*of_a_page)
        locked.append(is_locked(till))
        return found

    monkeypatch.setattr(nightly, "_command", look)
    assert till.program.pk in [run.program_id for run in nightly.run_nightly()]
    assert len(locked) >= 2
    assert all(locked)
    assert not is_locked(till)


def test_it_leaves_nothing_in_the_session_that_others_get(others_closed: None):
    till, _ = with_points_that_ended(2)
    nightly.run_night(till.program.pk, today=database_time().astimezone(UTC).date())
    left = rows("SELECT relname::text FROM pg_class WHERE relnamespace = pg_my_temp_schema()")
    assert left == []
