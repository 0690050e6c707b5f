"""What each call does and answers, over HTTP."""

import json
from datetime import timedelta
from typing import Any

import pytest

from tests.factories import STORE, Till, balance_of, database_time, line, unique
from tests.integration.http.caller import CALLS, Caller, Shop, code_of, order_body


def body_of(response: Any) -> Any:
    """Return the parsed body."""
    return json.loads(response.content)


@pytest.mark.parametrize("name", [name for name in CALLS if name != "reverse"])
def test_every_call_of_the_table_works(shop: Shop, api: Caller, name: str) -> None:
    method, path, body = shop.calls()[name]
    assert api.call(method, path, body).status_code in (200, 201)


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_other_methods_are_405_and_say_which_are_allowed(still_api: Caller, method: str) -> None:
    response = still_api.call(method, "/v1/earn")
    assert code_of(response) == (405, "method_not_allowed")
    assert response.headers["Allow"] == "POST"


def test_an_answer_carries_the_callers_request_id(shop: Shop, api: Caller) -> None:
    answer = api.get(f"/v1/members/{shop.member}", **{"X-Request-Id": "till-7/42"})
    assert answer.headers["X-Request-Id"] == "till-7/42"
    refused = api.get("/v1/members/card:nobody", **{"X-Request-Id": "till-7/43"})
    assert body_of(refused)["request_id"] == "till-7/43"
    assert refused.headers["X-Request-Id"] == "till-7/43"


@pytest.mark.parametrize("bad", ["x" * 65, "a b", "é"])
def test_a_request_id_that_cannot_stand_in_a_log_is_replaced(
    still_shop: Shop, still_api: Caller, bad: str
) -> None:
    answer = still_api.get(f"/v1/members/{still_shop.member}", **{"X-Request-Id": bad})
    assert answer.headers["X-Request-Id"] != bad


# Members


def test_a_member_is_found_by_any_identifier(shop: Shop, api: Caller) -> None:
    email = f"{unique('Ada')}@Example.com"
    added = api.post(
        f"/v1/members/{shop.member}/identifiers", {"type": "email", "value": f" {email.upper()} "}
    )
    assert added.status_code == 201
    found = api.post("/v1/members/lookup", {"type": "email", "value": email}, key=None)
    assert body_of(found)["id"] == shop.member
    assert body_of(found) == body_of(api.get(f"/v1/members/card:{shop.card}"))


@pytest.mark.parametrize(
    "path", ["email:ada@example.com", "card:", "phone:+1555", "nonsense", "card:%00", "1", "%F0%28"]
)
def test_what_cannot_name_a_member_in_a_path_is_404(still_api: Caller, path: str) -> None:
    for suffix in ("", "/balance", "/ledger"):
        assert code_of(still_api.get(f"/v1/members/{path}{suffix}")) == (404, "member_not_found")


def test_an_identifier_that_another_member_has_is_taken(shop: Shop, api: Caller) -> None:
    body = {"identifiers": [{"type": "card", "value": shop.card}]}
    assert code_of(api.post("/v1/members", body)) == (409, "identifier_taken")
    other = shop.till.member()
    path = f"/v1/members/card:{other}/identifiers"
    response = api.post(path, {"type": "card", "value": shop.card})
    assert code_of(response) == (409, "identifier_taken")


def test_a_lost_card_no_longer_works(shop: Shop, api: Caller) -> None:
    new = {"type": "card", "value": unique("c")}
    api.post(f"/v1/members/{shop.member}/identifiers", new)
    named = body_of(api.get(f"/v1/members/{shop.member}"))["identifiers"]
    [lost] = [one for one in named if one["value"] == shop.card]
    removed = api.call("DELETE", f"/v1/members/{shop.member}/identifiers/{lost['id']}")
    left = [one["value"] for one in body_of(removed)["identifiers"]]
    assert new["value"] in left and shop.card not in left
    assert code_of(api.get(f"/v1/members/card:{shop.card}")) == (404, "member_not_found")
    again = api.call("DELETE", f"/v1/members/{shop.member}/identifiers/{lost['id']}")
    assert code_of(again) == (404, "not_found")


@pytest.mark.parametrize("identifier", ["x", "0", "-1", "\uff11", "9" * 30, "1.0"])
def test_an_identifier_that_does_not_exist_is_404(
    still_shop: Shop, still_api: Caller, identifier: str
) -> None:
    response = still_api.call("DELETE", f"/v1/members/{still_shop.member}/identifiers/{identifier}")
    assert code_of(response) == (404, "not_found")


