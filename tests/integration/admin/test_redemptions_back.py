"""Support gives points of a redemption back, or lets go what is reserved: engine commands."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission

from loyalty.http.ids import encode_id
from loyalty.ledger.audit import audit
from loyalty.orders.models import Order
from loyalty.programs.models import RewardStock
from loyalty.rewards.models import Redemption
from tests.factories import Clock, Till, balance_of, rows
from tests.integration.admin.forms import Marketer, text_of, words_of

WHY = "The machine was broken"


def redeemed(till: Till, **body: Any) -> tuple[str, Redemption]:
    card = till.member(balance=100)
    assert till.redeem(card, **{"reward": "mug", **body}).status == 201
    return card, Redemption.objects.get(member_id=till.ids[card])


def path_of(redemption: Redemption, name: str = "change") -> str:
    return f"loyalty/redemption/{redemption.pk}/{name}/"


def available(till: Till, card: str) -> int:
    return balance_of(till.ids[card])["available"]


def previewed(who: Marketer, redemption: Redemption, points: str = "10") -> dict[str, str]:
    """Fill in the form and preview it; give what the page then sends."""
    path = path_of(redemption, "reverse")
    sent = {**who.fields(path), "points": points, "reason": WHY}
    page = who.client.post(f"/admin/{path}", sent)
    assert page.context["shown"], page.context["form"].errors
    return {**sent, "previewed": page.context["shown"]["carried"], "confirm": "1"}


def test_points_are_given_back_once_with_who_and_why(marketer: Marketer, till: Till):
    card, redemption = redeemed(till)
    page = marketer.open(path_of(redemption)).content.decode()
    assert path_of(redemption, "reverse") in page and path_of(redemption, "void") not in page
    path = path_of(redemption, "reverse")
    assert "10 points can go back where they came from" in text_of(marketer.open(path))
    sent = previewed(marketer, redemption)
    first = marketer.client.post(f"/admin/{path}", sent, follow=True)
    again = marketer.client.post(f"/admin/{path}", sent, follow=True)
    assert "The points are given back." in text_of(first)
    assert "This was already done." in text_of(again) and f"“{WHY}”" in text_of(again)
    assert path not in again.content.decode()
    assert available(till, card) == 100
    stock = RewardStock.objects.get(program_id=till.program.pk, reward="mug")
    assert stock.remaining == stock.total
    found = rows(
        "SELECT points, source, actor, reason FROM loyalty_ledgertransaction"
        " WHERE member_id = %s AND kind = 'reinstate'",
        till.ids[card],
    )
    assert found == [(10, "admin", f"admin:{marketer.user.username}", WHY)]
    assert [found for found in audit(members=[till.ids[card]]) if found.rows] == []


def test_a_part_is_given_back_after_a_look_at_it(marketer: Marketer, till: Till):
    card, redemption = redeemed(till, reward=None, points=60)
    path = path_of(redemption, "reverse")
    page = marketer.save(path, points="20", reason=WHY)
    assert "Given back 20 of 60 that it took" in words_of(page)
    assert "Can be used after it 60 now 40" in words_of(page)
    assert "The redemption stays" in words_of(page) and available(till, card) == 40
    unseen = marketer.save(path, points="20", reason=WHY, confirm="1")
    other = marketer.save(path, points="30", previewed="20", reason=WHY, confirm="1")
    assert "is not what you last saw" in text_of(unseen) and "Given back 30" in words_of(other)
    assert available(till, card) == 40

    marketer.client.post(f"/admin/{path}", previewed(marketer, redemption, "20"))
    assert available(till, card) == 60
    assert "40 points can go back" in text_of(marketer.open(path))
    too_many = marketer.save(path, points="41", reason=WHY)
    said = "41 points would be given back and 40 are left."
    assert too_many.context["form"].errors["points"] == [said]
    sent = previewed(marketer, redemption, "40")
    till.send(till.reversing(encode_id("rdm", redemption.member_id, redemption.number), 1))
    late = marketer.client.post(f"/admin/{path}", sent)
    assert "40 points would be given back and 39 are left." in text_of(late)
    marketer.client.post(f"/admin/{path}", previewed(marketer, redemption, "39"))
    assert available(till, card) == 100
    redemption.refresh_from_db()
    assert redemption.state == "reversed"
    assert [found for found in audit(members=[till.ids[card]]) if found.rows] == []


def test_a_part_of_a_reward_leaves_the_stock(marketer: Marketer, till: Till):
    card, redemption = redeemed(till)
    sent = previewed(marketer, redemption, "4")
    marketer.client.post(f"/admin/{path_of(redemption, 'reverse')}", sent)
    assert available(till, card) == 94
    stock = RewardStock.objects.get(program_id=till.program.pk, reward="mug")
    assert stock.remaining == stock.total - 1
    assert path_of(redemption, "reverse") in marketer.open(path_of(redemption)).content.decode()


def test_points_that_expired_meanwhile_are_told_before(
    marketer: Marketer, clock: Clock, till: Till
):
    card = till.member(balance=30)
    till.adjust(card, 50, ends=clock.now + timedelta(days=1))
    till.redeem(card, points=70)  # those that end soonest first
    redemption = Redemption.objects.get(member_id=till.ids[card])
    clock.move(timedelta(days=2))
    page = marketer.save(path_of(redemption, "reverse"), points="60", reason=WHY)
    assert "Can be used after it 30 now 10" in words_of(page)
    assert "40 of these have expired meanwhile" in words_of(page)


@pytest.mark.parametrize("points", ["0", "-3", "", "two"])
def test_how_many_is_a_number_of_points(marketer: Marketer, till: Till, points: str):
    card, redemption = redeemed(till)
    page = marketer.save(path_of(redemption, "reverse"), points=points, reason=WHY, confirm="1")
    assert page.context["form"].errors["points"] and available(till, card) == 90


def test_what_a_till_reserved_is_let_go(marketer: Marketer, till: Till):
    card, redemption = redeemed(till, capture=False)
    assert available(till, card) == 90
    page = marketer.open(path_of(redemption)).content.decode()
    assert path_of(redemption, "void") in page and path_of(redemption, "reverse") not in page
    done = marketer.save(path_of(redemption, "void"))
    assert "The points can be used again." in text_of(done)
    assert available(till, card) == 100


def test_what_is_over_is_refused_in_the_form(marketer: Marketer, till: Till):
    card, redemption = redeemed(till)
    opened = marketer.fields(path_of(redemption, "reverse"))
    marketer.save(path_of(redemption, "reverse"), reason=WHY, confirm="1", previewed="10")
    path = f"/admin/{path_of(redemption, 'reverse')}"
    seen = {"token": "0" * 32, "reason": WHY, "confirm": "1", "previewed": "10"}
    refused = marketer.client.post(path, {**opened, **seen})
    assert refused.context["form"].non_field_errors()
    assert marketer.save(path_of(redemption, "void")).context["form"].non_field_errors()
    blank = marketer.client.post(path, {**opened, "reason": " "})
    assert "This field is required." in text_of(blank)
    assert available(till, card) == 100


@pytest.mark.parametrize("codename", ["view_redemption", "add_ledgertransaction"])
def test_who_may_not_change_points_cannot(
    marketer: Marketer, colleague: Marketer, till: Till, codename: str
):
    card, redemption = redeemed(till)
    colleague.user.user_permissions.set([Permission.objects.get(codename=codename)])
    assert (
        path_of(redemption, "reverse") not in colleague.open(path_of(redemption)).content.decode()
    )
    for name in ("reverse", "void"):
        assert colleague.open(path_of(redemption, name)).status_code == 403
    sent = previewed(marketer, redemption)
    path = f"/admin/{path_of(redemption, 'reverse')}"
    assert colleague.client.post(path, sent).status_code == 403
    assert available(till, card) == 90


def test_a_member_leads_to_what_they_redeemed(marketer: Marketer, till: Till):
    card, redemption = redeemed(till)
    page = marketer.open(f"loyalty/member/{till.ids[card]}/change/?show=redemptions")
    assert f'href="/admin/{path_of(redemption)}"' in page.content.decode()


def test_a_redemption_leads_to_its_order(marketer: Marketer, till: Till):
    card, redemption = redeemed(till, order_ref="order-1")
    assert "order order-1" in text_of(marketer.open(path_of(redemption)))
    till.earn(card, "order-1", "10.00")
    order = Order.objects.get(member_id=till.ids[card])
    link = f'href="/admin/loyalty/order/{order.pk}/change/"'
    assert link in marketer.open(path_of(redemption)).content.decode()
    till.earn(card, "order-1", "10.00", store="310")
    assert link not in marketer.open(path_of(redemption)).content.decode()
