"""Vendors that give a page again, or forget their own place, are not asked for ever.

What was read is taken in; then it is begun anew later, and a person sees why.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from crm_sync.adapters.contract import ChangePage
from crm_sync.adapters.orders import OrderPage
from crm_sync.adapters.outcomes import Outcome, Permanent, Retryable
from crm_sync.adapters.segments import SegmentPage
from crm_sync.inbound.polling import list_polled, poll
from crm_sync.inbound.reconciling import reconcile
from crm_sync.inbound.rounds import LED_ROUND
from crm_sync.inbound.segments import walk_segment
from crm_sync.models import Connection, OrderCursor, PollCursor, PolledSegment, Source
from tests.factories import Till
from tests.integration.crm_sync.vendor import Vendor

PAGES = {"": "1", "1": "2", "2": "3", "3": "4", "4": "2"}  # and so on, round and round


class RoundVendor(Vendor):
    """Gives pages as PAGES says; `fails` at a page, and ends at `last`."""

    segment_pattern = ".*"
    segment_hint = "anything"
    last = ""
    fails: dict[str, Outcome]
    asked_for: list[str]

    def __init__(self) -> None:
        super().__init__()
        self.fails, self.asked_for = {}, []

    def _after(self, page: str) -> str:
        self.asked_for.append(page)
        assert len(self.asked_for) < 50, "it is asked for ever"
        return "" if page == self.last and page else PAGES[page]

    def list_changes(self, target: Any, cursor: str, fields: Any = ()) -> ChangePage:
        place = cursor.removeprefix("end")
        following = self._after(place)
        if place in self.fails:
            return ChangePage(changes=[], cursor=cursor, outcome=self.fails.pop(place))
        return ChangePage(changes=[], cursor=following or "end", has_more=bool(following))

    def list_segment(self, target: Any, segment: str, page: str) -> SegmentPage:
        following = self._after(page)
        if page in self.fails:
            return SegmentPage(page=page, outcome=self.fails.pop(page))
        return SegmentPage(page=following)

    def list_orders(self, target: Any, begin: datetime, end: datetime, page: str) -> OrderPage:
        following = self._after(page)
        return OrderPage(page=following, outcome=self.fails.pop(page, None))

    def read_order(self, target: Any, ref: str) -> None:
        return None


Ask = Callable[[], Any]


@pytest.fixture(params=["changes", "segment", "orders"])
def asked(
    request: Any,
    till: Till,
    connect_vendor: Callable[..., Connection],
) -> tuple[RoundVendor, Ask]:
    """Return a vendor and a function that asks it once; that gives the row of the walk."""
    vendor = RoundVendor()
    connection = connect_vendor(vendor)
    rows: Any
    if request.param == "changes":
        list_polled()
        rows, ask = PollCursor.objects.filter(pk=connection.pk), poll
        named = {"connection_id": connection.pk}
    elif request.param == "segment":
        row = PolledSegment.objects.create(
            connection=connection, vendor_segment="gold", segment="vips"
        )
        rows, ask = PolledSegment.objects.filter(pk=row.pk), walk_segment
        named = {"polled_id": row.pk}
    else:
        source = Source.objects.create(
            program=till.program, name="Shop", kind="vendor", connection=connection, secrets=""
        )
        now = timezone.now()
        OrderCursor.objects.create(source=source, since=now, next_at=now)
        rows, ask = OrderCursor.objects.filter(pk=source.pk), reconcile
        named = {"source_id": source.pk}

    def ask_now() -> Any:
        rows.update(next_at=timezone.now())
        ask(**named, seconds=600)  # type: ignore[operator]
        return rows.get()

    return vendor, ask_now


def test_who_leads_round_is_left_alone_and_a_person_sees_why(
    asked: tuple[RoundVendor, Ask],
) -> None:
    vendor, ask = asked
    row = ask()
    assert row.last_error == LED_ROUND.error
    assert row.next_at > timezone.now() + timedelta(minutes=4)
    assert set(vendor.asked_for) == set(PAGES)
    vendor.asked_for.clear()
    vendor.last = "4"
    row = ask()
    assert vendor.asked_for == list(PAGES)
    assert row.last_error == ""


def test_who_forgets_a_place_is_asked_from_the_beginning(asked: tuple[RoundVendor, Ask]) -> None:
    vendor, ask = asked
    vendor.last = "4"
    vendor.fails = {"3": Retryable(error="Busy.")}
    assert ask().last_error == "Busy."
    vendor.fails = {"3": Permanent(status_code=400, error="The cursor has expired.")}
    vendor.asked_for.clear()
    assert ask().last_error == "The cursor has expired."
    assert vendor.asked_for == ["3"]
    vendor.asked_for.clear()
    assert ask().last_error == ""
    assert vendor.asked_for == list(PAGES)


def test_a_poll_begins_anew_behind_what_was_read_before(
    till: Till, connect_vendor: Callable[..., Connection]
) -> None:
    vendor = RoundVendor()
    connection = connect_vendor(vendor)
    list_polled()
    rows = PollCursor.objects.filter(pk=connection.pk)
    rows.update(cursor="1", begun="1")
    vendor.fails = {"3": Permanent(status_code=400, error="The cursor has expired.")}
    for _ in range(2):
        rows.update(next_at=timezone.now())
        poll(connection_id=connection.pk, seconds=600)
    assert vendor.asked_for[:4] == ["1", "2", "3", "1"]
