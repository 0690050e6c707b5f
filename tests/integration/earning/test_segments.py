"""Rules and rewards that are for members of segments: at the till, over HTTP and in a backtest."""

from datetime import timedelta

from loyalty.members.segments import add_members, remove_members
from loyalty.programs.selectors import published_program
from loyalty.trials.evaluation import evaluate
from tests.factories import Clock, Till, database_time, line, open_till, unique
from tests.integration.http.caller import Caller, body_of

RULES = [
    {"code": "base", "points": 1, "per": "1.00"},
    {"code": "guests", "bonus": 50, "when": {"segment": ["guests", "vip"]}},
    {"code": "others", "bonus": 7, "when": {"not_in_segment": ["staff"]}},
]
MUG = {"code": "mug", "name": "Mug", "cost": 5, "gives": {"product": "mug"}}


def put(till: Till, card: str, segment: str) -> None:
    assert add_members(till.program.pk, segment, [("card", card)]).changed == 1


def why_not(till: Till, card: str) -> list[str]:
    reasons = body_of(Caller(till.program.pk).get(f"/v1/members/card:{card}/rewards"))
    return [reason["code"] for reason in reasons["items"][0]["reasons"]]


def test_a_rule_gives_to_its_segments_and_explains_itself():
    till = open_till(earning_rules=RULES)
    card = till.member()
    outside = till.earn(card, unique("o"), "10.00")
    assert outside.points == 17
    assert {"rule": "guests", "because": "the member is not in segment guests or vip"} in (
        outside.not_applied
    )
    put(till, card, "guests")
    put(till, card, "staff")
    both = till.earn(card, unique("o"), "10.00")
    assert both.points == 60
    assert both.not_applied == [{"rule": "others", "because": "the member is in segment staff"}]
    # A batch reads it once for all, under each name that a command uses.
    one, two = till.send(
        till.earning(card, unique("o"), "1.00"),
        till.putting(card, unique("o"), 1, [line("1", "1.00")]),
    )
    assert (one.points, two.points) == (51, 51)


def test_a_reward_is_for_its_segments_and_says_so_before_it_fails():
    for_vip = {**MUG, "segments": ["vip"], "not_in_segments": ["staff"]}
    till = open_till(rewards=[for_vip])
    card = till.member(20)
    assert why_not(till, card) == ["not_in_segment"]
    refused = till.redeem(card, reward="mug")
    assert (refused.status, refused.code, refused.reason) == (
        409, "reward_not_available", "not_in_segment"
    )  # fmt: skip
    put(till, card, "vip")
    assert why_not(till, card) == []
    assert till.redeem(card, reward="mug").status == 201
    put(till, card, "staff")
    assert why_not(till, card) == ["in_segment"]
    assert till.redeem(card, reward="mug").body["segments"] == ["staff"]
    remove_members(till.program.pk, "staff", [("card", card)])
    assert till.redeem(card, reward="mug").status == 201


def test_a_backtest_takes_the_segments_of_today(clock: Clock):
    till = open_till(earning_rules=RULES)
    inside, outside = till.member(), till.member()
    put(till, inside, "vip")
    for card in (inside, outside):
        till.earn(card, unique("o"), "10.00")
    clock.move(timedelta(days=1))
    live, today = published_program(till.program.pk), clock.now.date()
    begin = today - timedelta(days=9)
    report = evaluate(live, live, begin=begin, end=today, now=database_time())
    found = {rule["rule"]: (rule["happened"], rule["tried"]) for rule in report["rules"]}
    assert found == {"base": (20, 20), "guests": (50, 50), "others": (14, 14)}
