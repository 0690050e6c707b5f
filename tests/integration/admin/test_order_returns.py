"""Support returns an order: the engine's own return, seen before it is done, and done once."""

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone

from loyalty.ledger.audit import audit
from loyalty.orders.models import Order
from tests.factories import Till, balance_of, line, open_till, rows
from tests.integration.admin.forms import Marketer, words_of
from tests.people import erase

LINES = [line("a", "30.00", "3", category="DAIRY"), line("b", "5.00")]
LEVELS = [{"code": "bronze", "from": "0"}, {"code": "silver", "from": "20.00"}]
WHY = "Broken on arrival"


def order_of(till: Till, card: str) -> Order:
    return Order.objects.get(member_id=till.ids[card])


def bought(till: Till, **order: Any) -> str:
    card = till.member()
    assert till.earn(card, "order-1", lines=LINES, **order).points == 35
    return card


def path_of(order: Order, name: str = "return") -> str:
    return f"loyalty/order/{order.pk}/{name}/"


def press(who: Marketer, order: Order, button: str = "", **sent: str) -> Any:
    """Press one of the form's buttons; the one without a name previews."""
    pressed = {button: "1"} if button else {}
    return who.client.post(f"/admin/{path_of(order)}", {**sent, **pressed}, follow=True)


def filled(who: Marketer, order: Order, **lines: str) -> dict[str, str]:
    fields = {f"line-{'ab'.index(name)}": quantity for name, quantity in lines.items()}
    return {**who.fields(path_of(order)), "reason": WHY, **fields}


def previewed(who: Marketer, order: Order, **lines: str) -> dict[str, str]:
    """Fill in the form and preview it; give what the page then sends."""
    sent = filled(who, order, **lines)
    page = press(who, order, **sent)
    carried = re.search(r'name="previewed" value="([^"]*)"', page.content.decode())
    assert carried is not None, words_of(page)
    return {**sent, "previewed": unescape(carried[1])}


def returned(till: Till, card: str) -> list[tuple[Any, ...]]:
    return rows(
        "SELECT points, source, actor, reason FROM loyalty_ledgertransaction"
        " WHERE member_id = %s AND kind = 'claw_back' ORDER BY number",
        till.ids[card],
    )


def test_a_line_is_returned_after_a_look_at_what_it_does(marketer: Marketer, till: Till):
    card = bought(till)
    order = order_of(till, card)
    shown = marketer.open(path_of(order, "change")).content.decode()
    assert f'href="/admin/{path_of(order)}"' in shown
    page = press(marketer, order, **filled(marketer, order, a="2"))
    words = words_of(page)
    assert "Taken back 20 of 35 that the order gave" in words
    assert "Can be used after it 15 now 35" in words and "Tier after it Bronze stays" in words
    assert "2 of 3 came back; the line earned 30 points" in words
    assert "the member, with the next points that they earn" in words
    assert balance_of(till.ids[card])["available"] == 35 and not returned(till, card)

    sent = previewed(marketer, order, a="2")
    done = press(marketer, order, "confirm", **sent)
    assert "The return is recorded. Points taken back: 20." in words_of(done)
    assert balance_of(till.ids[card])["available"] == 15
    name = marketer.user.username
    assert returned(till, card) == [(-20, "admin", f"admin:{name}", WHY)]
    words = words_of(marketer.open(path_of(order, "change")))
    ref = f"admin-{sent['token'][:12]}"
    assert f"{name} (in the admin) · {ref} \u221220 2 of line a · “{WHY}”" in words
    assert "30 \u221220 2" in words  # what the line earned, lost, and how much came back
    assert [found for found in audit(members=[till.ids[card]]) if found.rows] == []


def test_a_double_click_returns_once(marketer: Marketer, till: Till):
    card = bought(till)
    order = order_of(till, card)
    sent = previewed(marketer, order, a="3")
    first = press(marketer, order, "confirm", **sent)
    again = press(marketer, order, "confirm", **sent)
    assert "Points taken back: 30." in words_of(first)
    assert "This was already done." in words_of(again)
    assert balance_of(till.ids[card])["available"] == 5 and len(returned(till, card)) == 1


