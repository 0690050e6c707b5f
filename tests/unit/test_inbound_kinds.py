"""What kinds of source make of a request, without a database."""

import json
import re
from pathlib import Path

from crm_sync.inbound.contract import OrderSaid, PersonSaid
from crm_sync.inbound.signatures import content_id, seconds_of
from crm_sync.inbound.vendors.generic import read_document

PAGE = Path(__file__).parents[2] / "docs" / "crm_inbound.md"


def test_the_documents_of_the_page_are_read():
    found = re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    documents = [json.loads(one) for one in found]
    order, person = [read_document(one["type"], one) for one in documents[:2]]
    assert isinstance(order, OrderSaid)
    assert (order.ref, order.who.vendor_id, order.who.external_ids) == (
        "1001",
        "c-77",
        ("shop-77",),
    )
    assert isinstance(person, PersonSaid)
    assert person.fields == {"lang": "de", "shoe_size": 42}


def test_times_in_headers_are_read_as_seconds():
    assert seconds_of("1700000000") == "1700000000"
    assert seconds_of("2023-11-14T22:13:20+00:00") == "1700000000"
    assert seconds_of("2023-11-14T22:13:20") == "1700000000"
    assert seconds_of("yesterday") == ""


def test_a_message_without_an_id_is_named_by_what_it_says():
    assert content_id(b"{}") == content_id(b"{}") != content_id(b"{ }")
