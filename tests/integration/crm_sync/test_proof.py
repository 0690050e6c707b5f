"""Whom we know at a vendor by an address is the member only while that very address is theirs."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from django.test import Client

from crm_sync.adapters.contract import Change, Consent, Match
from crm_sync.addresses import hash_addresses
from crm_sync.comparing import NO_PROFILE
from crm_sync.inbound import polling
from crm_sync.inbound.deciding import say_they_are
from crm_sync.inbound.polling import find_members, take_page, try_again, try_due
from crm_sync.models import Connection, Contact, Drift
from crm_sync.services.drift import push_again
from crm_sync.services.people import look_again, resolve_match
from loyalty.members.consent import present_consents
from tests.factories import Till, unique
from tests.integration.crm_sync.outbox import drain
from tests.integration.crm_sync.senders import NOW, name, remove, verify
from tests.integration.crm_sync.vendor import Vendor
from tests.people import merge

SUBSCRIBED = (Consent(channel="email", is_given=True, changed_at="2026-11-22T09:00:00Z"),)


class OneAddressVendor(Vendor):
    tells_one_address = True


class Account:
    """A member's account, and what a vendor says of whom it knows by what the account was told."""

    def __init__(self, till: Till, connection: Connection, vendor: Vendor) -> None:
        self.till, self.connection, self.vendor = till, connection, vendor
        self.card = till.member()
        self.member = till.ids[self.card]
        self.another = f"{unique('another')}@example.com"
        self.own = f"{unique('own')}@example.com"

    def name(self, value: str, type_: str = "email", *, verified: bool = False) -> None:
        name(self.till, self.card, type_, value, verified=verified)

    def change_email(self, value: str, *, verified: bool = True) -> None:
        """Change the only email; the vendor is told whatever there is to tell."""
        remove(self.till, self.card, "email")
        self.name(value, verified=verified)
        drain()

    def repair(self) -> None:
        """Tell the vendor anew of whom it does not know any more."""
        whose = {"connection": self.connection, "member_id": self.member}
        Drift.objects.create(**whose, name=NO_PROFILE, since=NOW, seen_at=NOW)
        push_again(connection_id=self.connection.pk, member_ids=[UUID(self.member)])

    def contact(self) -> Contact:
        return Contact.objects.get(connection=self.connection, member_id=self.member)

    def subscribe(self, **said: Any) -> bool:
        """Let whoever is known there by the address subscribe; say whether it is the member's."""
        told = {"vendor_id": f"v-{self.member}", "consents": SUBSCRIBED, **said}
        take_page(self.connection, [Change(fields={}, **told)])
        return self.is_subscribed()

    def is_subscribed(self, card: str = "") -> bool:
        member = UUID(self.till.ids[card or self.card])
        return "email" in present_consents([member])


@pytest.fixture(params=[Vendor])
def vendor(request: Any) -> Vendor:
    made: Vendor = request.param()
    return made


@pytest.fixture
def account(till: Till, vendor: Vendor, connect_vendor: Callable[..., Connection]) -> Account:
    connection = connect_vendor(vendor)
    connection.shares_phone = True
    connection.save()
    return Account(till, connection, vendor)


@pytest.mark.parametrize("first_verified", [False, True])
def test_who_changes_to_an_own_email_does_not_become_whom_another_one_made(
    account: Account, first_verified: bool
) -> None:
    """Also where it was verified once: who has it now may be somebody else."""
    account.name(account.another, verified=first_verified)
    drain()
    account.change_email(account.own)
    assert not account.subscribe()
    assert not account.subscribe(email=account.another)
    (left,) = account.connection.left_out.all()
    assert (left.members, "nobody has verified" in left.note) == ([account.member], True)
    change = [Change(vendor_id=f"v-{account.member}", fields={})]
    assert find_members(account.connection, change) == {}
    # They have the member's own there by now.
    assert account.subscribe(email=account.own.upper())
    assert find_members(account.connection, [replace(change[0], email=account.own)])


def test_who_was_found_by_an_email_is_somebody_else_when_another_has_it(account: Account) -> None:
    account.name(account.another, verified=True)
    account.vendor.matches[account.another] = Match(vendor_id="v7", matched_by="email")
    drain()
    assert account.contact().vendor_id == "v7"
    assert account.contact().addresses == hash_addresses({"email": account.another})
    account.change_email(account.own)
    assert not account.subscribe(vendor_id="v7")
    assert account.subscribe(vendor_id="v7", email=account.own)


def test_who_was_found_by_something_else_needs_no_address(account: Account) -> None:
    account.name(account.another)
    match = Match(vendor_id="v7", matched_by="external_id")
    account.vendor.matches[account.another] = match
    drain()
    assert account.subscribe(vendor_id="v7", email="whatever they have there")


def test_a_person_says_who_they_are(account: Account, page: Client) -> None:
    account.name(account.another)
    drain()
    assert not account.subscribe()
    (left,) = account.connection.left_out.all()
    assert try_again(left_out_ids=[left.pk]) == 0
    chosen = {"action": "say_they_are_chosen", "_selected_action": [str(left.pk)]}
    shown = page.post("/admin/crm_sync/leftoutperson/", chosen, follow=True)
    assert "1 people are not left out" in shown.content.decode()
    assert account.is_subscribed()
    assert not account.connection.left_out.exists()
    assert (account.contact().matched_by, account.contact().addresses) == ("person", {})


