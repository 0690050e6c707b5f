"""The Salesforce adapter against our sandbox: events, settings, answers, changes."""

from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID

import pytest

from crm_sync.adapters.access import Target
from crm_sync.adapters.contract import ConfigRefused, Person
from crm_sync.adapters.outcomes import (
    Configuration,
    Delivered,
    Outcome,
    Permanent,
    Retryable,
    Skipped,
)
from crm_sync.adapters.salesforce import SalesforceAdapter
from crm_sync.sandboxes.salesforce import Salesforce
from crm_sync.sandboxes.server import Fault, Reply
from tests.integration.crm_sync.calls import Limits, environment
from tests.integration.crm_sync.klaviyo_calls import ADA, MEMBER, event
from tests.integration.crm_sync.salesforce_calls import (
    KINDS,
    connect,
    profile,
    the_only,
)


@pytest.fixture
def salesforce() -> Iterator[Salesforce]:
    with Salesforce() as running:
        yield running


@pytest.fixture
def adapter() -> SalesforceAdapter:
    return SalesforceAdapter(environment(total=20.0))


@pytest.fixture
def account(salesforce: Salesforce) -> Target:
    return connect(salesforce)


class TestEvents:
    def test_exactly_what_is_sent(
        self, salesforce: Salesforce, adapter: SalesforceAdapter, account: Target
    ) -> None:
        known = salesforce.store.add("Contact")
        adapter.send(account, [event(person=replace(ADA, vendor_id=known["Id"]), is_backfill=True)])
        sent = salesforce.calls[-1]
        assert sent.path.endswith("/composite/sobjects/Loyalty_Event__c/Event_Id__c")
        (record,) = sent.body["records"]
        details = record.pop("Details__c")
        assert record == {
            "attributes": {"type": "Loyalty_Event__c"},
            "Event_Id__c": f"evt_{UUID(int=7).hex}_1",
            "Contact__c": known["Id"],
            "Type__c": "Points Earned",
            "Occurred_At__c": "2026-11-22T19:06:53Z",
            "Sequence__c": 1,
            "Points__c": 3,
            "Points_Available__c": 3,
            "Order__c": "316",
            "Is_Backfill__c": True,
        }
        assert '"tier_from":"bronze"' in details

    def test_somebody_new_is_made_once_and_many_are_one_call(
        self, salesforce: Salesforce, adapter: SalesforceAdapter, account: Target
    ) -> None:
        outcomes = adapter.send(account, [event(n) for n in range(1, 6)])
        assert [type(one) for one in outcomes] == [Delivered] * 5
        assert len(salesforce.events_of(the_only(salesforce))) == 5
        assert [call.path.rpartition("/")[2] for call in salesforce.calls] == [
            *("token", "Loyalty_Member_Id__c", "Event_Id__c")
        ]

    def test_what_is_behind_one_that_is_locked_is_not_there_before_it(
        self, salesforce: Salesforce, adapter: SalesforceAdapter, account: Target
    ) -> None:
        salesforce.store.locked = {event(2).event_id}
        outcomes = adapter.send(account, [event(1), event(2), event(3)])
        assert [type(one) for one in outcomes] == [Delivered, Retryable]
        assert len(salesforce.events_of(the_only(salesforce))) == 1
        salesforce.store.locked = set()
        again = adapter.send(account, [event(2), event(3)])
        assert [type(one) for one in again] == [Delivered] * 2
        assert len(salesforce.events_of(the_only(salesforce))) == 3

    def test_what_is_there_is_told_when_the_next_one_is_not_answered(
        self, salesforce: Salesforce, adapter: SalesforceAdapter, account: Target
    ) -> None:
        refused = {"statusCode": "UNABLE_TO_LOCK_ROW", "message": "It is locked."}
        all_refused = Reply(200, [{"success": False, "errors": [refused]}] * 3)
        salesforce.faults = [
            Fault(all_refused, says=event(3).event_id),
            Fault(Reply(503), says=event(2).event_id),
        ]
        (outcome,) = adapter.send(account, [event(1), event(2), event(3)])
        assert isinstance(outcome, Delivered)
        assert len(salesforce.events_of(the_only(salesforce))) == 1

    def test_nobody_is_made_for_one_who_is_erased(
        self, salesforce: Salesforce, adapter: SalesforceAdapter, account: Target
    ) -> None:
        gone = event(person=Person(member_id=MEMBER))
        gone = replace(gone, body={**gone.body, "type": "member.erased"})
        for settings in ({}, {"events": "fields"}):
            (outcome,) = adapter.send(connect(salesforce, **settings), [gone])
            assert isinstance(outcome, Skipped)
        assert salesforce.store.alive("Contact") == []

    def test_without_the_object_they_wait_for_a_person(
        self, salesforce: Salesforce, adapter: SalesforceAdapter, account: Target
    ) -> None:
        salesforce.store.removed = {"Loyalty_Event__c"}
        (sent,) = adapter.send(account, [event()])
        probed = adapter.probe(account, event())
        for outcome in (sent, probed):
            assert isinstance(outcome, Configuration)
            assert "Loyalty_Event__c" in outcome.error

    def test_who_may_have_no_object_keeps_the_last_event(
        self, salesforce: Salesforce, adapter: SalesforceAdapter
    ) -> None:
        salesforce.store.removed = {"Loyalty_Event__c"}
        account = connect(salesforce, events="fields")
        outcomes = adapter.send(account, [event(1), event(2)])
        assert isinstance(adapter.probe(account, event()), Delivered)
        assert all("last event" in one.notice for one in outcomes)
        there = the_only(salesforce)
        assert there["Loyalty_Last_Event__c"] == "Points Earned"
        assert there["Loyalty_Last_Event_At__c"] == "2026-11-22T19:06:53Z"


