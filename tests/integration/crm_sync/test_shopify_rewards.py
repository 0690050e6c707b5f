"""A reward of store credit on its way from a till to the customer's account at Shopify."""

from collections.abc import Iterator
from typing import Any

import pytest

from crm_sync.models import Connection, Delivery
from crm_sync.sandboxes.server import Fault
from crm_sync.sandboxes.shopify import Known, Shopify
from crm_sync.services.connections import create_connection
from crm_sync.services.redeliver import redeliver
from loyalty.members import services as members
from loyalty.members.schemas import EnrolRequest
from tests.factories import Till, open_till, unique
from tests.integration.crm_sync.outbox import drain, forget, pass_time

CREDIT = {"code": "credit", "name": "$5", "cost": 10, "gives": {"store_credit": "5.00"}}


@pytest.fixture
def shop() -> Iterator[Shopify]:
    with Shopify() as running:
        yield running


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
