"""What kinds of source make of a request, without a database."""

import json
import re
from pathlib import Path

from crm_sync.inbound.contract import NotForUs, OrderSaid, PersonSaid, PurchaseSaid
from crm_sync.inbound.signatures import content_id, seconds_of
from crm_sync.inbound.vendors.generic import read_document
from crm_sync.inbound.vendors.shopify import read_order
from loyalty.orders.schemas import PutOrderRequest
from tests.shopify_shop import line_item, order

PAGE = Path(__file__).parents[2] / "docs" / "crm_inbound.md"


def test_the_documents_of_the_page_are_read():
    found = re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    documents = [json.loads(one) for one in found]
    bought, person = [read_document(one["type"], one) for one in documents[:2]]
    assert isinstance(bought, OrderSaid)
    assert (bought.ref, bought.who.vendor_id) == ("1001", "c-77")
    assert bought.who.external_ids == ("shop-77",)
    assert isinstance(person, PersonSaid)
    assert person.fields == {"lang": "de", "shoe_size": 42}


def test_times_in_headers_are_read_as_seconds():
    assert seconds_of("1700000000") == "1700000000"
    assert seconds_of("2023-11-14T22:13:20+00:00") == "1700000000"
    assert seconds_of("2023-11-14T22:13:20") == "1700000000"
    assert seconds_of("yesterday") == ""


def test_a_message_without_an_id_is_named_by_what_it_says():
    assert content_id(b"{}") == content_id(b"{}") != content_id(b"{ }")


def test_an_order_of_a_shop_is_its_net_amounts():
    taxed = [{"price": "1.60", "rate": 0.19, "title": "VAT"}]
    items = [
        line_item(1, "10.00", 3),
        line_item(2, "25.00", 1, discount_allocations=[{"amount": "5.00"}], sku=None),
        line_item(3, "50.00", 1, gift_card=True),
        line_item(4, "10.00", 1, tax_lines=taxed, product_type="Shoes", current_quantity=0),
    ]
    said = read_order(order(9, line_items=items, taxes_included=True), {"store": "web"})
    assert isinstance(said, PurchaseSaid)
    lines = said.order["lines"]
    assert [(one["line"], one["quantity"], one["amount"]) for one in lines] == [
        ("1", "3", "30"),
        ("2", "1", "20"),
        ("4", "1", "8.4"),
    ]
    assert (lines[1]["sku"], lines[2]["category"], said.removed) == (
        *("variant:39072856", "Shoes"),
        {"4": 1},
    )
    PutOrderRequest.model_validate_json(
        json.dumps({"member": "external:1", "revision": 1, "order": said.order})
    )


def test_what_an_order_of_a_shop_counts_for():
    for change, state in [
        ({}, "paid"),
        ({"financial_status": "partially_refunded"}, "paid"),
        ({"financial_status": "authorized"}, "open"),
        ({"financial_status": "pending"}, "open"),
        ({"financial_status": "refunded"}, "cancelled"),
        ({"financial_status": "voided"}, "cancelled"),
        ({"cancelled_at": "2026-11-22T09:00:00Z"}, "cancelled"),
    ]:
        said = read_order(order(9, **change), {})
        assert isinstance(said, PurchaseSaid)
        assert said.order["state"] == state
    assert isinstance(read_order(order(9, test=True), {}), NotForUs)
