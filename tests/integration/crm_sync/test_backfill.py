"""Telling a vendor of all members, beside what happens meanwhile."""

from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from crm_sync.adapters.access import Target
from crm_sync.adapters.contract import JobReport
from crm_sync.adapters.outcomes import Delivered, Outcome, Permanent, Postponed, Retryable
from crm_sync.models import Backfill, BulkJob, Connection, Contact, Lane, Relay
from crm_sync.rules import MAX_ATTEMPTS
from crm_sync.services.backfill import (
    BackfillRefused,
    list_running_backfills,
    set_backfill_state,
    start_backfill,
    step_backfill,
)
from crm_sync.services.jobs import poll_jobs
from crm_sync.services.relay import relay_events
from tests.factories import Till
from tests.integration.crm_sync.outbox import drain, pass_time
from tests.integration.crm_sync.vendor import BulkVendor, Vendor

Connect = Callable[..., Connection]


def run_backfill(backfill: Backfill) -> None:
    """Step, send what has a lane, and ask for jobs, until it is done."""
    for _ in range(30):
        step_backfill(backfill_id=backfill.pk)
        drain()
        BulkJob.objects.update(ask_at=backfill.started_at)
        poll_jobs()
        backfill.refresh_from_db()
        if backfill.state == "done":
            return
    raise AssertionError(f"{backfill} is {backfill.state}")


def members(till: Till, count: int) -> list[str]:
    return [till.ids[till.member(balance=10 + n)] for n in range(count)]


