"""What holds for every vendor's adapter, against that vendor's sandbox, over HTTP."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from crm_sync.adapters import build_adapters
from crm_sync.adapters.contract import ConfigRefused, Outgoing, Profile, PushesProfiles, ReadsBack
from crm_sync.adapters.outcomes import (
    Ambiguous,
    Configuration,
    Delivered,
    Permanent,
    Postponed,
    Retryable,
    Skipped,
)
from crm_sync.mapping import problems_of
from crm_sync.sandboxes.server import Fault, Reply
from tests.integration.crm_sync.calls import Limits, environment
from tests.integration.crm_sync.klaviyo_calls import ADA, MEMBER, event
from tests.integration.crm_sync.vendors import VENDORS, Vendor


@pytest.fixture(params=VENDORS, ids=lambda vendor: vendor.name)
def vendor(request: pytest.FixtureRequest) -> Vendor:
    found: Vendor = request.param
    return found


@pytest.fixture
def sandbox(vendor: Vendor) -> Iterator[Any]:
    with vendor.sandbox() as running:
        yield running


def profile(vendor: Vendor, person: Any = ADA, **fields: Any) -> Profile:
    told = {vendor.member_field: person.member_id, vendor.points_field: 3, **fields}
    return Profile(person=person, fields=told, version=1, correlation_id=uuid4())


def known(vendor: Vendor, sandbox: Any) -> Any:
    """Push Ada, and name her as we do from then on."""
    (made,) = vendor.open_adapter().push(vendor.target(sandbox), [profile(vendor)])
    assert isinstance(made, Delivered), made
    return replace(ADA, vendor_id=made.vendor_id)


def test_each_is_here() -> None:
    kinds = set(build_adapters(environment())) - {"webhook", "console"}
    assert kinds == {vendor.name for vendor in VENDORS}


def test_a_profile_is_made_changed_and_read_back(vendor: Vendor, sandbox: Any) -> None:
    ada = known(vendor, sandbox)
    adapter, account = vendor.open_adapter(), vendor.target(sandbox)
    (changed,) = adapter.push(account, [profile(vendor, ada, **{vendor.points_field: 5})])
    assert isinstance(changed, Delivered), changed
    shown = vendor.shown(sandbox, MEMBER)
    assert shown is not None
    assert str(shown.fields[vendor.points_field]) == "5"
    assert len(sandbox.people()) == 1
    assert isinstance(adapter, ReadsBack)
    found = adapter.read(account, [ada], [vendor.points_field])
    assert isinstance(found, list)
    assert found[0] is not None
    assert str(found[0][vendor.points_field]) == "5"


def test_a_value_that_ends_is_cleared(vendor: Vendor, sandbox: Any) -> None:
    ada = known(vendor, sandbox)
    cleared = profile(vendor, ada, **{vendor.points_field: None})
    vendor.open_adapter().push(vendor.target(sandbox), [cleared])
    shown = vendor.shown(sandbox, MEMBER)
    assert shown is not None
    assert shown.fields.get(vendor.points_field) in (None, "")


def test_an_event_arrives_under_the_person(vendor: Vendor, sandbox: Any) -> None:
    ada = known(vendor, sandbox)
    outcomes = vendor.open_adapter().send(vendor.target(sandbox), [event(person=ada)])
    assert [type(one) for one in outcomes] == [Delivered], outcomes
    shown = vendor.shown(sandbox, MEMBER)
    assert shown is not None
    assert len(shown.timeline) == 1


def test_an_event_whose_answer_was_lost(vendor: Vendor, sandbox: Any) -> None:
    """Scenario 8: taken, and no answer. Sent again it is one event, or a person is asked."""
    ada = known(vendor, sandbox)
    adapter, account = vendor.open_adapter(), vendor.target(sandbox)
    sandbox.faults = [Fault(hangs_up=True)]
    (lost,) = adapter.send(account, [event(person=ada)])
    assert isinstance(lost, Retryable if vendor.notices_repeats else Ambiguous), lost
    if vendor.notices_repeats:
        adapter.send(account, [event(person=ada)])
    shown = vendor.shown(sandbox, MEMBER)
    assert shown is not None
    assert len(shown.timeline) == 1


def test_old_events_write_to_nobody(vendor: Vendor, sandbox: Any) -> None:
    ada = known(vendor, sandbox)
    old: Outgoing = event(person=ada, is_backfill=True)
    (outcome,) = vendor.open_adapter().send(vendor.target(sandbox), [old])
    assert isinstance(outcome, Delivered if vendor.takes_old_events else Skipped), outcome


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_passes_is_tried_again(vendor: Vendor, sandbox: Any, status: int) -> None:
    ada = known(vendor, sandbox)
    adapter, account = vendor.open_adapter(), vendor.target(sandbox)
    sandbox.faults = [Fault(Reply(status, {}, {"retry-after": "7"}))] * 2
    (pushed,) = adapter.push(account, [profile(vendor, ada)])
    assert isinstance(pushed, Retryable), pushed
    assert pushed.throttled is (status != 500)
    sandbox.faults = []
    assert isinstance(adapter.push(account, [profile(vendor, ada)])[0], Delivered)


def test_a_page_of_somebody_else_is_no_success(vendor: Vendor, sandbox: Any) -> None:
    sandbox.faults = [Fault(Reply(200, b"<html>hotel wifi"))]
    (outcome,) = vendor.open_adapter().push(vendor.target(sandbox), [profile(vendor)])
    assert not isinstance(outcome, Delivered | Permanent)


@pytest.mark.parametrize("secret", ["wr0ng", "wr0ng\n", ""])
def test_a_wrong_secret_stops_the_connection_and_is_not_told(
    vendor: Vendor, sandbox: Any, secret: str
) -> None:
    wrong = dict.fromkeys(vendor.secrets, secret)
    outcome = vendor.open_adapter().probe(vendor.target(sandbox, **wrong), event())
    assert isinstance(outcome, Configuration), outcome
    assert "wr0ng" not in outcome.error + outcome.answer


def test_limits_are_kept_before_they_are_hit(vendor: Vendor, sandbox: Any) -> None:
    account = vendor.target(sandbox)
    limits = account.throttle
    assert isinstance(limits, Limits)
    limits.refuse = 3.0
    (outcome,) = vendor.open_adapter().push(account, [profile(vendor)])
    assert isinstance(outcome, Postponed)
    assert sandbox.people() == []


def test_the_default_mapping_fits_and_sends_no_consent(vendor: Vendor) -> None:
    adapter = vendor.open_adapter()
    assert isinstance(adapter, PushesProfiles)
    assert problems_of(adapter.default_fields, adapter.field_limits) == []
    attributes = {field.attribute for field in adapter.default_fields}
    assert {"member_id", "points_available", "tier"} <= attributes
    assert not any(name.startswith("consent") for name in attributes)


def test_settings_are_checked(vendor: Vendor, sandbox: Any) -> None:
    adapter = vendor.open_adapter()
    config = adapter.check(vendor.address(sandbox))
    assert adapter.check(config) == config
    with pytest.raises(ConfigRefused, match="no setting named"):
        adapter.check({**config, "colour": "blue"})


def test_an_inside_address_is_refused(vendor: Vendor) -> None:
    """Scenario 47 for vendors: their address is a setting too."""
    adapter = vendor.adapter(environment(private=False))
    with pytest.raises(ConfigRefused):
        adapter.check({**vendor.config, "address": "https://169.254.169.254"})
