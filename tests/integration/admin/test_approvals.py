"""Four eyes: many points by hand need a second person."""

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from loyalty.ledger.audit import audit
from loyalty.members import adjustments
from loyalty.members.schemas import AdjustRequest
from tests.factories import Till, balance_of, open_till, rows, unique
from tests.integration.admin.forms import Marketer, text_of
from tests.integration.http.caller import Caller, body_of, code_of
from tests.people import merge, unmerge


def somebody(*rights: str) -> Marketer:
    user = User.objects.create_user(unique("cleo"), "", "pw", is_staff=True)
    for right in rights:
        user.user_permissions.add(Permission.objects.get(codename=right))
    client = Client()
    client.force_login(user)
    return Marketer(client, user)


@pytest.fixture
def till() -> Till:
    return open_till(points={"adjustment_limit": 100})


@pytest.fixture
def ann() -> Marketer:
    return somebody("view_member", "add_ledgertransaction", "view_adjustmentrequest")


@pytest.fixture
def bob() -> Marketer:
    return somebody(
        "view_member", "add_ledgertransaction", "view_adjustmentrequest", "approve_adjustment"
    )


def adjust(who: Marketer, till: Till, card: str, points: int, way: str = "give") -> str:
    path = f"loyalty/member/{till.ids[card]}/adjust/"
    return text_of(who.save(path, way=way, points=str(points), reason="A late truck"))


def request_of(till: Till, card: str) -> int:
    found = rows("SELECT id FROM loyalty_adjustmentrequest WHERE member_id = %s ORDER BY id DESC",
                 till.ids[card])  # fmt: skip
    return int(found[0][0])


def decide(who: Marketer, request: int, button: str = "approve") -> str:
    page = f"loyalty/adjustmentrequest/{request}/change/"
    sent = {**who.fields(page), "reason": "Checked with the shop", button: "1"}
    to = f"/admin/loyalty/adjustmentrequest/{request}/decide/"
    return text_of(who.client.post(to, sent, follow=True))


def available(till: Till, card: str) -> int:
    return int(balance_of(till.ids[card])["available"])


def test_above_the_limit_a_second_person_approves(till: Till, ann: Marketer, bob: Marketer):
    card = till.member()
    assert "waits for approval" in adjust(ann, till, card, 101)
    assert available(till, card) == 0
    request = request_of(till, card)
    User.objects.filter(pk=ann.user.pk).update(first_name="Ann", last_name="Rossi")
    assert "“A late truck” · Ann Rossi" in text_of(
        bob.open(f"loyalty/member/{till.ids[card]}/change/")
    )
    assert "101 A late truck Ann Rossi" in text_of(bob.open("loyalty/adjustmentrequest/"))
    asked = text_of(bob.open(f"loyalty/adjustmentrequest/{request}/change/"))
    assert "asked for by Ann Rossi on" in asked
    assert "The adjustment is approved." in decide(bob, request)
    assert available(till, card) == 101
    kept = rows("SELECT actor, source, reason, explanation FROM loyalty_ledgertransaction"
                " WHERE member_id = %s", till.ids[card])[0]  # fmt: skip
    assert kept[:3] == (f"admin:{bob.user.username}", "admin", "A late truck")
    assert f"admin:{ann.user.username}" in str(kept[3])
    told = text_of(bob.open(f"loyalty/member/{till.ids[card]}/change/"))
    assert "Requested by Ann Rossi" in told
    assert f"Approved by {bob.user.username} (in the admin)" in told
    again = {"token": "0" * 32, "reason": "x", "approve": "1"}
    page = f"/admin/loyalty/adjustmentrequest/{request}/decide/"
    assert "already approved" in text_of(bob.client.post(page, again, follow=True))
    assert available(till, card) == 101
    assert [found for found in audit() if found.rows] == []


def test_nobody_approves_their_own(till: Till, bob: Marketer):
    card = till.member()
    adjust(bob, till, card, 500)
    request = request_of(till, card)
    assert "asked for themselves" in decide(bob, request)
    assert available(till, card) == 0
    assert "declined" in decide(bob, request, "decline")  # but may withdraw it


