"""Vendors' segments fill ours: page by page, whoever leaves is taken out, and nobody too early."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.utils import timezone

from crm_sync import tasks
from crm_sync.adapters.contract import Change
from crm_sync.adapters.outcomes import Configuration, Outcome, Postponed, Retryable
from crm_sync.adapters.segments import SegmentPage
from crm_sync.inbound.following import follow_feed
from crm_sync.inbound.segments import begin_anew, list_due_segments, walk_segment
from crm_sync.models import Connection, Contact, PolledSegment, SegmentSighting
from crm_sync.sandboxes.klaviyo import Klaviyo
from crm_sync.services.connections import create_connection
from loyalty.members.identifiers import MemberRef
from loyalty.members.segments import add_members, members_after
from tests.factories import Till
from tests.integration.crm_sync.outbox import drain
from tests.integration.crm_sync.test_admin_profiles import CONNECTIONS, mapping_form, text_of
from tests.integration.crm_sync.vendor import Vendor
from tests.people import erase, merge


@dataclass
class SegmentVendor(Vendor):
    """A vendor with one segment that has two people on a page; `fails` come first."""

    segment_pattern: str = "[a-z]+"
    segment_hint: str = "small letters"
    people: list[Change] = field(default_factory=list)
    fails: list[Outcome] = field(default_factory=list)
    pages: list[str] = field(default_factory=list)
    meanwhile: Callable[[], None] = lambda: None

    def list_segment(self, target: Any, segment: str, page: str) -> SegmentPage:
        self.pages.append(page)
        self.meanwhile()
        if self.fails:
            return SegmentPage(page=page, outcome=self.fails.pop(0))
        first = int(page or 0)
        more = str(first + 2) if first + 2 < len(self.people) else ""
        return SegmentPage(people=self.people[first : first + 2], page=more)


@dataclass
class Filled:
    """A segment of a vendor's that fills ours, with the members of a till."""

    till: Till
    vendor: SegmentVendor
    row: PolledSegment

    def enter(self, *members: str) -> None:
        """Let just these be in it at the vendor."""
        self.vendor.people = [Change(vendor_id="", member_id=one, fields={}) for one in members]

    def walk(self, seconds: float = 30) -> int:
        PolledSegment.objects.filter(pk=self.row.pk).update(next_at=timezone.now())
        found = walk_segment(polled_id=self.row.pk, seconds=seconds)
        self.row.refresh_from_db()
        return found

    def inside(self) -> set[str]:
        found = members_after(self.till.program.pk, "vips", UUID(int=0), 100)
        return {str(one) for one in found}


@pytest.fixture
def filled(till: Till, connect_vendor: Callable[..., Connection]) -> Filled:
    vendor = SegmentVendor()
    row = PolledSegment.objects.create(
        connection=connect_vendor(vendor), vendor_segment="gold", segment="vips"
    )
    return Filled(till, vendor, row)


def enrol(till: Till, count: int) -> Sequence[str]:
    return [till.ids[till.member()] for _ in range(count)]


def test_just_those_who_are_in_it_there_are_in_ours(till: Till, filled: Filled) -> None:
    people = enrol(till, 6)
    filled.enter(*people[:5])
    filled.vendor.people[1] = Change(vendor_id="v1", fields={})
    Contact.objects.create(
        connection=filled.row.connection, member_id=people[1], vendor_id="v1", matched_by="new"
    )
    filled.vendor.people.insert(3, Change(vendor_id="v9", email="nobody@x.example", fields={}))
    assert filled.walk() == 6
    assert filled.inside() == set(people[:5])
    assert (filled.row.members, filled.row.strangers) == (5, 1)
    assert filled.row.next_at > timezone.now() + timedelta(minutes=50)
    assert not SegmentSighting.objects.filter(polled=filled.row).exists()
    by_hand = [MemberRef("id", people[5])]
    for code in ("vips", "by-hand"):
        add_members(till.program.pk, code, by_hand)
    filled.enter(people[0], people[3])
    assert filled.walk() == 2
    assert filled.inside() == {people[0], people[3]}
    assert members_after(till.program.pk, "by-hand", UUID(int=0), 9) == [UUID(people[5])]
    filled.enter()
    assert filled.walk() == 0
    assert (filled.inside(), filled.row.members) == (set(), 0)


def test_it_goes_on_where_it_stopped_and_takes_out_nobody_before_the_end(
    till: Till, filled: Filled
) -> None:
    people = enrol(till, 6)
    filled.enter(people[0])
    filled.walk()
    filled.enter(*people[1:])
    filled.vendor.pages.clear()
    assert filled.walk(seconds=0) == 2
    assert filled.inside() == {*people[:3]}
    assert filled.row.pk in list_due_segments()
    filled.vendor.fails = [Retryable(error="Busy.", retry_after=900)]
    assert filled.walk() == 0
    assert (filled.row.page, filled.row.last_error) == ("2", "Busy.")
    assert filled.row.next_at > timezone.now() + timedelta(seconds=800)
    filled.vendor.fails = [Postponed(error="Later.", seconds=7)]
    assert filled.walk() == 0
    assert filled.inside() == {*people[:3]}
    assert filled.walk() == 3
    assert filled.inside() == {*people[1:]}
    assert filled.vendor.pages == ["", "2", "2", "2", "4"]
    assert (filled.row.last_error, filled.row.members) == ("", 5)


