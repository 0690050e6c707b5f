"""One key, one effect, one answer (scenarios 3 and 7)."""

import json
from typing import Any

import pytest

from tests.factories import balance_of, unique
from tests.integration.http.caller import KEYED, Caller, Shop, code_of, order_body
from tests.integration.http.configuration_calls import CONFIGURATION_KEYED, other_body


def settle_first(shop: Shop, api: Caller, name: str) -> None:
    """Bring the shop to where the call can succeed."""
    if name == "reverse":
        assert api.post(f"/v1/redemptions/{shop.hold}/capture", {}).status_code == 200


def changed(name: str, body: dict[str, Any]) -> dict[str, Any]:
    """Say something else in the same place."""
    simple = {"void": {}, "capture": {"points": 1}, "fulfil": {"state": "delivered"}}
    simple |= {"redeliver_to_webhook": {"events": [f"evt_{'0' * 32}_1"]}}
    simple |= {"put_segment": {"name": "Others"}, "change_segment_members": {"add": ["card:x"]}}
    if name in simple:
        return simple[name]
    if name == "enrol":
        return {**body, "profile": {"first_name": "Eve"}}
    if name == "add_identifier":
        return {"type": "card", "value": unique("c")}
    if name in ("earn", "put_order"):
        return {**body, "order": {**body["order"], "channel": "web"}}
    if name == "return_order":
        return {**body, "ref": unique("r")}
    if name in ("merge_members", "unmerge_member"):
        return {**body, "reason": "another"}
    if name == "redeem":
        return {**body, "reward": "mug"}
    if name == "create_webhook_endpoint":
        return {**body, "event_types": ["tier.*"]}
    more = {} if name == "assign_tier" else {"points": 7}
    return {**body, **more, "reason": "another"}


def otherwise(name: str, body: dict[str, Any]) -> dict[str, Any]:
    """Say something else, wherever it is."""
    return other_body(body) if name in CONFIGURATION_KEYED else changed(name, body)


@pytest.mark.parametrize("name", KEYED)
def test_the_first_answer_comes_again_byte_for_byte(shop: Shop, api: Caller, name: str) -> None:
    settle_first(shop, api, name)
    method, path, body = shop.call(name)
    key = unique("k")
    first = api.call(method, path, body, key=key)
    again = api.call(method, path, body, key=key)
    assert first.status_code in (200, 201)
    assert "Idempotent-Replayed" not in first.headers
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize(
    "name",
    [name for name in KEYED if name not in ("void", "erase_member", "rotate_webhook_secret")],
)
def test_scenario_3_the_same_key_with_another_body_is_422(
    shop: Shop, api: Caller, name: str
) -> None:
    settle_first(shop, api, name)
    method, path, body = shop.call(name)
    key = unique("k")
    assert api.call(method, path, body, key=key).status_code in (200, 201)
    before = balance_of(shop.member)
    response = api.call(method, path, otherwise(name, body), key=key)
    assert code_of(response) == (422, "idempotency_key_reused")
    assert balance_of(shop.member) == before


def test_scenario_3_the_same_key_at_another_address_is_422(shop: Shop, api: Caller) -> None:
    key = unique("k")
    other = shop.new_hold()
    assert api.post(f"/v1/redemptions/{shop.hold}/void", {}, key=key).status_code == 200
    response = api.post(f"/v1/redemptions/{other}/void", {}, key=key)
    assert code_of(response) == (422, "idempotency_key_reused")
    response = api.post(f"/v1/redemptions/{shop.hold}/capture", {}, key=key)
    assert code_of(response) == (422, "idempotency_key_reused")


def test_the_same_content_written_otherwise_is_the_same_request(shop: Shop, api: Caller) -> None:
    key, member = unique("k"), shop.card
    one = f'{{"member": "card:{member}", "points": 5, "reason": "a"}}'.encode()
    two = f'{{"reason":"\\u0061",\n"points":5,"member":"card:{member}"}}'.encode()
    first = api.post("/v1/adjustments", one, key=key)
    again = api.post("/v1/adjustments", two, key=key)
    assert again.content == first.content
    assert again.headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize("name", KEYED)
