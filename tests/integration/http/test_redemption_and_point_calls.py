"""Redemptions, balances, statements and adjustments over HTTP."""

from datetime import timedelta

import pytest

from tests.factories import Till, database_time
from tests.integration.http.caller import Caller, Shop, body_of, code_of

# Redemptions


def test_points_that_pay_are_captured_in_part_and_reversed(shop: Shop, api: Caller) -> None:
    before = body_of(api.get(f"/v1/members/{shop.member}/balance"))["held"]
    path = f"/v1/redemptions/{shop.till.redeem(shop.card, points=50, capture=False).id}"
    assert body_of(api.get(path))["state"] == "held"
    captured = body_of(api.post(f"{path}/capture", {"points": 20}))
    assert (captured["state"], captured["captured"]) == ("captured", 20)
    assert captured["balance"]["held"] == before
    assert code_of(api.post(f"{path}/void", {})) == (409, "hold_not_open")
    reversed_ = body_of(api.post(f"{path}/reverse", {"reason": "changed their mind"}))
    assert (reversed_["state"], reversed_["reinstated"]) == ("reversed", 20)
    assert code_of(api.post(f"{path}/reverse", {"reason": "x"})) == (409, "already_reversed")
    assert body_of(api.get(path))["state"] == "reversed"


def test_a_reward_is_captured_as_a_whole(shop: Shop, api: Caller) -> None:
    path = f"/v1/redemptions/{shop.hold}"
    refused = api.post(f"{path}/capture", {"points": 20})
    assert code_of(refused) == (422, "reward_not_divisible")
    assert body_of(api.get(path))["state"] == "held"
    assert body_of(api.post(f"{path}/capture", {"points": 50}))["captured"] == 50


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


@pytest.mark.parametrize(
    "limit", ["0", "201", "-1", "x", "1.5", "", "1_0", "%2B5", "%205", "5%0A", "5.0", "%D9%A5"]
)
def test_a_page_has_1_to_200_items(still_shop: Shop, still_api: Caller, limit: str) -> None:
    for list_ in ("ledger", "lots", "redemptions", "referrals"):
        response = still_api.get(f"/v1/members/{still_shop.member}/{list_}?limit={limit}")
        assert code_of(response) == (422, "validation_failed")
    for list_ in ("events", "stores"):
        refused = still_api.get(f"/v1/{list_}?limit={limit}")
        assert code_of(refused) == (422, "validation_failed")


def test_a_cursor_is_good_for_its_own_list_only(till: Till, api: Caller) -> None:
    card, other = till.member(balance=1), till.member()
    till.adjust(card, 1)
    page = body_of(api.get(f"/v1/members/card:{card}/ledger?limit=1"))
    cursor = page["next_cursor"]
    assert api.get(f"/v1/members/card:{card}/ledger?cursor={cursor}").status_code == 200
    for path in (
        f"/v1/members/card:{card}/lots?cursor={cursor}",
        f"/v1/members/card:{card}/referrals?cursor={cursor}",
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
