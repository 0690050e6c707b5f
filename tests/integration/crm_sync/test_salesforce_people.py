"""The Salesforce adapter against our sandbox: people, by themselves and in jobs."""

from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID

import pytest

from crm_sync.adapters.access import Target
from crm_sync.adapters.contract import Submitted
from crm_sync.adapters.outcomes import (
    Ambiguous,
    Delivered,
    Permanent,
    Retryable,
)
from crm_sync.adapters.salesforce import RECORDS_AT_ONCE, SalesforceAdapter
from crm_sync.sandboxes.salesforce import Salesforce
from crm_sync.sandboxes.server import Fault, Reply
from tests.integration.crm_sync.calls import environment
from tests.integration.crm_sync.klaviyo_calls import ADA, MEMBER, event
from tests.integration.crm_sync.salesforce_calls import (
    BALANCE,
    KINDS,
    connect,
    person,
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


class TestPeople:
    @pytest.mark.parametrize(("kind", "sobject"), KINDS)
    def test_a_new_one_has_a_name_and_keeps_it(
        self, salesforce: Salesforce, adapter: SalesforceAdapter, kind: str, sobject: str
    ) -> None:
        account = connect(salesforce, object=kind)
        ada = replace(ADA, phone="+15550100", first_name="Ada", last_name="Lovelace")
        (made,) = adapter.push(account, [profile(ada, Loyalty_Tier__c="gold")])
        assert isinstance(made, Delivered), made
        there = the_only(salesforce, sobject)
        assert (there["Id"], there["LastName"]) == (made.vendor_id, "Lovelace")
        salesforce.store.change(made.vendor_id, LastName="King")
        known = replace(ada, vendor_id=made.vendor_id)
        (again,) = adapter.push(account, [profile(known, Loyalty_Tier__c=None)])
        assert isinstance(again, Delivered)
        there = the_only(salesforce, sobject)
        assert (there["LastName"], there["Loyalty_Tier__c"], there[BALANCE]) == ("King", None, 3)

    def test_one_without_a_name_gets_one_that_says_so(
        self, salesforce: Salesforce, adapter: SalesforceAdapter, account: Target
    ) -> None:
        adapter.push(account, [profile()])
        assert the_only(salesforce)["LastName"] == "Loyalty member"

    def test_consent_is_not_written_in_any_spelling(
        self, salesforce: Salesforce, adapter: SalesforceAdapter, account: Target
    ) -> None:
        adapter.push(account, [profile(hasoptedoutofemail=False)])
        assert b"hasopted" not in salesforce.calls[-1].raw.lower()

    def test_each_of_many_has_its_own_outcome_in_its_place(
        self, salesforce: Salesforce, adapter: SalesforceAdapter, account: Target
    ) -> None:
        known = salesforce.store.add("Contact")
        locked = salesforce.store.add("Contact")
        salesforce.store.locked = {locked["Id"]}
        people = [
            person(1),
            person(2, vendor_id=known["Id"]),
            person(3, email="not an email"),
            person(4, vendor_id=locked["Id"]),
            *[person(n) for n in range(5, 6 + RECORDS_AT_ONCE)],
        ]
        outcomes = adapter.push(account, [profile(one) for one in people])
        kinds = [type(one) for one in outcomes[:4]]
        assert kinds == [Delivered, Delivered, Permanent, Retryable]
        assert {type(one) for one in outcomes[4:]} == {Delivered}
        assert "INVALID_EMAIL_ADDRESS" in outcomes[2].error
        for one, outcome in zip(people[4:], outcomes[4:], strict=True):
            assert isinstance(outcome, Delivered)
            there = salesforce.store.get("Contact", outcome.vendor_id)
            assert there["Loyalty_Member_Id__c"] == one.member_id

    def test_a_record_that_was_merged_is_followed(
        self, salesforce: Salesforce, adapter: SalesforceAdapter, account: Target
    ) -> None:
        old, left = salesforce.store.add("Contact"), salesforce.store.add("Contact")
        salesforce.store.merge(old["Id"], left["Id"])
        known = replace(ADA, vendor_id=old["Id"])
        (sent,) = adapter.send(account, [event(person=known)])
        (pushed,) = adapter.push(account, [profile(known)])
        assert isinstance(sent, Delivered)
        assert isinstance(pushed, Delivered)
        assert pushed.vendor_id == left["Id"]
        assert len(salesforce.events_of(left)) == 1

    def test_but_not_into_another_members(
        self, salesforce: Salesforce, adapter: SalesforceAdapter, account: Target
    ) -> None:
        old = salesforce.store.add("Contact")
        left = salesforce.store.add("Contact", Loyalty_Member_Id__c=str(UUID(int=9)))
        salesforce.store.merge(old["Id"], left["Id"])
        known = replace(ADA, vendor_id=old["Id"])
        for outcome in (
            *adapter.push(account, [profile(known)]),
            *adapter.send(account, [event(person=known)]),
        ):
            assert isinstance(outcome, Ambiguous)
            assert outcome.candidates == (left["Id"],)
        assert left[BALANCE] is None

    def test_one_that_was_deleted_is_for_a_person(
        self, salesforce: Salesforce, adapter: SalesforceAdapter, account: Target
    ) -> None:
        old = salesforce.store.add("Contact")
        salesforce.store.merge(old["Id"], "")
        known = replace(ADA, vendor_id=old["Id"])
        (pushed,) = adapter.push(account, [profile(known)])
        (sent,) = adapter.send(account, [event(person=known)])
        assert isinstance(pushed, Permanent)
        assert "deleted" in pushed.error
        assert isinstance(sent, Permanent)
        assert salesforce.store.alive("Contact") == []

    def test_what_a_duplicate_rule_found_is_to_be_chosen_from(
        self, salesforce: Salesforce, adapter: SalesforceAdapter, account: Target
    ) -> None:
        there = salesforce.store.add("Contact")
        records = [{"record": {"attributes": {}, "Id": there["Id"]}, "matchConfidence": 92.0}]
        error = {
            "statusCode": "DUPLICATES_DETECTED",
            "message": "Use one of these records?",
            "duplicateResult": {"matchResults": [{"matchRecords": records}]},
        }
        adapter.probe(account, event())
        salesforce.faults = [Fault(Reply(200, [{"success": False, "errors": [error]}]))]
        (outcome,) = adapter.push(account, [profile()])
        assert isinstance(outcome, Ambiguous)
        assert outcome.candidates == (there["Id"],)

    def test_one_id_at_two_records_is_to_be_chosen_from(
        self, salesforce: Salesforce, adapter: SalesforceAdapter, account: Target
    ) -> None:
        mine = salesforce.store.add("Contact")
        other = salesforce.store.add("Contact", Loyalty_Member_Id__c=MEMBER)
        (outcome,) = adapter.push(account, [profile(replace(ADA, vendor_id=mine["Id"]))])
        assert isinstance(outcome, Ambiguous)
        assert outcome.candidates == (other["Id"],)


class TestJobs:
    def test_it_tells_of_each_in_whatever_order(
        self, salesforce: Salesforce, adapter: SalesforceAdapter, account: Target
    ) -> None:
        known = salesforce.store.add("Contact", Loyalty_Tier__c="gold", LastName="Byron")
        people = [
            person(1, vendor_id=known["Id"]),
            person(2, email="not an email"),
            *[person(n, last_name='O"Neil,\n') for n in range(3, 3 + RECORDS_AT_ONCE)],
        ]
        salesforce.polls_until_done = 2
        submitted = adapter.push_bulk(account, [profile(p, Loyalty_Tier__c=None) for p in people])
        assert isinstance(submitted, Submitted)
        ids = [one.member_id for one in people]
        assert not adapter.poll_job(account, submitted.job_id, ids).is_done
        outcomes = adapter.poll_job(account, submitted.job_id, [*ids, "unknown"]).outcomes
        kinds = [type(one) for one in outcomes]
        assert kinds == [Delivered, Permanent, *[Delivered] * RECORDS_AT_ONCE, Retryable]
        assert "INVALID_EMAIL_ADDRESS" in outcomes[1].error
        assert (known["Loyalty_Tier__c"], known["LastName"], known[BALANCE]) == (None, "Byron", 3)
        last = outcomes[-2]
        assert isinstance(last, Delivered)
        made = salesforce.store.get("Contact", last.vendor_id)
        assert (made["Loyalty_Member_Id__c"], made["LastName"]) == (ids[-1], 'O"Neil,\n')

    @pytest.mark.parametrize("is_somebody_known", [False, True])
    def test_the_same_job_again_makes_nobody_twice(
        self,
        salesforce: Salesforce,
        adapter: SalesforceAdapter,
        account: Target,
        is_somebody_known: bool,
    ) -> None:
        people = [person(n) for n in range(1, 2 + RECORDS_AT_ONCE)]
        if is_somebody_known:
            people[0] = replace(people[0], vendor_id=salesforce.store.add("Contact")["Id"])
        profiles = [profile(one) for one in people]
        for _ in range(2):
            submitted = adapter.push_bulk(account, profiles)
            assert isinstance(submitted, Submitted)
            ids = [one.member_id for one in people]
            report = adapter.poll_job(account, submitted.job_id, ids)
        # By Salesforce's ids a new one is refused: it is sent by itself, and finds what is there.
        expected = Ambiguous if is_somebody_known else Delivered
        assert {type(one) for one in report.outcomes[1:]} == {expected}
        assert {type(one) for one in adapter.push(account, profiles)} == {Delivered}
        assert len(salesforce.store.alive("Contact")) == len(profiles)

    def test_one_that_is_gone_or_failed_is_to_be_sent_again(
        self, salesforce: Salesforce, adapter: SalesforceAdapter, account: Target
    ) -> None:
        report = adapter.poll_job(account, "unknown", [MEMBER] * 2)
        assert report.is_done
        assert [type(one) for one in report.outcomes] == [Retryable] * 2
        salesforce.faults = [Fault(Reply(200, {"state": "Failed"}))]
        salesforce.jobs["750"] = {"shown": {"state": "Failed"}, "left": 0, "raw": b""}
        report = adapter.poll_job(account, "750", [MEMBER])
        assert [type(one) for one in report.outcomes] == [Retryable]

    def test_a_backfill_assigns_no_leads(
        self, salesforce: Salesforce, adapter: SalesforceAdapter
    ) -> None:
        account = connect(salesforce, object="lead")
        adapter.push(account, [replace(profile(), is_backfill=True)])
        assert salesforce.calls[-1].headers["sforce-auto-assign"] == "false"
        adapter.push(account, [profile()])
        assert "sforce-auto-assign" not in salesforce.calls[-1].headers

    @pytest.mark.parametrize("is_backfill", [True, False])
    def test_nor_a_lead_into_which_one_was_merged(
        self, salesforce: Salesforce, adapter: SalesforceAdapter, is_backfill: bool
    ) -> None:
        account = connect(salesforce, object="lead")
        old, left = salesforce.store.add("Lead"), salesforce.store.add("Lead")
        salesforce.store.merge(old["Id"], left["Id"])
        known = profile(replace(ADA, vendor_id=old["Id"]))
        (pushed,) = adapter.push(account, [replace(known, is_backfill=is_backfill)])
        assert isinstance(pushed, Delivered)
        assert pushed.vendor_id == left["Id"]
        written = [call for call in salesforce.calls if call.method == "PATCH"]
        told = [call.headers.get("sforce-auto-assign") for call in written]
        assert told == ["false" if is_backfill else None] * 2


class TestMatching:
    @pytest.mark.parametrize(
        ("there", "matched_by"),
        [
            ({"Loyalty_Member_Id__c": MEMBER}, "member_id"),
            ({"Shop_Customer_Id__c": "shop-77"}, "external_id"),
            ({"Email": "Ada@Example.com"}, "email"),
            ({"MobilePhone": "+15550199"}, "phone"),
        ],
    )
    @pytest.mark.parametrize(("kind", "sobject"), KINDS)
    def test_in_this_order(
        self,
        salesforce: Salesforce,
        adapter: SalesforceAdapter,
        kind: str,
        sobject: str,
        there: dict[str, str],
        matched_by: str,
    ) -> None:
        prefix = "Person" if sobject == "Account" else ""
        named = {n if n.endswith("__c") else prefix + n: value for n, value in there.items()}
        known = salesforce.store.add(sobject, **named)
        if matched_by != "phone":
            salesforce.store.add(sobject, **{f"{prefix}MobilePhone": "+15550199"})
        account = connect(salesforce, object=kind)
        (match,) = adapter.match(account, [replace(ADA, phone="+15550199")])
        assert (match.vendor_id, match.matched_by) == (known["Id"], matched_by)

    def test_another_members_or_two_are_never_taken(
        self, salesforce: Salesforce, adapter: SalesforceAdapter, account: Target
    ) -> None:
        theirs = salesforce.store.add(
            "Contact", Email="ada@example.com", Loyalty_Member_Id__c=str(UUID(int=9))
        )
        two = [salesforce.store.add("Contact", Email="o'hara@example.com") for _ in range(2)]
        people = [ADA, person(1, email="o'hara@example.com"), person(2, email="x\\'@example.com")]
        matches = adapter.match(account, people)
        assert [match.candidates for match in matches] == [
            (theirs["Id"],),
            tuple(one["Id"] for one in two),
            (),
        ]

    def test_a_converted_lead_is_nobody(
        self, salesforce: Salesforce, adapter: SalesforceAdapter
    ) -> None:
        salesforce.store.add("Lead", Email="ada@example.com", IsConverted=True)
        (match,) = adapter.match(connect(salesforce, object="lead"), [ADA])
        assert match.vendor_id == ""

    def test_many_are_asked_for_in_few_calls(
        self, salesforce: Salesforce, adapter: SalesforceAdapter, account: Target
    ) -> None:
        people = [person(n, email=f"somebody.{n}@example.com") for n in range(120)]
        for one in people:
            salesforce.store.add("Contact", Email=one.email)
        matches = adapter.match(account, people)
        assert {match.matched_by for match in matches} == {"email"}
        assert len(salesforce.calls) == 1 + 3