def test_a_profile_changes_only_where_it_is_told(shop: Shop, api: Caller) -> None:
    path = f"/v1/members/{shop.member}"
    profile = {"first_name": "Ada", "last_name": "L", "birth_date": "1984-02-29", "language": "en"}
    api.call("PATCH", path, {"profile": profile, "attributes": {"a": 1, "b": "x"}})
    changes = {"profile": {"last_name": None}, "attributes": {"a": None, "c": True}}
    changed = body_of(api.call("PATCH", path, changes))
    assert changed["profile"] == {**profile, "last_name": ""}
    assert changed["attributes"] == {"b": "x", "c": True}


def test_a_frozen_member_earns_and_cannot_redeem(shop: Shop, api: Caller) -> None:
    path = f"/v1/members/{shop.member}"
    assert body_of(api.call("PATCH", path, {"status": "frozen"}))["status"] == "frozen"
    earn = {"member": f"card:{shop.card}", "order": order_body()}
    assert api.post("/v1/earn", earn).status_code == 201
    refused = api.post("/v1/redeem", {"member": f"card:{shop.card}", "points": 100})
    assert code_of(refused) == (409, "member_frozen")
    reasons = body_of(api.get(f"{path}/rewards"))["items"][0]["reasons"]
    assert reasons[0]["code"] == "member_not_active"


# Orders


def test_a_preview_tells_what_the_earn_will_do_and_writes_nothing(shop: Shop, api: Caller) -> None:
    before = balance_of(shop.member)
    body = {"member": f"card:{shop.card}", "order": order_body()}
    shown = body_of(api.post("/v1/earn/preview", body, key=None))
    assert balance_of(shop.member) == before
    done = body_of(api.post("/v1/earn", body))
    for field in ("points", "explanation", "not_applied", "balance", "status"):
        assert shown[field] == done[field]


def test_the_same_order_under_a_new_key_is_the_first_award(shop: Shop, api: Caller) -> None:
    body = {"member": f"card:{shop.card}", "order": order_body()}
    first, again = api.post("/v1/earn", body), api.post("/v1/earn", body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert body_of(again)["id"] == body_of(first)["id"]
    assert body_of(again)["balance"] == body_of(first)["balance"]
    body["order"]["lines"][0]["amount"] = "99.00"
    assert code_of(api.post("/v1/earn", body)) == (409, "order_conflict")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"currency": "EUR"}, "currency_mismatch"),
        ({"store": "999"}, "store_unknown"),
        ({"occurred_at": "1999-01-01T00:00:00Z"}, "occurred_at_out_of_range"),
        ({"lines": [line("1", "1.234")]}, "validation_failed"),
    ],
)
def test_an_order_that_cannot_be_meant_is_422(
    still_shop: Shop, still_api: Caller, changes: dict[str, Any], code: str
) -> None:
    body = {"member": f"card:{still_shop.card}", "order": order_body(**changes)}
    assert code_of(still_api.post("/v1/earn", body)) == (422, code)


def test_path_query_and_body_of_an_order_say_the_same(shop: Shop, api: Caller) -> None:
    order = order_body(ref="here")
    body = {"member": f"card:{shop.card}", "revision": 1, "order": order}
    assert code_of(api.call("PUT", "/v1/orders/there", body)) == (422, "validation_failed")
    path = "/v1/orders/here?store=310"
    assert code_of(api.call("PUT", path, body)) == (422, "validation_failed")
    assert api.call("PUT", f"/v1/orders/here?store={STORE}", body).status_code == 201


def test_the_query_completes_an_orders_name(shop: Shop, api: Caller) -> None:
    order = order_body()
    ref, _ = order.pop("ref"), order.pop("store")
    body = {"member": f"card:{shop.card}", "revision": 1, "order": order}
    put = api.call("PUT", f"/v1/orders/{ref}?store=310", body)
    assert body_of(put)["store"] == "310"


def test_an_order_that_is_not_known_yet_may_come_later(still_shop: Shop, still_api: Caller) -> None:
    returned = {
        "ref": unique("r"),
        "occurred_at": database_time().isoformat(),
        "lines": [{"line": "1", "quantity": "1"}],
    }
    for ref in (unique("o"), "a b", "x" * 101):
        response = still_api.post(f"/v1/orders/{ref}/returns", returned)
        assert code_of(response) == (404, "order_not_found")
        assert body_of(response)["retry"] == "same_key"