class TestSettings:
    @pytest.mark.parametrize(
        ("config", "says"),
        [
            ({"client_id": ""}, "Consumer key is required"),
            ({"object": "account"}, "contact, lead, person_account"),
            ({"events": "no"}, "records or fields"),
            ({"api_version": "64"}, "looks like v64.0"),
            ({"calls_per_day": "lots"}, "whole number"),
            ({"external_id_field": "a, b"}, "one API name"),
            ({"campaigns": "all"}, "yes or no"),
        ],
    )
    def test_what_cannot_be_right_is_refused(
        self, adapter: SalesforceAdapter, account: Target, config: dict[str, str], says: str
    ) -> None:
        with pytest.raises(ConfigRefused, match=says):
            adapter.check({**account.config, **config})

    def test_the_quota_is_left_to_others_before_it_ends(
        self, salesforce: Salesforce, adapter: SalesforceAdapter, account: Target
    ) -> None:
        limits = account.throttle
        assert isinstance(limits, Limits)
        adapter.push(account, [profile()])
        assert limits.held == {}
        salesforce.used = 95_000
        adapter.push(account, [profile()])
        assert limits.held == {"calls": 900.0}


class TestRefusals:
    @pytest.mark.parametrize(
        ("status", "code", "kind"),
        [
            (400, "MALFORMED_QUERY", Permanent),
            (400, "INVALID_FIELD", Configuration),
            (403, "API_DISABLED_FOR_ORG", Configuration),
            (404, "NOT_FOUND", Configuration),
            (410, "UNSUPPORTED_API_VERSION", Configuration),
            (500, "UNKNOWN_EXCEPTION", Retryable),
            (503, "SERVER_UNAVAILABLE", Retryable),
        ],
    )
    def test_each_has_its_meaning(
        self,
        salesforce: Salesforce,
        adapter: SalesforceAdapter,
        account: Target,
        status: int,
        code: str,
        kind: type[Outcome],
    ) -> None:
        reply = Reply(status, [{"errorCode": code, "message": "Because."}])
        salesforce.faults = [Fault(reply, path="/composite")]
        (outcome,) = adapter.push(account, [profile()])
        assert isinstance(outcome, kind), outcome
        assert code in outcome.error


