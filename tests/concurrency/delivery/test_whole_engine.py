"""From a till to a CRM: the whole engine as real processes, rung by its own beat."""

import json
import time
from uuid import uuid4

import pytest
from standardwebhooks import Webhook

from tests.integration.crm_sync.receivers import Receiver
from tests.stack import Stack

pytestmark = pytest.mark.serial

PROGRAM = """
program: grocer
name: Grocer
timezone: America/New_York
currency: USD
points: {name: points}
stores: [{code: "309", name: Main Street}]
earning_rules: [{code: base, points: 1, per: "1.00"}]
"""


def earn(card: str, number: int) -> dict[str, object]:
    line = {"line": "1", "sku": "940996", "quantity": "1", "amount": "12.86"}
    order = {
        "ref": f"{card}-{number}",
        "store": "309",
        "channel": "pos",
        "occurred_at": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()),
        "currency": "USD",
        "lines": [line],
    }
    return {"member": f"card:{card}", "order": order}


def test_what_a_till_does_arrives_as_the_feed_shows_it(engine: Stack, receiver: Receiver) -> None:
    engine.manage("program", "apply", "-", stdin=PROGRAM)
    made = engine.manage("create_webhook", "--program=grocer", f"--url={receiver.url}", "--json")
    secret = json.loads(made)["secret"]
    with engine.client(engine.api_key("grocer")) as till:
        for card in ("2261", "2262", "2263"):
            member = {"identifiers": [{"type": "card", "value": card}]}
            till.post("/v1/members", json=member, headers=key()).raise_for_status()
            for number in range(5):
                headers = {**key(), "X-Request-Id": f"till-{card}-{number}"}
                answer = till.post("/v1/earn", json=earn(card, number), headers=headers)
                answer.raise_for_status()
        done = time.monotonic()
        feed = till.get("/v1/events", params={"limit": 200}).raise_for_status().json()["items"]
        receiver.wait_for(len(feed), seconds=60)
    assert len(feed) >= 18
    by_id = {event["id"]: event for event in feed}
    for call in receiver.calls:
        assert Webhook(secret).verify(call.body, call.headers) == by_id[call.event_id]
        assert call.headers["x-request-id"] == by_id[call.event_id]["cause"]["request_id"]
    orders = {c.event["cause"].get("order"): c.headers["x-request-id"] for c in receiver.calls}
    assert {
        f"2261-{number}": f"till-2261-{number}" for number in range(5)
    }.items() <= orders.items()
    for member in {event["member"] for event in feed}:
        sequences = [c.event["sequence"] for c in receiver.calls if c.event["member"] == member]
        assert sequences == sorted(sequences)
    assert receiver.calls[-1].at - done < 10


def key() -> dict[str, str]:
    return {"Idempotency-Key": uuid4().hex}
