"""People in the admin: found by anything, other cards, merged, erased, exported."""

import json
import re

import pytest

from loyalty.members.finding import find_members, read_member
from loyalty.members.models import Member
from tests.factories import Till, balance_of, rows, unique
from tests.integration.admin.forms import Marketer, text_of
from tests.people import merge


def page_of(till: Till, card: str, action: str = "change") -> str:
    return f"loyalty/member/{till.ids[card]}/{action}/"


def give(who: Marketer, till: Till, card: str, type_: str, value: str) -> str:
    return text_of(who.save(page_of(till, card, "identifier"), type=type_, value=value))


def test_a_member_gets_another_card_and_loses_one(marketer: Marketer, till: Till):
    card, other = till.member(), unique("c")
    assert "The identifier is added." in give(marketer, till, card, "card", other)
    assert till.earn(other, unique("o"), "5.00").member == till.ids[card]
    page = page_of(till, card, "identifier")
    marketer.save(page, type="card", value=other, verified="on")
    assert f"{other} · verified" in text_of(marketer.open(page_of(till, card)))
    page = page_of(till, card, "remove_identifier")
    number = re.search(rf'value="(\d+)"[^>]*>\s*card {card}', marketer.open(page).content.decode())
    assert number is not None
    assert "The identifier is removed." in text_of(marketer.save(page, which=number[1]))
    assert till.redeem(card, points=1).code == "member_not_found"
    taken = till.member()
    assert "Another member has this card." in give(marketer, till, card, "card", taken)
    refused = give(marketer, till, card, "email", "nobody")
    assert "This is not an email address." in refused and "Value error" not in refused


def test_the_beginning_of_an_identifier_is_enough(marketer: Marketer, till: Till):
    card, local = till.member(), unique("zeno")
    give(marketer, till, card, "email", f"{local}@example.com")
    digits = f"{int(local[4:], 16) % 10**9:09}"
    give(marketer, till, card, "phone", f"+1 {digits}")
    for term in (card[:9], local.upper()[:12], f"+1 {digits[:3]}-{digits[3:8]}"):
        assert till.ids[card] in marketer.find(term), term
    assert "Nobody is known by that" in marketer.find("zq")
    assert "Nobody is known by that" in marketer.find(unique("nobody"))


def test_the_list_names_levels_as_members_know_them(marketer: Marketer, till: Till):
    risen, new = till.member(), till.member()
    till.earn(risen, "o1", "300.00")
    page = marketer.open(f"loyalty/member/?program__id__exact={till.program.pk}")
    tiers = {str(row.pk): row.tier_name for row in page.context["cl"].result_list}
    assert tiers == {till.ids[risen]: "Silver", till.ids[new]: "Bronze"}
    assert "Silver" in text_of(page) and "silver" not in text_of(page)


def test_a_search_takes_any_characters(marketer: Marketer):
    assert "Nobody is known by that" in marketer.find("nobody\0at all")


def test_a_name_leads_to_the_survivor_of_those_who_have_it(till: Till):
    twice, name = [till.member(), till.member()], unique("Zenobia")
    Member.objects.filter(pk__in=[till.ids[card] for card in twice]).update(first_name=name)
    with pytest.raises(ValueError, match="Several members fit"):
        read_member(name, program_id=till.program.pk, may_search=True)
    merge(till, *twice)
    assert str(read_member(name, program_id=till.program.pk, may_search=True)) == till.ids[twice[1]]


def test_what_was_searched_stands_in_no_address(marketer: Marketer, till: Till):
    card = till.member()
    give(marketer, till, card, "email", f"{card}@example.com")
    page = marketer.client.post(
        "/admin/loyalty/member/find/", {"term": f"{card}@example.com"}, follow=True
    )
    assert page.redirect_chain == [(f"/admin/loyalty/member/{till.ids[card]}/change/", 302)]
    assert 'name="q"' not in text_of(marketer.open("loyalty/member/"))
    assert 'method="post"' in marketer.open("loyalty/member/").content.decode()


