"""Nobody is matched by an email or phone number that nobody has verified, in neither direction."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest

from crm_sync.adapters.attentive import AttentiveAdapter
from crm_sync.adapters.contract import Change, Consent, Match, Person, Profile
from crm_sync.adapters.marketing_cloud_documents import contact_key
from crm_sync.adapters.outcomes import Ambiguous, Delivered, Skipped
from crm_sync.adapters.postscript import PostscriptAdapter
from crm_sync.adapters.segment import identify
from crm_sync.addresses import hash_addresses
from crm_sync.inbound.deciding import choose_member
from crm_sync.inbound.polling import take_page, try_again
from crm_sync.inbound.sources import create_source
from crm_sync.inbound.working import work_inbox
from crm_sync.mapping import fingerprint
from crm_sync.models import Connection, Contact, Delivery, Source
from crm_sync.sandboxes.attentive import Attentive
from crm_sync.sandboxes.postscript import Postscript
from crm_sync.services.people import resolve_match
from loyalty.members.consent import present_consents
from loyalty.members.identifiers import MemberRef
from loyalty.members.models import Identifier
from loyalty.members.verifying import VERIFY_IDENTIFIER, VerifyIdentifier
from tests.factories import Till, balance_of, unique
from tests.integration.crm_sync.calls import connected, environment
from tests.integration.crm_sync.klaviyo_calls import ADA, MEMBER, event
from tests.integration.crm_sync.outbox import drain
from tests.integration.crm_sync.senders import (
    Sender,
    StandardSender,
    name,
    said,
    shop_of_whom_we_made,
    standard,
    verify,
)
from tests.integration.crm_sync.vendor import Vendor
from tests.shopify_shop import CUSTOMER, SHOP, order, signed

Connect = Callable[..., Connection]
UNPROVEN = replace(ADA, unproven=frozenset({"email"}))


@pytest.fixture
def sender(till: Till) -> StandardSender:
    return standard(till)


class TestOut:
    @pytest.fixture
    def met(self, till: Till, connect_vendor: Connect) -> Iterator[tuple[str, str, Vendor, Any]]:
        """Give a member, whose email somebody at the vendor has and nobody has verified."""
        vendor = Vendor()
        destination = connect_vendor(vendor)
        card, email = till.member(), f"{unique('v')}@example.com"
        name(till, card, "email", email, verified=False)
        vendor.matches[email] = Match(vendor_id="v-7", matched_by="email")
        drain()
        yield card, email, vendor, destination

    def contact(self, destination: Connection, member: str) -> Contact:
        return Contact.objects.get(connection=destination, member_id=member)

    def test_whom_only_an_unverified_email_leads_to_waits_for_a_person(
        self, till: Till, met: tuple[str, str, Vendor, Any]
    ) -> None:
        card, _, vendor, destination = met
        member = till.ids[card]
        parked = self.contact(destination, member)
        assert (parked.stuck, parked.candidates) == ("parked", ["v-7"])
        assert "nobody has verified" in parked.last_error
        till.adjust(card, 5)
        asked = vendor.asked
        drain()
        assert (vendor.of(member), vendor.asked) == ([], asked)
        errors = Delivery.objects.filter(connection=destination).values_list("last_error")
        assert set(errors) == {(parked.last_error,)}
        resolve_match(connection_id=destination.pk, member_id=UUID(member), vendor_id="v-7")
        drain()
        assert vendor.of(member)[-1] == "profile"
        assert self.contact(destination, member).matched_by == "person"

    def test_as_soon_as_it_is_verified_all_that_waited_is_sent_in_order(
        self, till: Till, met: tuple[str, str, Vendor, Any]
    ) -> None:
        card, email, vendor, destination = met
        member = till.ids[card]
        verify(till, card, email)
        drain()
        waited = ["member.enrolled", "member.updated", "member.updated", "profile"]
        assert vendor.of(member) == waited
        contact = self.contact(destination, member)
        assert (contact.matched_by, contact.stuck, contact.candidates) == ("email", "", [])

    @pytest.mark.parametrize(
        "answer", [Match(vendor_id="v-9", matched_by="email"), Match(candidates=("v-7", "v-9"))]
    )
    def test_a_persons_word_while_the_vendor_is_asked_stands(
        self, till: Till, met: tuple[str, str, Vendor, Any], monkeypatch: Any, answer: Match
    ) -> None:
        card, email, vendor, destination = met
        member = UUID(till.ids[card])

        def match(target: object, people: list[Person]) -> list[Match]:
            resolve_match(connection_id=destination.pk, member_id=member, vendor_id="v-7")
            return [answer for _ in people]

        monkeypatch.setattr(vendor, "match", match)
        verify(till, card, email)
        drain()
        contact = self.contact(destination, str(member))
        assert (contact.matched_by, contact.stuck) == ("person", "")

    def test_a_connection_may_match_by_unverified_ones(
        self, till: Till, met: tuple[str, str, Vendor, Any]
    ) -> None:
        card, _, vendor, destination = met
        member = UUID(till.ids[card])
        Connection.objects.filter(pk=destination.pk).update(matches_unverified=True)
        till.adjust(card, 5)
        drain()
        assert self.contact(destination, str(member)).matched_by == "email"
        assert vendor.of(str(member))[-1] == "profile"

    @pytest.mark.parametrize("leads_to", ["v-7", "v-8"])
    def test_a_verified_phone_proves_whom_an_unverified_email_leads_to(
        self, till: Till, connect_vendor: Connect, leads_to: str
    ) -> None:
        vendor = Vendor()
        destination = connect_vendor(vendor)
        Connection.objects.filter(pk=destination.pk).update(shares_phone=True)
        card, email = till.member(), f"{unique('v')}@example.com"
        phone = f"+1{uuid4().int % 10**10:010}"
        name(till, card, "email", email, verified=False)
        name(till, card, "phone", phone)
        vendor.matches[email] = Match(vendor_id="v-7", matched_by="email")
        vendor.matches[phone] = Match(vendor_id=leads_to, matched_by="phone")
        drain()
        contact = self.contact(destination, till.ids[card])
        if leads_to == "v-7":
            assert (contact.stuck, contact.matched_by) == ("", "phone")
        else:
            assert (contact.stuck, contact.candidates) == ("parked", ["v-7", "v-8"])

    def test_whom_nobody_has_is_made_with_it(self, till: Till, connect_vendor: Connect) -> None:
        vendor = Vendor()
        destination = connect_vendor(vendor)
        card = till.member()
        name(till, card, "email", f"{unique('v')}@example.com", verified=False)
        drain()
        assert self.contact(destination, till.ids[card]).matched_by == "new"
        assert vendor.of(till.ids[card])[-1] == "profile"


def profile(person: Person) -> Profile:
    return Profile(person=person, fields={}, version=1, correlation_id=uuid4())


def test_a_vendor_that_cannot_be_asked_first_is_told_no_unverified_one() -> None:
    adapter = AttentiveAdapter(environment())
    with Attentive() as attentive:
        account = connected(adapter, {"address": attentive.url}, api_key=attentive.api_key)
        assert isinstance(adapter.push(account, [profile(UNPROVEN)])[0], Skipped)
        assert isinstance(adapter.send(account, [event(person=UNPROVEN)])[0], Skipped)
        with_phone = replace(UNPROVEN, phone="+15550100")
        assert isinstance(adapter.push(account, [profile(with_phone)])[0], Delivered)
        assert isinstance(adapter.send(account, [event(person=with_phone)])[0], Delivered)
    pushed, sent = attentive.calls
    assert pushed.body["identifiers"] == {"phone": "+15550100", "clientUserId": MEMBER}
    assert sent.body["user"] == {"phone": "+15550100"}
    assert contact_key(UNPROVEN, {"contact_key": "email"}) == ""
    assert identify(profile(with_phone))["traits"] == {"phone": "+15550100"}


def test_a_profile_is_told_anew_when_its_email_is_verified() -> None:
    assert fingerprint(UNPROVEN, {}) != fingerprint(replace(UNPROVEN, unproven=frozenset()), {})


def test_who_subscribes_later_with_an_unverified_one_waits_too() -> None:
    adapter = PostscriptAdapter(environment())
    with Postscript() as postscript:
        there = postscript.subscribe(ADA.email)
        account = connected(adapter, {"address": postscript.url}, api_key=postscript.api_key)
        (outcome,) = adapter.send(account, [event(person=UNPROVEN)])
    assert isinstance(outcome, Ambiguous)
    assert outcome.candidates == (there.id,)


class TestAShopsWord:
    """What a shop calls verified, of customers whom something else than the email leads to."""

    CONFIG: ClassVar = {"shop": SHOP, "external_prefix": "shopify-", "verifies": "yes"}

    def shop(self, till: Till, **more: str) -> Sender:
        config = {**self.CONFIG, **more}
        made = {"program_id": till.program.pk, "name": "Shop", "kind": "shopify"}
        source, _ = create_source(**made, config=config, secret="shpss")
        return Sender(source, "shpss")

    def tell(self, shop: Sender, topic: str, body: Any) -> str:
        shop.post(*signed("shpss", topic, body))
        work_inbox(seconds=30)
        return shop.messages()[-1].note

    def customer(self, till: Till, email: str = CUSTOMER["email"]) -> str:
        card = till.member()
        name(till, card, "external", f"shopify-{CUSTOMER['id']}")
        name(till, card, "email", email, verified=False)
        return card

    def said_of(self, till: Till, card: str) -> dict[str, str]:
        rows = Identifier.objects.filter(member_id=till.ids[card], type="email")
        return dict(rows.values_list("value", "verified_by"))

    @pytest.mark.parametrize(
        ("topic", "body"), [("customers/update", CUSTOMER), ("orders/paid", order(1))]
    )
    def test_is_taken_of_exactly_the_email_that_it_says(
        self, till: Till, topic: str, body: Any
    ) -> None:
        card, shop = self.customer(till), self.shop(till)
        name(till, card, "email", "another@example.com", verified=False)
        told = {"email": CUSTOMER["email"].upper()}
        told = {"customer": {**CUSTOMER, **told}} if "customer" in body else told
        assert self.tell(shop, topic, {**body, **told}).endswith("Their email is verified now.")
        assert self.said_of(till, card) == {
            CUSTOMER["email"]: "source:Shop",
            "another@example.com": "",
        }
        assert "verified" not in self.tell(shop, topic, {**body, **told})

    @pytest.mark.parametrize(
        ("email", "setting", "body"),
        [
            (CUSTOMER["email"], "no", CUSTOMER),
            (CUSTOMER["email"], "yes", {**CUSTOMER, "verified_email": False}),
            ("another@example.com", "yes", CUSTOMER),
            ("another@example.com", "yes", {**CUSTOMER, "email": None}),
        ],
    )
    def test_and_of_no_other(self, till: Till, email: str, setting: str, body: Any) -> None:
        card, shop = self.customer(till, email), self.shop(till, verifies=setting)
        assert "verified" not in self.tell(shop, "customers/update", body)
        assert self.said_of(till, card) == {email: ""}

    @pytest.mark.parametrize(
        ("matched_by", "is_taken", "points"),
        [("external_id", True, 50), ("person", True, 50), ("email", False, 0), ("new", False, 0)],
    )
    def test_is_not_taken_of_a_customer_to_whom_the_email_led(
        self, till: Till, connect_vendor: Connect, matched_by: str, is_taken: bool, points: int
    ) -> None:
        """Nor of one whom we made with it: what was typed in here would prove itself."""
        card, shop = till.member(), self.shop(till)
        name(till, card, "email", CUSTOMER["email"], verified=False)
        connection = connect_vendor(Vendor())
        Source.objects.filter(pk=shop.source.pk).update(connection=connection)
        number = f"gid://shopify/Customer/{CUSTOMER['id']}"
        whose = {"connection": connection, "member_id": till.ids[card]}
        by_email = matched_by in ("email", "new")
        addresses = hash_addresses({"email": CUSTOMER["email"]} if by_email else {})
        Contact.objects.create(
            **whose, vendor_id=number, matched_by=matched_by, addresses=addresses
        )
        for _ in range(2):  # the second time, the source knows them
            self.tell(shop, "orders/paid", order(1))
            self.tell(shop, "customers/update", CUSTOMER)
        assert balance_of(till.ids[card])["available"] == points
        assert bool(self.said_of(till, card)[CUSTOMER["email"]]) == is_taken

    def test_gives_nobody_an_email(self, till: Till) -> None:
        card, other = till.member(), till.member()
        name(till, other, "external", f"shopify-{CUSTOMER['id']}")
        name(till, card, "email", CUSTOMER["email"], verified=False)
        self.tell(self.shop(till), "customers/update", CUSTOMER)
        assert self.said_of(till, card) == {CUSTOMER["email"]: ""}
        assert self.said_of(till, other) == {}
        payload = VerifyIdentifier(MemberRef("card", other), "email", CUSTOMER["email"])
        answer = till.send(till.command(VERIFY_IDENTIFIER, payload, card))[0]
        assert (answer.status, self.said_of(till, other)) == (200, {})


class TestOfWhomWeMade:
    """A shop takes whoever gives an email for the customer whom we made with it."""

    @pytest.fixture
    def made(self, till: Till, connect_vendor: Connect) -> tuple[str, Sender]:
        """Give a member with an unverified email, of whom the connection made a customer."""
        card = till.member()
        return card, shop_of_whom_we_made(till, card, connect_vendor(Vendor()), verifies="yes")

    def buy(self, shop: Sender, number: int) -> tuple[str, str]:
        shop.post(*signed("shpss", "orders/paid", order(number)))
        work_inbox(seconds=30)
        message = shop.messages()[-1]
        return message.state, message.note

    def test_what_they_buy_waits_for_a_person(self, till: Till, made: tuple[str, Sender]) -> None:
        card, shop = made
        for number in (1, 2):  # the second time, the source knows them
            state, note = self.buy(shop, number)
            assert (state, "nobody has verified" in note) == ("parked", True)
        message = shop.messages()[-1]
        assert message.candidates == [till.ids[card]]
        assert choose_member(message_id=message.pk, member_id=UUID(till.ids[card])) == 2
        work_inbox(seconds=30)
        assert self.buy(shop, 3)[0] == "done"
        assert balance_of(till.ids[card])["available"] == 150

    @pytest.mark.parametrize("trusting", [Source, Connection, None])
    def test_unless_it_is_verified_or_somebody_trusts_all(
        self, till: Till, made: tuple[str, Sender], trusting: Any
    ) -> None:
        card, shop = made
        if trusting is None:
            verify(till, card, CUSTOMER["email"])
        else:
            trusting.objects.filter(program=till.program).update(matches_unverified=True)
        assert self.buy(shop, 1)[0] == "done"
        assert balance_of(till.ids[card])["available"] == 50


class TestIn:
    def test_a_purchase_waits_for_a_person(self, till: Till, sender: StandardSender) -> None:
        card = till.member()
        name(till, card, "email", f"{card}@example.com", verified=False)
        who = {"id": card, "email": f"{card}@example.com"}
        sender.send("order", {**said(till, card, unique("o")), "person": who})
        message = sender.only()
        assert (message.state, message.candidates) == ("parked", [till.ids[card]])
        assert "nobody has verified" in message.note
        assert choose_member(message_id=message.pk, member_id=UUID(till.ids[card])) == 1
        assert sender.only().state == "done"
        assert balance_of(till.ids[card])["available"] == 12

    def test_a_verified_one_goes_before_another_ones(
        self, till: Till, sender: StandardSender
    ) -> None:
        card, other = till.member(), till.member()
        name(till, card, "email", f"{card}@example.com")
        phone = f"+1{uuid4().int % 10**10:010}"
        name(till, other, "phone", phone, verified=False)
        who = {"id": card, "email": f"{card}@example.com", "phone": phone}
        sender.send("order", {**said(till, card, unique("o")), "person": who})
        assert sender.only().state == "done"
        assert balance_of(till.ids[card])["available"] == 12

    def test_a_source_may_match_by_unverified_ones(
        self, till: Till, sender: StandardSender
    ) -> None:
        Source.objects.filter(pk=sender.source.pk).update(matches_unverified=True)
        card = till.member()
        name(till, card, "email", f"{card}@example.com", verified=False)
        who = {"id": card, "email": f"{card}@example.com"}
        sender.send("order", {**said(till, card, unique("o")), "person": who})
        work_inbox(seconds=30)
        assert balance_of(till.ids[card])["available"] == 12

    def test_whom_a_poll_tells_of_is_left_out_until_it_is_verified(
        self, till: Till, connect_vendor: Connect
    ) -> None:
        connection = connect_vendor(Vendor())
        card = till.member()
        email = f"{card}@example.com"
        name(till, card, "email", email, verified=False)
        consent = Consent(channel="sms", is_given=True)
        told = Change(vendor_id="v1", email=email, fields={}, consents=(consent,))
        assert not take_page(connection, [told])
        (left,) = connection.left_out.all()
        assert left.members == [till.ids[card]]
        assert "nobody has verified" in left.note
        verify(till, card, email)
        assert try_again(left_out_ids=[left.pk]) == 1
        assert list(present_consents([UUID(till.ids[card])])) == ["sms"]