def test_everything_that_is_left_comes_back_with_the_points_that_paid(
    marketer: Marketer, till: Till
):
    card = till.member(balance=100)
    till.redeem(card, points=60, order_ref="order-1", store="309")
    till.earn(card, "order-1", lines=LINES)
    till.take_back("order-1", "r1", {"a": "1"})
    order = order_of(till, card)
    page = press(marketer, order, "everything", **filled(marketer, order))
    assert "60 points that paid for the order come back" in words_of(page)
    assert 'name="line-0" value="2"' in page.content.decode()
    sent = previewed(marketer, order, a="2", b="1")
    said = words_of(press(marketer, order, "confirm", **sent))
    assert "Points that paid for the order and are given back: 60." in said
    assert balance_of(till.ids[card])["available"] == 100
    words = words_of(marketer.open(path_of(order)))
    assert "Nothing of this order is left that could come back." in words
    assert path_of(order) not in marketer.open(path_of(order, "change")).content.decode()


def test_spent_points_and_the_level_are_told_before(marketer: Marketer):
    tiers = {"window": "calendar_year", "on_return": "recalculate"}
    till = open_till(
        tiers={"qualify_by": "spend", "levels": LEVELS, **tiers}, points={"clawback": "write_off"}
    )
    card = bought(till)
    till.redeem(card, points=30)
    order = order_of(till, card)
    words = words_of(press(marketer, order, **filled(marketer, order, a="3")))
    assert "Tier after it Bronze falls from Silver" in words
    assert "25 of these points were spent and are written off" in words
    assert "nobody: the points are forgotten" in words


def test_what_was_not_seen_is_not_returned(marketer: Marketer, till: Till):
    card = bought(till)
    order = order_of(till, card)
    sent = previewed(marketer, order, a="1")
    page = press(marketer, order, "confirm", **{**sent, "line-0": "3"})
    words = words_of(page)
    assert "What comes back is not what you last saw" in words and "Taken back 30" in words
    assert not returned(till, card)
    unseen = press(marketer, order, "confirm", **filled(marketer, order, a="1"))
    assert "Taken back 10" in words_of(unseen) and not returned(till, card)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ({}, "Say of at least one line how much comes back."),
        ({"a": "4"}, "Line a: 3 bought, 0 came back before."),
        ({"a": "-1"}, "Ensure this value is greater than or equal to 0."),
        ({"a": "two"}, "Enter a number."),
        ({"a": "1", "reason": " "}, "This field is required."),
        ({"a": "1", "reason": "a\tb\x07"}, "This has no control characters."),
    ],
)
def test_what_cannot_be_is_said_in_its_place(
    marketer: Marketer, till: Till, lines: dict[str, str], said: str
):
    card = bought(till)
    order = order_of(till, card)
    more = {"reason": lines["reason"]} if "reason" in lines else {}
    amounts = {name: quantity for name, quantity in lines.items() if name != "reason"}
    page = press(marketer, order, **{**filled(marketer, order, **amounts), **more})
    form = page.context["form"]
    where = "reason" if more else "line-0" if amounts else "__all__"
    assert form.errors[where] == [said] and said in words_of(page)
    assert 'name="confirm"' not in page.content.decode() and not returned(till, card)


def test_a_till_that_was_faster_is_told_and_one_can_go_on(marketer: Marketer, till: Till):
    card = bought(till)
    order = order_of(till, card)
    sent = previewed(marketer, order, a="3")
    till.take_back("order-1", "r1", {"a": "1"})
    refused = press(marketer, order, "confirm", **sent)
    assert "Line a: 3 bought, 1 came back before." in words_of(refused)
    token = re.search(r'name="token" value="([0-9a-f]{32})"', refused.content.decode())
    assert token is not None and token[1] != sent["token"]
    press(marketer, order, "confirm", **{**previewed(marketer, order, a="2"), "token": token[1]})
    assert balance_of(till.ids[card])["available"] == 5


