"""Find a member, understand their points, and change what support may change."""

import re
from datetime import timedelta
from uuid import uuid4

import pytest

from loyalty.members.models import Member
from tests.factories import Till, balance_of, line, open_till, rows
from tests.integration.admin.forms import Marketer, text_of


def page_of(till: Till, card: str, show: str = "") -> str:
    return f"loyalty/member/{till.ids[card]}/change/{f'?show={show}' if show else ''}"


def action(till: Till, card: str, name: str) -> str:
    return f"loyalty/member/{till.ids[card]}/{name}/"


def test_the_page_shows_balance_tier_and_why(marketer: Marketer, till: Till):
    card = till.member()
    till.earn(card, "order-1", lines=[line("1", "12.00", category="DAIRY")])
    words = text_of(marketer.open(page_of(till, card)))
    assert "12 points worth 0.12 USD" in words
    assert "238.00 USD to Silver" in words
    assert "1 point per 1.00 USD" in words
    assert re.search(r"double-produce did not apply: [a-z]", words)
    assert "12 points of lot" in words and "new → available" in words


@pytest.mark.parametrize(
    ("show", "words"),
    [
        ("lots", "no end"),
        ("orders", "order-1"),
        ("redemptions", "$5 off"),
        ("rewards", "points are missing"),
        ("tiers", "Bronze → Silver"),
        ("events", "points.redeemed"),
    ],
)
def test_each_list_of_the_page(marketer: Marketer, till: Till, show: str, words: str):
    card = till.member()
    till.earn(card, "order-1", "251.00")
    till.redeem(card, reward="five-off")
    till.adjust(card, -195)
    page = marketer.open(page_of(till, card, show))
    assert page.status_code == 200
    assert words in text_of(page)


def test_the_last_day_of_points_is_the_day_that_members_are_told(marketer: Marketer):
    till = open_till(points={"expiry": {"months": 1, "until": "end_of_month"}})
    card = till.member(balance=5)
    page = marketer.open(page_of(till, card))
    first, *_ = page.context["expiring"]
    assert (first["last_day"] + timedelta(days=1)).day == 1
    assert f"5 can be used until {first['last_day']:%-d %B %Y}" in text_of(page)


def test_a_long_statement_goes_on_older_pages(marketer: Marketer, till: Till):
    card = till.member()
    till.send(*[till.adjusting(card, 1) for _ in range(30)])
    first = marketer.open(page_of(till, card)).content.decode()
    older = re.search(r"\?show=statement&amp;before=(\d+)", first)
    assert older is not None and first.count("Why, and what moved") == 25
    second = marketer.open(f"{page_of(till, card)}?show=statement&before={older[1]}")
    assert second.content.decode().count("Why, and what moved") == 5


@pytest.mark.parametrize("spelling", ["{card}", " {card} ", "{id}"])
def test_members_are_found_by_what_they_show(marketer: Marketer, till: Till, spelling: str):
    card = till.member()
    wanted = spelling.format(card=card, id=till.ids[card])
    found = marketer.find(wanted)
    assert till.ids[card] in found


def test_members_are_found_by_email_in_any_spelling_and_by_name(marketer: Marketer, till: Till):
    card = till.member()
    local = uuid4().hex
    Member.objects.filter(pk=till.ids[card]).update(first_name="Ida", last_name=local)
    rows(
        "INSERT INTO loyalty_identifier (member_id, number, program_id, type, value, verified_by,"
        " created_at) VALUES (%s, 99, %s, 'email', %s, '', now())",
        till.ids[card],
        till.program.pk,
        f"{local}@example.com",
    )
    for term in (f" {local.upper()}@Example.COM", f"ida {local[:12]}", local[:9].upper()):
        found = marketer.find(term)
        assert till.ids[card] in found, term


def test_adjusting_twice_by_a_double_click_adjusts_once(marketer: Marketer, till: Till):
    card = till.member()
    path = action(till, card, "adjust")
    sent = {**marketer.fields(path), "way": "give", "points": "40", "reason": "Late delivery"}
    first = marketer.client.post(f"/admin/{path}", sent, follow=True)
    again = marketer.client.post(f"/admin/{path}", sent, follow=True)
    assert "The points are adjusted." in text_of(first)
    assert "This was already done." in text_of(again)
    assert balance_of(till.ids[card])["available"] == 40
    words = text_of(marketer.open(page_of(till, card)))
    assert f"{marketer.user.username} (in the admin)" in words and "“Late delivery”" in words
    found = rows(
        "SELECT source, actor FROM loyalty_ledgertransaction WHERE member_id = %s", till.ids[card]
    )
    assert found == [("admin", f"admin:{marketer.user.username}")]


