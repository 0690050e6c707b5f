"""Campaigns in the admin: days, budget and rules, through the same drafts as everything else."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission

from loyalty.programs.models import Campaign
from tests.factories import Till, database_time
from tests.integration.admin.forms import Marketer, text_of

DAYS = {"starts_on": "2017-03-01", "ends_on": "2199-03-31"}
NEW: dict[str, Any] = {
    **DAYS,
    "code": "spring",
    "name": "Spring",
    "is_active": "on",
    "budget_points": "80",
    "rules-0-code": "visit",
    "rules-0-kind": "bonus",
    "rules-0-bonus": "50",
    "rules-0-is_active": "on",
    "rules-0-weekday": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"],
    "rules-0-limit_times": "5",
    "rules-0-limit_per": "week",
}
LIST = "loyalty/campaign/"


@pytest.fixture
def spring(marketer: Marketer, till: Till) -> str:
    """Write a campaign; return its page."""
    page = marketer.save(f"{LIST}add/", program=str(till.program.pk), **NEW)
    assert "was added successfully" in text_of(page)
    return f"{LIST}{campaign(till).pk}/change/"


def campaign(till: Till) -> Campaign:
    return Campaign.objects.get(program=till.program)


def test_a_campaign_gives_until_its_budget_is_used_up(marketer: Marketer, till: Till, spring: str):
    card = till.member()
    assert till.earn(card, "o1", "10.00").points == 10
    assert "not live yet" in text_of(marketer.open(f"{LIST}?program__id__exact={till.program.pk}"))
    review = text_of(marketer.open(f"loyalty/publishedversion/review/{till.program.pk}/"))
    assert "Campaigns new spring from 2017-03-01 until 2199-03-31, at most 80 points" in review
    assert "visit: 50 points, on Monday, " in review
    marketer.publish(till.program)
    assert [till.earn(card, f"p{n}", "10.00").points for n in range(3)] == [60, 40, 10]
    listed = text_of(marketer.open(f"{LIST}?program__id__exact={till.program.pk}"))
    assert "80 of 80" in listed
    assert "running" in listed
    assert "at most 5 times a week for each member" in listed
    assert "80 of 80" in text_of(marketer.open(spring))
    statement = text_of(marketer.open(f"loyalty/member/{till.ids[card]}/change/"))
    assert "50 reduced to 30, the last of campaign Spring campaign spring" in statement
    refused = text_of(marketer.save(spring, budget_points="79"))
    assert "Must be at least 80: so many points are given; switch it off instead." in refused


def test_rules_are_changed_added_and_taken_out(marketer: Marketer, till: Till, spring: str):
    shown = marketer.fields(spring)
    assert {name: shown[name] for name in NEW if name.endswith(("bonus", "times", "weekday"))} == {
        name: NEW[name] for name in NEW if name.endswith(("bonus", "times", "weekday"))
    }
    added = {
        "rules-TOTAL_FORMS": "2",
        "rules-0-bonus": "60",
        "rules-1-code": "more",
        "rules-1-kind": "multiplier",
        "rules-1-multiply": "2.5",
        "rules-1-category": "DAIRY",
        "rules-1-trigger": "order",
        "rules-1-steps": "whole",
        "rules-1-limit_per": "ever",
        "rules-1-is_active": "on",
    }
    assert "changed successfully" in text_of(marketer.save(spring, **added))
    assert [rule["code"] for rule in campaign(till).rules] == ["visit", "more"]
    assert campaign(till).rules[0]["bonus"] == 60
    assert campaign(till).rules[1]["when"] == {"category": ["DAIRY"]}
    marketer.save(spring, **{"rules-0-DELETE": "on"})
    assert [rule["code"] for rule in campaign(till).rules] == ["more"]
    page = text_of(marketer.save(spring, **{"rules-0-DELETE": "on"}))
    assert "A campaign needs a rule: write one below." in page
    assert [rule["code"] for rule in campaign(till).rules] == ["more"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"ends_on": "2017-02-28"}, "Ends on 2017-02-28, before it starts on 2017-03-01."),
        ({"rules-0-bonus": ""}, "Needs either points for an amount"),
        ({"rules-0-store": "399"}, '"399" is not a store of this program'),
        ({"rules-0-hour_from": "16"}, "Must be filled in."),
        ({"rules-0-code": "base"}, '"base" is used twice'),
    ],
)
def test_what_cannot_be_is_said_at_its_place(
    marketer: Marketer, till: Till, fields: dict[str, str], words: str
):
    page = marketer.save(f"{LIST}add/", program=str(till.program.pk), **{**NEW, **fields})
    assert words in text_of(page)
    assert not Campaign.objects.filter(program=till.program).exists()


def test_who_may_only_look_reads_what_it_gives(colleague: Marketer, spring: str):
    assert colleague.open(spring).status_code == 403
    colleague.user.user_permissions.add(Permission.objects.get(codename="view_campaign"))
    words = text_of(colleague.open(spring))
    assert "visit 50 points, on Monday, Tuesday" in words
    assert "Add a rule" not in words


def test_two_at_one_campaign_do_not_overwrite_each_other(
    marketer: Marketer, till: Till, spring: str
):
    early = marketer.fields(spring)
    marketer.save(spring, **{"rules-0-bonus": "60"})
    late = {name: value for name, value in early.items() if value is not None}
    page = text_of(marketer.client.post(f"/admin/{spring}", {**late, "budget_points": "90"}))
    assert "rule visit, bonus: 50 → 60" in page
    assert campaign(till).budget_points == 80


def test_what_is_over_or_planned_says_so(marketer: Marketer, till: Till):
    year = database_time().year
    rule = [{"code": "r1", "bonus": 1}], [{"code": "r2", "bonus": 1}], [{"code": "r3", "bonus": 1}]
    over = {"code": "a", "from": f"{year - 1}-01-01", "to": f"{year - 1}-02-01", "rules": rule[0]}
    soon = {"code": "b", "from": f"{year + 1}-01-01", "to": f"{year + 1}-02-01", "rules": rule[1]}
    off = {**over, "code": "c", "rules": rule[2], "active": False}
    till.again(campaigns=[over, soon, off])
    listed = text_of(marketer.open(f"{LIST}?program__id__exact={till.program.pk}"))
    for words in ("ended", "planned", "off", "no budget"):
        assert words in listed