def test_the_till_sends_what_support_returned_under_its_number(marketer: Marketer, till: Till):
    card = bought(till)
    sent = previewed(marketer, order_of(till, card), a="2", b="1") | {"ref": "R-7"}
    done = words_of(press(marketer, order_of(till, card), "confirm", **sent))
    assert "Points taken back: 25." in done and "(in the admin) · R-7 \u221225" in done
    # Its own time, and its own order of the lines.
    late = till.take_back("order-1", "R-7", {"b": "1", "a": "2.0"})
    assert (late.status, late.clawed_back, late.balance["available"]) == (200, 25, 10)
    other = till.take_back("order-1", "R-7", {"a": "1"})
    assert (other.status, other.code) == (409, "return_conflict")
    assert balance_of(till.ids[card])["available"] == 10 and len(returned(till, card)) == 1
    # What came back at the till, too, has another number.
    assert till.take_back("order-1", "R-8", {"a": "1"}).clawed_back == 10


def test_support_is_told_of_what_the_till_sent_under_the_number(marketer: Marketer, till: Till):
    card = bought(till)
    order = order_of(till, card)
    ready = previewed(marketer, order, a="1") | {"ref": "R-7"}
    till.take_back("order-1", "R-7", {"a": "1"})
    page = press(marketer, order, **filled(marketer, order, a="1") | {"ref": "R-7"})
    known = "The return with this number is recorded already, with these lines."
    assert page.context["form"].errors["ref"] == [known] and not page.context["shown"]
    page = press(marketer, order, **filled(marketer, order, a="2") | {"ref": "R-7"})
    conflict = "The return R-7 is recorded with other content."
    assert page.context["form"].errors["ref"] == [conflict] and not page.context["shown"]
    done = words_of(press(marketer, order, "confirm", **ready))
    assert f"{known} Nothing more is taken back." in done
    assert balance_of(till.ids[card])["available"] == 25 and len(returned(till, card)) == 1


def test_a_number_that_no_till_could_send_is_refused(marketer: Marketer, till: Till):
    card = bought(till)
    order = order_of(till, card)
    page = press(marketer, order, **filled(marketer, order, a="1") | {"ref": "R 7?"})
    assert page.context["form"].errors["ref"] and not page.context["shown"]
    assert not returned(till, card)


def test_an_order_of_a_shop_without_stores_whose_number_a_store_has_too(
    marketer: Marketer, till: Till
):
    other = bought(till)
    card = bought(till, store=None, channel="web")
    order = order_of(till, card)
    press(marketer, order, "confirm", **previewed(marketer, order, b="1"))
    assert balance_of(till.ids[card])["available"] == 30
    assert balance_of(till.ids[other])["available"] == 35


def test_who_may_not_change_points_sees_no_button_and_cannot_return(
    marketer: Marketer, colleague: Marketer, till: Till
):
    card = bought(till)
    order = order_of(till, card)
    sent = previewed(marketer, order, a="1")
    for codename in ("view_order", "add_ledgertransaction"):
        right = Permission.objects.get(codename=codename)
        colleague.user.user_permissions.set([right])
        shown = colleague.open(path_of(order, "change")).content.decode()
        assert path_of(order) not in shown
        assert colleague.open(path_of(order)).status_code == 403
        assert press(colleague, order, "confirm", **sent).status_code == 403
    assert not returned(till, card)


def test_an_order_that_was_cancelled_or_whose_member_is_erased(marketer: Marketer, till: Till):
    card = till.member()
    till.put(card, "order-1", 1, LINES)
    till.put(card, "order-1", 2, LINES, state="cancelled")
    order = order_of(till, card)
    assert path_of(order) not in marketer.open(path_of(order, "change")).content.decode()
    refused = press(marketer, order, reason=WHY, token="0" * 32, **{"line-0": "1"})
    assert refused.context["form"].errors and not refused.context["shown"]
    gone = bought(till, store="310")
    erase(till, gone)
    order = order_of(till, gone)
    page = press(marketer, order, **filled(marketer, order, a="1"))
    assert page.context["form"].non_field_errors() and not page.context["shown"]


def test_a_node_whose_clock_is_ahead_returns_as_well(
    marketer: Marketer, till: Till, monkeypatch: pytest.MonkeyPatch
):
    card, right = bought(till), timezone.now
    monkeypatch.setattr(timezone, "now", lambda: right() + timedelta(minutes=10))
    order = order_of(till, card)
    press(marketer, order, "confirm", **previewed(marketer, order, b="1"))
    assert balance_of(till.ids[card])["available"] == 30


def test_no_such_order(marketer: Marketer):
    for pk in (999999999, 10**30):
        assert marketer.open(f"loyalty/order/{pk}/return/").status_code == 404
