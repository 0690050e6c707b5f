"""Where a member stands, as a vendor is told: the newest, once, after the events."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from crm_sync.adapters.contract import Match
from crm_sync.adapters.outcomes import (
    Delivered,
    Outcome,
    Permanent,
    Postponed,
    Retryable,
    Skipped,
)
from crm_sync.models import Attempt, Connection, Contact, Delivery, FieldMapping, Lane
from crm_sync.services import lanes, profiles
from crm_sync.services.deliver import serve_lane
from crm_sync.services.people import resolve_match
from crm_sync.services.prune import delete_old_deliveries
from crm_sync.services.relay import claim_due_lanes, relay_events
from loyalty.members import adjustments
from loyalty.members import services as members
from loyalty.members.schemas import AdjustRequest, EnrolRequest
from tests.factories import Till, unique
from tests.integration.crm_sync.outbox import drain, pass_time
from tests.integration.crm_sync.vendor import Vendor
from tests.people import erase

Connect = Callable[..., Connection]


@pytest.fixture
def vendor() -> Vendor:
    return Vendor()


class Killed(BaseException):
    """Ends a worker where it is, as kill -9 does: nothing is written down."""


def die(*_: Any) -> int:
    raise Killed


def contact_of(destination: Connection, member_id: str) -> Contact:
    return Contact.objects.get(connection=destination, member_id=member_id)


def enrol(till: Till, email: str, *, verified: bool = True) -> str:
    body = {"identifiers": [{"type": "email", "value": email, "verified": verified}]}
    member_id: str = till.send(till.command(members.ENROL, EnrolRequest.model_validate(body)))[0].id
    return member_id


class TestPushing:
    def test_the_state_follows_the_events_that_led_to_it(
        self, till: Till, vendor: Vendor, connect_vendor: Connect
    ) -> None:
        destination = connect_vendor(vendor)
        card = till.member(balance=120)
        drain()
        member = till.ids[card]
        assert vendor.of(member) == ["member.enrolled", "points.adjusted", "profile"]
        assert vendor.profiles[member] == {
            "loyalty_tier": "bronze",
            "loyalty_points": 120,
            "loyalty_version": 2,
        }
        contact = contact_of(destination, member)
        assert (contact.vendor_id, contact.done) == (f"v-{member}", contact.wanted)
        assert not Lane.objects.filter(connection=destination).exists()
        attempt = Attempt.objects.get(connection=destination, member_id=member)
        assert attempt.outcome == "delivered"

    def test_ten_events_are_one_state(
        self, till: Till, vendor: Vendor, connect_vendor: Connect
    ) -> None:
        connect_vendor(vendor, event_types=["tier.*"])
        card = till.member()
        for _ in range(10):
            till.adjust(card, 5)
        drain()
        assert vendor.of(till.ids[card]) == ["profile"]
        assert vendor.profiles[till.ids[card]]["loyalty_points"] == 50

    def test_what_the_vendor_was_told_is_not_told_again(
        self, till: Till, vendor: Vendor, connect_vendor: Connect
    ) -> None:
        destination = connect_vendor(vendor, event_types=["tier.*"])
        card = till.member(balance=5)
        drain()
        till.adjust(card, 7)
        till.adjust(card, -7)
        drain()
        assert vendor.of(till.ids[card]) == ["profile"]
        contact = contact_of(destination, till.ids[card])
        assert contact.done == contact.wanted
        assert not Lane.objects.filter(connection=destination).exists()

    def test_what_happens_while_it_is_sent_is_sent_too(
        self, till: Till, vendor: Vendor, connect_vendor: Connect, monkeypatch: Any
    ) -> None:
        connect_vendor(vendor)
        card = till.member(balance=1)
        push = vendor.push

        def slow(*args: Any) -> list[Outcome]:
            if len(vendor.log) < 3:
                till.adjust(card, 41)
                relay_events()
            return push(*args)

        monkeypatch.setattr(vendor, "push", slow)
        drain()
        assert vendor.profiles[till.ids[card]]["loyalty_points"] == 42

    def test_a_name_that_does_not_fit_does_not_keep_the_rest(
        self, till: Till, vendor: Vendor, connect_vendor: Connect
    ) -> None:
        destination = connect_vendor(vendor)
        FieldMapping.objects.create(connection=destination, attribute="member_id", name="id_here")
        card = till.member(balance=3)
        drain()
        assert "id_here" not in vendor.profiles[till.ids[card]]
        assert "20 fit" in contact_of(destination, till.ids[card]).last_error


class TestFailing:
    def test_it_waits_and_is_sent_as_it_is_then(
        self, till: Till, vendor: Vendor, connect_vendor: Connect
    ) -> None:
        destination = connect_vendor(vendor, event_types=["tier.*"])
        vendor.outcomes = [Retryable(error="500"), Postponed(seconds=3.0), Retryable(error="500")]
        card = till.member(balance=1)
        drain()
        contact = contact_of(destination, till.ids[card])
        assert (contact.attempts, contact.last_error) == (1, "500")
        till.adjust(card, 1)
        for _ in range(3):
            pass_time(destination)
            drain()
        assert vendor.profiles[till.ids[card]]["loyalty_points"] == 2
        assert contact_of(destination, till.ids[card]).attempts == 0

    def test_what_may_have_arrived_is_set_right_though_it_holds_no_more(
        self, till: Till, vendor: Vendor, connect_vendor: Connect, monkeypatch: Any
    ) -> None:
        """Seven points came, the vendor kept them without an answer, and they went again."""
        destination = connect_vendor(vendor, event_types=["tier.*"])
        card = till.member(balance=5)
        drain()
        push = vendor.push

        def hang_up(*args: Any) -> list[Outcome]:
            push(*args)
            return [Retryable(error="No answer.", may_have_arrived=True)]

        monkeypatch.setattr(vendor, "push", hang_up)
        till.adjust(card, 7)
        drain()
        monkeypatch.setattr(vendor, "push", push)
        till.adjust(card, -7)
        pass_time(destination)
        drain()
        assert vendor.profiles[till.ids[card]]["loyalty_points"] == 5

    def test_what_a_worker_told_when_it_died_is_set_right_though_it_holds_no_more(
        self, till: Till, vendor: Vendor, connect_vendor: Connect, monkeypatch: Any
    ) -> None:
        destination = connect_vendor(vendor, event_types=["tier.*"])
        card = till.member(balance=5)
        drain()
        till.adjust(card, 7)
        with monkeypatch.context() as patch:
            patch.setattr(profiles, "settle", die)
            with pytest.raises(Killed):
                drain()
        till.adjust(card, -7)
        pass_time(destination)
        drain()
        assert vendor.profiles[till.ids[card]]["loyalty_points"] == 5

    def test_what_was_told_when_it_failed_here_is_set_right_though_more_was_to_be_sent(
        self, till: Till, vendor: Vendor, connect_vendor: Connect, monkeypatch: Any
    ) -> None:
        destination = connect_vendor(vendor)
        card = till.member(balance=5)
        drain()

        def fail(*_: Any) -> int:
            till.adjust(card, -7)
            relay_events()
            raise LookupError("as a bug does")

        till.adjust(card, 7)
        with monkeypatch.context() as patch:
            patch.setattr(profiles, "settle", fail)
            drain()
        pass_time(destination)
        drain()
        assert vendor.profiles[till.ids[card]]["loyalty_points"] == 5

    def test_one_that_is_refused_is_given_up_until_the_next_event(
        self, till: Till, vendor: Vendor, connect_vendor: Connect
    ) -> None:
        destination = connect_vendor(vendor, event_types=["tier.*"])
        vendor.outcomes = [Permanent(error="Too large.")]
        card = till.member(balance=1)
        drain()
        assert contact_of(destination, till.ids[card]).stuck == "dead"
        assert not Lane.objects.filter(connection=destination).exists()
        till.adjust(card, 1)
        drain()
        contact = contact_of(destination, till.ids[card])
        assert (contact.stuck, contact.last_error) == ("", "")
        assert vendor.profiles[till.ids[card]]["loyalty_points"] == 2

    def test_one_whom_the_vendor_does_not_have_is_skipped_until_the_next_event(
        self, till: Till, vendor: Vendor, connect_vendor: Connect
    ) -> None:
        destination = connect_vendor(vendor, event_types=["member.*"])
        vendor.outcomes = [Skipped(error="Nobody there.")] * 2
        card = till.member(balance=1)
        drain()
        contact = contact_of(destination, till.ids[card])
        assert (contact.stuck, contact.fingerprint, contact.last_error) == ("", "", "Nobody there.")
        assert contact.wanted == contact.done
        delivery = Delivery.objects.get(connection=destination)
        assert (delivery.state, delivery.last_error) == ("skipped", "Nobody there.")
        till.adjust(card, 1)
        drain()
        assert vendor.profiles[till.ids[card]]["loyalty_points"] == 2

    def test_a_lost_lane_is_found(
        self, till: Till, vendor: Vendor, connect_vendor: Connect
    ) -> None:
        destination = connect_vendor(vendor, event_types=["tier.*"])
        till.member(balance=1)
        relay_events()
        Lane.objects.filter(connection=destination).delete()
        assert lanes.reopen_orphans() == 1

    def test_whoever_lost_the_lease_changes_nothing(
        self, till: Till, vendor: Vendor, connect_vendor: Connect, monkeypatch: Any
    ) -> None:
        destination = connect_vendor(vendor, event_types=["tier.*"])
        card = till.member(balance=1)
        relay_events()
        (lease,) = claim_due_lanes()

        def steal(*_: Any) -> list[Outcome]:
            pass_time(destination, "2 minutes")
            claim_due_lanes()
            return [Delivered()]

        monkeypatch.setattr(vendor, "push", steal)
        serve_lane(lease)
        contact = contact_of(destination, till.ids[card])
        assert contact.wanted > contact.done
        assert Attempt.objects.get(connection=destination).outcome == "fenced"


class TestMatching:
    def test_one_who_is_known_is_asked_for_once(
        self, till: Till, vendor: Vendor, connect_vendor: Connect
    ) -> None:
        destination = connect_vendor(vendor)
        email = f"{unique('m')}@example.com"
        vendor.matches[email] = Match(vendor_id="v-7", matched_by="email")
        member = enrol(till, email)
        drain()
        till.send(till.command(*_adjust(member)))
        drain()
        contact = contact_of(destination, member)
        assert (contact.matched_by, vendor.asked) == ("email", 1)

    def test_two_who_fit_are_parked_for_a_person(
        self, till: Till, vendor: Vendor, connect_vendor: Connect
    ) -> None:
        destination = connect_vendor(vendor)
        email = f"{unique('m')}@example.com"
        vendor.matches[email] = Match(candidates=("v-1", "v-2"))
        member = enrol(till, email)
        drain()
        contact = contact_of(destination, member)
        assert (contact.stuck, contact.candidates) == ("parked", ["v-1", "v-2"])
        assert vendor.of(member) == []
        assert Delivery.objects.get(connection=destination).state == "parked"
        resolve_match(connection_id=destination.pk, member_id=UUID(member), vendor_id="v-2")
        drain()
        assert vendor.of(member) == ["member.enrolled", "profile"]
        contact = contact_of(destination, member)
        assert (contact.matched_by, contact.stuck) == ("person", "")

    def test_no_email_is_used_where_the_connection_says_so(
        self, till: Till, vendor: Vendor, connect_vendor: Connect
    ) -> None:
        destination = connect_vendor(vendor)
        Connection.objects.filter(pk=destination.pk).update(shares_email=False)
        email = f"{unique('m')}@example.com"
        vendor.matches[email] = Match(candidates=("v-1", "v-2"))
        member = enrol(till, email)
        drain()
        assert contact_of(destination, member).matched_by == "no_email"

    def test_who_was_not_found_is_asked_for_once_more_with_an_email(
        self, till: Till, vendor: Vendor, connect_vendor: Connect
    ) -> None:
        destination = connect_vendor(vendor)
        Connection.objects.filter(pk=destination.pk).update(shares_email=False)
        email = f"{unique('m')}@example.com"
        member = enrol(till, email)
        drain()
        Connection.objects.filter(pk=destination.pk).update(shares_email=True)
        for _ in range(2):
            till.send(till.command(*_adjust(member)))
            drain()
        contact = contact_of(destination, member)
        assert (contact.matched_by, contact.vendor_id) == ("new", f"v-{member}")
        assert vendor.asked == 2

    def test_two_of_whom_we_made_one_are_parked_and_not_asked_for_again(
        self, till: Till, vendor: Vendor, connect_vendor: Connect
    ) -> None:
        destination = connect_vendor(vendor)
        Connection.objects.filter(pk=destination.pk).update(shares_email=False)
        email = f"{unique('m')}@example.com"
        vendor.matches[email] = Match(vendor_id="v-7", matched_by="email")
        member = enrol(till, email)
        drain()
        Connection.objects.filter(pk=destination.pk).update(shares_email=True)
        till.send(till.command(*_adjust(member)))
        drain()
        assert contact_of(destination, member).candidates == [f"v-{member}", "v-7"]
        resolve_match(connection_id=destination.pk, member_id=UUID(member), vendor_id="")
        asked = vendor.asked
        drain()
        assert (contact_of(destination, member).stuck, vendor.asked) == ("", asked)

    def test_a_vendor_that_does_not_answer_keeps_the_lane(
        self, till: Till, vendor: Vendor, connect_vendor: Connect
    ) -> None:
        destination = connect_vendor(vendor)
        email = f"{unique('m')}@example.com"
        vendor.matches[email] = Match(outcome=Retryable(error="Busy."))
        member = enrol(till, email)
        drain()
        assert Delivery.objects.get(connection=destination).last_error == "Busy."
        del vendor.matches[email]
        pass_time(destination)
        drain()
        assert vendor.of(member) == ["member.enrolled", "profile"]


def _adjust(member: str) -> tuple[Any, Any]:

    body = {"member": member, "points": 3, "reason": "goodwill"}
    return adjustments.ADJUST, AdjustRequest.model_validate(body)


def test_attempts_of_profiles_are_pruned(
    till: Till, vendor: Vendor, connect_vendor: Connect
) -> None:
    destination = connect_vendor(vendor, event_types=["tier.*"])
    till.member(balance=1)
    drain()
    delete_old_deliveries(now=timezone.now() + timedelta(days=31))
    assert not Attempt.objects.filter(connection=destination).exists()


def test_whoever_is_erased_is_forgotten_and_the_vendor_is_told(
    till: Till, vendor: Vendor, connect_vendor: Connect
) -> None:
    destination = connect_vendor(vendor)
    card = till.member(balance=1)
    drain()
    member = till.ids[card]
    vendor.log.clear()
    erase(till, card)
    drain()
    assert vendor.of(member) == ["member.erased"]
    assert not Contact.objects.filter(connection=destination, member_id=member).exists()
    assert not Attempt.objects.filter(connection=destination, member_id=member).exists()
