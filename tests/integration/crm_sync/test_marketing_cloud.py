"""The Marketing Cloud adapter against our sandbox: what only Marketing Cloud has."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from crm_sync.adapters.access import Target
from crm_sync.adapters.contract import ConfigRefused, Outgoing, Person, Profile, Submitted
from crm_sync.adapters.marketing_cloud import ROWS_AT_ONCE, MarketingCloudAdapter
from crm_sync.adapters.outcomes import (
    Ambiguous,
    Configuration,
    Delivered,
    Doubt,
    Outcome,
    Permanent,
    Retryable,
    Skipped,
)
from crm_sync.sandboxes.marketing_cloud import MarketingCloud
from crm_sync.sandboxes.server import Fault, Reply
from crm_sync.services.connections import create_connection
from tests.factories import Till
from tests.integration.crm_sync.calls import environment
from tests.integration.crm_sync.klaviyo_calls import ADA, MEMBER, event
from tests.integration.crm_sync.marketing_cloud_calls import connect
from tests.integration.crm_sync.outbox import drain, pass_time

JOURNEY = {"journey_key": "APIEvent-loyalty", "journey_events": "points.earned"}


@pytest.fixture
def cloud() -> Iterator[MarketingCloud]:
    with MarketingCloud() as running:
        yield running


@pytest.fixture
def adapter() -> MarketingCloudAdapter:
    return MarketingCloudAdapter(environment(total=20.0))


@pytest.fixture
def account(cloud: MarketingCloud) -> Target:
    return connect(cloud)


def profile(person: Person = ADA, **fields: Any) -> Profile:
    told = {"Loyalty_Points_Balance": 3, **fields}
    return Profile(person=person, fields=told, version=1, correlation_id=uuid4())


def person(number: int, **more: Any) -> Person:
    return Person(member_id=str(UUID(int=number)), **more)


def erased() -> Outgoing:
    sent = event()
    return replace(sent, body={**sent.body, "type": "member.erased"})


class TestRows:
    def test_exactly_what_is_sent(
        self, cloud: MarketingCloud, adapter: MarketingCloudAdapter, account: Target
    ) -> None:
        adapter.push(account, [profile(Loyalty_Tier=None)])
        adapter.send(account, [event(is_backfill=True)])
        assert cloud.calls[1].body == [
            {
                "keys": {"Member_Id": MEMBER},
                "values": {
                    "Contact_Key": MEMBER,
                    "Email_Address": "ada@example.com",
                    "Loyalty_Points_Balance": 3,
                    "Loyalty_Tier": "",
                },
            }
        ]
        (row,) = cloud.calls[2].body
        details = row["values"].pop("Details")
        assert row == {
            "keys": {"Event_Id": f"evt_{UUID(int=7).hex}_1"},
            "values": {
                "Member_Id": MEMBER,
                "Contact_Key": MEMBER,
                "Event_Type": "loyalty_points_earned",
                "Occurred_At": "2026-11-22T19:06:53Z",
                "Sequence": 1,
                "Points": 3,
                "Points_Available": 3,
                "Order_Ref": "316",
                "Is_Backfill": True,
            },
        }
        assert '"tier_from":"bronze"' in details
        assert [call.path for call in cloud.calls].count("/v2/token") == 1

    @pytest.mark.parametrize(
        ("known_by", "expected"), [("external_id", "shop-77"), ("email", "ada@example.com")]
    )
    def test_people_are_named_as_theirs_are(
        self, cloud: MarketingCloud, adapter: MarketingCloudAdapter, known_by: str, expected: str
    ) -> None:
        account = connect(cloud, contact_key=known_by)
        adapter.push(account, [profile()])
        adapter.send(account, [event()])
        assert cloud.members.rows[MEMBER]["Contact_Key"] == expected
        assert [row["Contact_Key"] for row in cloud.events.rows.values()] == [expected]
        nameless = Person(member_id=MEMBER)
        outcomes = adapter.push(account, [profile(nameless), profile()])
        assert [type(one) for one in outcomes] == [Skipped, Delivered]
        (skipped,) = adapter.send(account, [event(person=nameless)])
        assert isinstance(skipped, Skipped)

    def test_one_bad_row_is_found_among_many(
        self, cloud: MarketingCloud, adapter: MarketingCloudAdapter, account: Target
    ) -> None:
        people = [person(1), person(2, email="not an email"), person(3)]
        outcomes = adapter.push(account, [profile(one) for one in people])
        assert [type(one) for one in outcomes] == [Delivered, Permanent, Delivered]
        assert "not a valid email address" in outcomes[1].error
        assert len(cloud.members.rows) == 2

    def test_a_request_tells_of_each_row(
        self, cloud: MarketingCloud, adapter: MarketingCloudAdapter, account: Target
    ) -> None:
        people = [person(n) for n in range(ROWS_AT_ONCE + 5)]
        people[-1] = replace(people[-1], email="not an email")
        ids = [one.member_id for one in people]
        cloud.polls_until_done = 2
        submitted = adapter.push_bulk(account, [profile(one) for one in people])
        assert isinstance(submitted, Submitted)
        assert not adapter.poll_job(account, submitted.job_id, ids).is_done
        report = adapter.poll_job(account, submitted.job_id, ids)
        kinds = [type(one) for one in report.outcomes]
        assert kinds == [*[Delivered] * (len(people) - 1), Retryable]
        assert "not a valid email address" in report.outcomes[-1].error

    def test_what_is_not_told_is_sent_again(
        self, cloud: MarketingCloud, adapter: MarketingCloudAdapter, account: Target
    ) -> None:
        people = [person(n, email="not an email") for n in range(ROWS_AT_ONCE + 5)]
        submitted = adapter.push_bulk(account, [profile(one) for one in people])
        assert isinstance(submitted, Submitted)
        for job_id, lied in (("unknown", None), (submitted.job_id, Reply(200, {"page": 7}))):
            cloud.faults = [Fault(lied, path="/results")] if lied else []
            report = adapter.poll_job(account, job_id, [one.member_id for one in people])
            assert report.is_done
            assert {type(one) for one in report.outcomes} == {Retryable}

    def test_a_request_without_errors_is_done(
        self, cloud: MarketingCloud, adapter: MarketingCloudAdapter, account: Target
    ) -> None:
        people = [person(n) for n in range(ROWS_AT_ONCE + 5)]
        submitted = adapter.push_bulk(account, [profile(one) for one in people])
        assert isinstance(submitted, Submitted)
        report = adapter.poll_job(account, submitted.job_id, [one.member_id for one in people])
        assert {type(one) for one in report.outcomes} == {Delivered}
        assert len(cloud.members.rows) == len(people)


class TestJourney:
    @pytest.fixture
    def account(self, cloud: MarketingCloud) -> Target:
        return connect(cloud, **JOURNEY)

    def test_an_event_enters_with_the_columns_of_its_row(
        self, cloud: MarketingCloud, adapter: MarketingCloudAdapter, account: Target
    ) -> None:
        assert isinstance(adapter.send(account, [event()])[0], Delivered)
        (entry,) = cloud.entries
        assert (entry["ContactKey"], entry["EventDefinitionKey"]) == (MEMBER, "APIEvent-loyalty")
        assert cloud.journey.rows == cloud.events.rows

    def test_old_ones_others_and_the_erased_do_not(
        self, cloud: MarketingCloud, adapter: MarketingCloudAdapter, account: Target
    ) -> None:
        other = connect(cloud, **{**JOURNEY, "journey_events": "tier.*"})
        adapter.send(account, [event(1, is_backfill=True)])
        adapter.send(other, [event(2)])
        adapter.send(connect(cloud, **{**JOURNEY, "journey_events": "*"}), [erased()])
        assert cloud.entries == []
        assert len(cloud.events.rows) == 2

    def test_a_repeat_is_in_doubt_and_one_row(
        self, cloud: MarketingCloud, adapter: MarketingCloudAdapter, account: Target
    ) -> None:
        cloud.faults = [Fault(path="/interaction/", hangs_up=True)]
        (lost,) = adapter.send(account, [event()])
        assert isinstance(lost, Ambiguous)
        assert lost.reason is Doubt.MAYBE_TAKEN
        adapter.send(account, [event()])
        assert (len(cloud.events.rows), len(cloud.journey.rows), len(cloud.entries)) == (1, 1, 2)

    def test_who_may_not_enter(
        self, cloud: MarketingCloud, adapter: MarketingCloudAdapter, account: Target
    ) -> None:
        cloud.inactive = {MEMBER}
        (refused,) = adapter.send(account, [event()])
        assert isinstance(refused, Permanent)
        assert "not active" in refused.error
        wrong = connect(cloud, **{**JOURNEY, "journey_key": "other"})
        assert isinstance(adapter.send(wrong, [event()])[0], Configuration)


class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "kind", "says"),
        [
            ({"errorcode": 10006, "message": "Unable to save rows."}, Retryable, "Unable"),
            ({"errorcode": 10001, "message": "Parameter {guid}"}, Configuration, "guid"),
            ({"errorcode": 10000, "message": "Primary key 'x'"}, Configuration, "Primary"),
            ({"errorcode": 1, "message": "Else."}, Permanent, "Else."),
        ],
    )
    def test_each_has_its_meaning(
        self,
        cloud: MarketingCloud,
        adapter: MarketingCloudAdapter,
        account: Target,
        body: dict[str, Any],
        kind: type[Outcome],
        says: str,
    ) -> None:
        cloud.faults = [Fault(Reply(400, body), path="/hub/")]
        (outcome,) = adapter.push(account, [profile()])
        assert isinstance(outcome, kind)
        assert says in outcome.error

    def test_what_is_missing_there_waits_for_a_person(
        self, cloud: MarketingCloud, adapter: MarketingCloudAdapter, account: Target
    ) -> None:
        (column,) = adapter.push(account, [profile(Loyalty_Nothing="x")])
        extension = adapter.probe(connect(cloud, events_key="Other"), event())
        assert isinstance(column, Configuration)
        assert "Loyalty_Nothing" in column.error
        assert isinstance(extension, Configuration)
        assert isinstance(adapter.probe(account, event()), Delivered)

    @pytest.mark.parametrize(
        ("config", "says"),
        [
            ({"subdomain": "evil.example.com/?"}, "letters, digits and hyphens"),
            ({"subdomain": ""}, "letters, digits and hyphens"),
            ({"client_id": ""}, "Client id is required"),
            ({"contact_key": "phone"}, "contact key is one of"),
            ({"members_key": "a/b"}, "external key"),
            ({"journey_key": "a.b"}, "no period"),
        ],
    )
    def test_settings_that_cannot_be_right(
        self,
        adapter: MarketingCloudAdapter,
        account: Target,
        config: dict[str, str],
        says: str,
    ) -> None:
        with pytest.raises(ConfigRefused, match=says):
            adapter.check({**account.config, **config})

    def test_a_whole_address_is_for_development(self, account: Target) -> None:
        with pytest.raises(ConfigRefused, match="letters, digits and hyphens"):
            MarketingCloudAdapter(environment(private=False)).check(account.config)

    def test_the_business_unit_is_named(
        self, cloud: MarketingCloud, adapter: MarketingCloudAdapter
    ) -> None:
        adapter.push(connect(cloud, account_id="510001"), [profile()])
        assert cloud.calls[0].body["account_id"] == "510001"


def test_a_till_and_marketing_cloud(till: Till, cloud: MarketingCloud, settings: Any) -> None:
    settings.CRM_ALLOW_PRIVATE_ADDRESSES = True
    destination = create_connection(
        program_id=till.program.pk,
        name="Marketing Cloud",
        adapter="marketing_cloud",
        config={"subdomain": cloud.url, "client_id": cloud.client_id},
        secrets={"client_secret": cloud.client_secret},
    )
    card = till.member(balance=500)
    cloud.faults = [Fault(path="Loyalty_Events", hangs_up=True)]
    for _ in range(3):
        drain()
        pass_time(destination)
        cloud.tokens.clear()
    till.adjust(card, -200)
    drain()
    row = cloud.members.rows[till.ids[card]]
    assert (row["Loyalty_Points_Balance"], row["Loyalty_Tier"]) == (300, "bronze")
    assert [one["Event_Type"] for one in cloud.events.rows.values()] == [
        "loyalty_member_enrolled",
        *["loyalty_points_adjusted"] * 2,
    ]