class TestOneByOne:
    def test_everybody_is_told_and_marked(self, till: Till, connect_vendor: Connect) -> None:
        ids = members(till, 3)
        vendor = Vendor()
        destination = connect_vendor(vendor)
        backfill = start_backfill(connection_id=destination.pk, by="ada")
        run_backfill(backfill)
        assert set(vendor.profiles) == set(ids)
        assert (backfill.walked, backfill.total, backfill.started_by) == (3, 3, "ada")
        assert set(vendor.backfilled) == {True}

    def test_whoever_is_told_already_is_not_told_again(
        self, till: Till, connect_vendor: Connect
    ) -> None:
        vendor = Vendor()
        destination = connect_vendor(vendor)
        ids = members(till, 2)
        drain()
        vendor.log.clear()
        run_backfill(start_backfill(connection_id=destination.pk))
        assert vendor.log == []
        assert set(vendor.backfilled) == {False}
        assert set(vendor.profiles) == set(ids)

    def test_todays_event_is_no_backfill(self, till: Till, connect_vendor: Connect) -> None:
        card = till.member(balance=1)
        vendor = Vendor()
        destination = connect_vendor(vendor)
        step_backfill(backfill_id=start_backfill(connection_id=destination.pk).pk)
        till.adjust(card, 1)
        drain()
        assert vendor.backfilled == [False]

    def test_events_from_before_the_connection_are_marked(
        self, till: Till, connect_vendor: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        card = till.member()
        vendor = Vendor()
        seen: list[bool] = []
        send = vendor.send
        monkeypatch.setattr(
            vendor, "send", lambda t, ds: (seen.extend(d.is_backfill for d in ds), send(t, ds))[1]
        )
        connect_vendor(vendor, from_beginning=True)
        till.adjust(card, 1)
        drain()
        assert seen == [True, False]

    def test_one_at_a_time_and_only_where_profiles_are_kept(
        self, till: Till, connect_vendor: Connect
    ) -> None:
        members(till, 1)
        destination = connect_vendor(Vendor())
        backfill = start_backfill(connection_id=destination.pk)
        with pytest.raises(BackfillRefused, match="under way"):
            start_backfill(connection_id=destination.pk)
        set_backfill_state(backfill_id=backfill.pk, state=Backfill.State.PAUSED)
        assert backfill.pk not in list_running_backfills()
        assert not step_backfill(backfill_id=backfill.pk)
        set_backfill_state(backfill_id=backfill.pk, state=Backfill.State.CANCELLED)
        run_backfill(start_backfill(connection_id=destination.pk))
        Connection.objects.filter(pk=destination.pk).update(adapter="console")
        with pytest.raises(BackfillRefused, match="keeps no profiles"):
            start_backfill(connection_id=destination.pk)


class TestInBulk:
    def test_jobs_take_everybody_a_few_at_a_time(self, till: Till, connect_vendor: Connect) -> None:
        ids = members(till, 7)
        vendor = BulkVendor()
        destination = connect_vendor(vendor)
        run_backfill(start_backfill(connection_id=destination.pk))
        assert [len(job) for job in vendor.jobs.values()] == [3, 3, 1]
        assert set(vendor.profiles) == set(ids)
        assert not Lane.objects.filter(connection=destination).exists()
        contacts = Contact.objects.filter(connection=destination)
        assert {c.done == c.wanted and bool(c.fingerprint) for c in contacts} == {True}

    def test_one_that_a_job_refused_is_sent_by_itself_and_says_why(
        self, till: Till, connect_vendor: Connect
    ) -> None:
        bad, good = members(till, 2)
        vendor = BulkVendor(refuses={bad: Permanent(error="Bad email.")})
        destination = connect_vendor(vendor)
        backfill = start_backfill(connection_id=destination.pk)
        step_backfill(backfill_id=backfill.pk)
        BulkJob.objects.update(ask_at=backfill.started_at)
        poll_jobs()
        assert BulkJob.objects.get(connection=destination).failed == 1
        vendor.outcomes = [Permanent(error="Bad email.")]
        drain()
        contact = Contact.objects.get(connection=destination, member_id=bad)
        assert (contact.stuck, contact.last_error) == ("dead", "Bad email.")
        assert list(vendor.profiles) == [good]

    def test_what_was_sent_while_the_job_worked_is_sent_once_more(
        self, till: Till, connect_vendor: Connect
    ) -> None:
        card = till.member(balance=10)
        vendor = BulkVendor(is_working=True)
        destination = connect_vendor(vendor)
        backfill = start_backfill(connection_id=destination.pk)
        step_backfill(backfill_id=backfill.pk)
        till.adjust(card, 5)
        drain()
        assert vendor.profiles[till.ids[card]]["loyalty_points"] == 15
        vendor.is_working = False
        run_backfill(backfill)  # the job overwrites it with 10, as the vendor's queue pleases
        assert vendor.profiles[till.ids[card]]["loyalty_points"] == 15
        assert vendor.of(till.ids[card]).count("profile") == 3

    def test_a_member_with_events_on_the_way_is_served_in_their_lane(
        self, till: Till, connect_vendor: Connect
    ) -> None:
        vendor = BulkVendor()
        destination = connect_vendor(vendor)
        members(till, 2)
        relay_events()
        step_backfill(backfill_id=start_backfill(connection_id=destination.pk).pk)
        assert vendor.jobs == {}
        drain()
        assert len(vendor.profiles) == 2

    @pytest.mark.parametrize("outcome", [Retryable(error="500"), Postponed(seconds=5.0)])
    def test_a_call_that_failed_is_one_failure_and_is_made_up_for(
        self, till: Till, connect_vendor: Connect, outcome: Retryable
    ) -> None:
        ids = members(till, 3)
        vendor = BulkVendor(outcomes=[outcome])
        destination = connect_vendor(vendor)
        backfill = start_backfill(connection_id=destination.pk)
        step_backfill(backfill_id=backfill.pk)
        failures = Relay.objects.get(connection=destination).failures
        assert failures == (1 if isinstance(outcome, Retryable) else 0)
        pass_time(destination, "100 seconds")
        drain()
        assert vendor.profiles == {}  # a vendor that fails is not called for each of them instead
        run_backfill(backfill)
        assert set(vendor.profiles) == set(ids)
        assert [len(job) for job in vendor.jobs.values()] == [3]

    def test_what_comes_meanwhile_waits_no_longer_than_the_call(
        self, till: Till, connect_vendor: Connect
    ) -> None:
        card, _ = till.member(balance=10), till.member(balance=11)
        vendor = BulkVendor(outcomes=[Postponed(seconds=5.0)])
        destination = connect_vendor(vendor)
        step_backfill(backfill_id=start_backfill(connection_id=destination.pk).pk)
        till.adjust(card, 5)
        relay_events()
        pass_time(destination, "6 seconds")
        BulkJob.objects.filter(connection=destination).update(ask_at=Now())
        poll_jobs()
        drain()
        assert vendor.of(till.ids[card]) == ["points.adjusted", "profile"]
        assert [len(job) for job in vendor.jobs.values()] == [1]

    def test_a_call_that_fails_for_good_goes_one_by_one_and_whoever_waits_is_never_left(
        self, till: Till, connect_vendor: Connect
    ) -> None:
        ids = members(till, 2)
        vendor = BulkVendor(outcomes=[Retryable(error="500")])
        destination = connect_vendor(vendor)
        backfill = start_backfill(connection_id=destination.pk)
        step_backfill(backfill_id=backfill.pk)
        Contact.objects.filter(connection=destination).update(attempts=MAX_ATTEMPTS - 1)
        vendor.outcomes = [Retryable(error="500")]
        BulkJob.objects.update(ask_at=backfill.started_at)
        poll_jobs()
        assert not BulkJob.objects.filter(connection=destination, ended_at=None).exists()
        drain()
        assert (set(vendor.profiles), vendor.jobs) == (set(ids), {})

    @pytest.mark.parametrize("count", [0, 1, 4])
    def test_another_number_of_outcomes_than_profiles_is_no_success_of_the_others(
        self, till: Till, connect_vendor: Connect, monkeypatch: pytest.MonkeyPatch, count: int
    ) -> None:
        ids = members(till, 3)
        vendor = BulkVendor()
        destination = connect_vendor(vendor)
        backfill = start_backfill(connection_id=destination.pk)
        with monkeypatch.context() as patch:
            patch.setattr(vendor, "push_bulk", lambda t, profiles: [Delivered()] * count)
            step_backfill(backfill_id=backfill.pk)
        assert Contact.objects.filter(connection=destination, fingerprint="").count() >= 2
        pass_time(destination)
        run_backfill(backfill)
        assert len(set(vendor.profiles) & set(ids)) >= 2


class TestAskingForJobs:
    @pytest.fixture
    def job(self, till: Till, connect_vendor: Connect) -> BulkJob:
        """Return the one job of a backfill, which the vendor works on."""
        self.ids = members(till, 2)
        self.vendor = BulkVendor(is_working=True)
        destination = connect_vendor(self.vendor)
        self.backfill = start_backfill(connection_id=destination.pk)
        step_backfill(backfill_id=self.backfill.pk)
        return BulkJob.objects.select_related("connection").get(connection=destination)

    def ask(self, job: BulkJob, outcome: Outcome | None = None) -> bool:
        """Let the job be due, and ask; say whether the vendor was called."""
        asked: list[str] = []
        poll = BulkVendor.poll_job

        def answer(target: Target, job_id: str, ids: Sequence[str]) -> JobReport:
            asked.append(job_id)
            if outcome is not None:
                return JobReport(is_done=False, outcome=outcome)
            return poll(self.vendor, target, job_id, ids)

        self.vendor.poll_job = answer  # type: ignore[method-assign]
        BulkJob.objects.filter(pk=job.pk).update(ask_at=self.backfill.started_at)
        poll_jobs()
        job.refresh_from_db()
        return bool(asked)

    @pytest.mark.parametrize("count", [0, 1, 3])
    def test_a_report_that_does_not_fit_ends_the_job_and_each_goes_by_itself(
        self, job: BulkJob, monkeypatch: pytest.MonkeyPatch, count: int
    ) -> None:
        report = JobReport(is_done=True, outcomes=[Delivered()] * count)
        monkeypatch.setattr(self.vendor, "poll_job", lambda target, job_id, ids: report)
        BulkJob.objects.filter(pk=job.pk).update(ask_at=self.backfill.started_at)
        poll_jobs()
        job.refresh_from_db()
        assert job.ended_at is not None
        assert "not one outcome for each" in job.last_error
        drain()
        assert set(self.vendor.profiles) == set(self.ids)

    def test_what_the_vendor_asked_for_is_heeded_and_a_pause(self, job: BulkJob) -> None:
        busy = Retryable(error="429", retry_after=600.0, throttled=True, status_code=429)
        assert self.ask(job, busy)
        relay = Relay.objects.get(pk=job.connection_id)
        assert relay.failures == 1
        assert relay.resume_at is not None
        for moment in (job.ask_at, relay.resume_at):
            assert (moment - timezone.now()).total_seconds() > 500
        assert not self.ask(job, busy)
        assert Relay.objects.get(pk=job.connection_id).failures == 1

    def test_a_destination_that_is_down_is_asked_once_a_pause_and_is_back_when_it_answers(
        self, job: BulkJob
    ) -> None:
        for _ in range(3):
            assert self.ask(job, Retryable(error="500"))
        paused = Relay.objects.filter(pk=job.connection_id, resume_at__isnull=False)
        assert paused.update(resume_at=Now() + timedelta(hours=1)) == 1
        assert not self.ask(job)
        assert self.backfill.pk not in list_running_backfills()
        pass_time(job.connection)
        assert self.ask(job)
        assert Relay.objects.get(pk=job.connection_id).failures == 0
        self.vendor.is_working = False
        run_backfill(self.backfill)

    def test_the_vendors_limits_count_as_no_failure(self, job: BulkJob) -> None:
        assert self.ask(job, Postponed(seconds=300))
        assert (job.ask_at - timezone.now()).total_seconds() > 200
        assert Relay.objects.get(pk=job.connection_id).failures == 0

    @pytest.mark.parametrize(
        "outcome", [None, Retryable(error="500"), Postponed(seconds=60, error="Later.")]
    )
    def test_a_job_that_never_ends_is_given_up_and_its_profiles_go_one_by_one(
        self, job: BulkJob, outcome: Outcome | None
    ) -> None:
        self.ask(job, outcome)
        assert job.ended_at is None
        pass_time(job.connection)
        BulkJob.objects.filter(pk=job.pk).update(submitted_at=Now() - timedelta(hours=49))
        self.ask(job, outcome)
        assert (job.ended_at is not None, job.failed) == (True, 2)
        assert job.last_error.startswith("Given up after 48 hours: ")
        pass_time(job.connection)
        run_backfill(self.backfill)
        assert set(self.vendor.profiles) == set(self.ids)

    def test_one_that_the_vendor_will_never_tell_of_is_given_up_at_once(self, job: BulkJob) -> None:
        self.ask(job, Permanent(error="400"))
        assert (job.ended_at is not None, job.failed, job.last_error) == (True, 2, "400")
        run_backfill(self.backfill)
        assert set(self.vendor.profiles) == set(self.ids)

    def test_one_whose_adapter_is_gone_waits_and_ends_too(self, job: BulkJob) -> None:
        Connection.objects.filter(pk=job.connection_id).update(adapter="console")
        self.ask(job)
        assert job.last_error
        BulkJob.objects.filter(pk=job.pk).update(submitted_at=Now() - timedelta(hours=49))
        self.ask(job)
        assert job.ended_at is not None