def test_a_return_takes_back_what_the_lines_earned(shop: Shop, api: Caller) -> None:
    method, path, body = shop.calls()["return_order"]
    answer = body_of(api.call(method, path, body))
    assert (answer["clawed_back"], answer["return"]) == (10, body["ref"])
    unknown = {**body, "ref": unique("r"), "lines": [{"line": "nope", "quantity": "1"}]}
    assert code_of(api.call(method, path, unknown)) == (422, "line_unknown")
    too_many = {**body, "ref": unique("r")}
    assert code_of(api.call(method, path, too_many)) == (409, "reversal_exceeds_original")


# Redemptions


def test_a_hold_is_captured_in_part_and_reversed(shop: Shop, api: Caller) -> None:
    path = f"/v1/redemptions/{shop.hold}"
    assert body_of(api.get(path))["state"] == "held"
    captured = body_of(api.post(f"{path}/capture", {"points": 20}))
    assert (captured["state"], captured["captured"]) == ("captured", 20)
    assert captured["balance"]["held"] == 0
    assert code_of(api.post(f"{path}/void", {})) == (409, "hold_not_open")
    reversed_ = body_of(api.post(f"{path}/reverse", {"reason": "changed their mind"}))
    assert (reversed_["state"], reversed_["reinstated"]) == ("reversed", 20)
    assert code_of(api.post(f"{path}/reverse", {"reason": "x"})) == (409, "already_reversed")
    assert body_of(api.get(path))["state"] == "reversed"


def test_capture_and_void_need_no_body(shop: Shop, api: Caller) -> None:
    assert api.post(f"/v1/redemptions/{shop.hold}/capture").status_code == 200
    assert api.post(f"/v1/redemptions/{shop.new_hold()}/void").status_code == 200


@pytest.mark.parametrize("name", ["x", "rdm_1", "txn_" + "0" * 33, "rdm_" + "0" * 33, "rdm_%00"])
def test_what_cannot_be_a_redemption_is_404(still_api: Caller, name: str) -> None:
    assert code_of(still_api.get(f"/v1/redemptions/{name}")) == (404, "redemption_not_found")
    for action in ("capture", "void"):
        response = still_api.post(f"/v1/redemptions/{name}/{action}", {})
        assert code_of(response) == (404, "redemption_not_found")


def test_a_redemption_costs_points_or_a_reward(still_shop: Shop, still_api: Caller) -> None:
    for body in ({}, {"reward": "mug", "points": 5}):
        response = still_api.post("/v1/redeem", {"member": f"card:{still_shop.card}", **body})
        assert code_of(response) == (422, "validation_failed")


def test_the_rewards_say_what_stands_in_the_way(shop: Shop, api: Caller) -> None:
    shop.till.again(
        rewards=[
            {"code": "cheap", "name": "Pen", "cost": 1, "gives": {"product": "pen"}, "stock": 1},
            {
                "code": "dear",
                "name": "Car",
                "cost": 100_000,
                "gives": {"product": "car"},
                "tiers": ["silver"],
            },
        ]
    )
    path = f"/v1/members/card:{shop.card}/rewards"
    cheap, dear = body_of(api.get(path))["items"]
    assert (cheap["available"], cheap["reasons"], cheap["remaining"]) == (True, [], 1)
    assert [reason["code"] for reason in dear["reasons"]] == ["tier_too_low", "insufficient_points"]
    assert (
        dear["reasons"][1]["missing"]
        == 100_000 - body_of(api.get(f"/v1/members/{shop.member}/balance"))["available"]
    )
    body = {"member": f"card:{shop.card}", "reward": "cheap"}
    assert api.post("/v1/redeem", body).status_code == 201
    assert body_of(api.get(path))["items"][0]["reasons"][0]["code"] == "sold_out"
    assert code_of(api.post("/v1/redeem", body)) == (409, "reward_sold_out")


# Points


def test_the_balance_says_what_expires_when(till: Till, api: Caller) -> None:
    now = database_time()
    card = till.member()
    for days, points in ((9, 5), (3, 7), (3, 1)):
        ends = now.replace(microsecond=0) + timedelta(days=days)
        till.adjust(card, points, ends=ends)
    till.adjust(card, 100)
    balance = body_of(api.get(f"/v1/members/card:{card}/balance"))
    assert balance["available"] == 113
    assert [one["points"] for one in balance["expiring"]] == [8, 5]


