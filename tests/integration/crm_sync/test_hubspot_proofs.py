"""The engine, a till and HubSpot; and our sandbox against HubSpot's own client."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import Client as PageClient
from hubspot import Client
from hubspot.crm.contacts.exceptions import ApiException
from hubspot.events.send.exceptions import ApiException as EventException

from crm_sync.inbound.polling import list_polled, poll
from crm_sync.models import Allowance, FieldMapping, PollCursor
from crm_sync.sandboxes.hubspot import HubSpot
from crm_sync.services.connections import create_connection
from crm_sync.services.credentials import StoredCredentials
from loyalty.events.models import OutboxEvent
from loyalty.members import services as members
from loyalty.members.models import Member
from loyalty.members.schemas import EnrolRequest
from tests.factories import Till, unique
from tests.integration.crm_sync.outbox import drain


@pytest.fixture
def hubspot() -> Iterator[HubSpot]:
    with HubSpot() as running:
        yield running


class TestSandbox:
    """HubSpot's own client takes our sandbox for HubSpot."""

    def test_it_writes_reads_and_sends(self, hubspot: HubSpot) -> None:
        client: Any = Client.create(access_token=hubspot.access_token, host=hubspot.url)
        batches = client.crm.contacts.batch_api
        ada = {"id": "m1", "idProperty": "loyalty_member_id", "objectWriteTraceId": "t1"}
        ada["properties"] = {"email": "ada@example.com"}  # type: ignore[assignment]
        made = batches.upsert({"inputs": [ada]})
        assert (made.status, made.results[0].new) == ("COMPLETE", True)
        again = batches.upsert({"inputs": [ada, {**ada, "id": "m2"}]})
        assert [one.id for one in again.results] == [made.results[0].id]
        assert again.errors[0].context == {"objectWriteTraceId": ["t1"]}
        read = {"inputs": [{"id": "ADA@example.com".lower()}, {"id": "b@example.com"}]}
        found = batches.read({**read, "idProperty": "email", "properties": ["loyalty_member_id"]})
        assert [one.properties["loyalty_member_id"] for one in found.results] == ["m1"]
        assert found.errors[0].context == {"ids": ["b@example.com"]}
        happened = {"eventName": "pe77_loyalty_points_earned", "objectId": made.results[0].id}
        for uuid in ("a", "b", "a"):
            client.events.send.basic_api.send({**happened, "uuid": uuid})
        assert len(hubspot.contacts[made.results[0].id].events) == 2

    def test_it_refuses(self, hubspot: HubSpot) -> None:
        client: Any = Client.create(access_token="wrong", host=hubspot.url)
        with pytest.raises(ApiException) as refused:
            client.crm.contacts.batch_api.update({"inputs": [{"id": "1", "properties": {}}]})
        assert refused.value.status == 401
        hubspot.takes_events = False
        client = Client.create(access_token=hubspot.access_token, host=hubspot.url)
        with pytest.raises(EventException) as unplanned:
            client.events.send.basic_api.send({"eventName": "pe77_x"})
        assert unplanned.value.status == 403


def test_what_the_plan_lacks_is_said_at_the_connection_and_tokens_are_kept(
    till: Till, hubspot: HubSpot, page: PageClient, settings: Any
) -> None:
    settings.CRM_ALLOW_PRIVATE_ADDRESSES = True
    hubspot.takes_events = False
    connection = create_connection(
        program_id=till.program.pk,
        name="HubSpot",
        adapter="hubspot",
        config={"address": hubspot.url, "hub_id": "77", "client_id": "client"},
        secrets={"client_secret": "secret", "refresh_token": hubspot.refresh_token},
    )
    ids = [{"type": "card", "value": unique("c")}, {"type": "email", "value": "ada@example.com"}]
    body = EnrolRequest.model_validate({"identifiers": ids})
    member = till.send(till.command(members.ENROL, body))[0].id
    drain()
    hubspot.tokens.clear()
    till.adjust(ids[0]["value"], 30)
    drain()
    contact = hubspot.find("loyalty_member_id", member)
    assert contact is not None
    assert contact.properties["loyalty_last_event"] == "points.adjusted"
    assert contact.properties["loyalty_points_balance"] == "30"
    assert StoredCredentials(connection.pk).get("refresh_token") == hubspot.refresh_token
    shown = page.get(f"/admin/crm_sync/connection/{connection.pk}/change/").content.decode()
    assert "HubSpot takes no custom events of this account" in shown


def test_a_property_of_hubspots_own_comes_in_by_itself(
    till: Till, hubspot: HubSpot, settings: Any
) -> None:
    settings.CRM_ALLOW_PRIVATE_ADDRESSES = True
    connection = create_connection(
        program_id=till.program.pk,
        name="HubSpot",
        adapter="hubspot",
        config={"address": hubspot.url, "events": "none"},
        secrets={"access_token": hubspot.access_token},
    )
    for attribute, name, form in (
        ("attribute.shoe_size", "shoe_size", "integer"),
        ("first_name", "firstname", "text"),
    ):
        FieldMapping.objects.create(
            connection=connection, attribute=attribute, name=name, form=form, owner="vendor"
        )

    def asked() -> int:
        list_polled()
        Allowance.objects.filter(connection=connection).delete()  # nobody waits in tests
        PollCursor.objects.filter(pk=connection.pk).update(next_at=Now())
        return poll(connection_id=connection.pk, seconds=30)

    member = till.ids[till.member()]
    contact = hubspot.add(loyalty_member_id=member, shoe_size="38", firstname="Ada")
    for name, size in (("Ada", 38), ("Augusta", 39)):
        contact.properties |= {"firstname": name, "shoe_size": str(size)}
        hubspot.touch(contact)
        assert asked() == 1
        found = Member.objects.get(pk=member)
        assert (found.first_name, found.attributes) == (name, {"shoe_size": size})
    before = OutboxEvent.objects.filter(member_id=member).count()
    assert asked() == 1
    assert OutboxEvent.objects.filter(member_id=member).count() == before  # nothing is new