def test_a_person_says_who_they_are_whom_only_an_email_leads_to(account: Account) -> None:
    account.name(account.another)
    assert not account.subscribe(vendor_id="v7", email=account.another)
    ids = list(account.connection.left_out.values_list("pk", flat=True))
    assert say_they_are(left_out_ids=ids) == 1
    assert (account.is_subscribed(), account.contact().vendor_id) == (True, "v7")


def test_nobody_says_which_of_two_they_are(account: Account) -> None:
    other = account.till.ids[account.till.member()]
    drain()
    assert not account.subscribe(member_id=other)
    ids = list(account.connection.left_out.values_list("pk", flat=True))
    assert say_they_are(left_out_ids=ids) == 0
    assert not account.is_subscribed()
    assert account.connection.left_out.exists()


@pytest.mark.parametrize("is_said", [False, True])
def test_who_is_merged_brings_nobody_elses_consent(account: Account, is_said: bool) -> None:
    account.name(account.another)
    drain()
    other = account.till.member()
    name(account.till, other, "email", account.own)
    verify(account.till, other, account.own)
    merge(account.till, account.card, into=other)
    drain()
    account.subscribe()
    assert not account.is_subscribed(other)
    if is_said:
        ids = account.connection.left_out.values_list("pk", flat=True)
        assert say_they_are(left_out_ids=list(ids)) == 1
    else:
        verify(account.till, other, account.another)
        account.subscribe()
    assert account.is_subscribed(other)


@pytest.mark.parametrize("again", ["looked for", "made"])
def test_asking_anew_proves_nothing(account: Account, again: str) -> None:
    account.name(account.another)
    drain()
    account.change_email(account.own)
    if again == "looked for":
        look_again(connection_id=account.connection.pk, member_id=UUID(account.member))
    else:
        account.repair()
        account.vendor.matches[account.own] = Match(
            vendor_id=f"v-{account.member}", matched_by="member_id"
        )
    drain()
    assert not account.subscribe()


def test_who_is_made_anew_is_whom_we_make_now(account: Account) -> None:
    account.name(account.another)
    drain()
    account.change_email(account.own)
    account.repair()
    drain()
    assert account.subscribe()


@pytest.mark.parametrize(
    ("vendor", "is_taken"), [(Vendor, False), (OneAddressVendor, True)], indirect=["vendor"]
)
def test_each_address_that_the_vendor_was_told_has_to_be_theirs(
    account: Account, is_taken: bool
) -> None:
    account.name("+15550001111", "phone")
    account.name(account.own, verified=True)
    drain()
    assert account.subscribe(email=account.own) == is_taken
    verify(account.till, account.card, "+15550001111", "phone")
    assert account.subscribe(email=account.own)


def test_what_they_are_told_late_counts_as_what_they_were_made_with(account: Account) -> None:
    drain()
    assert (account.contact().matched_by, account.contact().addresses) == ("no_email", {})
    account.name(account.another)
    drain()
    assert account.contact().matched_by == "new"
    account.change_email(account.own)
    assert account.contact().addresses == hash_addresses({"email": account.another})
    assert not account.subscribe()


def test_who_may_have_been_made_twice_is_known_by_both(account: Account) -> None:
    """As after a job, whose report names nobody's id, and which is not seen yet."""
    account.name(account.another)
    drain()
    Contact.objects.filter(connection=account.connection).update(vendor_id="")
    account.change_email(account.own)
    assert not account.subscribe()
    account.name(account.another, verified=True)
    assert account.subscribe()


class TestOurOwnId:
    """The vendor has it from us, or from a connection that was here before."""

    @pytest.mark.parametrize("is_verified", [False, True])
    def test_leads_to_who_would_be_made(self, account: Account, is_verified: bool) -> None:
        account.name(account.own, verified=is_verified)
        told = {"vendor_id": "v9", "member_id": account.member}
        assert account.subscribe(**told) == is_verified

    @pytest.mark.parametrize("is_verified", [False, True])
    def test_is_learned_as_if_we_had_made_them(self, account: Account, is_verified: bool) -> None:
        account.name(account.own, verified=is_verified)
        account.vendor.matches[account.own] = Match(vendor_id="v9", matched_by="member_id")
        drain()
        assert account.contact().matched_by == "member_id"
        assert account.subscribe(vendor_id="v9") == is_verified

    def test_does_not_lead_from_another_one_than_whom_a_person_chose(
        self, account: Account
    ) -> None:
        account.name(account.another)
        drain()
        account.change_email(account.own)
        who = {"connection_id": account.connection.pk, "member_id": UUID(account.member)}
        resolve_match(**who, vendor_id="v7")
        told = {"vendor_id": f"v-{account.member}", "member_id": account.member}
        assert not account.subscribe(**told, email=account.another)
        assert account.subscribe(vendor_id="v7", member_id=account.member, email="any@example.com")


@pytest.mark.parametrize("is_in_doubt", [False, True])
def test_what_comes_to_be_clear_while_they_are_left_out_is_seen(
    account: Account, monkeypatch: pytest.MonkeyPatch, is_in_doubt: bool
) -> None:
    account.name(account.another)
    told = {"email": account.another}
    if not is_in_doubt:
        drain()
        told = {}
    find = polling._find

    def find_meanwhile(connection: Connection, changes: Any) -> Any:
        monkeypatch.setattr(polling, "_find", find)
        found = find(connection, changes)
        verify(account.till, account.card, account.another)
        return found

    monkeypatch.setattr(polling, "_find", find_meanwhile)
    assert not account.subscribe(**told)
    assert try_due(seconds=30) == 1
    assert account.is_subscribed()
    assert not account.connection.left_out.exists()
