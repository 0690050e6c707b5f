"""The Attentive adapter against our sandbox: what is Attentive's own."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from crm_sync.adapters.access import Target
from crm_sync.adapters.attentive import ATTRIBUTES, AttentiveAdapter
from crm_sync.adapters.contract import Person, Profile, Submitted
from crm_sync.adapters.outcomes import Delivered, Permanent, Retryable, Skipped
from crm_sync.sandboxes.attentive import Attentive
from crm_sync.sandboxes.server import Fault, Reply
from tests.integration.crm_sync.calls import Limits, connected, environment
from tests.integration.crm_sync.klaviyo_calls import ADA, MEMBER, event


@pytest.fixture
def attentive() -> Iterator[Attentive]:
    with Attentive() as running:
        yield running


@pytest.fixture
def adapter() -> AttentiveAdapter:
    return AttentiveAdapter(environment(total=2.0))


@pytest.fixture
def account(attentive: Attentive, adapter: AttentiveAdapter) -> Target:
    return connected(adapter, {"address": attentive.url}, api_key=attentive.api_key)


def profile(person: Person = ADA, **fields: Any) -> Profile:
    told = {"Loyalty points balance": 3, **fields}
    return Profile(person=person, fields=told, version=1, correlation_id=uuid4())


def test_exactly_what_is_sent(
    attentive: Attentive, adapter: AttentiveAdapter, account: Target
) -> None:
    adapter.push(account, [profile(firstName="Ada", **{"Loyalty points expire on": None})])
    sent = event()
    adapter.send(account, [sent])
    pushed, told = attentive.calls
    assert pushed.body == {
        "identifiers": {"email": "ada@example.com", "clientUserId": MEMBER},
        "attributes": {"firstName": "Ada", "custom": {"Loyalty points balance": 3}},
    }
    assert told.body["type"] == "Loyalty Points Earned"
    assert told.body["externalEventId"] == str(sent.event_uuid)
    assert told.body["user"] == {"email": "ada@example.com"}


def test_the_event_before_the_profile_and_after_it_are_one_persons(
    attentive: Attentive, adapter: AttentiveAdapter, account: Target
) -> None:
    adapter.send(account, [event(1)])
    adapter.push(account, [profile()])
    adapter.send(account, [event(2)])
    (user,) = attentive.users
    assert len(user.events) == 2
    assert user.attributes == {"Loyalty points balance": 3}


def test_who_can_be_named_by_nothing_is_skipped(
    attentive: Attentive, adapter: AttentiveAdapter, account: Target
) -> None:
    nobody = Person(member_id=MEMBER)
    assert isinstance(adapter.push(account, [profile(nobody)])[0], Skipped)
    assert isinstance(adapter.send(account, [event(person=nobody)])[0], Skipped)
    mixed = adapter.push_bulk(account, [profile(), profile(nobody)])
    assert isinstance(mixed, list)
    assert [type(one) for one in mixed] == [Delivered, Skipped]


def test_a_job_tells_of_each_and_what_it_does_not_tell_is_not_taken_for_done(
    attentive: Attentive, adapter: AttentiveAdapter, account: Target
) -> None:
    bad = replace(ADA, member_id=str(UUID(int=8)), email="not an email")
    attentive.polls_until_done = 2
    submitted = adapter.push_bulk(account, [profile(), profile(bad)])
    assert isinstance(submitted, Submitted)
    ids = [MEMBER, bad.member_id, str(UUID(int=9))]
    assert not adapter.poll_job(account, submitted.job_id, ids).is_done
    report = adapter.poll_job(account, submitted.job_id, ids)
    assert [type(one) for one in report.outcomes] == [Delivered, Permanent, Retryable]
    assert "email is invalid" in report.outcomes[1].error
    attentive.faults = [Fault(Reply(200, b"not what was expected\n[1]\n"), path="/results/")]
    report = adapter.poll_job(account, submitted.job_id, ids)
    assert [type(one) for one in report.outcomes] == [Retryable] * 3


def test_an_attribute_keeps_the_type_of_its_first_value(
    attentive: Attentive, adapter: AttentiveAdapter, account: Target
) -> None:
    adapter.push(account, [profile()])
    (refused,) = adapter.push(account, [profile(**{"Loyalty points balance": "3"})])
    assert isinstance(refused, Permanent)


def test_the_vendors_own_count_is_heeded(
    attentive: Attentive, adapter: AttentiveAdapter, account: Target
) -> None:
    attentive.faults = [Fault(Reply(202, {"success": True}, {"x-ratelimit-remaining": "0"}))]
    adapter.push(account, [profile()])
    limits = account.throttle
    assert isinstance(limits, Limits)
    assert limits.held == {ATTRIBUTES.name: 1.0}