def test_too_many_at_the_same_moment_is_over_soon(
    salesforce: Salesforce, adapter: SalesforceAdapter, account: Target
) -> None:
    message = "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
    reply = Reply(403, [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": message}])
    salesforce.faults = [Fault(reply, path="/composite")]
    (outcome,) = adapter.push(account, [profile()])
    assert isinstance(outcome, Retryable)
    assert (outcome.throttled, outcome.retry_after) == (True, None)


def test_changes_are_read_to_the_end_and_from_there_on(
    salesforce: Salesforce, adapter: SalesforceAdapter, account: Target
) -> None:
    people = [
        salesforce.store.add("Contact", Loyalty_Member_Id__c=str(UUID(int=n))) for n in range(620)
    ]
    salesforce.store.add("Contact", Email="nobody@example.com")
    first = adapter.list_changes(account, "")
    second = adapter.list_changes(account, first.cursor)
    assert (len(first.changes), first.has_more) == (500, True)
    assert (len(second.changes), second.has_more) == (120, False)
    salesforce.store.change(people[5]["Id"], HasOptedOutOfEmail=True)
    later = adapter.list_changes(account, second.cursor)
    changed = {change.vendor_id: change for change in later.changes}
    assert [(c.channel, c.is_given) for c in changed[people[5]["Id"]].consents] == [
        ("email", False)
    ]
    assert len(changed) < 70
    assert adapter.list_changes(connect(salesforce, object="lead"), "").changes == []


def test_fields_that_salesforce_owns_come_along(
    salesforce: Salesforce, adapter: SalesforceAdapter
) -> None:
    salesforce.store.add(
        "Contact", Loyalty_Member_Id__c=MEMBER, FirstName="Ada", Shoe_Size__c=38, LastName="King"
    )
    fields = ["FirstName", "Shoe_Size__c"]
    (change,) = adapter.list_changes(connect(salesforce), "", fields).changes
    assert change.fields == {"FirstName": "Ada", "Shoe_Size__c": 38}
    assert change.segments is None


@pytest.mark.parametrize(("kind", "sobject"), KINDS)
def test_campaigns_are_told_after_the_people(
    salesforce: Salesforce, adapter: SalesforceAdapter, kind: str, sobject: str
) -> None:
    store, account = salesforce.store, connect(salesforce, object=kind, campaigns="yes")
    vip, spring = (store.add("Campaign", Name=name)["Id"] for name in ("VIP", "Spring"))
    ada = store.add(sobject, Loyalty_Member_Id__c=MEMBER)
    contact = store.add("Contact", AccountId=ada["Id"]) if sobject == "Account" else ada
    link = {"LeadId" if sobject == "Lead" else "ContactId": contact["Id"]}
    joined = [store.add("CampaignMember", CampaignId=one, **link) for one in (vip, spring)]
    store.add("CampaignMember", CampaignId=vip, ContactId=store.add("Contact")["Id"])

    people = adapter.list_changes(account, "")
    first = adapter.list_changes(account, people.cursor)
    assert [(one.vendor_id, one.segments) for one in people.changes] == [(ada["Id"], None)]
    assert people.has_more
    assert [(one.vendor_id, one.segments) for one in first.changes] == [
        (ada["Id"], ("Spring", "VIP"))
    ]
    assert not first.has_more
    for _ in range(70):
        store.add("Campaign", Name="time passes")
    store.remove(joined[0]["Id"])
    again = adapter.list_changes(account, first.cursor)
    assert again.has_more
    later = adapter.list_changes(account, again.cursor)
    assert [(one.vendor_id, one.segments) for one in later.changes] == [(ada["Id"], ("Spring",))]
    quiet = adapter.list_changes(account, adapter.list_changes(account, later.cursor).cursor)
    assert [one.segments for one in quiet.changes] == [("Spring",)]  # within the overlap
