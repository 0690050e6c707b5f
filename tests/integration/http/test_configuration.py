"""Configuration over HTTP: the same draft, checks and versions as in the admin."""

from typing import Any

import pytest

from loyalty.programs.models import Program, Reward
from loyalty.programs.selectors import live_document
from tests.factories import open_till
from tests.integration.http.caller import Caller, Shop, body_of, code_of

MUG = {"code": "cup", "name": "Cup", "cost": 30, "gives": {"product": "cup"}}


def problems(response: Any) -> list[tuple[str, str]]:
    return [(each["pointer"], each["message"]) for each in body_of(response)["errors"]]


def test_what_is_added_is_live_once_it_is_published(shop: Shop, api: Caller) -> None:
    added = api.post("/v1/rewards", MUG)
    assert added.status_code == 201
    assert body_of(added) == {**MUG, "active": True, "auto_redeem": False}
    draft = body_of(api.get("/v1/program"))["draft"]
    assert [change["text"] for change in draft["changes"]] == [
        "Reward cup: added: product cup for 30 points"
    ]
    assert draft["edited_by"] == "api:tests"
    refused = api.post("/v1/redeem", {"member": f"card:{shop.card}", "reward": "cup"})
    assert code_of(refused) == (404, "reward_not_found")
    published = body_of(api.post("/v1/program/publish", {"reason": "Cups"}))
    assert (published["version"], published["published"]) == (2, True)
    taken = api.post("/v1/redeem", {"member": f"card:{shop.card}", "reward": "cup"})
    assert taken.status_code == 201
    now = body_of(api.get("/v1/program"))
    assert (now["version"], now["reason"], now["draft"]["changes"]) == (2, "Cups", [])
    again = body_of(api.post("/v1/program/publish", {"reason": "Again"}))
    assert (again["version"], again["published"], again["changes"]) == (2, False, [])


def test_a_change_names_some_keys_and_null_takes_one_out(shop: Shop, api: Caller) -> None:
    changed = api.call("PATCH", "/v1/rewards/mug", {"cost": 12, "stock": None, "stock_low": None})
    assert body_of(changed) == {
        "code": "mug",
        "name": "Mug",
        "active": True,
        "cost": 12,
        "gives": {"product": "mug"},
        "auto_redeem": False,
    }
    assert body_of(api.get("/v1/rewards/mug")) == body_of(changed)
    assert api.call("DELETE", "/v1/rewards/mug").status_code == 200
    assert code_of(api.get("/v1/rewards/mug")) == (404, "not_found")
    assert code_of(api.call("DELETE", "/v1/rewards/mug")) == (404, "not_found")


