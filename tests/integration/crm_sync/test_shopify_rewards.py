"""A reward of store credit on its way from a till to the customer's account at Shopify."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from crm_sync.adapters.access import Target
from crm_sync.adapters.outcomes import Ambiguous, Delivered, Doubt, Permanent, Retryable
from crm_sync.adapters.shopify import ShopifyAdapter
from crm_sync.models import Connection, Delivery
from crm_sync.sandboxes.server import Call, Fault, Reply
from crm_sync.sandboxes.shopify import Known, Shopify
from crm_sync.services.connections import create_connection
from crm_sync.services.redeliver import redeliver
from loyalty.members import services as members
from loyalty.members.schemas import EnrolRequest
from tests.factories import Till, open_till, unique
from tests.integration.crm_sync.calls import environment
from tests.integration.crm_sync.outbox import drain, forget, pass_time
from tests.integration.crm_sync.shopify_calls import reward
from tests.integration.crm_sync.vendor_cases import connect_shopify

CREDIT = {"code": "credit", "name": "$5", "cost": 10, "gives": {"store_credit": "5.00"}}


@pytest.fixture
def shop() -> Iterator[Shopify]:
    with Shopify() as running:
        yield running


@pytest.fixture(scope="module")
def adapter() -> ShopifyAdapter:
    return ShopifyAdapter(environment(total=2.0))


@pytest.fixture
def target(shop: Shopify) -> Target:
    return connect_shopify(shop, store_credit="yes")


@pytest.fixture
def till(db: None) -> Iterator[Till]:
    opened = open_till(rewards=[CREDIT])
    yield opened
    forget(opened.program)


@pytest.fixture
def connection(till: Till, shop: Shopify, settings: Any) -> Connection:
    settings.CRM_ALLOW_PRIVATE_ADDRESSES = True
    return create_connection(
        program_id=till.program.pk,
        name="Shopify",
        adapter="shopify",
        config={"address": shop.url, "client_id": "client", "store_credit": "yes"},
        secrets={"client_secret": "secret"},
    )


@pytest.fixture
def customer(shop: Shopify) -> Known:
    return shop.add(email="ada@example.com")


@pytest.fixture
def card(till: Till, customer: Known, connection: Connection) -> str:
    """Return the card of a member whose number the shop knows, with 500 points."""
    card = unique("c")
    number = {"type": "external", "value": customer.id.rpartition("/")[2]}
    body = EnrolRequest.model_validate({"identifiers": [{"type": "card", "value": card}, number]})
    till.ids[card] = till.send(till.command(members.ENROL, body))[0].id
    assert till.adjust(card, 500).status == 201
    return card


class TestStoreCredit:
    """Not idempotent at Shopify: money is booked once, or a person is asked."""

    def test_once_and_not_again(
        self, shop: Shopify, adapter: ShopifyAdapter, target: Target
    ) -> None:
        there = shop.add(email="ada@example.com")
        for delivery in (reward(1), reward(1), reward(2), reward(1)):
            (outcome,) = adapter.send(target, [delivery])
            assert isinstance(outcome, Delivered), outcome
        assert [one["amount"]["amount"] for one in there.credits] == ["5.0", "5.0"]

    @pytest.mark.parametrize("document", ["query Book", "mutation Announce", "mutation Credit"])
    @pytest.mark.parametrize("done", [True, False])
    def test_no_answer_at_any_step(
        self, shop: Shopify, adapter: ShopifyAdapter, target: Target, document: str, done: bool
    ) -> None:
        """Whether the work was done or not, it is booked once."""
        there = shop.add(email="ada@example.com")
        reply = None if done else Reply(502, b"")
        shop.faults = [Fault(reply, hangs_up=done, says=document)]
        (lost,) = adapter.send(target, [reward()])
        assert isinstance(lost, Retryable), lost
        if document == "mutation Credit":
            assert lost.retry_after == 60.0
        assert isinstance(adapter.send(target, [reward()])[0], Delivered)
        assert len(there.credits) == 1

    def test_a_credit_that_could_not_be_noted_is_found_again(
        self, shop: Shopify, adapter: ShopifyAdapter, target: Target
    ) -> None:
        there = shop.add(email="ada@example.com")
        shop.faults = [Fault(Reply(502), says=r"\"booked\"")]
        for _ in range(2):
            assert isinstance(adapter.send(target, [reward()])[0], Delivered)
        assert len(there.credits) == 1

    def test_what_cannot_be_told_apart_is_for_a_person(
        self, shop: Shopify, adapter: ShopifyAdapter, target: Target
    ) -> None:
        there = shop.add(email="ada@example.com")
        shop.credit(there, "5.0")
        shop.faults = [Fault(hangs_up=True, says="mutation Credit")]
        adapter.send(target, [reward()])
        shop.credit(there, "7.0")
        shop.credit(there, "5.0")
        (outcome,) = adapter.send(target, [reward()])
        assert isinstance(outcome, Ambiguous)
        assert outcome.reason is Doubt.MUST_NOT_REPEAT
        assert len(outcome.candidates) == 2
        assert len(there.credits) == 4

    def test_what_is_too_long_ago_to_see_is_for_a_person(
        self, shop: Shopify, adapter: ShopifyAdapter, target: Target
    ) -> None:
        there = shop.add(email="ada@example.com")
        shop.faults = [Fault(hangs_up=True, says="mutation Credit")]
        adapter.send(target, [reward()])
        for _ in range(30):
            shop.credit(there, "1.0")
        assert isinstance(adapter.send(target, [reward()])[0], Ambiguous)

    def test_who_comes_second_does_not_book(
        self,
        shop: Shopify,
        adapter: ShopifyAdapter,
        target: Target,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        there, handle = shop.add(email="ada@example.com"), shop.handle

        def meanwhile(call: Call) -> Reply:
            if b"mutation Announce" in call.raw:
                other = ("json", '{"other":{"after":[]}}')
                there.metafields["$app:loyalty", "store_credit"] = other
            return handle(call)

        monkeypatch.setattr(shop, "handle", meanwhile)
        (outcome,) = adapter.send(target, [reward()])
        assert isinstance(outcome, Retryable)
        assert there.credits == []

    @pytest.mark.parametrize("says", ["", "query Book", "mutation Announce", "mutation Debit"])
    def test_what_is_cancelled_is_taken_back_once(
        self, shop: Shopify, adapter: ShopifyAdapter, target: Target, says: str
    ) -> None:
        there = shop.add(email="ada@example.com")
        adapter.send(target, [reward(1)])
        shop.credit(there, "5.0")
        shop.faults = [Fault(hangs_up=True, says=says)] if says else []
        for _ in range(3):
            (last,) = adapter.send(target, [reward(2, type_="reward.cancelled")])
        assert isinstance(last, Delivered)
        assert there.store_credit() == 5.0

    def test_what_was_never_given_or_is_spent_is_not_taken(
        self, shop: Shopify, adapter: ShopifyAdapter, target: Target
    ) -> None:
        there = shop.add(email="ada@example.com")
        shop.credit(there, "5.0")
        (nothing,) = adapter.send(target, [reward(2, type_="reward.cancelled")])
        assert isinstance(nothing, Delivered)
        adapter.send(target, [reward(1)])
        shop.credit(there, "-7.0", kind="Debit")
        (spent,) = adapter.send(target, [reward(3, type_="reward.cancelled")])
        assert isinstance(spent, Permanent)
        assert "insufficient funds" in spent.error
        assert there.store_credit() == 3.0

    def test_only_where_it_is_wanted_and_never_in_a_backfill(
        self, shop: Shopify, adapter: ShopifyAdapter, target: Target
    ) -> None:
        there = shop.add(email="ada@example.com")
        adapter.send(connect_shopify(shop), [reward(1)])
        (old,) = adapter.send(target, [reward(2, is_backfill=True)])
        assert isinstance(old, Delivered)
        assert "not booked" in old.notice
        assert there.credits == []

    def test_a_refusal_is_told(
        self, shop: Shopify, adapter: ShopifyAdapter, target: Target
    ) -> None:
        shop.add(email="ada@example.com")
        free = reward()
        gives = {"store_credit": "0.00", "currency": "USD"}
        free = replace(free, body={**free.body, "data": {"gives": gives}})
        (outcome,) = adapter.send(target, [free])
        assert isinstance(outcome, Permanent)
        assert "greater than 0" in outcome.error


def tell(connection: Connection) -> None:
    for _ in range(4):
        drain()
        pass_time(connection)


def states_of(connection: Connection, type_: str) -> list[str]:
    rows = Delivery.objects.filter(connection=connection, type=type_).order_by("sequence")
    return list(rows.values_list("state", flat=True))


def test_each_reward_is_booked_once_whatever_happens_on_the_way(
    till: Till, shop: Shopify, connection: Connection, customer: Known, card: str
) -> None:
    shop.faults = [Fault(hangs_up=True, says="mutation Credit")]
    for _ in range(2):
        assert till.redeem(card, reward="credit").status == 201
    tell(connection)
    assert [one["amount"]["amount"] for one in customer.credits] == ["5.0", "5.0"]
    assert states_of(connection, "reward.ordered") == ["delivered"] * 2
    redeliver(
        delivery_ids=list(
            Delivery.objects.filter(connection=connection).values_list("pk", flat=True)
        )
    )
    tell(connection)
    assert len(customer.credits) == 2
    assert customer.told()["points_balance"] == "480"


def test_a_reward_that_is_given_back_takes_its_credit_along(
    till: Till, connection: Connection, customer: Known, card: str
) -> None:
    redeemed = till.redeem(card, reward="credit")
    assert till.reverse(redeemed.id).status == 200
    tell(connection)
    assert customer.store_credit() == 0.0
    assert len(customer.credits) == 2
    assert customer.told()["points_balance"] == "500"


def test_what_only_a_person_can_tell_is_parked_and_nothing_waits_for_it(
    till: Till, shop: Shopify, connection: Connection, customer: Known, card: str
) -> None:
    drain()
    shop.faults = [Fault(hangs_up=True, says="mutation Credit")]
    till.redeem(card, reward="credit")
    drain()
    shop.credit(customer, "5.00")
    pass_time(connection)
    tell(connection)
    assert states_of(connection, "reward.ordered") == ["parked"]
    assert len(customer.credits) == 2
    assert customer.told()["points_balance"] == "490"
    assert customer.timeline[-1]["type"] != "reward.ordered"
