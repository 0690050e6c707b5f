"""What each call does and answers, over HTTP."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from loyalty.events.selectors import list_member_events
from loyalty.events.services import stamp_events
from tests.factories import STORE, Till, balance_of, database_time, line, rows, unique
from tests.integration.http.caller import CALLS, Caller, Shop, body_of, code_of, order_body


@pytest.mark.parametrize("name", [name for name in CALLS if name != "reverse"])
def test_every_call_of_the_table_works(shop: Shop, api: Caller, name: str) -> None:
    method, path, body = shop.call(name)
    assert api.call(method, path, body).status_code in (200, 201)


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_other_methods_are_405_and_say_which_are_allowed(still_api: Caller, method: str) -> None:
    response = still_api.call(method, "/v1/earn")
    assert code_of(response) == (405, "method_not_allowed")
    assert response.headers["Allow"] == "POST"
    if method != "GET":
        contract = still_api.call(method, "/v1/openapi.json")
        assert code_of(contract) == (405, "method_not_allowed")
        assert contract.headers["Allow"] == "GET, HEAD"


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


def test_an_identifier_is_verified_when_somebody_says_so(shop: Shop, api: Caller) -> None:
    email = {"type": "email", "value": f"{unique('ada')}@example.com", "verified": True}
    phone = {"type": "phone", "value": f"+1{uuid4().int % 10**10:010}"}
    enrolled = body_of(api.post("/v1/members", {"identifiers": [email, phone]}))
    assert [one["verified"] for one in enrolled["identifiers"]] == [True, False]
    path = f"/v1/members/{enrolled['id']}/identifiers"
    unchanged = api.post(path, {**email, "verified": False})
    assert body_of(unchanged) == body_of(api.get(f"/v1/members/{enrolled['id']}"))
    later = api.post(path, {**phone, "verified": True})
    assert later.status_code == 200
    card = {"type": "card", "value": unique("c")}
    other = body_of(api.post("/v1/members", {"identifiers": [card]}))
    merged = api.post(f"/v1/members/{enrolled['id']}/merge", {"into": other["id"]})
    assert merged.status_code == 200
    now = body_of(api.get(f"/v1/members/{other['id']}"))["identifiers"]
    assert [(one["type"], one["verified"]) for one in now] == [
        ("card", False), ("email", True), ("phone", True)
    ]  # fmt: skip
    said = rows("SELECT verified_by FROM loyalty_identifier WHERE member_id = %s"
                " AND type <> 'card'", other["id"])  # fmt: skip
    assert {row[0] for row in said} == {"tests"}
    events = rows("SELECT data::text FROM loyalty_outboxevent WHERE member_id = %s"
                  " AND type = 'member.updated'", enrolled["id"])  # fmt: skip
    assert [row[0] for row in events] == ['{"changed":["identifiers"]}']


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


@pytest.mark.parametrize("day", ["1899-12-31", "2099-01-01"])
def test_nobody_was_born_in_the_future_or_long_ago(
    still_shop: Shop, still_api: Caller, day: str
) -> None:
    profile, named = {"birth_date": day}, [{"type": "card", "value": "unborn"}]
    for method, path, body in (
        ("PATCH", f"/v1/members/{still_shop.member}", {"profile": profile}),
        ("POST", "/v1/members", {"identifiers": named, "profile": profile}),
    ):
        refused = still_api.call(method, path, body)
        assert code_of(refused) == (422, "validation_failed")
        assert body_of(refused)["errors"][0]["pointer"] == "/profile/birth_date"


def test_a_return_is_not_older_than_its_order_but_for_a_tills_clock(
    shop: Shop, api: Caller
) -> None:
    order = order_body(ref=unique("o"))
    api.post("/v1/earn", {"member": f"card:{shop.card}", "order": order})
    bought = datetime.fromisoformat(order["occurred_at"])
    path = f"/v1/orders/{order['ref']}/returns"
    back = {"ref": "R-1", "lines": [{"line": "1", "quantity": "1"}]}
    for hours, expected in ((25, (422, "occurred_at_out_of_range")), (23, (201, None))):
        at = (bought - timedelta(hours=hours)).isoformat()
        answer = api.post(path, {**back, "occurred_at": at})
        assert (answer.status_code, body_of(answer).get("code")) == expected


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
    method, path, body = shop.call("return_order")
    answer = body_of(api.call(method, path, body))
    assert (answer["clawed_back"], answer["return"]) == (10, body["ref"])
    unknown = {**body, "ref": unique("r"), "lines": [{"line": "nope", "quantity": "1"}]}
    assert code_of(api.call(method, path, unknown)) == (422, "line_unknown")
    too_many = {**body, "ref": unique("r")}
    assert code_of(api.call(method, path, too_many)) == (409, "reversal_exceeds_original")


# Events


def test_the_feed_is_read_to_its_end_and_on(till: Till, api: Caller) -> None:
    while stamp_events():
        pass  # other tests' events, which no relay of this database has stamped
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
    member = results[0]["body"]["id"]
    told = list_member_events(member_id=UUID(member), sequences=range(1, 20))
    assert {event.cause.get("bulk") for event in told.values()} == {True}
    api.post("/v1/adjustments", {"member": member, "points": 1, "reason": "x"})
    alone = list_member_events(member_id=UUID(member), sequences=[len(told) + 1])
    assert "bulk" not in alone[len(told) + 1].cause


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
