"""What fails on our own side is tried again, seen, and given up in the end, as what others do is.

A lane, a job or a message that failed again and again without a trace would hold up what is behind
it for ever.
"""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.db.models.functions import Now

from crm_sync import tasks
from crm_sync.adapters.outcomes import Ambiguous, Delivered, Doubt
from crm_sync.inbound.working import work_inbox
from crm_sync.models import Backfill, BulkJob, Connection, Contact, Delivery, Lane, Relay
from crm_sync.rules import MAX_ATTEMPTS
from crm_sync.services import backfill, jobs, lanes, profiles, turns
from crm_sync.services.calls import FAILED_HERE
from crm_sync.services.people import want_profiles
from tests.factories import Till, unique
from tests.integration.crm_sync.outbox import drain, pass_time
from tests.integration.crm_sync.senders import said, standard
from tests.integration.crm_sync.vendor import BulkVendor, Vendor

Connect = Callable[..., Connection]


def fail(*args: Any, **options: Any) -> Any:
    raise LookupError("as a bug does")


def test_an_event_that_cannot_be_written_dies_in_the_end_and_the_lane_goes_on(
    till: Till, connect_vendor: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor = Vendor()
    destination = connect_vendor(vendor)
    card = till.member(balance=5)
    with monkeypatch.context() as patch:
        patch.setattr(turns, "envelope", fail)
        drain()
        first, second = Delivery.objects.filter(connection=destination).order_by("sequence")
        assert (first.attempts, first.state, first.last_error) == (1, "pending", FAILED_HERE.error)
        assert Lane.objects.get(connection=destination).lease_until is None
        Delivery.objects.filter(pk=first.pk).update(attempts=MAX_ATTEMPTS - 1)
        pass_time(destination)
        drain()
        first.refresh_from_db()
        second.refresh_from_db()
        assert (first.state, second.attempts) == ("dead", 1)
    pass_time(destination)
    drain()
    assert vendor.of(till.ids[card]) == ["points.adjusted", "profile"]


@pytest.mark.parametrize("outcomes", [[], [None]])
def test_an_adapter_that_gives_no_outcome_has_failed(
    till: Till, connect_vendor: Connect, monkeypatch: pytest.MonkeyPatch, outcomes: list[Any]
) -> None:
    vendor = Vendor()
    destination = connect_vendor(vendor)
    till.member()
    monkeypatch.setattr(vendor, "send", lambda target, deliveries: outcomes)
    drain()
    delivery = Delivery.objects.get(connection=destination)
    assert (delivery.attempts, delivery.state) == (1, "pending")
    assert "adapter" in delivery.last_error


def test_a_profile_that_cannot_be_written_is_given_up_until_the_next_event(
    till: Till, connect_vendor: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor = Vendor()
    destination = connect_vendor(vendor)
    card = till.member()
    with monkeypatch.context() as patch:
        patch.setattr(profiles, "draft_profile", fail)
        drain()
        contact = Contact.objects.get(connection=destination)
        assert (contact.attempts, contact.stuck, contact.last_error) == (1, "", FAILED_HERE.error)
        Contact.objects.filter(connection=destination).update(attempts=MAX_ATTEMPTS - 1)
        pass_time(destination)
        drain()
        contact.refresh_from_db()
        assert (contact.stuck, contact.done) == ("dead", contact.wanted)
        pass_time(destination)
        drain()
        assert not Lane.objects.filter(connection=destination).exists()
    till.adjust(card, 3)
    drain()
    assert Contact.objects.get(connection=destination).stuck == ""
    assert vendor.profiles[till.ids[card]]["loyalty_points"] == 3


def test_while_all_profiles_fail_here_the_connection_is_down_and_none_is_given_up(
    till: Till, connect_vendor: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with events: a release that cannot write profiles costs time, and no profile."""
    vendor = Vendor()
    destination = connect_vendor(vendor)
    members = [UUID(till.ids[till.member()]) for _ in range(3)]
    drain()
    vendor.profiles.clear()
    contacts = Contact.objects.filter(connection=destination)
    contacts.update(fingerprint="")
    want_profiles(connection_id=destination.pk, member_ids=members)
    lanes.open_lanes(connection_id=destination.pk, member_ids=members)
    with monkeypatch.context() as patch:
        patch.setattr(profiles, "draft_profile", fail)
        drain()
        relay = Relay.objects.get(pk=destination.pk)
        assert (relay.failures, relay.resume_at is not None) == (3, True)
        contacts.update(attempts=MAX_ATTEMPTS - 1)
        pass_time(destination, "1 hour")
        drain()
        assert not contacts.exclude(stuck="").exists()
    for _ in members:
        pass_time(destination)
        drain()
    assert set(vendor.profiles) == {str(member) for member in members}
    assert Relay.objects.get(pk=destination.pk).failures == 0


def test_ids_that_fit_no_column_are_none(till: Till, connect_vendor: Connect) -> None:
    vendor = Vendor()
    destination = connect_vendor(vendor)
    card = till.member()
    doubt = Ambiguous(reason=Doubt.SEVERAL_MATCHES, candidates=("a\x00", "b", "c" * 201))
    vendor.outcomes = [Delivered(), Delivered(vendor_id="x" * 201)]
    drain()
    contact = Contact.objects.get(connection=destination)
    assert (contact.vendor_id, contact.done) == ("", contact.wanted)
    till.adjust(card, 3)
    vendor.outcomes = [Delivered(), doubt]
    drain()
    assert Contact.objects.get(connection=destination).candidates == ["b"]


def test_a_job_that_cannot_be_ended_ends_in_its_time_and_holds_up_no_other(
    till: Till, connect_vendor: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor = BulkVendor(bulk_size=1)
    destination = connect_vendor(vendor)
    ids = [till.ids[till.member(balance=5)] for _ in range(2)]
    begun = backfill.start_backfill(connection_id=destination.pk)
    for _ in ids:
        backfill.step_backfill(backfill_id=begun.pk)
    first, second = BulkJob.objects.filter(connection=destination).order_by("pk")
    end = jobs._end
    monkeypatch.setattr(
        jobs, "_end", lambda job, report: fail() if job.pk == first.pk else end(job, report)
    )
    BulkJob.objects.update(ask_at=begun.started_at)
    jobs.poll_jobs()
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.ended_at, first.last_error) == (None, FAILED_HERE.error)
    assert second.ended_at is not None
    BulkJob.objects.filter(pk=first.pk).update(
        ask_at=begun.started_at, submitted_at="2026-01-01T00:00Z"
    )
    jobs.poll_jobs()
    first.refresh_from_db()
    assert first.ended_at is not None
    drain()
    assert set(vendor.profiles) == set(ids)


def test_a_backfill_that_fails_here_holds_up_no_other(
    till: Till, connect_vendor: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    till.member(balance=5)
    runs = [
        backfill.start_backfill(connection_id=connect_vendor(Vendor(), name=name).pk)
        for name in ("One", "Two")
    ]
    size = backfill._size
    monkeypatch.setattr(
        backfill, "_size", lambda one: fail() if one.pk == runs[0].pk else size(one)
    )
    tasks.backfill()
    walked = Backfill.objects.filter(pk__in=[run.pk for run in runs]).order_by("pk")
    assert list(walked.values_list("walked", flat=True)) == [0, 1]


def test_a_message_over_which_workers_die_is_for_a_person(till: Till) -> None:
    sender = standard(till)
    sender.send("order", said(till, till.member(), unique("o")))
    sender.source.messages.update(attempts=MAX_ATTEMPTS, next_at=Now())
    work_inbox(seconds=30)
    message = sender.only()
    assert message.state == "dead"
    assert "again and again" in message.note
