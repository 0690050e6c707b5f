"""The Omnisend adapter against our sandbox: what is Omnisend's own."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from crm_sync.adapters.access import Target
from crm_sync.adapters.contract import Person, Profile, Submitted
from crm_sync.adapters.omnisend import OmnisendAdapter
from crm_sync.adapters.outcomes import (
    Ambiguous,
    Configuration,
    Delivered,
    Permanent,
    Retryable,
    Skipped,
)
from crm_sync.sandboxes.omnisend import Omnisend
from crm_sync.sandboxes.server import Fault, Reply
from tests.integration.crm_sync.calls import environment, target
from tests.integration.crm_sync.klaviyo_calls import ADA, MEMBER, event


@pytest.fixture
def omnisend() -> Iterator[Omnisend]:
    with Omnisend() as running:
        yield running


@pytest.fixture
def adapter() -> OmnisendAdapter:
    return OmnisendAdapter(environment(total=2.0))


@pytest.fixture
def account(omnisend: Omnisend) -> Target:
    config = {"version": "2026-03-15", "address": omnisend.url}
    return target(config, api_key=omnisend.api_key)


def profile(person: Person = ADA, **fields: Any) -> Profile:
    told = {"loyaltyMemberId": person.member_id, "loyaltyPointsBalance": 3, **fields}
    return Profile(person=person, fields=told, version=1, correlation_id=uuid4())


def test_exactly_what_is_sent(
    omnisend: Omnisend, adapter: OmnisendAdapter, account: Target
) -> None:
    (made,) = adapter.push(account, [profile(firstName="Ada")])
    assert isinstance(made, Delivered)
    sent = event(person=replace(ADA, vendor_id=made.vendor_id))
    adapter.send(account, [sent])
    assert omnisend.calls[0].body == {
        "firstName": "Ada",
        "customProperties": {"loyaltyMemberId": MEMBER, "loyaltyPointsBalance": 3},
        "identifiers": [{"type": "email", "id": "ada@example.com", "sendWelcomeMessage": False}],
        "tags": ["source: loyalty"],
    }
    body = omnisend.calls[1].body
    assert body["contact"] == {"id": made.vendor_id}
    assert (body["eventName"], body["eventID"]) == ("loyalty points earned", str(sent.event_uuid))
    assert "value" not in body["properties"]


def test_a_known_contact_keeps_its_identifiers_and_its_consent(
    omnisend: Omnisend, adapter: OmnisendAdapter, account: Target
) -> None:
    known = omnisend.add("old@example.com", "+15550100")
    omnisend.consent(known, "email", "subscribed")
    adapter.push(account, [profile(replace(ADA, vendor_id=known.id, phone="+15550199"))])
    assert (known.email, known.phones) == ("old@example.com", ["+15550100"])
    assert known.statuses["email"][0] == "subscribed"


def test_who_can_be_named_by_nothing_is_skipped(
    omnisend: Omnisend, adapter: OmnisendAdapter, account: Target
) -> None:
    nobody = Person(member_id=MEMBER)
    assert isinstance(adapter.push(account, [profile(nobody)])[0], Skipped)
    assert isinstance(adapter.send(account, [event(person=nobody)])[0], Skipped)
    assert omnisend.calls == []


def test_a_batch_tells_of_each(
    omnisend: Omnisend, adapter: OmnisendAdapter, account: Target
) -> None:
    bob = Person(member_id=str(UUID(int=8)), email="not an email")
    omnisend.polls_until_done = 2
    submitted = adapter.push_bulk(account, [profile(), profile(bob)])
    assert isinstance(submitted, Submitted)
    ids = [MEMBER, bob.member_id]
    assert not adapter.poll_job(account, submitted.job_id, ids).is_done
    report = adapter.poll_job(account, submitted.job_id, ids)
    assert [type(one) for one in report.outcomes] == [Delivered, Permanent]
    assert "Must be a valid email address." in report.outcomes[1].error
    assert len(omnisend.contacts) == 1
    unsure = adapter.poll_job(account, submitted.job_id, [MEMBER, str(UUID(int=9))])
    assert [type(one) for one in unsure.outcomes] == [Retryable] * 2
    gone = adapter.poll_job(account, "gone", [MEMBER])
    assert gone.is_done
    assert isinstance(gone.outcomes[0], Retryable)


def test_whom_it_knows_is_updated_and_not_batched(
    omnisend: Omnisend, adapter: OmnisendAdapter, account: Target
) -> None:
    known = omnisend.add("old@example.com")
    found = adapter.push_bulk(account, [profile(replace(ADA, vendor_id=known.id))])
    assert isinstance(found, list)
    assert isinstance(found[0], Delivered)
    assert known.custom["loyaltyPointsBalance"] == 3
    assert omnisend.batches == {}


def test_matching(omnisend: Omnisend, adapter: OmnisendAdapter, account: Target) -> None:
    by_phone = omnisend.add(phone="+15550100")
    (match,) = adapter.match(account, [replace(ADA, phone="+15550100")])
    assert (match.vendor_id, match.matched_by) == (by_phone.id, "phone")
    by_email = omnisend.add("ada@example.com")
    (match,) = adapter.match(account, [replace(ADA, phone="+15550100")])
    assert (match.vendor_id, match.matched_by) == (by_email.id, "email")
    by_email.custom["loyaltyMemberId"] = str(UUID(int=9))
    (match,) = adapter.match(account, [ADA])
    assert (match.vendor_id, match.candidates) == ("", (by_email.id,))


def test_changes_are_read_to_the_end_and_from_there_on(
    omnisend: Omnisend, adapter: OmnisendAdapter, account: Target
) -> None:
    people = [omnisend.add(f"p{n}@example.com") for n in range(300)]
    first = adapter.list_changes(account, "")
    second = adapter.list_changes(account, first.cursor)
    assert (len(first.changes), first.has_more) == (250, True)
    assert (len(second.changes), second.has_more) == (50, False)
    people[5].segments, people[5].tags = ["s1"], ["summer", "vip"]
    people[5].custom["shoeSize"] = 42
    omnisend.consent(people[5], "sms", "unsubscribed")
    later = adapter.list_changes(account, second.cursor)
    (change,) = [one for one in later.changes if one.vendor_id == people[5].id]
    assert [(one.channel, one.is_given) for one in change.consents] == [("sms", False)]
    assert change.segments == ("s1",)
    assert (change.fields["shoeSize"], change.fields["tags"]) == (42, "summer, vip")
    assert len(later.changes) <= 2


@pytest.mark.parametrize(
    ("reply", "kind", "says"),
    [
        (Reply(410, {"detail": "Retired."}), Configuration, "newer one. Retired."),
        (Reply(409, {"detail": "Taken."}), Ambiguous, "Taken."),
        (Reply(429, {"detail": "Slow.", "retryAfter": 60}), Retryable, "Slow."),
    ],
)
def test_each_answer_has_its_meaning(
    omnisend: Omnisend,
    adapter: OmnisendAdapter,
    account: Target,
    reply: Reply,
    kind: type[Any],
    says: str,
) -> None:
    omnisend.faults = [Fault(reply)]
    (outcome,) = adapter.push(account, [profile()])
    assert isinstance(outcome, kind)
    assert says in outcome.error
    if isinstance(outcome, Retryable):
        assert (outcome.retry_after, outcome.throttled) == (60.0, True)
