"""Activities: what they earn, once each, and what is said of it."""

import json
from datetime import timedelta
from typing import Any

import pytest

from loyalty.engine.commands import Command
from loyalty.ledger.audit import audit
from loyalty.orders import activities
from loyalty.orders.schemas import EarnRequest
from loyalty.programs.selectors import published_program
from loyalty.trials.evaluation import evaluate
from tests.factories import (
    Clock,
    Reply,
    Till,
    balance_of,
    database_time,
    line,
    open_till,
    rows,
    unique,
)
from tests.integration.http.caller import Caller, body_of, code_of
from tests.people import merge, unmerge

BASE = {"code": "base", "points": 1, "per": "1.00"}
REVIEW = {
    "code": "review-20", "bonus": 20, "trigger": "activity", "activity": "review",
    "limit": {"times": 2, "per": "month"},
}  # fmt: skip
FIVE = {
    "code": "five-stars", "bonus": 5, "trigger": "activity", "activity": "review",
    "when": {"property": {"stars": ["5"], "verified": ["true"]}},
}  # fmt: skip
PAUSED = {"code": "quiz", "bonus": 9, "trigger": "activity", "activity": "quiz", "active": False}
RULES = [BASE, REVIEW, FIVE, PAUSED]


@pytest.fixture
def till() -> Till:
    return open_till(earning_rules=RULES)


def doing(till: Till, card: str, type_: str, ref: str, **more: Any) -> Command:
    """Tell of an activity."""
    at = more.pop("at", None) or database_time()
    activity = {"type": type_, "ref": ref, "occurred_at": at.isoformat(), **more}
    body = {"member": f"card:{card}", "activity": activity}
    request = EarnRequest.model_validate_json(json.dumps(body))
    return till.command(activities.EARN, request, body)


def do(till: Till, *said: Any, **more: Any) -> Reply:
    return till.send(doing(till, *said, **more))[0]


def told(till: Till, card: str) -> list[tuple[str, dict[str, Any]]]:
    query = "SELECT type, data::text FROM loyalty_outboxevent WHERE member_id = %s"
    found = rows(f"{query} ORDER BY sequence", till.ids[card])
    return [(type_, json.loads(data)) for type_, data in found]


def test_activities_of_a_campaign_share_its_budget():
    today = database_time().date()
    days = {"from": str(today - timedelta(days=2)), "to": str(today + timedelta(days=2))}
    rules = [{"code": "rush", "bonus": 20, "trigger": "activity", "activity": "review"}]
    till = open_till(campaigns=[{"code": "c", **days, "budget_points": 50, "rules": rules}])
    card = till.member()
    given = till.send(*(doing(till, card, "review", unique("r")) for _ in range(4)))
    assert [reply.points for reply in given] == [20, 20, 10, 0]
    assert given[3].not_applied[0]["because"] == "the budget of campaign c is used up"
    assert do(till, card, "review", unique("r")).points == 0


def test_an_activity_earns_and_explains_itself(till: Till):
    card, ref = till.member(), unique("r")
    reply = do(till, card, "review", ref, properties={"stars": 5, "verified": True})
    assert (reply.status, reply.points, reply.status) == (201, 25, 201)
    assert (reply.order, reply.activity) == (None, {"type": "review", "ref": ref})
    assert reply.body["status"] == "available"
    assert reply.explanation == [
        {"rule": "review-20", "points": 20, "because": "20 points for activity review"},
        {
            "rule": "five-stars",
            "points": 5,
            "because": "5 points for activity review with stars 5 and verified true",
        },
    ]
    item = body_of(Caller(till.program.pk).get(f"/v1/members/card:{card}/ledger"))["items"][0]
    assert (item["id"], item["source_ref"], item["facts"]) == (
        reply.id, ref, {"activity": "review"}
    )  # fmt: skip
    type_, data = told(till, card)[-1]
    assert (type_, data["activity"], data["ref"], data["points"]) == (
        "points.earned", "review", ref, 25
    )  # fmt: skip
    assert [found for found in audit(members=[reply.member]) if found.rows] == []


def test_a_limit_reduces_and_nothing_is_lost_in_silence(till: Till):
    card = till.member()
    found = [do(till, card, "review", unique("r"), properties={"stars": 4}) for _ in range(3)]
    assert [reply.points for reply in found] == [20, 20, 0]
    assert found[2].body["status"] == "none"
    assert {entry["rule"]: entry["because"] for entry in found[2].not_applied} == {
        "review-20": "the limit of 2 times per month is used up",
        "five-stars": "stars is not 5",
    }
    # It is recorded all the same, and no order's rule saw it.
    kept = rows("SELECT kind, points FROM loyalty_ledgertransaction WHERE member_id = %s"
                " ORDER BY number", till.ids[card])  # fmt: skip
    assert kept == [("earn", 20), ("earn", 20), ("earn", 0)]
    assert till.earn(card, unique("o"), "3.00").points == 3


def test_the_same_ref_under_a_new_key_answers_the_original(till: Till):
    card, ref, at = till.member(), unique("r"), database_time()
    first = do(till, card, "review", ref, at=at, properties={"stars": 4})
    again = do(till, card, "review", ref, at=at, properties={"stars": 4})
    assert (again.status, again.id, again.points) == (200, first.id, 20)
    assert (again.explanation, again.not_applied) == (first.explanation, first.not_applied)
    other = do(till, card, "review", ref, at=at, properties={"stars": 5})
    assert (other.status, other.code) == (409, "activity_conflict")
    assert do(till, till.member(), "review", ref, at=at, properties={"stars": 4}).status == 409
    # In one batch, too; and another kind of activity has refs of its own.
    ref = unique("r")
    said = [doing(till, card, "review", ref, at=at) for _ in range(2)]
    assert [reply.status for reply in till.send(*said, doing(till, card, "quiz", ref))] == [
        201, 200, 201
    ]  # fmt: skip
    assert balance_of(till.ids[card])["available"] == 40