def test_a_call_that_changes_something_needs_a_key(
    still_shop: Shop, still_api: Caller, name: str
) -> None:
    method, path, body = still_shop.call(name)
    response = still_api.call(method, path, body, key=None)
    assert code_of(response) == (400, "idempotency_key_missing")


@pytest.mark.parametrize("key", ["a b", "é", "x" * 256, '"', '"a', '"a"b"', '""', "a\tb", "\x7f"])
def test_a_key_is_visible_ascii(still_shop: Shop, still_api: Caller, key: str) -> None:
    method, path, body = still_shop.call("adjust")
    assert code_of(still_api.call(method, path, body, key=key)) == (400, "idempotency_key_invalid")


def test_a_quoted_key_is_the_bare_one(shop: Shop, api: Caller) -> None:
    method, path, body = shop.call("adjust")
    key = unique("k")
    first = api.call(method, path, body, key=key)
    again = api.call(method, path, body, key=f'"{key}"')
    assert again.content == first.content
    assert again.headers["Idempotent-Replayed"] == "true"


def test_keys_of_other_clients_are_other_keys(shop: Shop, api: Caller) -> None:
    method, path, body = shop.call("adjust")
    key = unique("k")
    assert api.call(method, path, body, key=key).status_code == 201
    other = Caller(shop.program_id).call(method, path, body, key=key)
    assert other.status_code == 201
    assert "Idempotent-Replayed" not in other.headers


def test_scenario_7_a_refusal_sticks_to_its_key(shop: Shop, api: Caller) -> None:
    body = {"member": f"card:{shop.card}", "points": 500_000}
    key = unique("k")
    refused = api.post("/v1/redeem", body, key=key)
    assert code_of(refused) == (409, "insufficient_points")
    grant = {"member": f"card:{shop.card}", "points": 900_000, "reason": "rich now"}
    assert api.post("/v1/adjustments", grant).status_code == 201
    again = api.post("/v1/redeem", body, key=key)
    assert again.content == refused.content
    assert again.headers["Idempotent-Replayed"] == "true"
    assert api.post("/v1/redeem", body).status_code == 201


def test_what_is_not_a_decision_does_not_stick(shop: Shop, api: Caller) -> None:
    key = unique("k")
    card = unique("c")
    body = {"member": f"card:{card}", "points": 5, "reason": "x"}
    assert code_of(api.post("/v1/adjustments", body, key=key)) == (404, "member_not_found")
    shop.till.enrol(card)
    assert api.post("/v1/adjustments", body, key=key).status_code == 201


def test_a_command_sent_alone_is_known_in_a_batch_and_the_other_way_round(
    shop: Shop, api: Caller
) -> None:
    earn = {"member": f"card:{shop.card}", "order": order_body()}
    returned = shop.call("return_order")[2]
    keys = unique("k"), unique("k"), unique("k")
    alone = api.post("/v1/earn", earn, key=keys[0])
    member = f"card:{shop.card}"
    level = {"level": "silver", "until": "2099-12-31", "reason": "of a partner"}
    given = api.post(f"/v1/members/{member}/tier", level, key=keys[2])
    beside = {"order_ref": shop.ref, "store": "309"}
    batch = {
        "commands": [
            {"idempotency_key": keys[0], "earn": earn},
            {"idempotency_key": keys[1], "return": {**returned, **beside}},
            {"idempotency_key": keys[2], "assign": {"member": member, **level}},
        ]
    }
    results = json.loads(api.post("/v1/batch", batch, key=None).content)["results"]
    assert results[0] == {"status": 201, "replayed": True, "body": json.loads(alone.content)}
    assert results[2] == {"status": 200, "replayed": True, "body": json.loads(given.content)}
    again = api.post(f"/v1/orders/{shop.ref}/returns?store=309", returned, key=keys[1])
    assert again.headers["Idempotent-Replayed"] == "true"
    assert json.loads(again.content) == results[1]["body"]


def test_a_patch_and_a_delete_need_no_key_and_may_have_one(shop: Shop, api: Caller) -> None:
    path = f"/v1/members/{shop.member}"
    body = {"attributes": {"shoe_size": 42}}
    assert api.call("PATCH", path, body).status_code == 200
    key = {"Idempotency-Key": unique("k")}
    assert api.call("PATCH", path, body, **key).status_code == 200
    assert api.call("PATCH", path, body, **key).headers["Idempotent-Replayed"] == "true"