def test_who_may_not_approve_does_not(till: Till, ann: Marketer):
    card = till.member()
    adjust(ann, till, card, 500)
    page = f"/admin/loyalty/adjustmentrequest/{request_of(till, card)}/decide/"
    assert ann.client.post(page, {"approve": "1", "reason": "x"}).status_code == 403
    cleo = somebody("view_adjustmentrequest")
    shown = text_of(cleo.open(f"loyalty/adjustmentrequest/{request_of(till, card)}/change/"))
    assert "It waits for somebody who may approve adjustments." in shown
    assert cleo.client.post(page, {"decline": "1", "reason": "x"}).status_code == 403


def test_who_asked_withdraws_it_without_the_right_to_approve(till: Till, ann: Marketer):
    card = till.member()
    adjust(ann, till, card, 500)
    assert "The adjustment is declined." in decide(ann, request_of(till, card), "decline")
    assert available(till, card) == 0


def test_what_is_declined_changes_nothing(till: Till, ann: Marketer, bob: Marketer):
    card = till.member()
    adjust(ann, till, card, 500)
    assert "The adjustment is declined." in decide(bob, request_of(till, card), "decline")
    assert available(till, card) == 0


def test_small_parts_add_up_to_the_limit(till: Till, ann: Marketer, bob: Marketer):
    """Scenario 46, the part of it that is kept: a limit is not passed in small steps."""
    card = till.member()
    assert "adjusted" in adjust(ann, till, card, 60)
    assert "adjusted" in adjust(ann, till, card, 40, "take")
    assert "waits for approval" in adjust(ann, till, card, 1)
    assert "adjusted" in adjust(bob, till, card, 100)  # each has a limit of their own
    assert available(till, card) == 120


def test_more_than_there_is_by_then_is_not_taken(till: Till, ann: Marketer, bob: Marketer):
    card = till.member(100)
    till.again(points={**till.document["points"], "adjustment_limit": 10})
    adjust(ann, till, card, 100, "take")
    till.redeem(card, points=1)
    assert "100 points are needed and 99 are available" in decide(bob, request_of(till, card))
    assert available(till, card) == 99


def test_who_was_merged_meanwhile_gets_it_as_the_survivor(till: Till, ann: Marketer, bob: Marketer):
    card, new = till.member(), till.member()
    adjust(ann, till, card, 300)
    merge(till, card, new)
    assert "approved" in decide(bob, request_of(till, card))
    assert available(till, new) == 300


def test_a_key_gets_a_clear_refusal(till: Till):
    api, card = Caller(till.program.pk), till.member()
    body = {"member": f"card:{card}", "points": 60, "reason": "goodwill"}
    assert api.post("/v1/adjustments", body).status_code == 201
    refused = api.post("/v1/adjustments", body)
    assert code_of(refused) == (409, "approval_required")
    assert (body_of(refused)["limit"], body_of(refused)["adjusted"]) == (100, 60)
    many = {"commands": [{"idempotency_key": unique("k"), "adjust": {**body, "points": n}}
                         for n in (20, 21)]}  # fmt: skip
    results = body_of(api.post("/v1/batch", many))["results"]
    assert [result["status"] for result in results] == [201, 409]
    assert available(till, card) == 80


def test_one_member_under_several_names_has_one_limit(till: Till):
    card = till.member()
    by_id = AdjustRequest.model_validate(
        {"member": till.ids[card], "points": 60, "reason": "goodwill"}
    )

    first, other, small = till.send(
        till.adjusting(card, 60),
        till.command(adjustments.ADJUST, by_id, "the same member"),
        till.adjusting(card, 40),
    )

    assert (first.status, other.code, small.status) == (201, "approval_required", 201)
    assert available(till, card) == 100


def test_a_merge_is_no_way_around_the_limit(till: Till):
    first, second, survivor = till.member(), till.member(), till.member()
    for card in (first, second):
        assert till.adjust(card, 60).status == 201
    merge(till, first, second)
    refused = till.adjust(second, 1)
    assert (refused.code, refused.adjusted) == ("approval_required", 120)
    merge(till, second, survivor)
    assert till.adjust(survivor, 1).adjusted == 120
    unmerge(till, second)
    assert till.adjust(survivor, 100).status == 201


def test_what_was_refused_does_not_count_towards_the_limit(till: Till):
    card = till.member()

    taken, given = till.send(till.adjusting(card, -90), till.adjusting(card, 90))

    assert (taken.code, given.status) == ("insufficient_points", 201)