def test_it_is_answered_after_a_merge_and_stays_where_it_happened(till: Till):
    old, new, ref, at = till.member(), till.member(), unique("r"), database_time()
    first = do(till, old, "review", ref, at=at)
    merge(till, old, new)
    again = do(till, old, "review", ref, at=at)
    assert (again.status, again.id, again.member) == (200, first.id, till.ids[new])
    assert again.balance["available"] == 20
    unmerge(till, old)
    assert do(till, old, "review", ref, at=at).member == till.ids[old]


def test_what_no_rule_names_is_refused_and_a_paused_rule_gives_nothing(till: Till):
    card = till.member()
    wrong = do(till, card, "reviw", unique("r"))
    assert (wrong.status, wrong.code, wrong.activities) == (
        422, "activity_unknown", ["quiz", "review"]
    )  # fmt: skip
    paused = do(till, card, "quiz", unique("r"))
    assert (paused.status, paused.points, paused.not_applied) == (201, 0, [])
    assert do(till, card, "review", unique("r"), store="999").code == "store_unknown"
    late = database_time() - timedelta(days=500)
    assert do(till, card, "review", unique("r"), at=late).code == "occurred_at_out_of_range"


def test_a_stranger_is_enrolled_where_the_program_says_so():
    till = open_till(earning_rules=RULES, points={"unknown_member": "enrol"})
    card = unique("c")
    assert do(till, card, "review", unique("r")).points == 20
    assert do(till, card, "review", unique("r")).balance["available"] == 40


def test_over_http_alone_in_a_batch_and_as_a_preview(till: Till):
    api, card = Caller(till.program.pk), till.member()
    activity = {
        "type": "review",
        "ref": unique("r"),
        "occurred_at": database_time().isoformat(),
        "store": "309",
        "channel": "app",
        "properties": {"stars": 5, "verified": True},
    }
    body = {"member": f"card:{card}", "activity": activity}
    shown = api.post("/v1/earn/preview", body)
    assert (shown.status_code, body_of(shown)["points"]) == (200, 25)
    command = {"idempotency_key": unique("k"), "earn": body}
    [result] = body_of(api.post("/v1/batch", {"commands": [command]}))["results"]
    assert (result["status"], result["body"]["points"]) == (201, 25)
    # The same key alone is the same request.
    alone = api.post("/v1/earn", body, key=command["idempotency_key"])
    assert (alone.status_code, alone.headers["Idempotent-Replayed"]) == (201, "true")
    for wrong in (
        {"member": f"card:{card}"},
        {**body, "order": {"ref": "x"}},
        {**body, "order": None},
        {**body, "activity": {**activity, "properties": {"stars": 4.5}}},
        {**body, "activity": {**activity, "properties": {"Stars": "4"}}},
        {**body, "activity": {**activity, "points": 5}},
    ):
        assert code_of(api.post("/v1/earn", wrong)) == (422, "validation_failed")
    bound = Caller(till.program.pk, stores=["309"])
    other = {**body, "activity": {**activity, "ref": unique("r"), "store": "310"}}
    assert code_of(bound.post("/v1/earn", other)) == (403, "store_not_allowed")
    del other["activity"]["store"]
    assert bound.post("/v1/earn", other).status_code == 201


def test_pending_and_late_points(clock: Clock):
    till = open_till(earning_rules=RULES, points={"maturity_days": 3, "expiry": {"months": 1}})
    card = till.member()
    assert do(till, card, "review", unique("r")).body["status"] == "pending"
    late = do(till, card, "review", unique("r"), at=clock.now - timedelta(days=60))
    assert (late.points, late.body["status"]) == (20, "expired")
    assert [type_ for type_, _ in told(till, card)][1:] == [
        "points.pending", "points.earned", "points.expired"
    ]  # fmt: skip


def test_a_backtest_leaves_activities_as_they_were(clock: Clock):
    till = open_till(earning_rules=RULES, points={"unknown_member": "enrol"})
    card = unique("c")
    do(till, card, "review", unique("r"))  # joins with it: not a bonus for joining
    clock.move(timedelta(hours=1))
    till.earn(card, unique("o"), lines=[line("1", "10.00")])
    do(till, card, "review", unique("r"))
    clock.move(timedelta(days=1))
    live, today = published_program(till.program.pk), clock.now.date()
    report = evaluate(live, live, begin=today - timedelta(days=9), end=today, now=database_time())
    assert report["outstanding"] == {"happened": 50, "tried": 50}
    assert [(rule["rule"], rule["happened"], rule["tried"]) for rule in report["rules"]] == [
        ("base", 10, 10)
    ]


def test_a_campaigns_budget_ends_with_an_activity_too():
    day = database_time().date()
    campaign = {
        "code": "quiz-week", "from": str(day - timedelta(days=2)), "to": "2199-12-31",
        "budget_points": 30,
        "rules": [{"code": "quiz", "bonus": 20, "trigger": "activity", "activity": "quiz"}],
    }  # fmt: skip
    till = open_till(earning_rules=[BASE], campaigns=[campaign])
    card = till.member()
    found = [do(till, card, "quiz", unique("q")) for _ in range(3)]
    assert [reply.points for reply in found] == [20, 10, 0]
    assert found[0].explanation[0]["campaign"] == "quiz-week"
