"""Webhook endpoints as an integrator manages them: over HTTP."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from standardwebhooks import Webhook

from crm_sync.models import Connection
from loyalty.events.rules import event_id
from tests.integration.crm_sync.outbox import Outbox, drain
from tests.integration.crm_sync.receivers import Answer, Receiver
from tests.integration.http.caller import Caller, body_of, code_of

ENDPOINTS = "/v1/webhook-endpoints"


@pytest.fixture
def api(outbox: Outbox) -> Iterator[Caller]:
    caller = Caller(outbox.program.pk)
    yield caller
    caller.row.delete()


def create(api: Caller, receiver: Receiver, **more: Any) -> dict[str, Any]:
    made = api.post(ENDPOINTS, {"url": receiver.url, **more})
    assert made.status_code == 201, made.content
    body: dict[str, Any] = body_of(made)
    return body


def test_events_arrive_signed_with_the_secret_that_was_answered(
    api: Caller, outbox: Outbox, receiver: Receiver
) -> None:
    made = create(api, receiver, name="Shop", event_types=["points.*"])
    assert (made["state"], made["enabled"], made["pending"]) == ("enabled", True, 0)
    outbox.write(uuid4(), "tier.upgraded")
    member = uuid4()
    outbox.write(member)
    drain()
    (call,) = receiver.calls
    Webhook(made["secret"]).verify(call.body, call.headers)
    listed = body_of(api.get(f"{ENDPOINTS}/{made['id']}/deliveries"))
    (item,) = listed["items"]
    assert (item["event"], item["state"], item["attempts"]) == (
        *(event_id(member, 1), "delivered"),
        1,
    )
    assert (
        item["last_attempt"]["correlation_id"].replace("-", "")
        == (call.headers["x-correlation-id"])
    )


def test_the_secret_is_answered_once_and_kept_nowhere(api: Caller, receiver: Receiver) -> None:
    key = uuid4().hex
    first = api.post(ENDPOINTS, {"url": receiver.url}, key=key)
    again = api.post(ENDPOINTS, {"url": receiver.url}, key=key)
    made = body_of(first)
    assert (again.content, again.headers["Idempotent-Replayed"]) == (first.content, "true")
    assert "secret" not in body_of(api.get(f"{ENDPOINTS}/{made['id']}"))
    with connection.cursor() as cursor:
        cursor.execute("SELECT body FROM loyalty_idempotencykey WHERE key = %s", [key])
        assert "whsec_" not in cursor.fetchone()[0]


def test_changed_paused_and_continued(api: Caller, outbox: Outbox, receiver: Receiver) -> None:
    made = create(api, receiver)
    assert made["name"] == "127.0.0.1"
    address = f"{ENDPOINTS}/{made['id']}"
    paused = body_of(api.call("PATCH", address, {"enabled": False, "name": "Ours"}))
    assert (paused["state"], paused["name"]) == ("disabled", "Ours")
    assert paused["reason"] == "Disabled by the API key tests."
    outbox.write(uuid4())
    drain()
    assert receiver.calls == []
    body_of(api.call("PATCH", address, {"enabled": True, "event_types": []}))
    drain()
    assert len(receiver.calls) == 1


def test_what_was_given_up_is_sent_again(api: Caller, outbox: Outbox, receiver: Receiver) -> None:
    receiver.respond = lambda call: Answer(422)
    made = create(api, receiver)
    member = uuid4()
    for _ in range(3):
        outbox.write(member)
    drain()
    address = f"{ENDPOINTS}/{made['id']}"
    assert body_of(api.get(address))["dead"] == 3
    first = body_of(api.get(f"{address}/deliveries?state=dead&limit=2"))
    rest = body_of(api.get(f"{address}/deliveries?state=dead&cursor={first['next_cursor']}"))
    sequences = [int(item["event"].rpartition("_")[2]) for item in first["items"] + rest["items"]]
    assert sequences == [3, 2, 1]
    receiver.respond = lambda call: Answer()
    one = api.post(f"{address}/redeliver", {"events": [event_id(member, 2)]})
    assert body_of(one) == {"redelivered": 1}
    assert body_of(api.post(f"{address}/redeliver", {"all_dead": True})) == {"redelivered": 2}
    drain()
    assert body_of(api.get(address))["dead"] == 0


def test_a_test_event_and_a_new_secret(api: Caller, outbox: Outbox, receiver: Receiver) -> None:
    made = create(api, receiver)
    address = f"{ENDPOINTS}/{made['id']}"
    tested = body_of(api.post(f"{address}/test"))
    assert (tested["delivered"], tested["status_code"]) == (True, 200)
    rotated = body_of(api.post(f"{address}/rotate-secret", {}))
    assert set(rotated) == {"secret", "old_valid_until"}
    assert rotated["secret"] != made["secret"]
    outbox.write(uuid4())
    drain()
    for secret in (made["secret"], rotated["secret"]):
        Webhook(secret).verify(receiver.calls[-1].body, receiver.calls[-1].headers)


def test_a_repeated_answer_has_the_secret_of_its_own_time(api: Caller, receiver: Receiver) -> None:
    creating, rotating = uuid4().hex, uuid4().hex
    made = api.post(ENDPOINTS, {"url": receiver.url}, key=creating)
    rotate = f"{ENDPOINTS}/{body_of(made)['id']}/rotate-secret"
    first = api.post(rotate, {}, key=rotating)
    second = api.post(rotate, {})
    assert body_of(second)["secret"] != body_of(first)["secret"]
    assert api.post(rotate, {}, key=rotating).content == first.content
    assert api.post(ENDPOINTS, {"url": receiver.url}, key=creating).content == made.content


def test_removed_is_gone_and_frees_its_name(
    api: Caller, outbox: Outbox, receiver: Receiver
) -> None:
    made = create(api, receiver, name="Shop")
    taken = api.post(ENDPOINTS, {"url": receiver.url, "name": "Shop"})
    assert code_of(taken) == (409, "endpoint_name_taken")
    address = f"{ENDPOINTS}/{made['id']}"
    assert body_of(api.call("DELETE", address)) == {"id": made["id"], "removed": True}
    assert code_of(api.get(address)) == (404, "endpoint_not_found")
    assert code_of(api.call("DELETE", address)) == (404, "endpoint_not_found")
    assert body_of(api.get(ENDPOINTS)) == {"items": []}
    outbox.write(uuid4())
    drain()
    assert receiver.calls == []
    create(api, receiver, name="Shop")
    assert Connection.objects.filter(program=outbox.program).count() == 2


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"url": "https://169.254.169.254/latest"}, "/url"),
        ({"url": "http://example.com"}, "/url"),
        ({"url": "https://93.184.215.14/", "event_types": ["everything"]}, "/event_types/0"),
        ({"url": "https://93.184.215.14/", "events": []}, "/events"),
    ],
)
def test_bad_input_is_refused_where_it_is(
    api: Caller, settings: Any, body: dict[str, Any], pointer: str
) -> None:
    settings.CRM_ALLOW_PRIVATE_ADDRESSES = False
    refused = api.post(ENDPOINTS, body)
    assert code_of(refused) == (422, "validation_failed")
    assert body_of(refused)["errors"][0]["pointer"] == pointer


def test_connections_of_other_kinds_are_not_endpoints(api: Caller, outbox: Outbox) -> None:
    console = outbox.connect()
    address = f"{ENDPOINTS}/whe_{console.key_id.hex}"
    assert code_of(api.get(address)) == (404, "endpoint_not_found")
