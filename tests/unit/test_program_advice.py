"""What a marketer is warned of before a draft is published."""

from decimal import Decimal
from typing import Any

import pytest

from loyalty.programs.advice import Facts, advise
from loyalty.programs.document import validate
from tests.factories import program_document

TODAY = Facts(today="2026-11-22")
BASE = {"code": "base", "points": 1, "per": "1.00"}
OFF = {"code": "off", "name": "Off", "cost": 500, "gives": {"amount_off": "5.00"}}


def warned(facts: Facts = TODAY, live: dict[str, Any] | None = None, **changes: Any) -> list[str]:
    """List the warnings of a small shop with changes, each with its code."""
    plain = {"earning_rules": [BASE], "rewards": [], "tiers": None}
    draft = validate(program_document(**{**plain, **changes}))
    before = validate(program_document(**{**plain, **live})) if live is not None else None
    return [f"{a.code}: {a.message}" if a.code else a.message for a in advise(before, draft, facts)]


def test_a_plain_program_is_not_warned_of() -> None:
    assert warned(rewards=[OFF]) == []


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ([], "No rule gives points for the amount of a purchase."),
        ([{**BASE, "active": False}], "No rule gives points for the amount of a purchase."),
        (
            [{**BASE, "from": "2026-12-01"}],
            "Until 2026-12-01 no rule gives points for the amount of a purchase.",
        ),
        (
            [BASE, {**BASE, "code": "more"}],
            "more: base and more all count for every purchase: they add up.",
        ),
        (
            [{"code": "double", "multiply": "2"}],
            "double: It multiplies the points for the amount, and no rule gives any.",
        ),
        (
            [BASE, {"code": "spring", "bonus": 5, "to": "2026-11-21"}],
            "spring: It ended on 2026-11-21 and gives nothing any more.",
        ),
    ],
)
def test_rules_that_give_nothing_or_too_much(rules: list[dict[str, Any]], words: str) -> None:
    assert words in warned(earning_rules=rules)


def test_a_rule_that_ends_today_is_still_in_force() -> None:
    assert warned(earning_rules=[BASE, {"code": "b", "bonus": 5, "to": "2026-11-22"}]) == []


def test_a_rate_that_is_far_from_the_live_one() -> None:
    found = warned(live={}, earning_rules=[{**BASE, "points": 10}])
    assert found == ["A purchase of 100 USD gives 1,000 points, and 100 until now."]
    assert warned(live={}, earning_rules=[{**BASE, "per": "1.50"}]) == []


def levels(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"qualify_by": "spend", "levels": [{"code": "bronze", "from": "0"}, *entries]}


def test_levels_that_nobody_reaches_or_wants() -> None:
    gold = {"code": "gold", "from": "1000.00"}
    silver = {"code": "silver", "from": "250.00", "earn_multiplier": "2"}
    facts = Facts(today="2026-11-22", most_metric=Decimal("120.00"))
    assert warned(facts, live={"tiers": levels(silver)}, tiers=levels(gold)) == [
        "gold: It begins at 1000.00, and no member is beyond 120.00.",
        "silver: It is taken out: its members get the level that they reach, at their next "
        "purchase or at night.",
    ]
    assert warned(tiers=levels(silver, gold)) == [
        "gold: Its members get fewer points than those of Silver, below it."
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cost": 501}, "Nobody can afford its 501 points: the most that a member has is 500."),
        ({"to": "2026-11-21"}, "It ended on 2026-11-21: nobody can have it."),
        ({"stock": 3}, "None is left: nobody can have it until the stock is raised."),
        (
            {"cost": 100},
            "Its 100 points are worth 1 USD when members pay with points, and it takes 5.00 USD "
            "off.",
        ),
    ],
)
def test_rewards_that_nobody_can_have_or_everybody(change: dict[str, Any], words: str) -> None:
    facts = Facts(today="2026-11-22", most_points=500, taken={"off": 3})
    assert warned(facts, rewards=[{**OFF, **change}]) == [f"off: {words}"]


