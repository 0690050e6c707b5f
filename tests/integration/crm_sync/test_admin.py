"""What a person sees and does in the admin."""

import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client
from standardwebhooks import Webhook

from crm_sync.models import Attempt, Connection, Delivery
from crm_sync.services.connections import disable_connection
from crm_sync.signing import current_secret
from loyalty.events.rules import event_id
from tests.factories import Till, unique
from tests.integration.crm_sync.outbox import Outbox, drain
from tests.integration.crm_sync.receivers import Answer, Receiver
from tests.integration.crm_sync.vendor import Vendor
from tests.integration.http.caller import Caller, order_body

CONNECTIONS = "/admin/crm_sync/connection/"
DELIVERIES = "/admin/crm_sync/delivery/"


@pytest.fixture
def browser_of_admin(outbox: Outbox) -> Iterator[Client]:
    user = User.objects.create_superuser(f"admin-{uuid4().hex[:8]}")
    client = Client()
    client.force_login(user)
    yield client
    LogEntry.objects.filter(user=user).delete()
    Session.objects.all().delete()
    user.delete()


@pytest.fixture
def page(browser_of_admin: Client) -> Client:
    return browser_of_admin


def add(page: Client, outbox: Outbox, **values: str) -> Any:
    form = {"program": str(outbox.program.pk), "name": "Ours", "adapter": "webhook"}
    return page.post(f"{CONNECTIONS}add/", {**form, "event_types": "", **values})


class TestConnections:
    def test_a_new_one_shows_its_secret_once(
        self, page: Client, outbox: Outbox, receiver: Receiver
    ) -> None:
        assert page.get(f"{CONNECTIONS}add/").status_code == 200
        response = add(page, outbox, url=receiver.url, event_types="points.earned, tier.*")
        secret = re.search(r"whsec_[A-Za-z0-9+/=]+", response.content.decode())
        assert secret is not None
        assert "no-store" in response.headers["Cache-Control"]
        destination = Connection.objects.get(program=outbox.program)
        assert secret[0] == current_secret(destination)
        assert destination.event_types == ["points.earned", "tier.*"]
        shown = page.get(f"{CONNECTIONS}{destination.pk}/change/").content.decode()
        assert receiver.url in shown
        assert "whsec_" not in shown

    def test_a_bad_address_is_refused_at_its_field(
        self, page: Client, outbox: Outbox, settings: Any
    ) -> None:
        settings.CRM_ALLOW_PRIVATE_ADDRESSES = False
        response = add(page, outbox, url="https://169.254.169.254/latest/")
        assert "not a public address" in response.content.decode()
        assert not Connection.objects.filter(program=outbox.program).exists()

    def test_a_bad_event_type_is_refused(self, page: Client, outbox: Outbox) -> None:
        response = add(page, outbox, adapter="console", event_types="everything")
        assert "points.earned" in response.content.decode()
        assert not Connection.objects.filter(program=outbox.program).exists()

    def test_saving_leaves_state_and_secrets_alone(self, page: Client, outbox: Outbox) -> None:
        destination = outbox.connect()
        disable_connection(connection_id=destination.pk, reason="Meanwhile.")
        response = page.post(
            f"{CONNECTIONS}{destination.pk}/change/", {"name": "Renamed", "event_types": ""}
        )
        assert response.status_code == 302
        changed = Connection.objects.get(pk=destination.pk)
        assert (changed.name, changed.is_enabled) == ("Renamed", False)
        assert changed.disabled_reason == "Meanwhile."

    def test_the_list_tells_how_each_is_doing(
        self, page: Client, outbox: Outbox, receiver: Receiver
    ) -> None:
        receiver.respond = lambda call: Answer(422 if call.event["sequence"] == 1 else 500)
        outbox.connect(receiver.url)
        member = uuid4()
        outbox.write(member)
        outbox.write(member)
        drain()
        shown = page.get(CONNECTIONS).content.decode()
        assert "failing" in shown.lower()
        assert "state__exact=dead" in shown

    def test_one_that_fails_says_why_until_it_is_well_again(
        self, page: Client, outbox: Outbox, receiver: Receiver
    ) -> None:
        answers = iter([401])
        receiver.respond = lambda call: Answer(next(answers, 204))
        destination = outbox.connect(receiver.url)
        outbox.write(uuid4())
        drain()
        address = f"{CONNECTIONS}{destination.pk}/change/"
        why = re.compile(r"It fails since [0-9-]+ [0-9:]+ UTC\. The destination answered 401")
        shown = page.get(address).content.decode()
        assert why.search(shown)
        assert "1 refused as it is set up in 24 hours" in shown
        page.post(f"{CONNECTIONS}{destination.pk}/enable/")
        drain()
        assert "answered 401" not in page.get(address).content.decode()

    def test_a_test_event_is_sent_only_by_post(
        self, page: Client, outbox: Outbox, receiver: Receiver
    ) -> None:
        destination = outbox.connect(receiver.url)
        address = f"{CONNECTIONS}{destination.pk}/test/"
        assert "Send" in page.get(address, follow=True).content.decode()
        assert receiver.calls == []
        response = page.post(address, follow=True)
        assert "It was taken" in response.content.decode()
        assert receiver.calls[0].event["type"] == "connection.test"

    def test_a_new_secret_is_shown_and_signs(
        self, page: Client, outbox: Outbox, receiver: Receiver
    ) -> None:
        destination = outbox.connect(receiver.url)
        response = page.post(f"{CONNECTIONS}{destination.pk}/new_secret/")
        destination.refresh_from_db()
        assert current_secret(destination) in response.content.decode().replace("&#x3D;", "=")
        outbox.write(uuid4())
        drain()
        call = receiver.calls[0]
        Webhook(current_secret(destination)).verify(call.body, call.headers)

    def test_disable_and_enable(self, page: Client, outbox: Outbox) -> None:
        destination = outbox.connect()
        page.post(f"{CONNECTIONS}{destination.pk}/disable/")
        destination.refresh_from_db()
        assert (destination.is_enabled, "admin-" in destination.disabled_reason) == (False, True)
        page.post(f"{CONNECTIONS}{destination.pk}/enable/")
        destination.refresh_from_db()
        assert (destination.is_enabled, destination.disabled_reason) == (True, "")

    def test_a_stranger_may_not(self, outbox: Outbox, receiver: Receiver) -> None:
        destination = outbox.connect(receiver.url)
        assert Client().post(f"{CONNECTIONS}{destination.pk}/test/").status_code == 302
        assert receiver.calls == []

    def test_pages_of_its_own_have_the_same_head(
        self, page: Client, outbox: Outbox, receiver: Receiver
    ) -> None:
        destination = outbox.connect(receiver.url)
        for address in ("add/", f"{destination.pk}/preview/", f"{destination.pk}/disable/"):
            assert (
                "Points, tiers and rewards" in page.get(f"{CONNECTIONS}{address}").content.decode()
            )


