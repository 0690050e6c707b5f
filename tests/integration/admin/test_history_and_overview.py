"""Ledger, orders, redemptions, events and the overview: all of it to look at only."""

from datetime import UTC, timedelta

import pytest
from django.contrib.admin import site
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext

from loyalty.admin.requests import events_of_request, refusals_of_request
from loyalty.events.models import OutboxEvent
from loyalty.ledger.models import LedgerTransaction
from loyalty.orders.models import Order
from loyalty.rewards.models import Redemption
from loyalty.trials.models import Backtest
from tests.factories import Till, line, rows, unique
from tests.integration.admin.forms import Marketer, text_of
from tests.integration.http.caller import Caller, order_body
from tests.people import merge

OURS = ("loyalty", "crm_sync")
LISTS = ("ledgertransaction", "order", "redemption", "outboxevent", "publishedversion", "member")


def busy_member(till: Till) -> str:
    card = till.member()
    till.earn(card, "order-1", lines=[line("1", "60.00", category="PRODUCE"), line("2", "5.00")])
    till.redeem(card, reward="five-off")
    till.take_back("order-1", "return-1")
    return card


@pytest.mark.parametrize("name", LISTS)
def test_lists_show_and_never_change(marketer: Marketer, till: Till, name: str):
    busy_member(till)
    assert marketer.open(f"loyalty/{name}/").status_code == 200
    assert marketer.open(f"loyalty/{name}/add/").status_code == 403
    assert 'name="action"' not in marketer.open(f"loyalty/{name}/").content.decode()


def test_a_ledger_transaction_in_words(marketer: Marketer, till: Till):
    card = busy_member(till)
    row = LedgerTransaction.objects.get(member_id=till.ids[card], kind="earn")
    words = text_of(marketer.open(f"loyalty/ledgertransaction/{row.pk}/change/"))
    assert "125 points of lot" in words and "new → available" in words
    assert "double-produce +60" in words
    assert "order-1" in words and "decided under version 1" in words
    path = f"/admin/loyalty/ledgertransaction/{row.pk}"
    assert marketer.client.post(f"{path}/delete/", {"post": "yes"}).status_code == 403
    marketer.client.post(f"{path}/change/", {"points": "1"})
    row.refresh_from_db()
    assert row.points == 125


@pytest.mark.parametrize("kind", ["earn", "claw_back"])
def test_the_ledger_is_filtered_by_program_and_kind(marketer: Marketer, till: Till, kind: str):
    busy_member(till)
    query = {"program": str(till.program.pk), "kind": kind}
    words = text_of(marketer.client.get("/admin/loyalty/ledgertransaction/", query))
    assert ("order-1" if kind == "earn" else "return-1") in words


def test_an_order_is_found_by_its_ref_and_shows_its_lines(marketer: Marketer, till: Till):
    card = busy_member(till)
    order = Order.objects.get(member_id=till.ids[card])
    found = marketer.client.get("/admin/loyalty/order/", {"q": "order-1"}).content.decode()
    assert f"/admin/loyalty/order/{order.pk}/change/" in found
    words = text_of(marketer.open(f"loyalty/order/{order.pk}/change/"))
    assert "60.00 USD" in words and "PRODUCE" in words and "120 taken back" in words


def test_an_order_says_why_it_gave_what_it_gave(marketer: Marketer, till: Till):
    card = till.member()
    till.earn(card, "nothing-1", lines=[line("1", "0.50", category="DELI")])
    order = Order.objects.get(member_id=till.ids[card])
    words = text_of(marketer.open(f"loyalty/order/{order.pk}/change/"))
    assert "1 point per 1.00 USD of 0.50 USD" in words
    assert "double-produce did not apply: no line in PRODUCE" in words and f"Card {card}" in words
    busy = busy_member(till)
    order = Order.objects.get(member_id=till.ids[busy])
    words = text_of(marketer.open(f"loyalty/order/{order.pk}/change/"))
    assert words.index("Taken back") < words.index("Earned") < words.index("double-produce +60")


def test_a_redemption_says_what_became_of_its_points(marketer: Marketer, till: Till):
    card = busy_member(till)
    row = Redemption.objects.get(member_id=till.ids[card])
    listed = marketer.open("loyalty/redemption/").content.decode()
    assert f"/admin/loyalty/redemption/{row.pk}/change/" in listed
    assert "$5 off (five-off)" in text_of(marketer.open("loyalty/redemption/"))
    for term, is_found in (("five-off", True), ("$5 OFF", True), ("five off", False)):
        found = marketer.client.get("/admin/loyalty/redemption/", {"q": term})
        assert (row in found.context["cl"].result_list) == is_found
    words = text_of(marketer.open(f"loyalty/redemption/{row.pk}/change/"))
    assert "Redemption: $5 off (five-off)" in words
    assert f"Card {card}" in words and "5.00 USD off" in words
    assert "50 taken, 0 given back" in words and "available → redeemed" in words