@pytest.mark.parametrize("term", ["4711-2", "ada@exa", "lovel", "ada lovelace"])
def test_search_reads_indexes_only(till: Till, term: str):
    rows("SET enable_seqscan = off")
    try:
        find_members(term)  # its parts are queries of their own
        for query in (
            f"SELECT member_id FROM loyalty_identifier WHERE program_id IN (1, {till.program.pk})"
            f" AND value LIKE '{term}%%'",
            f"SELECT id FROM loyalty_member WHERE UPPER(last_name::text) LIKE UPPER('{term}%%')"
            f" OR UPPER(first_name::text) LIKE UPPER('{term}%%')",
        ):
            plan = " ".join(row[0] for row in rows("EXPLAIN " + query.replace("%%", "%")))
            assert "Seq Scan" not in plan, plan
            assert "identifier_by_beginning" in plan or "member_by_last_name" in plan, plan
    finally:
        rows("RESET enable_seqscan")


def test_two_members_are_merged_after_the_page_has_said_what_happens(
    marketer: Marketer, till: Till
):
    old, new = till.member(120), till.member(5)
    path = page_of(till, old, "merge")
    asked = text_of(marketer.save(path, into=new))
    assert "120 points (0 pending, 0 owed)" in asked and f"Card {new}" in asked
    assert balance_of(till.ids[new])["available"] == 5
    done = text_of(marketer.save(path, into=new, sure="on"))
    assert "The two are one member now." in done and "Merged into" in done
    assert balance_of(till.ids[new])["available"] == 125
    back = page_of(till, old, "unmerge")
    assert "They are two members again." in text_of(marketer.save(back, sure="on"))
    assert balance_of(till.ids[old])["available"] == 120


@pytest.mark.parametrize(("into", "says"), [("nobody-7", "Nobody is found"), ("", "required")])
def test_a_merge_needs_one_other_member(marketer: Marketer, till: Till, into: str, says: str):
    path = page_of(till, till.member(), "merge")
    assert says in text_of(marketer.save(path, into=into, sure="on"))


def test_whom_several_were_merged_into_is_one_member(marketer: Marketer, till: Till):
    twice, third, name = [till.member(), till.member()], till.member(), unique("Zenobia")
    Member.objects.filter(pk__in=[till.ids[card] for card in twice]).update(first_name=name)
    path = page_of(till, third, "merge")
    assert "Several members fit" in text_of(marketer.save(path, into=name))
    merge(till, *twice)
    assert "Read what will happen" in text_of(marketer.save(path, into=name))
    done = text_of(marketer.save(path, into=name, sure="on"))
    assert "The two are one member now." in done
    again = text_of(marketer.save(page_of(till, twice[1], "merge"), into=name))
    assert "the member themselves" in again


def test_nobody_is_merged_into_themselves(marketer: Marketer, till: Till):
    card = till.member()
    assert "the member themselves" in text_of(
        marketer.save(page_of(till, card, "merge"), into=card, sure="on")
    )


def test_a_person_is_erased_and_exported(marketer: Marketer, till: Till):
    card = till.member(10)
    export = marketer.open(page_of(till, card, "export"))
    assert "attachment" in export.headers["Content-Disposition"]
    document = json.loads(b"".join(export))
    assert document["member"]["identifiers"][0]["value"] == card
    path = page_of(till, card, "erase")
    assert "Read what will happen" in text_of(marketer.save(path))
    assert "Nothing names this person any more." in text_of(marketer.save(path, sure="on"))
    assert card not in marketer.open(page_of(till, card)).content.decode()
    assert till.enrol(card).status == 201


@pytest.mark.parametrize(
    "action", ["identifier", "remove_identifier", "merge", "unmerge", "erase", "export"]
)
def test_who_may_only_look_may_not(colleague: Marketer, till: Till, action: str):
    assert colleague.open(page_of(till, till.member(), action)).status_code == 403
