"""Who writes several kinds of rows locks them in one order, or two would wait for each other."""

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from crm_sync.adapters.outcomes import Retryable
from crm_sync.models import Connection, Delivery, Drift
from crm_sync.services import drift
from crm_sync.services.backfill import start_backfill, step_backfill
from crm_sync.services.calls import adapter_of
from crm_sync.services.drift import push_again, push_all_again
from crm_sync.services.forget import forget_contacts
from crm_sync.services.people import look_again
from crm_sync.services.redeliver import redeliver, replay
from crm_sync.services.relay import relay_events
from loyalty.events.selectors import last_position
from tests.factories import Till
from tests.integration.crm_sync.outbox import drain
from tests.integration.crm_sync.vendor import BulkVendor, Vendor

ORDER = ["crm_sync_contact", "crm_sync_lane", "crm_sync_delivery"]
# New deliveries are nobody's yet: only those that are there may be waited for.
_WRITES = re.compile(r'^\s*(?:WITH .*)?(?:UPDATE|INSERT INTO) "?(crm_sync_\w+)', re.DOTALL)
_ADDS = "ON CONFLICT DO NOTHING"
_WRITES_SEVERAL = re.compile(
    r'\s*(?:UPDATE|DELETE FROM) "?crm_sync_contact(?!.*"member_id" = )', re.DOTALL
)
_LOCKS = re.compile(r'SELECT "crm_sync_contact"."member_id" .* ORDER BY 1 ASC FOR UPDATE')


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


def redelivered(destination: Connection, _: UUID) -> None:
    redeliver(delivery_ids=Delivery.objects.filter(connection=destination).values_list("pk"))


@pytest.mark.parametrize("do", [again, replayed, looked, relayed, redelivered])
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


def told_in_bulk(destination: Connection, _: list[UUID]) -> None:
    step_backfill(backfill_id=start_backfill(connection_id=destination.pk).pk)


def told_in_vain(destination: Connection, members: list[UUID]) -> None:
    vendor = adapter_of(destination)
    assert isinstance(vendor, BulkVendor)
    vendor.outcomes = [Retryable(error="500")]
    told_in_bulk(destination, members)


def pushed_with_many(destination: Connection, members: list[UUID]) -> None:
    now = timezone.now()
    Drift.objects.bulk_create(
        Drift(connection=destination, member_id=member, name="tier", since=now, seen_at=now)
        for member in members
    )
    push_all_again(connection_id=destination.pk)


def forgotten(destination: Connection, members: list[UUID]) -> None:
    forget_contacts(connection_id=destination.pk, member_ids=members)


def list_writes(asked: CaptureQueriesContext) -> list[bool]:
    """Say of each statement that writes several contacts whether they were locked before."""
    is_locked, writes = False, []
    for query in asked.captured_queries:
        text = query["sql"]
        is_locked = bool(_LOCKS.match(text)) or (is_locked and text not in ("BEGIN", "COMMIT"))
        if _WRITES_SEVERAL.match(text):
            writes.append(is_locked)
    return writes


@pytest.mark.parametrize("do", [told_in_bulk, told_in_vain, pushed_with_many, forgotten])
def test_several_contacts_are_locked_by_member(
    till: Till,
    connect_vendor: Callable[..., Connection],
    monkeypatch: pytest.MonkeyPatch,
    do: Callable[[Connection, list[UUID]], Any],
) -> None:
    monkeypatch.setattr(drift, "FEW", 0)
    destination = connect_vendor(BulkVendor())
    members = [UUID(till.ids[till.member(balance=1)]) for _ in range(3)]
    with CaptureQueriesContext(connection) as asked:
        do(destination, members)
    writes = list_writes(asked)
    assert writes
    assert all(writes), asked.captured_queries