def test_an_order_says_after_a_merge_too_what_it_gave(marketer: Marketer, till: Till):
    old, new = busy_member(till), till.member()
    merge(till, old, new)
    order = Order.objects.get(member_id=till.ids[new])
    words = text_of(marketer.open(f"loyalty/order/{order.pk}/change/"))
    assert words.index("Taken back") < words.index("Earned") < words.index("double-produce +60")


@pytest.mark.parametrize("name", ["ledgertransaction", "order", "redemption", "outboxevent"])
def test_lists_name_members_to_those_who_may_see_them(
    marketer: Marketer, colleague: Marketer, till: Till, name: str
):
    card = busy_member(till)
    assert f">Card {card}<" in marketer.open(f"loyalty/{name}/").content.decode()
    codename = f"view_{name}"
    colleague.user.user_permissions.set([Permission.objects.get(codename=codename)])
    shown = colleague.open(f"loyalty/{name}/").content.decode()
    assert f"Card {card}" not in shown and f"…{till.ids[card][-8:]}" in shown


def test_a_members_history_is_found_by_their_id(marketer: Marketer, till: Till):
    mine, other = busy_member(till), till.member(balance=3)
    for name in ("ledgertransaction", "order", "redemption", "outboxevent"):
        page = marketer.client.get(f"/admin/loyalty/{name}/", {"q": till.ids[mine]})
        assert till.ids[mine] in page.content.decode()
        assert till.ids[other] not in page.content.decode()


def test_what_a_request_did_is_found_by_its_id(marketer: Marketer, till: Till):
    """Without an index of these ids, which every earn would pay for: only of some days."""
    api, card, request = Caller(till.program.pk), till.member(), unique("till-7/")
    body = {"member": f"card:{card}", "order": order_body()}
    assert api.post("/v1/earn", body, **{"X-Request-Id": request}).status_code == 201
    till.adjust(card, 5)
    path = "/admin/loyalty/ledgertransaction/"
    earn = LedgerTransaction.objects.get(member_id=till.ids[card], kind="earn")
    today = earn.recorded_at.astimezone(UTC).date()

    def found(text: str, **days: str) -> list[str]:
        page = marketer.client.get(path, {"q": text, **days})
        return [row.kind for row in page.context["cl"].result_list]

    assert found(request) == ["earn"]
    assert found(request[:-1]) == []
    assert found(request, recorded_at_from=str(today - timedelta(days=20))) == ["earn"]
    assert found(request, recorded_at_from=str(today - timedelta(days=40))) == []
    assert found(request, recorded_at_to=str(today - timedelta(days=1))) == []
    whole = {"recorded_at_from": str(today), "recorded_at_to": str(today)}
    assert found(request, **whole) == ["earn"]
    assert found(till.ids[card]) == ["adjust", "earn"]
    assert {str(member) for member, _ in events_of_request(request)} == {till.ids[card]}


@pytest.mark.parametrize("text", ["", "till-7/4711"])
@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_a_filter_takes_any_day_of_the_calendar(marketer: Marketer, text: str, day: str):
    for field in ("recorded_at_from", "recorded_at_to"):
        asked = {"q": text, field: day}
        assert marketer.client.get("/admin/loyalty/ledgertransaction/", asked).status_code == 200


@pytest.mark.parametrize("number", ["\u00b2", "\u0665", "9" * 30])
def test_a_number_that_is_none_is_no_program(marketer: Marketer, till: Till, number: str):
    for name in ("member", "ledgertransaction", "redemption", "earningrule"):
        page = marketer.client.get(f"/admin/loyalty/{name}/", {"program": number})
        assert page.status_code in (200, 302), name
    for page in ("backtest/preview/", "backtest/add/", "earningrule/add/"):
        asked = {"program": number, "order": number}
        assert marketer.client.get(f"/admin/loyalty/{page}", asked).status_code == 200
        assert marketer.client.post(f"/admin/loyalty/{page}", asked).status_code == 200
    assert marketer.open(f"loyalty/backtest/{number}/change/").status_code == 404
    compare = f"/admin/loyalty/publishedversion/compare/{till.program.pk}/"
    assert marketer.client.get(compare, {"from": number}).status_code == 404


