"""What waits because nobody could tell who is meant goes on by itself when that is clear."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from crm_sync.inbound import working
from crm_sync.inbound.deciding import choose_member, settle_by_hand
from crm_sync.inbound.following import follow_feed
from crm_sync.inbound.working import work_inbox
from crm_sync.models import Connection, InboxMessage
from tests.factories import Till, balance_of, unique
from tests.integration.crm_sync.senders import (
    StandardSender,
    begin_to_follow,
    name,
    pass_a_second,
    remove,
    said,
    shop_of_whom_we_made,
    stamp_all,
    standard,
    verify,
)
from tests.integration.crm_sync.vendor import Vendor
from tests.people import erase, merge
from tests.shopify_shop import CUSTOMER, SHOP, order, refund, signed

FIRST = 466157049  # 3 × 10.00 of an order's 50.00


@pytest.fixture
def sender(till: Till) -> StandardSender:
    begin_to_follow()
    return standard(till)


class Doubt:
    """An order of whoever has an email that nobody has verified here."""

    def __init__(self, till: Till, sender: StandardSender) -> None:
        self.till, self.sender = till, sender
        self.card, self.other = till.member(), till.member()
        self.email, self.shop_id = f"{self.card}@example.com", f"shop-{self.card}"
        name(till, self.card, "email", self.email, verified=False)
        who = {"email": self.email, "external_ids": [self.shop_id]}
        self.data = {**said(till, self.card, unique("o")), "person": who}
        self.send()
        assert self.state() == "parked"

    def send(self, id_: str = "msg_1") -> int:
        return int(self.sender.send("order", self.data, id_=id_).json()["new"])

    def state(self) -> str:
        pass_a_second()
        return self.sender.messages()[0].state

    def points(self) -> int:
        return int(balance_of(self.till.ids[self.card])["available"])


@pytest.fixture
def doubt(till: Till, sender: StandardSender) -> Doubt:
    return Doubt(till, sender)


def test_an_order_earns_once_when_the_email_is_verified(till: Till, doubt: Doubt) -> None:
    assert (doubt.send(), doubt.points()) == (0, 0)
    verify(till, doubt.card, doubt.email)
    assert doubt.points() == 0  # no command waits for what came in
    assert (doubt.state(), doubt.points()) == ("done", 12)
    assert (doubt.send(), doubt.send("msg_2")) == (0, 1)
    assert (doubt.state(), doubt.points()) == ("done", 12)
    assert {(m.state, m.content) for m in doubt.sender.messages()} == {("done", "")}


def test_it_goes_on_by_an_external_id_that_it_names(till: Till, doubt: Doubt) -> None:
    name(till, doubt.card, "external", doubt.shop_id)
    assert (doubt.state(), doubt.points()) == ("done", 12)


@pytest.mark.parametrize("is_merged", [True, False])
def test_two_who_may_be_meant_are_one_when_they_are_merged_or_one_is_corrected(
    till: Till, sender: StandardSender, is_merged: bool
) -> None:
    one, other = till.member(), till.member()
    name(till, one, "email", f"{one}@example.com")
    name(till, other, "phone", "+15550100133")
    both = {"id": "v7", "email": f"{one}@example.com", "phone": "+15550100133"}
    sender.send("order", {**said(till, one, unique("o")), "person": both})
    pass_a_second()
    assert sender.messages()[0].state == "parked"
    if is_merged:
        merge(till, other, one)
    else:
        remove(till, other, "phone")
    pass_a_second()
    assert balance_of(till.ids[one])["available"] == 12


def test_it_waits_as_before_where_it_is_not_clear_yet(till: Till, doubt: Doubt) -> None:
    before = doubt.sender.messages()[0]
    name(till, doubt.card, "external", "another")
    verify(till, doubt.card, "another", "external")
    assert doubt.state() == "parked"
    after = doubt.sender.messages()[0]
    assert (after.note, after.candidates) == (before.note, before.candidates)


def test_whom_nothing_leads_to_any_more_is_for_a_person_too(till: Till, doubt: Doubt) -> None:
    """An email that was typed in at the wrong card is taken off it, then put to the right one."""
    remove(till, doubt.card, "email")
    assert doubt.state() == "parked"
    message = doubt.sender.messages()[0]
    assert message.candidates == [till.ids[doubt.card]]
    assert "can be found by it any more" in message.note
    choose_member(message_id=message.pk, member_id=UUID(till.ids[doubt.card]))
    assert (doubt.state(), doubt.points()) == ("done", 12)


@pytest.mark.parametrize("is_settled", [True, False])
def test_what_a_person_has_decided_stays(till: Till, doubt: Doubt, is_settled: bool) -> None:
    message = doubt.sender.messages()[0]
    if is_settled:
        settle_by_hand(message_ids=[message.pk], by="ada")
    else:
        choose_member(message_id=message.pk, member_id=UUID(till.ids[doubt.other]))
        pass_a_second()
    verify(till, doubt.card, doubt.email)
    assert (doubt.state(), doubt.points()) == ("done", 0)
    assert balance_of(till.ids[doubt.other])["available"] == (0 if is_settled else 12)


def test_a_persons_word_while_it_is_worked_on_again_stands(till: Till, doubt: Doubt) -> None:
    name(till, doubt.card, "external", "another")
    stamp_all()
    follow_feed()
    (claimed,) = working._claim()
    choose_member(message_id=claimed.pk, member_id=UUID(till.ids[doubt.other]))
    working.work(claimed)
    assert doubt.state() == "done"
    assert balance_of(till.ids[doubt.other])["available"] == 12


def test_what_becomes_clear_just_before_it_waits_goes_on(
    till: Till, sender: StandardSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle = working._settle

    def settle_late(message: InboxMessage, *result: Any) -> None:
        monkeypatch.setattr(working, "_settle", settle)
        verify(till, card, email)
        stamp_all()
        follow_feed()
        settle(message, *result)

    monkeypatch.setattr(working, "_settle", settle_late)
    card = till.member()
    email = f"{card}@example.com"
    name(till, card, "email", email, verified=False)
    sender.send("order", {**said(till, card, unique("o")), "person": {"email": email}})
    assert work_inbox(seconds=30) == 2
    assert balance_of(till.ids[card])["available"] == 12


def test_whoever_is_erased_while_it_is_worked_on_again_is_forgotten(
    till: Till, doubt: Doubt
) -> None:
    verify(till, doubt.card, doubt.email)
    stamp_all()
    follow_feed()
    erase(till, doubt.card)
    stamp_all()
    follow_feed()
    (message,) = doubt.sender.messages()
    assert (message.state, message.content, message.candidates) == ("ignored", "", [])


def test_a_shops_order_and_its_refund_wait_for_whom_we_made_there(
    till: Till, connect_vendor: Callable[..., Connection]
) -> None:
    begin_to_follow()
    card = till.member()
    shop = shop_of_whom_we_made(till, card, connect_vendor(Vendor()))
    for topic, body in (
        ("orders/paid", order(1)),
        ("refunds/create", refund(7, 1, FIRST, 2)),
        ("customers/redact", {"customer": CUSTOMER, "shop_domain": SHOP}),
    ):
        shop.post(*signed("shpss", topic, body))
        pass_a_second()
    verify(till, card, CUSTOMER["email"])
    pass_a_second()
    assert [message.state for message in shop.messages()] == ["done", "done", "parked"]
    assert balance_of(till.ids[card])["available"] == 30