@pytest.mark.parametrize(("least", "dear"), [(501, True), (500, False)])
def test_a_price_by_level_is_judged_by_the_lowest(least: int, dear: bool) -> None:
    tiers = levels({"code": "silver", "from": "250.00"})
    rewards = [{**OFF, "cost": {"default": 900, "silver": least}}]
    found = warned(Facts(today="2026-11-22", most_points=500), tiers=tiers, rewards=rewards)
    words = "off: Nobody can afford its 501 points: the most that a member has is 500."
    assert found == ([words] if dear else [])


def test_a_pool_without_codes_and_a_budget_that_is_used_up() -> None:
    facts = Facts(today="2026-11-22", stocked=frozenset({"full"}), given={"spent": 100})
    rewards = [
        {**OFF, "code": pool, "gives": {"code_from_pool": pool}} for pool in ("full", "empty")
    ]
    days = {"from": "2026-11-01", "to": "2026-12-31", "budget_points": 100}
    campaigns = [
        {**days, "code": code, "rules": [{"code": f"of-{code}", "bonus": 5}]}
        for code in ("spent", "fresh")
    ]
    assert warned(facts, rewards=rewards, campaigns=campaigns) == [
        "spent: Its budget is used up: it gives nothing any more.",
        "empty: The pool empty has no code to give: nobody can have it until codes are uploaded.",
    ]


def test_segments_that_nobody_is_in() -> None:
    facts = Facts(today="2026-11-22", filled=frozenset({"vip"}))
    rules = [
        {"code": "base", "points": 1, "per": "1.00"},
        {"code": "gone", "bonus": 5, "when": {"segment": ["vpi"]}},
        {"code": "some", "bonus": 5, "when": {"segment": ["vpi", "vip"]}},
        {"code": "not", "bonus": 5, "when": {"not_in_segment": ["vpi"]}},
    ]
    found = warned(facts, earning_rules=rules, rewards=[{**OFF, "segments": ["guests"]}])
    assert found == [
        "gone: Nobody is in segment vpi yet.",
        "off: Nobody is in segment guests yet.",
    ]


def test_points_keep_their_end_when_expiry_begins_or_ceases_to_be_by_inactivity() -> None:
    dated, idle = {"expiry": {"months": 6}}, {"expiry": {"inactivity_months": 6}}

    begins, ceases = warned(points=idle, live={"points": dated}), warned(live={"points": idle})

    assert [words.partition(";")[0] for words in begins] == [
        "Points that members have keep the end that they have"
    ]
    assert [words.partition(":")[0] for words in ceases] == [
        "Points expire by inactivity until now"
    ]
    assert warned(points=idle) == warned(points=idle, live={"points": idle}) == []


def test_a_category_that_nobody_sells() -> None:
    facts = Facts(today="2026-11-22", sold=frozenset({"produce", "deli"}))
    typed = {"code": "double", "multiply": "2", "when": {"category": ["COFEE"]}}
    rules = [{**typed, "code": "weekend"}]
    campaign = {"code": "autumn", "from": "2026-11-01", "to": "2026-11-30", "budget_points": 9}
    assert warned(facts, earning_rules=[BASE, typed], campaigns=[{**campaign, "rules": rules}]) == [
        "double: None of the newest orders has a line in category COFEE.",
        "autumn: None of the newest orders has a line in category COFEE.",
    ]
    known = {**typed, "when": {"category": ["Produce", "COFEE"]}}
    assert warned(facts, earning_rules=[BASE, known]) == []
    assert warned(earning_rules=[BASE, typed]) == []


def test_what_a_new_level_may_not_have() -> None:
    silver, gold = (
        {"code": code, "from": start} for code, start in (("silver", "9"), ("gold", "99"))
    )
    for_silver = [{**OFF, "tiers": ["silver"]}]
    words = "off: It is for Silver, and not for Gold above it."
    both = levels(silver, gold)
    assert warned(live={"tiers": levels(silver)}, tiers=both, rewards=for_silver) == [words]
    assert warned(live={"tiers": both}, tiers=both, rewards=for_silver) == []
    for_both = [{**OFF, "tiers": ["silver", "gold"]}]
    assert warned(live={"tiers": levels(silver)}, tiers=both, rewards=for_both) == []
