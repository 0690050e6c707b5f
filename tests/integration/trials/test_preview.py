"""A basket under the live program and under the draft: what a till would answer, and no trace."""

import pytest

from loyalty.programs.models import EarningRule, PublishedVersion
from tests.factories import Till, balance_of, database_time, line, open_till
from tests.integration.http.caller import Caller, body_of, code_of, order_body


@pytest.fixture
def till() -> Till:
    """Return a till of a program of the test's own."""
    return open_till()


@pytest.fixture
def api(till: Till) -> Caller:
    """Return a client that may do everything in the till's program."""
    return Caller(till.program.pk)


def draft_bonus(till: Till, **changes: object) -> None:
    """Change the draft behind the admin's back; what is live stays."""
    EarningRule.objects.filter(program=till.program, code="base").update(**changes)


def basket(**changes: object) -> dict[str, object]:
    lines = [line("1", "10.00"), line("2", "6.00", category="PRODUCE")]
    return order_body(lines=lines, **changes)


def test_draft_and_live_stand_side_by_side_and_nothing_is_written(till: Till, api: Caller):
    card = till.member()
    draft_bonus(till, points=3)
    before = balance_of(till.ids[card])
    body = {"member": f"card:{card}", "order": basket()}
    shown = body_of(api.post("/v1/program/preview", body, key=None))
    live, draft = shown["live"]["earn"], shown["draft"]["earn"]
    assert (live["points"], draft["points"], shown["points_difference"]) == (22, 66, 44)
    assert [one["points"] for one in live["lines"]] == [10, 12]
    assert [one["points"] for one in draft["lines"]] == [30, 36]
    assert draft["explanation"][0]["because"] == "3 points per 1.00 USD of 16.00 USD"
    assert live["member"] == draft["member"] == till.ids[card]
    assert balance_of(till.ids[card]) == before
    done = body_of(api.post("/v1/earn", body))
    for name in ("points", "explanation", "not_applied", "tier"):
        assert done[name] == {**live, "tier": done["tier"]}[name]


def test_without_a_member_somebody_joins_with_this_purchase(till: Till, api: Caller):
    shown = body_of(api.post("/v1/program/preview", {"order": basket()}, key=None))
    assert shown["live"]["earn"]["balance"] == shown["draft"]["earn"]["balance"]
    assert shown["live"]["earn"]["tier"]["code"] == "bronze"


def test_what_a_till_would_refuse_is_refused_on_its_side_only(till: Till, api: Caller):
    till.program.stores.filter(code="310").delete()
    body = {"order": basket(store="310")}
    shown = body_of(api.post("/v1/program/preview", body, key=None))
    assert shown["live"]["outcome"] == "earned"
    assert shown["draft"]["refusal"]["code"] == "store_unknown"
    assert shown["points_difference"] == -shown["live"]["earn"]["points"]


def test_a_draft_that_nobody_could_publish_cannot_be_tried(till: Till, api: Caller):
    till.program.tier_levels.filter(code="bronze").delete()
    refused = api.post("/v1/program/preview", {"order": basket()}, key=None)
    assert code_of(refused) == (422, "validation_failed")
    assert body_of(refused)["errors"][0]["pointer"].startswith("/tiers/levels/0")


def test_a_program_that_is_not_live_yet_has_only_a_draft(till: Till, api: Caller):
    PublishedVersion.objects.filter(program=till.program).delete()
    type(till.program).objects.filter(pk=till.program.pk).update(version=0)
    shown = body_of(api.post("/v1/program/preview", {"order": basket()}, key=None))
    assert shown["live"] is None
    assert shown["points_difference"] == 22


def test_an_activity_is_tried_too(till: Till, api: Caller):
    rule = {"code": "review", "bonus": 20, "trigger": "activity", "activity": "review"}
    assert api.post("/v1/earning-rules", rule).status_code == 201
    at = database_time().isoformat()
    body = {"activity": {"type": "review", "ref": "r-1", "occurred_at": at}}
    shown = body_of(api.post("/v1/program/preview", body, key=None))
    assert shown["live"]["refusal"]["code"] == "activity_unknown"
    assert (shown["draft"]["earn"]["points"], shown["points_difference"]) == (20, 20)
    wrong = {"activity": {**body["activity"], "type": "reviw"}}
    refused = api.post("/v1/program/preview", wrong, key=None)
    assert (refused.status_code, body_of(refused)["code"]) == (422, "activity_unknown")
