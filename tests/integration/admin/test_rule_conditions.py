"""A rule's conditions as fields: each is kept as the document has it, and none is lost."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from loyalty.members.segments import add_members
from loyalty.programs.drafts import mark_edited
from loyalty.programs.models import EarningRule
from tests.factories import Till, line, unique
from tests.integration.admin.forms import Marketer, text_of
from tests.integration.admin.test_publishing import rule_page

FIELDS: dict[str, Any] = {
    "category": "DAIRY, PRODUCE",
    "brand": "Own",
    "sku": "1, 2",
    "store": "309",
    "channel": "pos",
    "weekday": ["sat", "sun"],
    "hour_from": "16",
    "hour_to": "18",
    "order_amount_min": "30.00",
    "order_amount_max": "99",
    "tier": ["silver"],
    "segment": "vip, guests",
    "not_in_segment": "staff",
    "age_min": "0",
    "age_max": "30",
    "nth_is": "1",
    "birthday": "month",
}
WHEN = {
    "category": ["DAIRY", "PRODUCE"],
    "brand": ["Own"],
    "sku": ["1", "2"],
    "store": ["309"],
    "channel": ["pos"],
    "weekday": ["sat", "sun"],
    "hour": {"from": 16, "to": 18},
    "order_amount_min": "30.00",
    "order_amount_max": "99",
    "tier": ["silver"],
    "segment": ["vip", "guests"],
    "not_in_segment": ["staff"],
    "member_age_days": {"min": 0, "max": 30},
    "nth_order": {"is": 1},
    "birthday": "month",
}


def manage(*arguments: str) -> str:
    printed = StringIO()
    call_command("program", *arguments, stdout=printed)
    return printed.getvalue()


def rule(till: Till, code: str = "double-produce") -> EarningRule:
    return EarningRule.objects.get(program=till.program, code=code)


def test_every_condition_is_written_and_shown_again(marketer: Marketer, till: Till):
    page = marketer.save(rule_page(till, "double-produce"), **FIELDS)
    assert "changed successfully" in text_of(page)
    assert rule(till).when == WHEN
    shown = marketer.fields(rule_page(till, "double-produce"))
    assert {name: shown[name] for name in FIELDS} == FIELDS
    words = text_of(marketer.open(f"loyalty/earningrule/?program__id__exact={till.program.pk}"))
    assert "in category DAIRY or PRODUCE, of brand Own, for product 1 or 2, at store 309" in words
    assert "on Saturday or Sunday" in words


def test_a_rule_for_an_activity_asks_for_its_properties(marketer: Marketer, till: Till):
    given = {
        "trigger": "activity",
        "activity": "review",
        "kind": "bonus",
        "bonus": "20",
        "multiply": "",
        "category": "",
        "properties": "stars: 4, 5; verified: true",
    }
    page = marketer.save(rule_page(till, "double-produce"), **given)
    assert "changed successfully" in text_of(page)
    assert rule(till).when == {"property": {"stars": ["4", "5"], "verified": ["true"]}}
    assert marketer.fields(rule_page(till, "double-produce"))["properties"] == given["properties"]
    words = text_of(marketer.open(f"loyalty/earningrule/?program__id__exact={till.program.pk}"))
    assert "for the activity review, with stars 4 or 5 and with verified true" in words
    page = marketer.save(rule_page(till, "double-produce"), properties="stars")
    assert "Write a name, a colon and its values" in text_of(page)
    page = marketer.save(rule_page(till, "double-produce"), activity="")
    assert "Name the activity" in text_of(page)


def test_a_condition_without_a_field_is_shown_and_kept(marketer: Marketer, till: Till):
    when = {"category": ["A"], "moon": {"phase": "full"}}
    EarningRule.objects.filter(pk=rule(till).pk).update(when=when)
    mark_edited(till.program.pk, actor="a later version")
    words = text_of(marketer.open(rule_page(till, "double-produce")))
    assert "This rule also asks for: moon phase full." in words
    page = marketer.save(rule_page(till, "double-produce"), category="B")
    assert "moon" in text_of(page)
    assert rule(till).when == when


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"hour_from": "16"}, "Must be filled in."),
        ({"hour_from": "16", "hour_to": "16"}, "From and to must differ"),
        ({"nth_is": "1", "nth_every": "2"}, "Needs either is or every"),
        ({"order_amount_min": "abc"}, "is not an amount"),
        ({"age_min": "9", "age_max": "3"}, "Min must not be more than max"),
        ({"store": "999"}, "is not a store of this program"),
    ],
)
def test_what_cannot_be_is_said_at_its_field(
    marketer: Marketer, till: Till, fields: dict[str, str], words: str
):
    page = marketer.save(rule_page(till, "double-produce"), **fields)
    assert words in text_of(page)
    assert rule(till).when == {"category": ["PRODUCE"]}


def test_values_that_exist_are_offered(marketer: Marketer, colleague: Marketer, till: Till):
    card = till.member()
    till.earn(card, "o1", lines=[line("1", "3.00", category="DAIRY", brand="Own")], channel="pos")
    add_members(till.program.pk, "vip", [("card", card)])
    path = f"loyalty/publishedversion/values/{till.program.pk}/"
    assert json.loads(marketer.open(path).content) == {
        "currency": "USD",
        "values": {
            "store": ["309", "310"],
            "category": ["DAIRY"],
            "brand": ["Own"],
            "channel": ["pos"],
            "segment": ["vip"],
            "not_in_segment": ["vip"],
        },
    }
    assert colleague.open(path).status_code == 403


def test_what_was_edited_here_is_the_same_program_elsewhere(
    marketer: Marketer, till: Till, tmp_path: Path
):
    marketer.save(rule_page(till, "double-produce"), **FIELDS)
    marketer.publish(till.program)
    exported = manage("export", till.program.code)
    assert "order_amount_max: '99.00'" in exported.replace('"', "'")
    other = unique()
    path = tmp_path / "program.yaml"
    path.write_text(exported.replace(till.program.code, other))
    manage("apply", str(path))
    assert manage("export", other) == exported.replace(till.program.code, other)
