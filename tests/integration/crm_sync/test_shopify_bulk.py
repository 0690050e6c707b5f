"""Shopify's bulk operations: many customers in one file, each with an outcome of its own."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from django.utils import timezone

from crm_sync.adapters import shopify
from crm_sync.adapters.access import Target
from crm_sync.adapters.contract import Person, Profile, Submitted
from crm_sync.adapters.outcomes import Delivered, Outcome, Permanent, Retryable, Skipped
from crm_sync.adapters.shopify import ShopifyAdapter
from crm_sync.adapters.shopify_bulk import EACH
from crm_sync.models import BulkJob, Contact, FieldMapping
from crm_sync.sandboxes.server import Fault, Reply
from crm_sync.sandboxes.shopify import Known, Shopify
from crm_sync.services.backfill import start_backfill, step_backfill
from crm_sync.services.connections import create_connection
from crm_sync.services.jobs import poll_jobs
from loyalty.members import services as members
from loyalty.members.schemas import EnrolRequest
from tests.factories import Till, unique
from tests.integration.crm_sync.calls import environment
from tests.integration.crm_sync.klaviyo_calls import profile
from tests.integration.crm_sync.outbox import drain
from tests.integration.crm_sync.shopify_spec import problems, shopifys_own
from tests.integration.crm_sync.vendor_cases import connect_shopify

MANY = 25


@pytest.fixture
def shop() -> Iterator[Shopify]:
    with Shopify() as running:
        yield running


@pytest.fixture(scope="module")
def adapter() -> ShopifyAdapter:
    return ShopifyAdapter(environment(total=2.0))


@pytest.fixture
def target(shop: Shopify) -> Target:
    return connect_shopify(shop)


@pytest.fixture
def customers(shop: Shopify) -> list[Known]:
    return [shop.add(email=f"p{n}@example.com") for n in range(MANY)]


def profiles_of(customers: Sequence[Known], **fields: Any) -> list[Profile]:
    return [
        profile(Person(member_id=f"m{number}", vendor_id=known.id), **fields)
        for number, known in enumerate(customers)
    ]


def outcomes_of(
    adapter: ShopifyAdapter, target: Target, found: Submitted | list[Outcome], count: int
) -> Sequence[Outcome]:
    assert isinstance(found, Submitted), found
    report = adapter.poll_job(target, found.job_id, ["m"] * count)
    assert report.is_done, report
    return report.outcomes


def test_each_of_many_has_its_own_outcome(
    shop: Shopify, adapter: ShopifyAdapter, target: Target, customers: list[Known]
) -> None:
    shop.bulk.polls_until_done = 2
    there = ("$app:loyalty", "tier_since")
    customers[3].metafields[there] = ("date_time", "2026-01-01T00:00:00+00:00")
    customers[4].metafields["$app:loyalty", "tier"] = ("number_integer", "1")
    profiles = profiles_of(customers, tier="gold", tier_since=None)
    profiles[5] = replace(
        profiles[5], person=Person(member_id="m5", vendor_id="gid://x/Customer/1")
    )
    profiles += [profile(Person(member_id="new", email="new@example.com"), tier="gold")]
    profiles += [profile(Person(member_id="nobody"))]
    profiles += [profile(Person(member_id="bad", email="not an email"))]
    found = adapter.push_bulk(target, profiles)
    assert isinstance(found, Submitted)
    settled = {MANY + 1: Skipped, MANY + 2: Permanent}
    assert {place: type(one) for place, one in found.settled.items()} == settled
    new = shop.find(email="new@example.com")
    assert new is not None
    assert found.made[MANY] == new.id
    assert not adapter.poll_job(target, found.job_id, ["m"] * (MANY + 1)).is_done
    outcomes = outcomes_of(adapter, target, found, MANY + 1)
    assert [n for n, one in enumerate(outcomes) if isinstance(one, Permanent)] == [4, 5]
    assert sum(isinstance(one, Delivered) for one in outcomes) == MANY - 1
    assert "Owner does not exist" in outcomes[5].error
    assert (customers[0].told()["tier"], new.told()["tier"]) == ("gold", "gold")
    assert there not in customers[3].metafields
    names = [call.body["query"].split()[1].partition("(")[0] for call in shop.calls if call.body]
    assert names == ["Join", "Clear", "Stage", "Run", "State", "State"]
    schema = shopifys_own()
    for call in [call.body for call in shop.calls if call.body]:
        assert problems(schema, call["query"], call["variables"]) == []
    line = {"metafields": [{"ownerId": "1", "key": "tier", "value": "gold"}]}
    assert problems(schema, EACH, line) == []


def test_one_that_ends_early_tells_of_those_that_were_done(
    shop: Shopify, adapter: ShopifyAdapter, target: Target, customers: list[Known]
) -> None:
    shop.bulk.fails_after = 10
    found = adapter.push_bulk(target, profiles_of(customers))
    outcomes = outcomes_of(adapter, target, found, MANY)
    assert [type(one) for one in outcomes] == [Delivered] * 10 + [Retryable] * (MANY - 10)
    assert outcomes[10].error == "The bulk operation ended as FAILED: TIMEOUT."


@pytest.mark.parametrize(
    "fault",
    [
        Fault(Reply(503), path="/staged-uploads"),
        Fault(
            Reply(
                200,
                {
                    "data": {
                        "bulkOperationRunMutation": {
                            "bulkOperation": None,
                            "userErrors": [{"code": "OPERATION_IN_PROGRESS", "message": "Wait."}],
                        }
                    }
                },
            ),
            says="mutation Run(",
        ),
    ],
    ids=["upload", "in progress"],
)
def test_where_none_is_taken_each_is_written_by_themselves(
    shop: Shopify, adapter: ShopifyAdapter, target: Target, customers: list[Known], fault: Fault
) -> None:
    shop.faults = [fault]
    outcomes = adapter.push_bulk(target, profiles_of(customers))
    assert isinstance(outcomes, list)
    assert [type(one) for one in outcomes] == [Delivered] * MANY


def test_a_shop_that_is_down_is_asked_once(
    shop: Shopify, adapter: ShopifyAdapter, target: Target
) -> None:
    shop.faults = [Fault(Reply(503), path="/graphql")] * 2
    people = [profile(Person(member_id=f"m{n}", email=f"p{n}@x.example")) for n in range(MANY)]
    outcomes = adapter.push_bulk(target, people)
    assert isinstance(outcomes, list)
    assert len(outcomes) == MANY
    assert all(one is outcomes[0] for one in outcomes)  # a call that failed as a whole
    assert isinstance(outcomes[0], Retryable)
    assert len(shop.faults) == 1


def test_no_answer_is_no_success(
    shop: Shopify, adapter: ShopifyAdapter, target: Target, customers: list[Known]
) -> None:
    shop.faults = [Fault(hangs_up=True, says="mutation Run(")]
    lost = adapter.push_bulk(target, profiles_of(customers))
    assert isinstance(lost, list)
    assert {type(one) for one in lost} == {Retryable}
    found = adapter.push_bulk(target, profiles_of(customers))
    assert isinstance(found, Submitted)
    shop.faults = [Fault(Reply(500), path="/bulk-results")]
    report = adapter.poll_job(target, found.job_id, ["m"] * MANY)
    assert not report.is_done
    assert isinstance(report.outcome, Retryable)
    (operation,) = [one for one in shop.bulk.operations.values() if one.results]
    operation.results[0] = b'{"data":{"metafi'
    outcomes = outcomes_of(adapter, target, found, MANY)
    assert [type(one) for one in outcomes] == [Delivered] * (MANY - 1) + [Retryable]
    shop.bulk.operations.clear()
    forgotten = adapter.poll_job(target, found.job_id, ["m"] * 2)
    assert [type(one) for one in forgotten.outcomes] == [Retryable] * 2


def test_a_backfill_goes_by_it(
    till: Till, shop: Shopify, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CRM_ALLOW_PRIVATE_ADDRESSES = True
    monkeypatch.setattr(shopify, "_PEOPLE_AT_ONCE", 1)
    destination = create_connection(
        program_id=till.program.pk,
        name="Shopify",
        adapter="shopify",
        config={"address": shop.url},
        secrets={"access_token": shop.access_token},
    )
    for _ in range(2):
        email = {"type": "email", "value": f"{unique('p')}@example.com"}
        card = {"type": "card", "value": unique("c")}
        request = EnrolRequest.model_validate({"identifiers": [card, email]})
        till.send(till.command(members.ENROL, request))
    drain()
    assert {known.told()["points_balance"] for known in shop.customers.values()} == {"0"}
    till.member()  # without an email: nobody at Shopify
    FieldMapping.objects.create(
        connection=destination, attribute="points_available", name="points", form="integer"
    )
    backfill = start_backfill(connection_id=destination.pk)
    while step_backfill(backfill_id=backfill.pk):
        pass
    (job,) = BulkJob.objects.filter(connection=destination)
    assert len(job.items) == 2
    BulkJob.objects.update(ask_at=timezone.now())
    assert poll_jobs() == 1
    job.refresh_from_db()
    assert (job.failed, job.ended_at is not None) == (0, True)
    assert [known.told()["points"] for known in shop.customers.values()] == ["0", "0"]
    contacts = Contact.objects.filter(connection=destination).exclude(vendor_id="")
    assert all(one.fingerprint and one.done == one.wanted for one in contacts)
    step_backfill(backfill_id=backfill.pk)
    backfill.refresh_from_db()
    assert backfill.state == "done"
