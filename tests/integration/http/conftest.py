"""Calls over HTTP in this process; what they do is committed, as in production."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.factories import Till, clock, committed, make_database, open_till
from tests.integration.crm_sync.outbox import forget
from tests.integration.http.caller import Caller, Shop

__all__ = ["clock", "committed"]

OVER = {
    "code": "over",
    "from": "2019-03-01",
    "to": "2019-03-31",
    "active": False,
    "rules": [{"code": "over-bonus", "bonus": 5}],
}


@pytest.fixture
def till() -> Till:
    """Return a till of a program of the test's own."""
    return open_till(campaigns=[OVER])


@pytest.fixture
def shop(till: Till) -> Shop:
    """Return a program with a member, an order and a hold."""
    return Shop(till)


@pytest.fixture(scope="module")
def still_shop(django_db_setup: None, django_db_blocker: Any) -> Iterator[Shop]:
    """Return one shop for all tests of a file that only try what is refused.

    They make dozens of webhook endpoints, which other tests would look through.
    """
    with django_db_blocker.unblock():
        make_database()
        shop = Shop(open_till(campaigns=[OVER]))
    yield shop
    with django_db_blocker.unblock():
        forget(shop.till.program)


@pytest.fixture(scope="module")
def still_api(still_shop: Shop, django_db_blocker: Any) -> Caller:
    """Return a client that may do everything in that shop's program."""
    with django_db_blocker.unblock():
        return Caller(still_shop.program_id)


@pytest.fixture
def api(till: Till) -> Caller:
    """Return a client that may do everything in the till's program."""
    return Caller(till.program.pk)
