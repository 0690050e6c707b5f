"""A shop is asked for the orders that its webhooks lost."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from django.db.models.functions import Now

from crm_sync import tasks
from crm_sync.adapters.shopify import ShopifyAdapter
from crm_sync.inbound.deciding import choose_member, try_again
from crm_sync.inbound.forgetting import delete_old_messages
from crm_sync.inbound.reconciling import UNREAD, list_reconciled, reconcile
from crm_sync.inbound.sources import create_source
from crm_sync.inbound.working import work_inbox
from crm_sync.models import Connection, KnownOrder, OrderCursor, Source
from crm_sync.sandboxes.server import Fault, Reply
from crm_sync.sandboxes.shopify import Shopify
from crm_sync.services.connections import create_connection
from tests.factories import Till, balance_of
from tests.integration.crm_sync.calls import environment
from tests.integration.crm_sync.senders import Sender, name
from tests.integration.crm_sync.shopify_spec import problems, shopifys_own
from tests.integration.crm_sync.vendor_cases import connect_shopify
from tests.shopify_shop import CUSTOMER, SHOP, START, line_item, order, refund, signed

SECRET = "shpss_tests_only"
FIRST = 466157049  # 3 × 10.00, of an order of 50.00
REFUNDED = {"refunds": [refund(7, 1, FIRST, 2)], "financial_status": "partially_refunded"}
CANCELLED = {"cancelled_at": "2026-11-22T09:00:00Z", "financial_status": "refunded"}


@dataclass
class Shop:
    """A shop with its API, its webhooks, and one member who buys there."""

    api: Shopify
    sender: Sender
    connection: Connection
    member: str

    def sells(self, *orders: dict[str, Any]) -> None:
        """Change orders; nobody is told."""
        self.api.orders |= {one["id"]: one for one in orders}

    def tells(self, topic: str, body: Any) -> None:
        """Send a webhook."""
        assert self.sender.post(*signed(SECRET, topic, body)).status_code == 200
        work_inbox(seconds=60)

    def is_asked(self) -> int:
        """Ask for orders; return how many were put into the inbox."""
        OrderCursor.objects.update(next_at=Now())
        list_reconciled()
        count = reconcile(source_id=self.sender.source.pk, seconds=60)
        work_inbox(seconds=60)
        return count

    @property
    def cursor(self) -> OrderCursor:
        return OrderCursor.objects.get(pk=self.sender.source.pk)

    @property
    def points(self) -> int:
        return int(balance_of(self.member)["available"])


@pytest.fixture
def shop(till: Till, settings: Any) -> Iterator[Shop]:
    settings.CRM_ALLOW_PRIVATE_ADDRESSES = True
    with Shopify() as api:
        connection = create_connection(
            program_id=till.program.pk,
            name="Shopify",
            adapter="shopify",
            config={"address": api.url, "points_per_second": "2000"},
            secrets={"access_token": api.access_token},
        )
        source, _ = create_source(
            program_id=till.program.pk,
            name="Shop",
            kind="shopify",
            config={"shop": SHOP, "external_prefix": "shopify-"},
            secret=SECRET,
            connection_id=connection.pk,
        )
        Source.objects.filter(pk=source.pk).update(created_at=START)
        card = till.member()
        name(till, card, "external", f"shopify-{CUSTOMER['id']}")
        yield Shop(api, Sender(source, SECRET), connection, till.ids[card])


def test_what_webhooks_lost_is_found(shop: Shop) -> None:
    """Lost are the order, then its refund, then its cancellation."""
    shop.sells(order(1))
    assert (shop.is_asked(), shop.points) == (1, 50)
    shop.sells(order(1, minutes=3, **REFUNDED))
    OrderCursor.objects.update(since=START)
    assert (shop.is_asked(), shop.points) == (1, 30)
    shop.sells(order(1, minutes=4, **{**REFUNDED, **CANCELLED}))
    OrderCursor.objects.update(since=START)
    assert (shop.is_asked(), shop.points) == (1, 0)
    assert {message.state for message in shop.sender.messages()} == {"done"}


def test_what_webhooks_told_changes_nothing(shop: Shop) -> None:
    lines = [
        line_item(FIRST, "10.00", 3, current_quantity=3, sku=""),
        line_item(2, "90.00", 1, current_quantity=1, gift_card=True),
        line_item(3, "20.00", 1, current_quantity=0, tax_lines=[{"price": "3.20"}]),
    ]
    eastern = START.astimezone(timezone(timedelta(hours=-5))).isoformat()
    told = order(1, line_items=lines, taxes_included=True, processed_at=eastern)
    shop.sells(told)
    shop.tells("orders/paid", told)
    before, points = KnownOrder.objects.values().get(source=shop.sender.source), shop.points
    assert (shop.is_asked(), shop.points) == (1, points)
    assert KnownOrder.objects.values().get(source=shop.sender.source) == before
    OrderCursor.objects.update(since=START)
    assert (shop.is_asked(), shop.points) == (0, points)


def test_whatever_comes_first_the_end_is_the_same(shop: Shop) -> None:
    shop.sells(order(1, minutes=3, **REFUNDED))
    assert (shop.is_asked(), shop.points) == (1, 30)
    shop.tells("orders/create", order(1))
    shop.tells("refunds/create", refund(7, 1, FIRST, 2))
    assert shop.points == 30
    shop.tells("orders/cancelled", order(1, minutes=9, **CANCELLED))
    OrderCursor.objects.update(since=START)
    shop.sells(order(1, minutes=5, **REFUNDED))
    assert (shop.is_asked(), shop.points) == (1, 0)


def test_a_shop_that_fails_in_the_middle_costs_nothing(shop: Shop) -> None:
    """Two pages of orders; the second page fails, and after that an order on it."""
    stranger = {**CUSTOMER, "id": 1, "verified_email": False}
    many = [order(number, minutes=number, customer=stranger) for number in range(1, 52)]
    shop.sells(*many, order(52, minutes=52))
    busy = Reply(503, {"errors": "Busy"})
    shop.api.faults = [Fault(busy, says='"after":"50"')]
    assert shop.is_asked() == 50
    assert (shop.cursor.page, shop.cursor.since) == ("50", START)
    assert "503" in shop.cursor.last_error
    assert list_reconciled() == []
    shop.api.faults = [Fault(busy, says="Order/52")]
    assert (shop.is_asked(), shop.points) == (1, 0)
    ends = shop.cursor.until
    assert ends is not None
    assert (shop.is_asked(), shop.points) == (1, 50)
    assert (shop.cursor.page, shop.cursor.since, shop.cursor.last_error) == ("", ends, "")


def test_an_order_that_cannot_be_read_is_shown_and_holds_up_nothing(shop: Shop) -> None:
    shop.sells(order(1), order(2, minutes=1))
    odd = Fault(Reply(400, {"errors": "Odd."}), says="Order/1")
    shop.api.faults = [odd, odd]
    assert (shop.is_asked(), shop.points) == (2, 50)
    assert (shop.cursor.last_error, shop.cursor.until) == ("", None)
    message = shop.sender.source.messages.get(topic=UNREAD)
    assert message.state == "dead"
    assert message.note.startswith("The order cannot be read. ")
    assert try_again(message_ids=[message.pk]) == 1
    work_inbox(seconds=60)
    message.refresh_from_db()
    assert (message.state, message.topic, shop.points) == ("done", "orders/updated", 100)


def test_one_failure_may_be_the_orders_and_two_are_the_shops(shop: Shop) -> None:
    shop.sells(order(1), order(2, minutes=1), order(3, minutes=2))
    failure = Reply(500, {"errors": "Oops."})
    shop.api.faults = [Fault(failure, says=f"Order/{number}") for number in (1, 2)]
    assert (shop.is_asked(), shop.points) == (1, 50)  # the inbox has read the first by now
    assert "500" in shop.cursor.last_error
    assert (shop.is_asked(), shop.points, shop.cursor.last_error) == (2, 150, "")


def test_an_order_that_is_gone_or_has_no_shop_any_more_ends_well(shop: Shop) -> None:
    shop.sells(order(1), order(2, minutes=1))
    failure = Reply(500, {"errors": "Oops."})
    shop.api.faults = [Fault(failure, says="Order/1"), Fault(failure, says="Order/1")]
    shop.is_asked()
    (message,) = shop.sender.source.messages.filter(topic=UNREAD, state="pending")
    del shop.api.orders[1]
    for connection, state in ((None, "dead"), (shop.connection, "ignored")):
        Source.objects.filter(pk=shop.sender.source.pk).update(connection=connection)
        try_again(message_ids=[message.pk])
        message.source.messages.filter(pk=message.pk).update(next_at=Now())
        work_inbox(seconds=60)
        message.refresh_from_db()
        assert message.state == state


def test_a_refund_that_came_first_outlives_the_doubt_who_bought(shop: Shop, till: Till) -> None:
    other = till.member()
    name(till, other, "external", f"gid://shopify/Customer/{CUSTOMER['id']}")
    shop.tells("refunds/create", refund(7, 1, FIRST, 2))
    shop.tells("orders/create", order(1))
    message = shop.sender.source.messages.get(state="parked")
    delete_old_messages(now=datetime.now(UTC) + timedelta(days=100))
    choose_member(message_id=message.pk, member_id=UUID(shop.member))
    work_inbox(seconds=60)
    assert shop.points == 30


def test_a_turn_that_is_over_is_gone_on_with(shop: Shop) -> None:
    shop.sells(order(1), order(2, minutes=1), order(3, minutes=2))
    for expected in (1, 2, 3):
        list_reconciled()
        reconcile(source_id=shop.sender.source.pk, seconds=0)
        assert len(shop.sender.messages()) == expected
    assert shop.cursor.until is None
    tasks.reconcile_orders()
    assert len(shop.sender.messages()) == 3


def test_only_a_source_with_a_connection_to_the_same_vendor_is_reconciled(shop: Shop) -> None:
    source = Source.objects.filter(pk=shop.sender.source.pk)
    assert list_reconciled() == [shop.sender.source.pk]
    for wrong in ({"connection": None}, {"is_enabled": False}, {"kind": "segment"}):
        source.update(connection=shop.connection, is_enabled=True, kind="shopify")
        source.update(**wrong)
        assert list_reconciled() == []


def test_shopify_takes_what_is_asked() -> None:
    adapter = ShopifyAdapter(environment(total=2.0))
    lines = [line_item(number, "1.00", 1) for number in range(60)]
    with Shopify() as api:
        api.orders[1] = order(1, line_items=lines, **REFUNDED)
        target = connect_shopify(api)
        now = datetime.now(UTC)
        page = adapter.list_orders(target, START - timedelta(days=1), now, "")
        assert [one.ref for one in page.orders] == ["1"]
        told = adapter.read_order(target, "1")
        assert told is not None and told.content.count('"current_quantity"') == 60  # type: ignore[union-attr]
        assert adapter.read_order(target, "404") is None
        asked = [call.body for call in api.calls if "graphql" in call.path]
    assert len(asked) == 5
    for call in asked:
        assert problems(shopifys_own(), call["query"], call["variables"]) == []