def test_taking_more_than_there_is_is_refused_and_can_be_tried_again(
    marketer: Marketer, till: Till
):
    card = till.member(balance=10)
    path = action(till, card, "adjust")
    refused = marketer.save(path, way="take", points="11", reason="Mistake")
    assert refused.status_code == 200
    assert "10" in text_of(refused) and balance_of(till.ids[card])["available"] == 10
    token = re.search(rb'name="token" value="([0-9a-f]{32})"', refused.content)
    assert token is not None
    sent = {"token": token[1].decode(), "way": "take", "points": "9", "reason": "Mistake"}
    marketer.client.post(f"/admin/{path}", sent)
    assert balance_of(till.ids[card])["available"] == 1


def test_a_reason_is_required(marketer: Marketer, till: Till):
    card = till.member()
    page = marketer.save(action(till, card, "adjust"), way="give", points="5", reason="  ")
    assert "This field is required." in text_of(page)
    assert balance_of(till.ids[card])["available"] == 0


def test_freezing_and_unfreezing(marketer: Marketer, till: Till):
    card = till.member(balance=50)
    marketer.save(action(till, card, "freeze"))
    assert till.redeem(card, reward="mug").code == "member_frozen"
    assert "Unfreeze" in text_of(marketer.open(page_of(till, card)))
    marketer.save(action(till, card, "unfreeze"))
    assert till.redeem(card, reward="mug").status == 201


def test_the_profile_is_changed_by_a_command_with_its_event(marketer: Marketer, till: Till):
    card = till.member()
    path = action(till, card, "profile")
    changes = {"first_name": "Ana", "birth_date": "1984-02-29", "language": "pt-BR"}
    marketer.save(path, **changes, attributes='{"vip": true}')
    member = Member.objects.get(pk=till.ids[card])
    assert (member.first_name, str(member.birth_date)) == ("Ana", "1984-02-29")
    assert member.attributes == {"vip": True}
    found = rows(
        "SELECT data->'changed' FROM loyalty_outboxevent"
        " WHERE member_id = %s AND type = 'member.updated'",
        till.ids[card],
    )
    assert len(found) == 1
    for unborn, why in (("2099-01-01", "lies in the future"), ("1899-12-31", "1900-01-01")):
        assert why in text_of(marketer.save(path, birth_date=unborn))
    wrong = marketer.save(path, language="not a language", attributes="[1]")
    assert wrong.status_code == 200 and "in braces" in text_of(wrong)
    assert Member.objects.get(pk=till.ids[card]).language == "pt-BR"


def test_who_may_only_look_cannot_act(colleague: Marketer, till: Till):
    card = till.member(balance=5)
    assert "Adjust points" not in text_of(colleague.open(page_of(till, card)))
    for name in ("adjust", "freeze", "unfreeze", "profile"):
        assert colleague.open(action(till, card, name)).status_code == 403
    assert colleague.open("loyalty/program/").status_code == 403
    assert colleague.open("loyalty/apikey/add/").status_code == 403


def test_nobody_deletes_or_edits_a_member_past_the_engine(marketer: Marketer, till: Till):
    card = till.member()
    path = f"/admin/loyalty/member/{till.ids[card]}"
    assert marketer.client.post(f"{path}/delete/", {"post": "yes"}).status_code == 403
    assert marketer.client.get("/admin/loyalty/member/add/").status_code == 403
    marketer.client.post(f"{path}/change/", {"first_name": "Eve"})
    assert Member.objects.get(pk=till.ids[card]).first_name == ""


NOBODY = "0198f000-0000-7000-8000-000000000000"


@pytest.mark.parametrize("path", ["nonsense/change/", f"{NOBODY}/change/", f"{NOBODY}/adjust/"])
def test_no_such_member_is_404(marketer: Marketer, path: str):
    assert marketer.client.get(f"/admin/loyalty/member/{path}").status_code in (302, 404)


def test_a_level_is_assigned_and_the_history_says_who_and_why(marketer: Marketer, till: Till):
    card = till.member()
    path = action(till, card, "tier")
    refused = marketer.save(path, level="", until="", reason="none")
    assert "not assigned" in text_of(refused)
    marketer.save(path, level="silver", until="2099-12-31", reason="Of our partner")
    words = text_of(marketer.open(page_of(till, card)))
    assert "Assigned until 31 December 2099" in words
    history = text_of(marketer.open(page_of(till, card, "tiers")))
    assert "Bronze → Silver" in history and "Of our partner" in history
    assert f"by assignment of {marketer.user.username} (in the admin)" in history
