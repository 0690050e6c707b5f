"""The admin's pages on which a marketer tries a draft."""

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from loyalty.members.models import Member
from loyalty.programs.models import EarningRule, Reward, TierLevel
from loyalty.trials import services
from loyalty.trials.candidates import draft_of
from loyalty.trials.models import Backtest
from tests.factories import Till, database_time, line, open_till, unique
from tests.integration.admin.forms import Marketer
from tests.integration.referrals.friends import join, open_shop

NEW = "loyalty/backtest/add/"
PREVIEW = "loyalty/backtest/preview/"


def text_of(page: Any) -> str:
    """Give a page's words, also those that stand beside each other in cells."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page.content.decode())).split())


@pytest.fixture
def marketer() -> Marketer:
    """Return a colleague who may do everything."""
    user = User.objects.create_superuser(unique("marta"), "", "pw")
    client = Client()
    client.force_login(user)
    return Marketer(client, user)


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the backtests for which a worker was rung."""
    found: list[int] = []
    monkeypatch.setattr(services, "ring", found.append)
    return found


@pytest.fixture
def till() -> Till:
    """Return a till whose draft gives three times the points of what is live."""
    till = open_till()
    EarningRule.objects.filter(program=till.program, code="base").update(points=3)
    return till


def shop(till: Till) -> str:
    card = till.member()
    till.earn(card, "o1", lines=[line("1", "10.00"), line("2", "6.00", category="PRODUCE")])
    return card


def test_a_backtest_is_asked_for_followed_and_read(marketer: Marketer, till: Till, rung: list[int]):
    card = shop(till)
    today = database_time().date()
    asked = {"program": till.program.pk, "begin": str(today - timedelta(days=9)), "end": str(today)}
    page = marketer.client.post(f"/admin/{NEW}", asked)
    (number,) = rung
    assert page.headers["Location"].endswith(f"/{number}/change/")
    path = f"loyalty/backtest/{number}/"
    assert "Waiting for a worker" in text_of(marketer.open(f"{path}change/"))
    assert marketer.open(f"{path}status/").json() == {
        "ended": False,
        "percent": 0,
        "words": "Waiting for a worker",
    }
    services.run_backtest(number)
    shown = text_of(marketer.open(f"{path}change/"))
    assert "22 → 66 (+200.0 %)" in shown
    assert "Their cost 0.66 USD, instead of 0.22" in shown
    assert "base 16 → 48 points +32" in shown
    assert "1 gain, 0 lose, 0 the same" in shown
    assert f"…{till.ids[card][-8:]} 22 → 66 +44" in shown
    assert marketer.open(f"{path}status/").json()["ended"]
    table = marketer.open(f"{path}csv/")
    assert "rule,base,points,16,48,32" in table.content.decode()
    assert "+200.0 %" in text_of(marketer.open("loyalty/backtest/"))


def test_a_worker_that_did_not_hear_is_rung_again(marketer: Marketer, till: Till, rung: list[int]):
    day = database_time().date()
    backtest = Backtest.objects.create(
        program=till.program,
        label="the draft",
        document=till.document,
        live_version=1,
        begin=day,
        end=day,
        created_by="marta",
        created_at=database_time() - timedelta(minutes=1),
    )
    marketer.open(f"loyalty/backtest/{backtest.pk}/status/")
    assert rung == [backtest.pk]
    marketer.client.post(f"/admin/loyalty/backtest/{backtest.pk}/cancel/")
    assert "It was cancelled" in text_of(marketer.open(f"loyalty/backtest/{backtest.pk}/change/"))


def test_what_cannot_be_tried_is_said_in_the_form(marketer: Marketer, till: Till, rung: list[int]):
    page = marketer.save(NEW, program=str(till.program.pk), version="77")
    assert f"The program {till.program.code} has no version 77." in text_of(page)
    page = marketer.save(NEW, program=str(till.program.pk), begin="2026-03-01", end="2026-02-01")
    assert "The last day is before the first." in text_of(page)
    assert rung == []


def test_a_basket_is_shown_under_the_draft_and_what_is_live(marketer: Marketer, till: Till):
    card = shop(till)
    page = marketer.save(
        f"{PREVIEW}?program={till.program.pk}",
        member=f"card:{card}",
        **{"l-0-amount": "10.00", "l-1-amount": "6", "l-1-category": "produce"},
    )
    shown = text_of(page)
    assert "Live, version 1 22 points" in shown
    assert "The draft 66 points" in shown
    assert "+44 the draft gives more" in shown
    assert "Bronze; 218.00 to Silver" in shown
    assert "base differs 16 1 point per 1.00 USD of 16.00 USD 48 3 points per 1.00 USD" in shown