@pytest.mark.parametrize(
    ("address", "status"),
    [("loyalty/order/?state__exact=%00", 400), ("loyalty/program/abc/change/", 302)],
)
def test_an_address_that_no_page_offers_is_refused(marketer: Marketer, address: str, status: int):
    assert marketer.client.get(f"/admin/{address}").status_code == status


def test_what_a_request_was_refused_is_said_where_it_is_looked_for(marketer: Marketer, till: Till):
    """Refusals move no points, so the ledger has nothing of them; stored answers have."""
    api, card, request = Caller(till.program.pk), till.member(), unique("till-8-")
    body = {"member": f"card:{card}", "reward": "five-off"}
    assert api.post("/v1/redeem", body, **{"X-Request-Id": request}).status_code == 409
    path = "/admin/loyalty/ledgertransaction/"
    told = text_of(marketer.client.get(path, {"q": request}))
    assert "That request moved no points. It was refused on" in told
    assert "(insufficient_points)" in told and "not a redemption that was refused" in told
    assert "It was refused" not in text_of(marketer.client.get(path, {"q": request[:-1]}))
    long_ago = {"q": request, "recorded_at_to": "2020-01-31"}
    assert "It was refused" not in text_of(marketer.client.get(path, long_ago))


@pytest.mark.parametrize("request_id", ["till-9", 'a"b\\c"request_id":"x'])
def test_what_was_refused_is_found_by_the_requests_own_index(till: Till, request_id: str):
    api = Caller(till.program.pk)
    body = {"member": f"card:{till.member()}", "reward": "five-off"}
    api.post("/v1/redeem", body, **{"X-Request-Id": request_id})
    with CaptureQueriesContext(connection) as asked:
        assert refusals_of_request(request_id, {})[0].code == "insufficient_points"
    plan = "\n".join(line for (line,) in rows(f"EXPLAIN {asked[0]['sql'].replace('%', '%%')}"))
    assert "idempotency_key_refused" in plan, plan


def test_an_event_has_a_page_of_all_that_it_says(marketer: Marketer, till: Till):
    card = busy_member(till)
    event = OutboxEvent.objects.get(member_id=till.ids[card], type="points.clawed_back")
    told = text_of(marketer.open(f"loyalty/outboxevent/{event.pk}/change/"))
    assert f"Events chevron_right points.clawed_back #{event.sequence}" in told
    assert f"Card {card}" in told and "Balance after it" in told
    assert '"type": "points.clawed_back"' in told


def test_the_overview_adds_up(marketer: Marketer, till: Till):
    card = busy_member(till)
    till.member(balance=1000)
    till.redeem(card, points=5, capture=False)
    page = marketer.client.get("/admin/", {"program": str(till.program.pk)})
    sums = page.context["overview"]
    assert sums["members"] == 2
    assert sums["outstanding"] == sum(sums["parts"].values())
    assert sums["parts"]["pending"] == 0
    assert sums["moved"]["earned"] == 1125
    assert [(tier["name"], tier["count"]) for tier in sums["tiers"]] == [
        ("Bronze", 2),
        ("Silver", 0),
    ]
    assert "Corner shop" in text_of(page)


def test_the_overview_asks_a_handful_of_questions(
    marketer: Marketer, till: Till, django_assert_max_num_queries
):
    busy_member(till)
    with django_assert_max_num_queries(14):
        page = marketer.client.get("/admin/", {"program": str(till.program.pk)})
    assert page.context["overview"] is not None


def test_a_list_asks_the_same_number_of_questions_for_many_rows(
    marketer: Marketer, till: Till, django_assert_max_num_queries
):
    for _ in range(12):
        till.member(balance=1)
    for name in ("member", "ledgertransaction"):
        with django_assert_max_num_queries(12):
            page = marketer.client.get(f"/admin/loyalty/{name}/", {"program": str(till.program.pk)})
        assert len(page.context["cl"].result_list) == 12


def test_whoever_may_not_see_members_sees_no_numbers(colleague: Marketer, till: Till):
    colleague.user.user_permissions.clear()
    page = colleague.open("")
    assert page.status_code == 200 and page.context["overview"] is None
    assert "Members" not in text_of(page)


def test_an_empty_list_says_what_to_do(marketer: Marketer):
    ours = [page for page in site._registry.values() if page.opts.app_label in OURS]
    assert [page for page in ours if not getattr(page, "empty_words", "")] == []
    nothing = text_of(marketer.open("loyalty/earningrule/?q=nothing-like-this"))
    assert "Nothing is like what you look for. Show all" in nothing
    if not Backtest.objects.exists():
        assert "No backtest yet." in text_of(marketer.open("loyalty/backtest/"))
