"""Who writes several kinds of rows locks them in one order, or two would wait for each other."""

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from crm_sync.models import Connection
from crm_sync.services.drift import push_again
from crm_sync.services.people import look_again
from crm_sync.services.redeliver import replay
from crm_sync.services.relay import relay_events
from loyalty.events.selectors import last_position
from tests.factories import Till
from tests.integration.crm_sync.outbox import drain
from tests.integration.crm_sync.vendor import Vendor

ORDER = ["crm_sync_contact", "crm_sync_lane", "crm_sync_delivery"]
# New deliveries are nobody's yet: only those that are there may be waited for.
_WRITES = re.compile(r'^\s*(?:WITH .*)?(?:UPDATE|INSERT INTO) "?(crm_sync_\w+)', re.DOTALL)
_ADDS = "ON CONFLICT DO NOTHING"


def written(asked: CaptureQueriesContext) -> list[str]:
    texts = [query["sql"] for query in asked.captured_queries if _ADDS not in query["sql"]]
    tables = [found[1] for text in texts if (found := _WRITES.match(text))]
    return [table for table in tables if table in ORDER]


def again(destination: Connection, member: UUID) -> None:
    push_again(connection_id=destination.pk, member_ids=[member])


def replayed(destination: Connection, _: UUID) -> None:
    replay(connection_id=destination.pk, after_position=0, up_to_position=last_position())


def looked(destination: Connection, member: UUID) -> None:
    look_again(connection_id=destination.pk, member_id=member)


def relayed(_: Connection, __: UUID) -> None:
    relay_events()


@pytest.mark.parametrize("do", [again, replayed, looked, relayed])
def test_contacts_then_lanes_then_deliveries(
    till: Till,
    connect_vendor: Callable[..., Connection],
    do: Callable[[Connection, UUID], Any],
) -> None:
    destination = connect_vendor(Vendor())
    card = till.member(balance=1)
    drain()
    till.adjust(card, 1)
    with CaptureQueriesContext(connection) as asked:
        do(destination, UUID(till.ids[card]))
    tables = written(asked)
    assert "crm_sync_lane" in tables
    assert all(ORDER.index(one) <= ORDER.index(next_) for one, next_ in pairwise(tables)), tables