def test_a_change_of_what_somebody_changed_meanwhile_is_refused(shop: Shop, api: Caller) -> None:
    tag = api.get("/v1/rewards/mug").headers["ETag"]
    changed = api.call("PATCH", "/v1/rewards/mug", {"cost": 12}, **{"If-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["ETag"] != tag
    late = api.call("PATCH", "/v1/rewards/mug", {"cost": 13}, **{"If-Match": tag})
    assert code_of(late) == (412, "draft_changed")
    assert code_of(api.call("DELETE", "/v1/rewards/mug", **{"If-Match": tag}))[0] == 412
    assert body_of(api.get("/v1/rewards/mug"))["cost"] == 12
    anyhow = api.call("PATCH", "/v1/rewards/mug", {"cost": 13}, **{"If-Match": "*"})
    assert anyhow.status_code == 200


def test_a_draft_that_was_not_reviewed_is_not_published(shop: Shop, api: Caller) -> None:
    revision = body_of(api.get("/v1/program"))["draft"]["revision"]
    api.call("PATCH", "/v1/rewards/mug", {"cost": 12})
    late = api.post("/v1/program/publish", {"reason": "Now", "revision": revision})
    assert code_of(late) == (412, "draft_changed")
    assert Program.objects.get(pk=shop.program_id).version == 1


@pytest.mark.parametrize(
    ("method", "path", "body", "pointer", "words"),
    [
        ("POST", "/v1/rewards", {**MUG, "cost": 0}, "/cost", "must be at least 1"),
        ("POST", "/v1/rewards", {**MUG, "colour": "red"}, "/colour", "is not a key"),
        ("POST", "/v1/rewards", {**MUG, "tiers": ["glod"]}, "/tiers/0", "is not a tier level"),
        ("PATCH", "/v1/rewards/mug", {"code": "cup"}, "/code", "stays as it is"),
        ("PATCH", "/v1/rewards/mug", {"gives": {"amount_off": 5.5}}, "/gives", "in quotes"),
        ("PATCH", "/v1/rewards/mug", [1], "", "object"),
        ("PATCH", "/v1/tiers", {"levels": []}, "/levels", "its own address"),
        ("PATCH", "/v1/tiers", {"grace_days": -1}, "/grace_days", "at least 0"),
        ("PATCH", "/v1/tiers/silver", {"from": "0"}, "/from", "levels rise"),
        ("POST", "/v1/earning-rules", {"code": "x"}, "", "needs either"),
        ("POST", "/v1/stores", {"code": "-"}, "/code", "must begin with"),
    ],
)
def test_what_cannot_be_is_refused_at_its_place(
    shop: Shop, api: Caller, method: str, path: str, body: Any, pointer: str, words: str
) -> None:
    before = Program.objects.get(pk=shop.program_id).revision
    refused = api.call(method, path, body)
    assert code_of(refused) == (422, "validation_failed")
    found = problems(refused)
    assert any(at.startswith(pointer) and words in said for at, said in found), found
    assert Program.objects.get(pk=shop.program_id).revision == before


def test_what_others_need_cannot_be_taken_out(shop: Shop, api: Caller) -> None:
    api.call("PATCH", "/v1/rewards/mug", {"tiers": ["silver"]})
    refused = api.call("DELETE", "/v1/tiers/silver")
    assert problems(refused)[0][1].startswith("rewards[mug].tiers[0]: ")
    assert api.get("/v1/tiers/silver").status_code == 200


def test_a_code_is_taken_once(shop: Shop, api: Caller) -> None:
    taken = api.post("/v1/rewards", {**MUG, "code": "mug"}, key="again")
    assert code_of(taken) == (409, "code_taken")
    replayed = api.post("/v1/rewards", {**MUG, "code": "mug"}, key="again")
    assert replayed.content == taken.content
    assert replayed.headers["Idempotent-Replayed"] == "true"


def test_lists_come_in_pages(shop: Shop, api: Caller) -> None:
    for number in range(3):
        assert api.post("/v1/stores", {"code": f"s{number}"}).status_code == 201
    found: list[str] = []
    cursor = ""
    while True:
        page = body_of(api.get(f"/v1/stores?limit=2{cursor}"))
        found += [store["code"] for store in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert found == ["309", "310", "s0", "s1", "s2"]


def test_tiers_are_changed_as_a_policy_and_level_by_level(shop: Shop, api: Caller) -> None:
    tag = api.get("/v1/tiers").headers["ETag"]
    wanted = {"window": "calendar_year", "validity": None}
    changed = api.call("PATCH", "/v1/tiers", wanted, **{"If-Match": tag})
    assert body_of(changed)["window"] == "calendar_year"
    added = api.post("/v1/tiers", {"code": "gold", "from": "900.00", "earn_multiplier": "3"})
    assert body_of(added)["name"] == "Gold"
    levels = body_of(api.get("/v1/tiers"))["levels"]
    assert [level["code"] for level in levels] == ["bronze", "silver", "gold"]
    api.post("/v1/program/publish", {"reason": "Gold"})
    live = live_document(shop.program_id)
    assert live is not None
    assert (live["tiers"]["window"], len(live["tiers"]["levels"])) == ("calendar_year", 3)


SPRING = {
    "code": "spring",
    "from": "2017-03-01",
    "to": "2199-03-31",
    "budget_points": 100,
    "rules": [{"code": "plus", "bonus": 60}, {"code": "more", "multiply": "3"}],
}


def test_a_campaign_is_changed_rule_by_rule_and_never_below_what_it_gave(
    shop: Shop, api: Caller
) -> None:
    added = body_of(api.post("/v1/campaigns", SPRING))
    assert (added["name"], added["when_short"], added["rules"][0]["trigger"]) == (
        "spring",
        "reduce",
        "order",
    )
    assert texts(api) == [
        "Campaign spring: added: from 2017-03-01 until 2199-03-31, at most 100 points in all; "
        "plus: 60 points; more: 3 × the points for the amount"
    ]
    api.post("/v1/program/publish", {"reason": "Spring"})
    assert shop.till.earn(shop.card, "o1", "4.00").points == 4 + 8 + 60
    rules = [{**SPRING["rules"][1], "multiply": "2"}, {"code": "web", "bonus": 5}]
    changed = api.call("PATCH", "/v1/campaigns/spring", {"rules": rules, "budget_points": 99})
    assert changed.status_code == 200
    assert texts(api) == [
        "Campaign spring, points that it may give in all: 100 → 99",
        "Campaign spring, rule more, factor: 3 → 2",
        "Campaign spring, rule web: added: 5 points",
        "Campaign spring, rule plus: removed: 60 points",
    ]
    refused = api.call("PATCH", "/v1/campaigns/spring", {"budget_points": 67})
    said = "must be at least 68: so many points are given; switch it off instead"
    assert problems(refused) == [("/budget_points", said)]
    bad = {"rules": [{"code": "web", "bonus": 5, "when": {"store": ["no"]}}]}
    refused = api.call("PATCH", "/v1/campaigns/spring", bad)
    assert problems(refused)[0][0] == "/rules/0/when/store/0"
    assert api.call("DELETE", "/v1/campaigns/spring").status_code == 200
    assert texts(api)[0].startswith("Campaign spring: removed: from 2017-03-01")


def texts(api: Caller) -> list[str]:
    return [each["text"] for each in body_of(api.get("/v1/program"))["draft"]["changes"]]


def test_nobody_changes_another_program(shop: Shop) -> None:
    till = open_till()
    other = Caller(till.program.pk)
    assert body_of(other.get("/v1/program"))["program"] == till.document["program"]
    other.call("PATCH", "/v1/rewards/mug", {"cost": 99})
    assert Reward.objects.get(program_id=shop.program_id, code="mug").cost == 10