def test_rewards_that_come_by_themselves_are_shown(marketer: Marketer, till: Till):
    Reward.objects.filter(program=till.program, code="five-off").update(auto_redeem=True)
    TierLevel.objects.filter(program=till.program, code="silver").update(entry_rewards=["mug"])
    page = f"{PREVIEW}?program={till.program.pk}"
    shown = text_of(marketer.save(page, **{"l-0-amount": "250.00"}))
    assert shown.count("Comes by itself") == 1  # the live program has neither
    assert "Comes by itself mug, with the level; five-off 10 times, for 500 points" in shown


def test_what_a_friend_gets_for_having_been_brought_is_shown(marketer: Marketer):
    till = open_shop()
    rules = EarningRule.objects.filter(program=till.program)
    rules.filter(code="welcome-friend").update(bonus=150)
    rules.filter(code="bring").update(bonus=300)
    ben = join(till, join(till).referral_code)
    page, member = f"{PREVIEW}?program={till.program.pk}", f"card:{ben.card}"
    shown = text_of(marketer.save(page, member=member, **{"l-0-amount": "20.00"}))
    assert "For being brought 100 points; welcome-friend: 100 points for" in shown
    assert "For being brought 150 points; welcome-friend: 150 points for" in shown
    assert "To who brought them 200 points; bring: 200 points for" in shown
    assert "To who brought them 300 points; bring: 300 points for" in shown
    shown = text_of(marketer.save(page, member=member, **{"l-0-amount": "19.00"}))
    assert "brought" not in shown  # it does not count for that


def test_an_order_of_the_past_fills_the_basket(marketer: Marketer, till: Till):
    shop(till)
    page = f"{PREVIEW}?program={till.program.pk}&order=o1"
    fields = marketer.fields(page)
    assert (fields["l-0-amount"], fields["l-1-category"]) == ("10.00", "PRODUCE")
    assert "The draft 66 points" in text_of(marketer.save(page))
    missing = marketer.open(f"{PREVIEW}?program={till.program.pk}&order=o9")
    assert "has no order o9" in text_of(missing)


def test_a_preview_says_what_a_till_would_be_told(marketer: Marketer, till: Till):
    page = f"{PREVIEW}?program={till.program.pk}"
    shown = text_of(marketer.save(page, member="card:nobody", **{"l-0-amount": "1"}))
    assert shown.count("refused") == 2
    assert "Give at least one line an amount." in text_of(marketer.save(page))
    assert "Nobody is found by this" in text_of(marketer.save(page, member="nobody"))


def test_who_may_not_see_members_finds_none_by_a_name(till: Till):
    card = shop(till)
    user = User.objects.create_user(unique("cleo"), "", "pw", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__endswith="_backtest"))
    client = Client()
    client.force_login(user)
    colleague, page = Marketer(client, user), f"{PREVIEW}?program={till.program.pk}"
    for known, unknown in ((card, unique("nobody")), (card[:6], "nobody@example.com")):
        told = [
            colleague.save(page, member=said, **{"l-0-amount": "1"}) for said in (known, unknown)
        ]
        assert all("you may not look for members" in text_of(answer) for answer in told)
    shown = text_of(colleague.save(page, member=f"card:{card}", **{"l-0-amount": "10.00"}))
    assert "The draft 30 points" in shown


@pytest.mark.parametrize("may_see", [True, False])
def test_a_backtest_names_members_to_who_may_see_them(
    marketer: Marketer, till: Till, may_see: bool
):
    card, today = shop(till), database_time().date()
    Member.objects.filter(pk=till.ids[card]).update(first_name="Zenobia")
    backtest = services.ask(
        till.program, draft_of(till.program), begin=today - timedelta(days=9), end=today, actor="x"
    )
    services.run_backtest(backtest.pk)
    if not may_see:
        marketer.user.is_superuser = False
        marketer.user.save()
        marketer.user.user_permissions.set(Permission.objects.filter(codename="view_backtest"))
    shown = text_of(marketer.open(f"loyalty/backtest/{backtest.pk}/change/"))
    assert f"{'Zenobia' if may_see else f'…{till.ids[card][-8:]}'} 22 → 66" in shown


def test_who_may_not_see_programs_sees_no_trials():
    user = User.objects.create_user(unique("cleo"), "", "pw", is_staff=True)
    client = Client()
    client.force_login(user)
    for path in (NEW, PREVIEW, "loyalty/backtest/"):
        assert client.get(f"/admin/{path}").status_code == 403
