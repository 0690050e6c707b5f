"""What a person sees and does in the admin about a CRM that keeps profiles."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from crm_sync.adapters.contract import Match, Setting
from crm_sync.forms import stored
from crm_sync.models import Backfill, Connection, Contact, Delivery, FieldMapping
from crm_sync.sandboxes.klaviyo import Klaviyo
from crm_sync.services.credentials import StoredCredentials
from loyalty.members import services as members
from loyalty.members.schemas import EnrolRequest
from tests.factories import Till, unique
from tests.integration.crm_sync.outbox import drain
from tests.integration.crm_sync.vendor import Vendor

CONNECTIONS = "/admin/crm_sync/connection/"
Connect = Callable[..., Connection]


def text_of(response: Any) -> str:
    content: str = response.content.decode()
    return content


def mapping_form(destination: Connection, **changes: str) -> dict[str, str]:
    rows = list(FieldMapping.objects.filter(connection=destination).order_by("id"))
    form = {
        "name": destination.name,
        "event_types": "",
        "fields-TOTAL_FORMS": str(len(rows)),
        "fields-INITIAL_FORMS": str(len(rows)),
        "polled_segments-TOTAL_FORMS": "0",
        "polled_segments-INITIAL_FORMS": "0",
    }
    for number, row in enumerate(rows):
        for name in ("id", "attribute", "name", "form", "owner"):
            form[f"fields-{number}-{name}"] = str(getattr(row, name))
        form[f"fields-{number}-connection"] = str(destination.pk)
    return {**form, **changes}


class TestSetUp:
    def test_the_kind_is_chosen_and_the_key_is_kept_and_never_shown(
        self, page: Client, till: Till, klaviyo: Klaviyo, settings: Any
    ) -> None:
        settings.CRM_ALLOW_PRIVATE_ADDRESSES = True
        assert "?adapter=klaviyo" in text_of(page.get(f"{CONNECTIONS}add/"))
        asked = text_of(page.get(f"{CONNECTIONS}add/?adapter=klaviyo"))
        assert "Private API key" in asked
        assert "2026-07-15" in asked
        form = {"program": str(till.program.pk), "name": "Ours", "adapter": "klaviyo"}
        refused = page.post(f"{CONNECTIONS}add/", {**form, "address": klaviyo.url})
        assert refused.context["adminform"].form.errors == {"api_key": ["This field is required."]}
        given = {**form, "address": klaviyo.url, "api_key": klaviyo.api_key}
        made = page.post(f"{CONNECTIONS}add/", given)
        assert made.status_code == 302, text_of(made)
        destination = Connection.objects.get(program=till.program)
        assert klaviyo.api_key not in str(destination.config)
        assert StoredCredentials(destination.pk).get("api_key") == klaviyo.api_key
        shown = text_of(page.get(f"{CONNECTIONS}{destination.pk}/change/"))
        assert klaviyo.api_key not in shown
        assert "loyalty_points_balance" in shown
        tried = page.post(f"{CONNECTIONS}{destination.pk}/test/", follow=True)
        assert "It was taken" in text_of(tried)

    @pytest.mark.parametrize(
        ("address", "field", "shown"),
        [
            ("connection/add/?adapter=salesforce", "object", "person account"),
            ("connection/add/?adapter=shopify", "store_credit", "no"),
            ("source/add/?kind=shopify", "phones", "no"),
        ],
    )
    def test_what_is_one_of_a_few_is_chosen(
        self, page: Client, address: str, field: str, shown: str
    ) -> None:
        form = page.get(f"/admin/crm_sync/{address}").context["adminform"].form
        assert shown in dict(form.fields[field].choices).values()
        assert form.fields[field].initial in dict(form.fields[field].choices)

    def test_a_choice_that_was_never_made_is_the_default(self) -> None:
        setting = Setting(name="phones", label="", default="no", choices=("yes", "no"))
        assert (stored(setting, {}), stored(setting, {"phones": "yes"})) == ("no", "yes")
        assert stored(Setting(name="shop", label="", default="x"), {}) == ""

    def test_an_empty_key_keeps_the_old_one_and_a_new_one_replaces_it(
        self, page: Client, till: Till, klaviyo: Klaviyo, settings: Any
    ) -> None:
        settings.CRM_ALLOW_PRIVATE_ADDRESSES = True
        form = {"program": str(till.program.pk), "name": "Ours", "adapter": "klaviyo"}
        given = {**form, "address": klaviyo.url, "api_key": "pk_old"}
        page.post(f"{CONNECTIONS}add/", given)
        destination = Connection.objects.get(program=till.program)
        for key, kept in (("", "pk_old"), ("pk_new", "pk_new")):
            changed = mapping_form(destination, address=klaviyo.url, api_key=key)
            response = page.post(f"{CONNECTIONS}{destination.pk}/change/", changed)
            assert response.status_code == 302, text_of(response)
            assert StoredCredentials(destination.pk).get("api_key") == kept


class TestMapping:
    def test_a_field_is_renamed_and_a_bad_one_is_refused_with_its_reason(
        self, page: Client, connect_vendor: Connect
    ) -> None:
        destination = connect_vendor(Vendor())
        address = f"{CONNECTIONS}{destination.pk}/change/"
        good = mapping_form(destination, **{"fields-0-name": "level"})
        assert page.post(address, good).status_code == 302
        names = FieldMapping.objects.filter(connection=destination).values_list("name", flat=True)
        assert "level" in names
        for change, problem in (
            ({"fields-0-attribute": "consent.email"}, "belongs to the vendor, always"),
            ({"fields-0-owner": "vendor"}, "belongs to loyalty, always"),
        ):
            refused = page.post(address, mapping_form(destination, **change))
            assert problem in text_of(refused)

    def test_the_preview_shows_a_real_member_and_sends_nothing(
        self, page: Client, till: Till, connect_vendor: Connect
    ) -> None:
        vendor = Vendor()
        destination = connect_vendor(vendor)
        FieldMapping.objects.create(connection=destination, attribute="member_id", name="too_long")
        card = till.member(balance=321)
        address = f"{CONNECTIONS}{destination.pk}/preview/"
        shown = text_of(page.post(address, {"member": f"card:{card}"}))
        assert "loyalty_points" in shown
        by_card = text_of(page.post(address, {"member": card}))
        assert shown[shown.index("loyalty_points") :] == by_card[by_card.index("loyalty_points") :]
        assert "Nobody is found by this" in text_of(page.post(address, {"member": "a@b.example"}))
        assert "321" in shown
        assert "too_long was left out" in shown
        assert "No member" in text_of(page.post(address, {"member": "card:nobody"}))
        assert vendor.log == []

    def test_it_is_for_who_may_see_members(self, till: Till, connect_vendor: Connect) -> None:
        destination = connect_vendor(Vendor())
        user = User.objects.create_user(unique("cleo"), "", "pw", is_staff=True)
        client = Client()
        client.force_login(user)
        address = f"{CONNECTIONS}{destination.pk}/preview/"
        for may, status in (("view_connection", 403), ("view_member", 200)):
            user.user_permissions.add(Permission.objects.get(codename=may))
            answer = client.post(address, {"member": f"card:{till.member()}"})
            assert answer.status_code == status


class TestBackfills:
    def test_begin_pause_resume_cancel(
        self, page: Client, till: Till, connect_vendor: Connect
    ) -> None:
        till.member()
        destination = connect_vendor(Vendor())
        base = f"{CONNECTIONS}{destination.pk}"
        assert "1 members" in text_of(page.post(f"{base}/backfill/", follow=True))
        assert "under way" in text_of(page.post(f"{base}/backfill/", follow=True))
        for word, state in (("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")):
            page.post(f"{base}/{word}_backfill/")
            assert Backfill.objects.get(connection=destination).state == state
        assert "cancelled: 0 of 1 members" in text_of(page.get(f"{base}/change/"))

    def test_a_time_is_replayed(self, page: Client, till: Till, connect_vendor: Connect) -> None:
        till.member()
        destination = connect_vendor(Vendor(), from_beginning=True)
        drain()
        address = f"{CONNECTIONS}{destination.pk}/replay_time/"
        assert "datetime-local" in text_of(page.get(address))
        bad = page.post(address, {"since": "2099-01-01T00:00", "until": "2026-01-01T00:00"})
        assert "the earlier one first" in text_of(bad)
        nothing = {"since": "2020-01-01T00:00", "until": "2020-01-02T00:00"}
        assert "Nothing was recorded" in text_of(page.post(address, nothing))
        times = {"since": "2026-01-01T00:00", "until": "2099-01-01T00:00"}
        counted = text_of(page.post(address, times))
        assert "<strong>1 events</strong> would be sent again" in counted
        assert Delivery.objects.get(connection=destination).state == "delivered"
        assert "1 events" in text_of(page.post(address, {**times, "sure": "1"}, follow=True))
        assert Delivery.objects.get(connection=destination).state == "pending"

    def test_a_replay_that_would_reach_nobody_is_not_offered(
        self, page: Client, till: Till, connect_vendor: Connect
    ) -> None:
        @dataclass
        class Forgetful(Vendor):
            old_events: str = "It would write to people."

        till.member()
        destination = connect_vendor(Forgetful(), from_beginning=True)
        drain()
        address = f"{CONNECTIONS}{destination.pk}/replay_time/"
        times = {"since": "2026-01-01T00:00", "until": "2099-01-01T00:00", "sure": "1"}
        for response in (page.get(address), page.post(address, times)):
            shown = text_of(response)
            assert "all of its events would be skipped. It would write to people." in shown
            assert "datetime-local" not in shown
        assert Delivery.objects.get(connection=destination).state == "delivered"


def _colleague(right: str) -> Client:
    user = User.objects.create_user(unique("kim"), "", "pw", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename=right))
    client = Client()
    client.force_login(user)
    return client


def test_people_in_doubt_are_listed_and_resolved(
    page: Client, till: Till, connect_vendor: Connect
) -> None:
    vendor = Vendor()
    destination = connect_vendor(vendor)
    email = f"{unique('m')}@example.com"
    vendor.matches[email] = Match(candidates=("v-1", "v-2"))
    body = {"identifiers": [{"type": "email", "value": email}]}
    command = till.command(members.ENROL, EnrolRequest.model_validate(body))
    member = till.send(command)[0].id
    drain()
    address = f"{CONNECTIONS}{destination.pk}/people/"
    shown = text_of(page.get(address))
    assert member in shown
    assert "v-2" in shown
    assert email in shown
    assert email not in text_of(_colleague("change_connection").get(address))
    wrong = page.post(address, {"member": member, "vendor_id": "v-99"}, follow=True)
    assert "Choose one of the candidates" in text_of(wrong)
    page.post(address, {"member": member, "vendor_id": "v-2"})
    assert Contact.objects.get(connection=destination).vendor_id == "v-2"
    assert "Nobody" in text_of(page.get(address))
    page_shown = text_of(page.get(f"{CONNECTIONS}{destination.pk}/change/"))
    assert "2 in doubt in 24 hours" in page_shown