class TestDeliveries:
    @pytest.fixture
    def dead(self, outbox: Outbox, receiver: Receiver) -> Delivery:
        receiver.respond = lambda call: Answer(422, body=b"<script>no such member")
        destination = outbox.connect(receiver.url)
        outbox.write(uuid4())
        drain()
        return Delivery.objects.get(connection=destination)

    def test_a_dead_one_is_explained(self, page: Client, dead: Delivery) -> None:
        shown = page.get(f"{DELIVERIES}{dead.pk}/change/").content.decode()
        assert "The destination answered 422." in shown
        assert "&lt;script&gt;no such member" in shown
        assert ">refused<" in re.sub(r"\s+", "", shown) and "ermanent" not in shown
        assert event_id(dead.member_id, dead.sequence) in shown

    def test_it_is_redelivered(self, page: Client, dead: Delivery, receiver: Receiver) -> None:
        receiver.respond = lambda call: Answer()
        data = {"action": "redeliver_chosen", "_selected_action": [str(dead.pk)]}
        assert page.post(DELIVERIES, data, follow=True).status_code == 200
        drain()
        dead.refresh_from_db()
        assert dead.state == "delivered"

    def test_one_is_redelivered_from_its_page_only_by_post(
        self, page: Client, dead: Delivery, receiver: Receiver
    ) -> None:
        receiver.respond = lambda call: Answer()
        address = f"{DELIVERIES}{dead.pk}/redeliver_this/"
        shown = page.get(f"{DELIVERIES}{dead.pk}/change/").content.decode()
        assert address in shown
        assert "Send it again?" in page.get(address, follow=True).content.decode()
        dead.refresh_from_db()
        assert dead.state == "dead"
        assert "on its way again" in page.post(address, follow=True).content.decode()
        drain()
        dead.refresh_from_db()
        assert dead.state == "delivered"
        assert "Select all 9" not in page.get(DELIVERIES).content.decode()  # nobody counts them

    @pytest.mark.parametrize("object_id", ["abc", "99999999999"])
    def test_what_there_is_not_is_not_redelivered(self, page: Client, object_id: str) -> None:
        for call in (page.get, page.post):
            assert call(f"{DELIVERIES}{object_id}/redeliver_this/").status_code == 404

    def test_all_dead_ones_of_a_connection_at_once(
        self, page: Client, outbox: Outbox, dead: Delivery, receiver: Receiver
    ) -> None:
        outbox.write_many(members=30, each=1)
        drain()
        receiver.respond = lambda call: Answer()
        response = page.post(f"{CONNECTIONS}{dead.connection_id}/redeliver_all_dead/", follow=True)
        assert "31 deliveries" in response.content.decode()
        states = Delivery.objects.filter(connection=dead.connection)
        assert states.filter(state="pending").count() == 31

    @pytest.mark.parametrize("kind", ["state", "connection"])
    def test_filters(self, page: Client, dead: Delivery, kind: str) -> None:
        query = {
            "state": "state__exact=dead",
            "connection": f"connection__id__exact={dead.connection_id}",
        }[kind]
        shown = page.get(f"{DELIVERIES}?{query}").content.decode()
        assert event_id(dead.member_id, dead.sequence) in shown

    @pytest.mark.parametrize("what", ["member", "event", "type", "attempt"])
    def test_search(self, page: Client, dead: Delivery, what: str) -> None:
        event = event_id(dead.member_id, dead.sequence)
        attempt = Attempt.objects.filter(delivery=dead).latest("id")
        text = {
            **{"member": str(dead.member_id), "event": event, "type": dead.type},
            "attempt": attempt.correlation_id.hex,
        }[what]
        assert event in page.get(DELIVERIES, {"q": text}).content.decode()
        assert event not in page.get(DELIVERIES, {"q": "points.nothing"}).content.decode()

    def test_what_a_tills_request_caused_is_found_by_its_id(
        self, page: Client, till: Till, connect_vendor: Any
    ) -> None:
        connect_vendor(Vendor())
        api, card, request = Caller(till.program.pk), till.member(), unique("till-7/")
        body = {"member": f"card:{card}", "order": order_body()}
        assert api.post("/v1/earn", body, **{"X-Request-Id": request}).status_code == 201
        drain()
        shown = page.get(DELIVERIES, {"q": request}).context["cl"].result_list
        about = page.get(f"{DELIVERIES}{shown[0].pk}/change/").content.decode()
        assert f">Card {card}</a>" in about
        assert {str(row.member_id) for row in shown} == {till.ids[card]}
        assert {row.type for row in shown} == {"points.earned", "order.recorded"}
