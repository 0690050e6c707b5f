"""What every vendor's adapter promises, against that vendor's sandbox over HTTP."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple
from uuid import uuid4

import pytest

from crm_sync.adapters import build_adapters
from crm_sync.adapters.access import Target
from crm_sync.adapters.contract import (
    ConfigRefused,
    JobReport,
    Person,
    Polls,
    Profile,
    PushesInBulk,
    PushesProfiles,
    ReadsBack,
    Submitted,
)
from crm_sync.adapters.outcomes import (
    Ambiguous,
    Configuration,
    Delivered,
    Doubt,
    Outcome,
    Permanent,
    Postponed,
    Retryable,
    Skipped,
)
from crm_sync.mapping import problems_of
from crm_sync.sandboxes.server import Fault, Reply, Sandbox
from tests.integration.crm_sync.calls import Limits, environment, target
from tests.integration.crm_sync.klaviyo_calls import ADA, MEMBER, event
from tests.integration.crm_sync.vendor_cases import CASES, Case

POLLS = 5


class Vendor(NamedTuple):
    """One vendor, its sandbox that runs, and our connection to it."""

    case: Case
    sandbox: Sandbox
    adapter: Any
    target: Target

    def profile(self, person: Person = ADA, **fields: Any) -> Profile:
        told = {
            name: person.member_id if value == MEMBER else value
            for name, value in {**self.case.told, **fields}.items()
        }
        return Profile(
            person=person,
            fields=told,
            version=1,
            correlation_id=uuid4(),
            forms={field.name: field.form for field in self.adapter.default_fields},
        )

    def events(self) -> list[str]:
        return list(self.case.events_of(self.sandbox, MEMBER))

    def push_in_bulk(self, *profiles: Profile) -> list[Outcome]:
        found = self.adapter.push_bulk(self.target, profiles)
        if not isinstance(found, Submitted):
            return list(found)
        ids = [profile.person.member_id for profile in profiles]
        for _ in range(POLLS):
            report: JobReport = self.adapter.poll_job(self.target, found.job_id, ids)
            if report.is_done:
                return list(report.outcomes)
        raise AssertionError(f"the job is not done after {POLLS} polls")


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def vendor(request: pytest.FixtureRequest) -> Iterator[Vendor]:
    case = request.param
    with case.sandbox() as sandbox:
        if case.prepare is not None:
            case.prepare(sandbox)
        yield Vendor(case, sandbox, case.adapter(environment(total=2.0)), case.connect(sandbox))


def test_all_that_are_registered_are_here() -> None:
    ours = {"webhook", "console"}
    assert set(build_adapters(environment())) - ours == {case.name for case in CASES}


def test_what_is_pushed_is_read_back(vendor: Vendor) -> None:
    assert isinstance(vendor.adapter, PushesProfiles)
    (first,) = vendor.adapter.push(vendor.target, [vendor.profile()])
    assert isinstance(first, Delivered), first
    ada = replace(ADA, vendor_id=first.vendor_id)
    (again,) = vendor.adapter.push(vendor.target, [vendor.profile(ada)])
    assert isinstance(again, Delivered), again
    if vendor.case.has is not None:
        assert not isinstance(vendor.adapter, ReadsBack)
        assert vendor.case.has(vendor.sandbox, MEMBER) == vendor.case.told
        return
    assert isinstance(vendor.adapter, ReadsBack)
    stranger = Person(member_id=str(uuid4()))
    found = vendor.adapter.read(vendor.target, [ada, stranger], list(vendor.case.told))
    assert found == [vendor.case.told, None]


def test_the_mapping_that_a_connection_begins_with_is_good(vendor: Vendor) -> None:
    fields, limits = vendor.adapter.default_fields, vendor.adapter.field_limits
    assert problems_of(fields, limits) == []
    assert {"tier", "points_available", "state_version"} <= {field.attribute for field in fields}


def test_events_arrive_in_order_and_a_repeat_is_one(vendor: Vendor) -> None:
    one, two = event(1), event(2)
    for batch in ([one], [two], [two]):
        (outcome,) = vendor.adapter.send(vendor.target, batch)
        assert isinstance(outcome, Delivered), outcome
    twice = [] if vendor.case.sees_repeats else [two.event_id]
    assert vendor.events() == [one.event_id, two.event_id, *twice]


def test_no_answer_after_the_work_was_done(vendor: Vendor) -> None:
    vendor.adapter.push(vendor.target, [vendor.profile()])
    vendor.sandbox.faults = [Fault(path=vendor.case.events_at, hangs_up=True)]
    (lost,) = vendor.adapter.send(vendor.target, [event()])
    if not vendor.case.sees_repeats:
        assert isinstance(lost, Ambiguous)
        assert lost.reason is Doubt.MAYBE_TAKEN
        return
    assert isinstance(lost, Retryable)
    (again,) = vendor.adapter.send(vendor.target, [event()])
    assert isinstance(again, Delivered)
    assert len(vendor.events()) == 1


def test_too_much_is_waited_for_as_long_as_it_says(vendor: Vendor) -> None:
    vendor.sandbox.faults = [Fault(vendor.case.busy, path=vendor.case.profiles_at)]
    (busy,) = vendor.adapter.push(vendor.target, [vendor.profile()])
    assert isinstance(busy, Retryable), busy
    assert (busy.throttled, busy.retry_after) == (True, vendor.case.busy_seconds)


def test_limits_are_kept_before_they_are_hit(vendor: Vendor) -> None:
    limits = vendor.target.throttle
    assert isinstance(limits, Limits)
    vendor.adapter.push(vendor.target, [vendor.profile()])
    assert limits.taken
    limits.refuse, before = 2.5, len(vendor.sandbox.calls)
    (pushed,) = vendor.adapter.push(vendor.target, [vendor.profile()])
    (sent,) = vendor.adapter.send(vendor.target, [event()])
    assert isinstance(pushed, Postponed)
    assert isinstance(sent, Postponed)
    assert len(vendor.sandbox.calls) == before


@pytest.mark.parametrize("status", [500, 503])
def test_errors_of_theirs_are_tried_again(vendor: Vendor, status: int) -> None:
    vendor.sandbox.faults = [Fault(Reply(status, b"<html>", {}))]
    (outcome,) = vendor.adapter.push(vendor.target, [vendor.profile()])
    assert isinstance(outcome, Retryable), outcome
    assert isinstance(vendor.adapter.push(vendor.target, [vendor.profile()])[0], Delivered)


def test_a_page_in_place_of_an_answer_is_no_success(vendor: Vendor) -> None:
    vendor.sandbox.faults = [Fault(Reply(200, b"<html>hotel wifi"), path=vendor.case.profiles_at)]
    (outcome,) = vendor.adapter.push(vendor.target, [vendor.profile()])
    assert isinstance(outcome, Retryable), outcome


def test_a_key_that_is_refused_is_for_a_person(vendor: Vendor) -> None:
    if vendor.case.expire is not None:
        vendor.adapter.push(vendor.target, [vendor.profile()])
        vendor.case.expire(vendor.sandbox)
        assert isinstance(vendor.adapter.push(vendor.target, [vendor.profile()])[0], Delivered)
    refusals = [Fault(vendor.case.unauthorised) for _ in range(3)]
    vendor.sandbox.faults = refusals
    (outcome,) = vendor.adapter.push(vendor.target, [vendor.profile()])
    assert isinstance(outcome, Configuration), outcome


@pytest.mark.parametrize("secret", ["wr0ng", "wr0ng\n", "", "wr0ng\u200b"])
def test_a_wrong_secret_is_for_a_person_and_is_never_told(vendor: Vendor, secret: str) -> None:
    given = getattr(vendor.target.credentials, "given")  # noqa: B009
    wrong = target(dict(vendor.target.config), **dict.fromkeys(given, secret))
    outcome = vendor.adapter.probe(wrong, event())
    assert isinstance(outcome, Configuration), outcome
    assert "wr0ng" not in outcome.error + outcome.answer


def test_a_value_that_ends_is_cleared(vendor: Vendor) -> None:
    if not isinstance(vendor.adapter, ReadsBack):
        pytest.skip("it cannot be asked, and says nothing of clearing")
    (first,) = vendor.adapter.push(vendor.target, [vendor.profile()])
    ada = replace(ADA, vendor_id=first.vendor_id)
    name = list(vendor.case.told)[-1]
    (cleared,) = vendor.adapter.push(vendor.target, [vendor.profile(ada, **{name: None})])
    assert isinstance(cleared, Delivered), cleared
    (found,) = vendor.adapter.read(vendor.target, [ada], [name])
    assert found[name] in (None, "")


def test_old_events_make_nobody_write_to_people(vendor: Vendor) -> None:
    vendor.adapter.push(vendor.target, [vendor.profile()])
    (outcome,) = vendor.adapter.send(vendor.target, [event(is_backfill=True)])
    assert isinstance(outcome, Delivered if vendor.case.takes_old_events else Skipped), outcome


def test_settings_are_checked(vendor: Vendor) -> None:
    config = vendor.adapter.check(vendor.target.config)
    assert vendor.adapter.check(config) == config
    with pytest.raises(ConfigRefused, match="no setting named"):
        vendor.adapter.check({**config, "colour": "blue"})


def test_what_is_no_version_is_refused(vendor: Vendor) -> None:
    for name in vendor.case.versions:
        for wrong in ("9", "v9/..", "latest"):
            with pytest.raises(ConfigRefused, match=r"looks like|a version like"):
                vendor.adapter.check({**vendor.target.config, name: wrong})


def test_another_version_is_in_every_request(vendor: Vendor) -> None:
    adapter, others = vendor.adapter, vendor.case.versions
    words = {"version", "revision"}
    assert {one.name for one in adapter.settings if words & {*one.name.split("_")}} == {*others}
    for name, other in others.items():
        config = adapter.check({**vendor.target.config, name: other})
        here = replace(vendor.target, config=config)
        here.credentials.access_token = ""  # type: ignore[attr-defined]
        vendor.sandbox.calls.clear()
        adapter.probe(here, event())
        adapter.push(here, [vendor.profile()])
        adapter.send(here, [event()])
        versions = {config[one] for one in others}
        # The logins of some have none.
        calls = [call for call in vendor.sandbox.calls if "oauth" not in call.path]
        found = [versions & {*call.path.split("/"), *call.headers.values()} for call in calls]
        assert all(found), calls
        assert other in set().union(*found), name
        assert other != vendor.target.config[name]


def test_one_bad_profile_does_not_keep_the_others(vendor: Vendor) -> None:
    if not isinstance(vendor.adapter, PushesInBulk) or vendor.case.refused is None:
        pytest.skip("it has no bulk form, or refuses nobody")
    good, bad = vendor.profile(), vendor.profile(vendor.case.refused)
    outcomes = vendor.push_in_bulk(good, bad)
    assert [type(outcome) for outcome in outcomes] == [Delivered, Permanent]
    assert outcomes[1].error


def test_consent_is_never_sent(vendor: Vendor) -> None:
    vendor.adapter.push(vendor.target, [vendor.profile()])
    vendor.adapter.send(vendor.target, [event()])
    if isinstance(vendor.adapter, PushesInBulk):
        vendor.push_in_bulk(vendor.profile())
    sent = b" ".join(call.raw for call in vendor.sandbox.calls).lower()
    sent = sent.replace(vendor.case.harmless, b"")
    for word in (b"consent", b"subscri", b"optout", b"opted", b'"value_currency"'):
        assert word not in sent


def test_our_own_push_makes_no_consent_newer(vendor: Vendor) -> None:
    if not isinstance(vendor.adapter, Polls):
        pytest.skip("it cannot be asked what changed")
    told = []
    for balance in range(2):
        vendor.adapter.push(vendor.target, [vendor.profile(**{_a_number(vendor): balance})])
        page = vendor.adapter.list_changes(vendor.target, "")
        told.append([consent for change in page.changes for consent in change.consents])
    assert told[0] == told[1]


def _a_number(vendor: Vendor) -> str:
    return next(name for name in vendor.case.told if "balance" in name.lower())