def test_a_place_that_is_lost_means_to_begin_anew(till: Till, filled: Filled) -> None:
    people = enrol(till, 4)
    filled.enter(*people)
    filled.walk()
    filled.walk(seconds=0)
    filled.vendor.fails = [Configuration(status_code=403, error="No scope.")]
    filled.walk()
    assert (filled.row.page, filled.row.last_error) == ("", "No scope.")
    assert not SegmentSighting.objects.filter(polled=filled.row).exists()
    assert filled.inside() == set(people)
    assert filled.walk() == 4
    assert filled.row.last_error == ""


def test_whoever_reads_for_an_old_mapping_changes_nothing(till: Till, filled: Filled) -> None:
    one, other = enrol(till, 2)
    filled.enter(one)
    filled.walk()
    filled.enter(other)

    def change() -> None:
        row = PolledSegment.objects.get(pk=filled.row.pk)
        begin_anew(row)
        row.vendor_segment = "silver"
        row.save()

    filled.vendor.meanwhile = change
    assert filled.walk() == 0
    assert filled.inside() == {one}
    filled.vendor.meanwhile = lambda: None
    assert filled.walk() == 1
    assert filled.inside() == {other}


def test_who_was_met_and_is_merged_or_erased_since(till: Till, filled: Filled) -> None:
    cards = [till.member() for _ in range(4)]
    people = [till.ids[card] for card in cards]
    filled.enter(people[0], people[1], people[3])
    filled.walk(seconds=0)
    merge(till, cards[0], cards[2])
    erase(till, cards[1])
    drain()
    follow_feed()
    met = SegmentSighting.objects.filter(polled=filled.row).values_list("member_id", flat=True)
    assert UUID(people[1]) not in met
    filled.walk()
    assert filled.inside() == {people[2], people[3]}


def test_klaviyos_segment_fills_ours_by_itself(till: Till, settings: Any) -> None:
    settings.CRM_ALLOW_PRIVATE_ADDRESSES = True
    with Klaviyo() as klaviyo:
        connection = create_connection(
            program_id=till.program.pk,
            name="Klaviyo",
            adapter="klaviyo",
            config={"address": klaviyo.url},
            secrets={"api_key": klaviyo.api_key},
        )
        member = till.ids[till.member(balance=5)]
        drain()
        known = klaviyo.find("external_id", member)
        assert known is not None
        klaviyo.segments["Y6nRLr"] = [known, klaviyo.add(email="nobody@example.com")]
        row = PolledSegment.objects.create(
            connection=connection, vendor_segment="Y6nRLr", segment="vips"
        )
        tasks.poll_segments()
        assert members_after(till.program.pk, "vips", UUID(int=0), 9) == [UUID(member)]
        row.refresh_from_db()
        assert (row.members, row.strangers) == (1, 1)
        Connection.objects.filter(pk=connection.pk).update(is_enabled=False)
        PolledSegment.objects.update(next_at=timezone.now())
        assert row.pk not in list_due_segments()


def form(filled: Filled, **changes: str) -> dict[str, str]:
    row = filled.row
    given = {
        "polled_segments-TOTAL_FORMS": "1",
        "polled_segments-INITIAL_FORMS": "1",
        "polled_segments-0-id": str(row.pk),
        "polled_segments-0-connection": str(row.connection_id),
        "polled_segments-0-vendor_segment": row.vendor_segment,
        "polled_segments-0-segment": row.segment,
    }
    return mapping_form(row.connection, **{**given, **changes})


def test_it_is_mapped_in_the_admin(
    till: Till, filled: Filled, page: Client, connect_vendor: Callable[..., Connection]
) -> None:
    address = f"{CONNECTIONS}{filled.row.connection_id}/change/"
    filled.enter(*enrol(till, 3))
    filled.walk()
    filled.walk(seconds=0)
    shown = text_of(page.get(address))
    assert "3 members." in shown
    assert "Small letters." in shown
    other = connect_vendor(filled.vendor, name="Other")
    PolledSegment.objects.create(connection=other, vendor_segment="a", segment="taken")
    for name, value, problem in (
        ("vendor_segment", "Gold 1", "This is small letters."),
        ("segment", "a b", "letters, digits, - and _"),
        ("segment", "klaviyo.vip", "Leave out the period"),
        ("segment", "taken", "The connection Other fills it already."),
    ):
        refused = page.post(address, form(filled, **{f"polled_segments-0-{name}": value}))
        assert problem in text_of(refused), value
    assert page.post(address, form(filled)).status_code == 302
    filled.row.refresh_from_db()
    assert filled.row.page == "2"  # nothing was changed, so it goes on
    changed = form(filled, **{"polled_segments-0-vendor_segment": "silver"})
    assert page.post(address, changed).status_code == 302
    filled.row.refresh_from_db()
    assert (filled.row.vendor_segment, filled.row.page) == ("silver", "")
    assert not SegmentSighting.objects.filter(polled=filled.row).exists()
