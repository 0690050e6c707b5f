"""Who brought whom, on the pages of members; and a rule for it, as a marketer writes it."""

from loyalty.nightly.services import settle_referrals
from loyalty.programs.models import EarningRule
from tests.factories import unique
from tests.integration.admin.forms import Marketer, text_of
from tests.integration.referrals.friends import join, open_shop

PAGE = "loyalty/member/{}/change/"


def test_a_members_page_shows_who_brought_whom(marketer: Marketer):
    till = open_shop()
    ada = join(till)
    ben = join(till, ada.referral_code)
    till.earn(ben.card, unique("o"), "20.00")

    page = marketer.open(PAGE.format(ben.id)).content.decode()
    assert ben.referral_code in page
    assert PAGE.format(ada.id) in page
    friends = marketer.open(PAGE.format(ada.id) + "?show=friends").content.decode()
    assert PAGE.format(ben.id) in friends
    assert "bought what counts" in friends and "hears of it within a minute" in friends
    settle_referrals()
    friends = marketer.open(PAGE.format(ada.id) + "?show=friends").content.decode()
    assert "+200" in friends and "within a minute" not in friends
    typed = f" {ada.referral_code[:4].lower()}-{ada.referral_code[4:]}"
    found = marketer.client.post("/admin/loyalty/member/find/", {"term": typed})
    assert found.headers["Location"].endswith(PAGE.format(ada.id))


def test_a_rule_says_what_it_gives_to_whom(marketer: Marketer):
    till = open_shop()
    rule = EarningRule.objects.get(program=till.program, code="bring")
    words = text_of(marketer.open(f"loyalty/earningrule/{rule.pk}/change/"))
    assert "The points go to" in words and "the member who brought the friend" in words
    listed = text_of(marketer.open(f"loyalty/earningrule/?program__id__exact={till.program.pk}"))
    assert "to a member for the first purchase of a friend whom they brought" in listed