def test_the_balance_at_a_time_is_what_it_was(till: Till, api: Caller) -> None:
    card = till.member()
    path = f"/v1/members/card:{card}/balance"
    moments = []
    for points in (100, 20, -50):
        till.adjust(card, points)
        moments.append((database_time(), body_of(api.get(path))))
    for at, balance in moments:
        assert body_of(api.get(f"{path}?at={at.isoformat()}")) == balance
    begin = moments[0][0] - timedelta(days=1)
    assert body_of(api.get(f"{path}?at={begin.isoformat()}"))["available"] == 0


def test_the_past_is_as_it_would_have_been_shown_then(till: Till, api: Caller) -> None:
    now = database_time()
    card = till.member()
    till.adjust(card, 30, ends=now + timedelta(milliseconds=300))
    path = f"/v1/members/card:{card}/balance"
    at = database_time()
    while database_time() < now + timedelta(milliseconds=350):
        pass
    assert body_of(api.get(path))["available"] == 0
    assert body_of(api.get(f"{path}?at={at.isoformat()}"))["available"] == 30
    # It expired at its time, although nothing has posted that yet.
    after = (now + timedelta(milliseconds=340)).isoformat()
    assert body_of(api.get(f"{path}?at={after}"))["available"] == 0


@pytest.mark.parametrize("at", ["2999-01-01T00:00:00Z", "2100-01-01T00:00:00Z", "now", "", "1"])
def test_a_time_that_is_none_or_not_yet_is_422(
    still_shop: Shop, still_api: Caller, at: str
) -> None:
    response = still_api.get(f"/v1/members/{still_shop.member}/balance?at={at}")
    assert code_of(response) == (422, "validation_failed")


def test_the_statement_explains_each_movement(shop: Shop, api: Caller) -> None:
    items = body_of(api.get(f"/v1/members/{shop.member}/ledger"))["items"]
    assert [item["kind"] for item in items] == ["hold", "earn", "adjust"]
    earn = items[1]
    assert earn["explanation"][0]["rule"] == "base"
    assert (earn["source_ref"], earn["points"], earn["available_after"]) == (shop.ref, 10, 1010)
    assert [(p["from"], p["to"], p["points"]) for p in earn["postings"]] == [
        ("issued", "available", 10)
    ]
    assert items[0]["redemption"] == shop.hold
    assert items[0]["available_after"] == 960


@pytest.mark.parametrize("list_", ["ledger", "lots"])
def test_pages_miss_nothing_and_repeat_nothing(till: Till, api: Caller, list_: str) -> None:
    card = till.member()
    for points in range(1, 8):
        till.adjust(card, points)
    path = f"/v1/members/card:{card}/{list_}"
    everything = body_of(api.get(path))["items"]
    paged, cursor = [], ""
    for _ in range(10):
        page = body_of(api.get(f"{path}?limit=3{cursor}"))
        paged += page["items"]
        till.adjust(card, 1)  # what comes in meanwhile is newer, and not in these pages
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert paged == everything
    assert len(paged) == 7


@pytest.mark.parametrize("limit", ["0", "201", "-1", "x", "1.5", ""])
def test_a_page_has_1_to_200_items(still_shop: Shop, still_api: Caller, limit: str) -> None:
    for list_ in ("ledger", "lots", "redemptions"):
        response = still_api.get(f"/v1/members/{still_shop.member}/{list_}?limit={limit}")
        assert code_of(response) == (422, "validation_failed")


def test_a_cursor_is_good_for_its_own_list_only(till: Till, api: Caller) -> None:
    card, other = till.member(balance=1), till.member()
    till.adjust(card, 1)
    page = body_of(api.get(f"/v1/members/card:{card}/ledger?limit=1"))
    cursor = page["next_cursor"]
    assert api.get(f"/v1/members/card:{card}/ledger?cursor={cursor}").status_code == 200
    for path in (
        f"/v1/members/card:{card}/lots?cursor={cursor}",
        f"/v1/members/card:{other}/ledger?cursor={cursor}",
        f"/v1/members/card:{card}/ledger?cursor={cursor[:-1]}",
        f"/v1/members/card:{card}/ledger?cursor=x",
        f"/v1/events?after={cursor}",
    ):
        assert code_of(api.get(path)) == (400, "cursor_invalid")


