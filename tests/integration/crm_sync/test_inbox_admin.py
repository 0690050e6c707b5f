"""What a person sees of sources and their inbox, and does about them."""

import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from crm_sync.adapters.contract import ConfigRefused
from crm_sync.inbound.reconciling import list_reconciled
from crm_sync.inbound.sources import check_sources_of, create_source, valid_secrets
from crm_sync.inbound.working import work_inbox
from crm_sync.models import Connection, OrderCursor, Relay, Source
from tests.factories import Till, balance_of, unique
from tests.integration.crm_sync.senders import Sender, StandardSender, name, said, standard

SOURCES = "/admin/crm_sync/source/"
INBOX = "/admin/crm_sync/inboxmessage/"


@pytest.fixture
def page(till: Till) -> Iterator[Client]:
    user = User.objects.create_superuser(f"admin-{uuid4().hex[:8]}")
    client = Client()
    client.force_login(user)
    yield client
    LogEntry.objects.filter(user=user).delete()
    Session.objects.all().delete()
    user.delete()


def test_a_source_is_set_up_and_shows_its_secret_once(page: Client, till: Till) -> None:
    assert "Standard Webhooks" in page.get(f"{SOURCES}add/").content.decode()
    form = {"program": str(till.program.pk), "name": "Ours", "kind": "standard", "is_enabled": "on"}
    assert page.get(f"{SOURCES}add/?kind=standard").status_code == 200
    made = page.post(f"{SOURCES}add/?kind=standard", form)
    secret = re.search(r"whsec_[A-Za-z0-9+/=]+", made.content.decode())
    source = Source.objects.get(program=till.program)
    assert secret is not None
    assert "no-store" in made.headers["Cache-Control"]
    assert f"/inbound/{source.key_id}" in made.content.decode()
    assert secret[0] not in source.secrets
    change = f"{SOURCES}{source.pk}/change/"
    shown = page.get(change).content.decode()
    assert f"/inbound/{source.key_id}" in shown
    assert "whsec_" not in shown
    card = till.member()
    first = StandardSender(source, secret[0])
    first.send("order", said(till, card, unique("o")))
    assert first.only().state == "done"
    renewed = page.post(f"{SOURCES}{source.pk}/new_secret/")
    newer = re.search(r"whsec_[A-Za-z0-9+/=]+", renewed.content.decode())
    assert newer is not None
    assert newer[0] != secret[0]
    for one in (secret[0], newer[0]):
        assert StandardSender(source, one).send("person", {}).status_code == 200
    changed = page.post(change, {"name": "Renamed"})
    assert changed.status_code == 302
    source.refresh_from_db()
    assert (source.name, source.is_enabled) == ("Renamed", False)
    page.post(f"{SOURCES}{source.pk}/remove/")
    assert StandardSender(source, newer[0]).send("person", {}).status_code == 404


def test_bad_settings_are_refused_at_their_field(page: Client, till: Till) -> None:
    form = {"program": str(till.program.pk), "name": "Flow", "kind": "bearer", "header": "a b"}
    refused = page.post(f"{SOURCES}add/?kind=bearer", form)
    assert "letters, digits and hyphens" in refused.content.decode()
    assert not Source.objects.filter(program=till.program).exists()


def test_a_vendors_secret_is_entered_and_never_shown(page: Client, till: Till) -> None:
    form = {"program": str(till.program.pk), "name": "CRM", "kind": "hubspot", "is_enabled": "on"}
    given = {**form, "portal": "62515", "address": "https://x.example.com/in"}
    refused = page.post(f"{SOURCES}add/?kind=hubspot", given)
    assert "Enter the secret" in refused.content.decode()
    made = page.post(f"{SOURCES}add/?kind=hubspot", {**given, "secret": "of-hubspot"})
    source = Source.objects.get(program=till.program)
    assert source.config == {"portal": "62515", "address": "https://x.example.com/in"}
    change = f"{SOURCES}{source.pk}/change/"
    for shown in (made.content.decode(), page.get(change).content.decode()):
        assert f"/inbound/{source.key_id}" in shown
        assert "of-hubspot" not in shown
    page.post(change, {**given, "address": "", "secret": "a-newer-one"})
    source.refresh_from_db()
    assert source.config["address"] == ""
    assert list(valid_secrets(source, at=timezone.now())) == ["a-newer-one", "of-hubspot"]
    assert page.get(f"{SOURCES}{source.pk}/new_secret/").status_code == 302


