"""What comes in: verified, written down once, worked on, and never lost."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone

from crm_sync import tasks
from crm_sync.inbound import applying, working
from crm_sync.inbound.deciding import choose_member, settle_by_hand, try_again
from crm_sync.inbound.following import follow_feed
from crm_sync.inbound.forgetting import delete_old_messages
from crm_sync.inbound.working import work_inbox
from crm_sync.models import (
    FeedCursor,
    FieldMapping,
    InboxMessage,
    LeftOutPerson,
    SourcePerson,
)
from crm_sync.services.connections import create_connection
from loyalty.errors import Overloaded
from loyalty.events.selectors import last_position
from loyalty.events.services import stamp_events
from loyalty.members.models import Member
from loyalty.orders.models import Order
from tests.factories import Till, balance_of, unique
from tests.integration.crm_sync.senders import StandardSender, name, said, standard
from tests.integration.crm_sync.vendor import Vendor
from tests.people import erase, merge


@pytest.fixture
def sender(till: Till) -> StandardSender:
    return standard(till)


def test_an_order_comes_in_is_acknowledged_and_earns(till: Till, sender: StandardSender) -> None:
    card, ref = till.member(), unique("o")
    answered = sender.send("order", said(till, card, ref))
    assert (answered.status_code, answered.json()) == (200, {"received": 1, "new": 1})
    assert balance_of(till.ids[card])["available"] == 0
    message = sender.only()
    assert (message.state, message.content) == ("done", "")
    assert message.note == f"The order {ref} is paid and counts 12 points."
    assert str(message.member_id) == till.ids[card]
    assert balance_of(till.ids[card])["available"] == 12


def test_the_same_message_is_taken_once(till: Till, sender: StandardSender) -> None:
    card, ref = till.member(), unique("o")
    for new in (1, 0, 0):
        answered = sender.send("order", said(till, card, ref), id_="msg_1")
        assert answered.json() == {"received": 1, "new": new}
    assert sender.only().state == "done"
    assert sender.send("order", said(till, card, ref), id_="msg_1").json()["new"] == 0
    assert balance_of(till.ids[card])["available"] == 12


def test_fifty_at_once_are_one_message_and_one_award(till: Till, sender: StandardSender) -> None:
    card, ref = till.member(), unique("o")

    def send(number: int) -> int:
        try:
            same = sender.send("order", said(till, card, ref), id_="msg_same")
            own = sender.send("order", said(till, card, ref), id_=f"msg_{number}")
            return int(same.json()["new"] + own.json()["new"])
        finally:
            connection.close()

    def work(_: int) -> int:
        try:
            return work_inbox(seconds=30)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(send, range(25))) == 26
        assert sum(pool.map(work, range(3))) == 26
    assert {message.state for message in sender.messages()} == {"done"}
    assert balance_of(till.ids[card])["available"] == 12


def test_an_older_state_that_comes_later_changes_nothing(
    till: Till, sender: StandardSender
) -> None:
    card, ref = till.member(), unique("o")
    sender.send("order", said(till, card, ref, 3, state="cancelled"))
    sender.send("order", said(till, card, ref, 1))
    sender.send("order", said(till, card, ref, 2, amount="99.00"))
    work_inbox(seconds=30)
    assert {message.state for message in sender.messages()} == {"done"}
    assert balance_of(till.ids[card])["available"] == 0
    assert Order.objects.get(ref=ref, program_id=till.program.pk).state == "cancelled"


class TestWho:
    def test_each_way_of_finding_somebody_and_what_is_kept(
        self, till: Till, sender: StandardSender
    ) -> None:
        ways = {
            "member_id": lambda card: {"member": till.ids[card]},
            "external_id": lambda card: {"external_ids": ["nobody", f"shop-{card}"]},
            "email": lambda card: {"email": f"{card.upper()}@Example.com"},
            "phone": lambda card: {"phone": "+1 (555) 010-0199"},
        }
        for way, who in ways.items():
            card = till.member()
            name(till, card, "external", f"shop-{card}")
            name(till, card, "email", f"{card}@example.com")
            if way == "phone":
                name(till, card, "phone", "+15550100199")
            data = {**said(till, card, unique("o")), "person": {"id": card, **who(card)}}
            sender.send("order", data)
            work_inbox(seconds=30)
            known = SourcePerson.objects.get(source=sender.source, vendor_id=card)
            assert (known.matched_by, str(known.member_id)) == (way, till.ids[card])
            sender.send("order", {**said(till, card, unique("o")), "person": {"id": card}})
            work_inbox(seconds=30)
            assert balance_of(till.ids[card])["available"] == 24

    def test_two_who_may_be_meant_wait_for_a_person(
        self, till: Till, sender: StandardSender
    ) -> None:
        one, other = till.member(), till.member()
        name(till, one, "email", f"{one}@example.com")
        name(till, other, "phone", "+15550100177")
        both = {"id": "v7", "email": f"{one}@example.com", "phone": "+15550100177"}
        sender.send("order", {**said(till, one, "parked-1"), "person": both})
        sender.send("order", {**said(till, one, "parked-2"), "person": both})
        work_inbox(seconds=30)
        first, second = sender.messages()
        assert {first.state, second.state} == {"parked"}
        assert set(first.candidates) == {till.ids[one], till.ids[other]}
        assert choose_member(message_id=first.pk, member_id=UUID(till.ids[other])) == 2
        sender.send("order", {**said(till, one, "parked-3"), "person": both})
        work_inbox(seconds=30)
        assert balance_of(till.ids[other])["available"] == 36
        assert balance_of(till.ids[one])["available"] == 0

    def test_somebody_without_an_id_is_chosen_for_one_message(
        self, till: Till, sender: StandardSender
    ) -> None:
        one, other = till.member(), till.member()
        person = {"external_ids": [f"x-{one}", f"x-{other}"]}
        for card in (one, other):
            name(till, card, "external", f"x-{card}")
        sender.send("order", {**said(till, one, "chosen-1"), "person": person})
        message = sender.only()
        assert message.state == "parked"
        choose_member(message_id=message.pk, member_id=UUID(till.ids[one]))
        assert sender.only().state == "done"
        assert balance_of(till.ids[one])["available"] == 12

    def test_whoever_was_merged_is_who_goes_on(self, till: Till, sender: StandardSender) -> None:
        old, new = till.member(), till.member()
        known = {"id": "v", "member": till.ids[old]}
        sender.send("order", {**said(till, old, "before"), "person": known})
        work_inbox(seconds=30)
        merge(till, old, new)
        sender.send("order", {**said(till, old, "after"), "person": {"id": "v"}})
        work_inbox(seconds=30)
        assert balance_of(till.ids[new])["available"] == 24

    def test_nobody_is_ignored_unless_the_program_enrols(
        self, till: Till, sender: StandardSender
    ) -> None:
        person = {"id": "v1", "external_ids": ["shop-900"]}
        data = {**said(till, till.member(), "nobody-1"), "person": person}
        sender.send("order", data)
        message = sender.only()
        assert (message.state, message.content, message.person) == ("ignored", "", "")
        till.again(points={"name": "points", "expiry": "none", "unknown_member": "enrol"})
        sender.send("order", data)
        work_inbox(seconds=30)
        done = sender.messages()[1]
        assert done.state == "done"
        assert balance_of(str(done.member_id))["available"] == 12


class TestOwnership:
    @pytest.mark.parametrize("born", ["yesterday", "2099-01-01", "1899-12-31"])
    def test_only_what_the_vendor_owns_is_taken_in(
        self, till: Till, connect_vendor: Any, born: str
    ) -> None:
        """What loyalty owns is never overwritten, whatever a vendor sends."""
        vendor = connect_vendor(Vendor())
        for attribute, field, owner in [
            ("language", "lang", "vendor"),
            ("attribute.shoe_size", "shoe", "vendor"),
            ("birth_date", "born", "vendor"),
            ("first_name", "given", "loyalty"),
            ("email", "mail", "vendor"),
        ]:
            FieldMapping.objects.create(
                connection=vendor, attribute=attribute, name=field, owner=owner
            )
        # Not to be had by the admin's form, but a row may say anything.
        FieldMapping.objects.create(
            connection=vendor, attribute="points_available", name="pts", owner="vendor"
        )
        sender = standard(till, connection_id=vendor.pk)
        card = till.member(5)
        fields = {
            **{"lang": "de", "shoe": 42, "born": born, "given": "Mallory"},
            **{"mail": "mallory@example.com", "pts": 9999, "loyalty_tier": "gold"},
        }
        sender.send("person", {"person": {"member": till.ids[card]}, "fields": fields})
        message = sender.only()
        assert message.state == "done"
        assert message.note == (
            "The profile is up to date. birth_date was left out: it does not fit."
        )
        member = Member.objects.get(pk=till.ids[card])
        assert (member.language, member.attributes) == ("de", {"shoe_size": 42})
        assert (member.first_name, member.birth_date) == ("", None)
        assert not member.identifiers.filter(type="email").exists()
        assert balance_of(till.ids[card])["available"] == 5


class TestLost:
    """Scenario 12 and 13, for what comes in: Redis and workers are only told to look."""

    def test_a_worker_that_died_is_followed_by_another(
        self, till: Till, sender: StandardSender
    ) -> None:
        card = till.member()
        sender.send("order", said(till, card, unique("o")))
        with (
            patch("crm_sync.inbound.working.work", side_effect=SystemExit),
            pytest.raises(SystemExit),
        ):
            work_inbox(seconds=30)
        assert work_inbox(seconds=30) == 0
        InboxMessage.objects.update(next_at=timezone.now() - timedelta(seconds=1))
        tasks.inbox()
        (message,) = sender.messages()
        assert (message.state, message.attempts) == ("done", 2)
        assert balance_of(till.ids[card])["available"] == 12

    def test_whoever_was_overtaken_settles_nothing(
        self, till: Till, sender: StandardSender
    ) -> None:
        card = till.member()
        sender.send("order", said(till, card, unique("o")))
        (slow,) = working._claim()
        InboxMessage.objects.update(next_at=timezone.now() - timedelta(seconds=1))
        (quick,) = working._claim()
        working.work(slow)
        assert sender.messages()[0].state == "pending"
        working.work(quick)
        assert sender.messages()[0].state == "done"
        assert balance_of(till.ids[card])["available"] == 12

    def test_a_busy_engine_is_asked_again_and_in_the_end_a_person(
        self, till: Till, sender: StandardSender
    ) -> None:
        card = till.member()
        sender.send("order", said(till, card, unique("o")))
        with patch.object(applying, "run", side_effect=Overloaded()):
            for _ in range(10):
                assert work_inbox(seconds=30) == 1
                InboxMessage.objects.update(next_at=timezone.now() - timedelta(seconds=1))
        (message,) = sender.messages()
        assert (message.state, message.note) == ("dead", "The engine was busy.")
        assert try_again(message_ids=[message.pk]) == 1
        assert sender.only().state == "done"

    def test_a_disabled_source_acknowledges_and_waits(
        self, till: Till, sender: StandardSender
    ) -> None:
        card = till.member()
        sender.source.is_enabled = False
        sender.source.save()
        assert sender.send("order", said(till, card, unique("o"))).status_code == 200
        assert work_inbox(seconds=30) == 0
        sender.source.is_enabled = True
        sender.source.save()
        assert sender.only().state == "done"


def test_old_messages_go_and_those_that_wait_for_a_person_stay(
    till: Till, sender: StandardSender, settings: Any
) -> None:
    sender.send("order", said(till, till.member(), unique("o")))
    sender.send("order", {"person": {"id": "1"}})
    sender.send("weather", {})
    work_inbox(seconds=30)
    assert [message.state for message in sender.messages()] == ["done", "dead", "kept"]
    later = timezone.now() + timedelta(days=settings.CRM_INBOX_RETENTION_DAYS, minutes=1)
    assert delete_old_messages(now=later) == 2
    (dead,) = sender.messages()
    assert settle_by_hand(message_ids=[dead.pk], by="ada") == 1
    assert sender.only().note == "Settled by ada."


def test_what_names_people_is_not_kept_for_ever_where_events_are(
    till: Till, sender: StandardSender, settings: Any
) -> None:
    settings.LOYALTY_EVENT_RETENTION_DAYS = 0
    sender.send("order", {"person": {"id": "1"}})
    work_inbox(seconds=30)
    crm = create_connection(program_id=till.program.pk, name="CRM", adapter="console", config={})
    LeftOutPerson.objects.create(
        connection=crm, vendor_id="v1", content="", members=[], note="", at=timezone.now()
    )
    for days, is_kept in ((399, True), (401, False)):
        delete_old_messages(now=timezone.now() + timedelta(days=days))
        assert (bool(sender.messages()), crm.left_out.exists()) == (is_kept, is_kept)


def test_whoever_is_erased_is_forgotten_here_too(till: Till, sender: StandardSender) -> None:
    """Scenario 52: nothing that came in about them can be read any more, also what waits."""
    one, other = till.member(), till.member()
    for card in (one, other):
        name(till, card, "external", f"y-{card}")
    sender.send("order", {**said(till, one, "e-1"), "person": {"id": "v", "member": till.ids[one]}})
    wrong = {**said(till, one, "e-2"), "person": {"id": "v"}}
    sender.send("order", {**wrong, "order": {}})
    both = {"external_ids": [f"y-{one}", f"y-{other}"]}
    sender.send("order", {**said(till, one, "e-3"), "person": both})
    work_inbox(seconds=30)
    assert [message.state for message in sender.messages()] == ["done", "dead", "parked"]
    while stamp_events():
        pass
    FeedCursor.objects.update_or_create(id=1, defaults={"position": last_position()})
    assert erase(till, one).status == 200
    assert follow_feed() == 0  # nobody has stamped the event yet
    while stamp_events():
        pass
    assert follow_feed() == 1
    assert [message.state for message in sender.messages()] == ["done", "ignored", "ignored"]
    assert {(m.content, m.person, str(m.candidates)) for m in sender.messages()} == {("", "", "[]")}
    assert not SourcePerson.objects.filter(source=sender.source).exists()
    assert follow_feed() == 0