def test_adjustments_are_refused_where_they_cannot_be_meant(
    still_shop: Shop, still_api: Caller
) -> None:
    body = {"member": f"card:{still_shop.card}", "points": 5, "reason": "x"}
    for changes in (
        {"points": 0},
        {"reason": ""},
        {"expires_at": "2001-01-01T00:00:00Z"},
        {"points": -5, "expires_at": "2101-01-01T00:00:00Z"},
    ):
        response = still_api.post("/v1/adjustments", {**body, **changes})
        assert code_of(response) == (422, "validation_failed")
    response = still_api.post("/v1/adjustments", {**body, "points": -1_000_000})
    assert code_of(response) == (409, "insufficient_points")


# Events


def test_the_feed_is_read_to_its_end_and_on(till: Till, api: Caller) -> None:
    card = till.member(balance=5)
    first = body_of(api.get("/v1/events?limit=1"))
    assert (len(first["items"]), first["has_more"]) == (1, True)
    rest = body_of(api.get(f"/v1/events?after={first['next_cursor']}"))
    assert [e["sequence"] for e in first["items"] + rest["items"]] == [1, 2]
    assert rest["has_more"] is False
    idle = body_of(api.get(f"/v1/events?after={rest['next_cursor']}"))
    assert idle["items"] == []
    till.adjust(card, 1)
    fresh = body_of(api.get(f"/v1/events?after={idle['next_cursor']}"))
    assert [event["type"] for event in fresh["items"]] == ["points.adjusted"]


# Batch


def test_a_bad_command_does_not_stop_the_others(till: Till, api: Caller) -> None:
    card = unique("c")
    order = order_body()
    commands = [
        {"enrol": {"identifiers": [{"type": "card", "value": card}]}},
        {"earn": {"member": f"card:{card}", "order": order}},
        {"earn": {"member": f"card:{card}", "order": {**order, "lines": []}}},
        {"redeem": {"member": f"card:{card}", "points": 500}},
        {"fly": {}},
        {"adjust": {"member": f"card:{card}", "points": 500, "reason": "x"}},
        {"redeem": {"member": f"card:{card}", "points": 500}},
        {
            "return": {
                "order_ref": order["ref"],
                "store": STORE,
                "ref": "r",
                "occurred_at": order["occurred_at"],
                "lines": [{"line": "1", "quantity": "1"}],
            }
        },
    ]
    keyed = [{"idempotency_key": unique("k"), **command} for command in commands]
    results = body_of(api.post("/v1/batch", {"commands": keyed}, key=None))["results"]
    assert [r["status"] for r in results] == [201, 201, 422, 409, 422, 201, 201, 201]
    assert results[2]["body"]["errors"][0]["pointer"] == "/commands/2/earn/order/lines"
    assert results[4]["body"]["errors"][0]["pointer"] == "/commands/4"
    again = body_of(api.post("/v1/batch", {"commands": keyed}, key=None))["results"]
    assert [r["body"] for r in again if r["status"] != 422] == [
        r["body"] for r in results if r["status"] != 422
    ]
    assert all(r.get("replayed") for r in again if r["status"] != 422)


@pytest.mark.parametrize(
    "batch",
    [
        {},
        {"commands": []},
        {"commands": {}},
        {"commands": [{}], "more": 1},
        [],
        "x",
    ],
)
def test_a_batch_is_a_list_of_commands(still_api: Caller, batch: Any) -> None:
    assert code_of(still_api.post("/v1/batch", batch, key=None)) == (422, "validation_failed")


@pytest.mark.parametrize(
    "command",
    [
        1,
        {},
        {"idempotency_key": "k"},
        {"idempotency_key": 1, "earn": {}},
        {"idempotency_key": "", "earn": {}},
        {"idempotency_key": "a b", "earn": {}},
        {"earn": {}},
        {"idempotency_key": "k", "earn": {}, "redeem": {}},
        {"idempotency_key": "k", "earn": 1},
        {"idempotency_key": "k", "earn": None},
    ],
)
def test_a_command_of_another_shape_is_refused_alone(still_api: Caller, command: Any) -> None:
    results = body_of(still_api.post("/v1/batch", {"commands": [command]}, key=None))["results"]
    assert results[0]["status"] in (400, 422)