def test_the_inbox_tells_what_came_and_a_person_decides(page: Client, till: Till) -> None:
    sender = standard(till)
    one, other = till.member(), till.member()
    for card in (one, other):
        name(till, card, "external", f"z-{card}")
    both = {"id": "v9", "external_ids": [f"z-{one}", f"z-{other}"]}
    sender.send("order", {**said(till, one, "admin-1"), "person": both})
    sender.send("order", {"person": {"id": "1", "email": "ada@example.com"}})
    work_inbox(seconds=30)
    parked, dead = sender.messages()
    listed = page.get(INBOX).content.decode()
    assert "Several members may be meant" in listed
    assert "state__in=dead" in page.get(SOURCES).content.decode()
    assert "ada@example.com" in page.get(f"{INBOX}{dead.pk}/change/").content.decode()
    choose = f"{INBOX}{parked.pk}/choose/"
    assert till.ids[one] in page.get(choose).content.decode()
    assert page.post(choose, {"member": till.ids[one]}).status_code == 302
    chosen = {"_selected_action": [str(dead.pk)]}
    page.post(INBOX, {**chosen, "action": "try_chosen_again"})
    work_inbox(seconds=30)
    assert balance_of(till.ids[one])["available"] == 12
    assert [message.state for message in sender.messages()] == ["done", "dead"]
    page.post(INBOX, {**chosen, "action": "settle_chosen"})
    settled = sender.messages()[1]
    assert (settled.state, settled.content) == ("done", "")
    assert settled.note.startswith("Settled by admin-")


def test_whoever_may_only_look_sees_nobodys_data(till: Till, page: Client) -> None:
    sender = standard(till)
    sender.send("order", {"person": {"id": "1", "email": "ada@example.com"}})
    message = sender.only()
    user = User.objects.create_user(f"looks-{uuid4().hex[:8]}", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_inboxmessage"))
    client = Client()
    client.force_login(user)
    shown = client.get(f"{INBOX}{message.pk}/change/")
    assert shown.status_code == 200
    assert "ada@example.com" not in shown.content.decode()
    client.post(INBOX, {"action": "settle_chosen", "_selected_action": [str(message.pk)]})
    assert sender.only().state == "dead"
    user.delete()


def test_an_address_without_a_secret_gets_nothing(till: Till) -> None:
    assert Sender(standard(till).source, "").post({}).status_code == 401


@pytest.mark.parametrize(
    ("kind", "config", "ours", "others"),
    [
        (
            "shopify",
            {"shop": "corner.myshopify.com"},
            {"address": "https://corner.myshopify.com"},
            {"address": "https://other.myshopify.com", "api_version": "2026-10"},
        ),
        ("hubspot", {"portal": "77"}, {"hub_id": "77"}, {"hub_id": "78"}),
    ],
)
def test_a_source_and_its_connection_are_of_one_account(
    page: Client, till: Till, kind: str, config: Any, ours: Any, others: Any
) -> None:
    connection = Connection.objects.create(
        program=till.program, name="CRM", adapter=kind, config=others
    )
    Relay.objects.create(connection=connection)
    given = {"program_id": till.program.pk, "name": "In", "kind": kind, "config": config}
    given |= {"secret": "s", "connection_id": connection.pk}
    with pytest.raises(ConfigRefused, match="The connection"):
        create_source(**given)
    form = {"program": str(till.program.pk), "name": "In", "kind": kind, "secret": "s", **config}
    refused = page.post(f"{SOURCES}add/?kind={kind}", {**form, "connection": str(connection.pk)})
    assert "and this source" in refused.content.decode()

    Connection.objects.filter(pk=connection.pk).update(config=ours)
    source, _ = create_source(**given)
    connection.refresh_from_db()
    check_sources_of(connection, ours)
    with pytest.raises(ConfigRefused, match="The source In belongs to it"):
        check_sources_of(connection, others)
    if kind == "shopify":  # whatever got past the forms: no other shop's orders are read
        assert list_reconciled() == [source.pk]
        Connection.objects.filter(pk=connection.pk).update(config=others)
        assert list_reconciled() == []
        assert "corner" in OrderCursor.objects.get(source=source).last_error
