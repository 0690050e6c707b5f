"""The engine, a till and Klaviyo; our sandbox against Klaviyo's own client; and every request
against Klaviyo's own contract where that is at hand.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from klaviyo_api import KlaviyoAPI

from crm_sync.adapters.access import Target
from crm_sync.adapters.contract import ConfigRefused, Person, Submitted
from crm_sync.adapters.klaviyo import REVISION, KlaviyoAdapter
from crm_sync.adapters.outcomes import (
    Delivered,
)
from crm_sync.models import Connection
from crm_sync.sandboxes.klaviyo import Klaviyo
from crm_sync.sandboxes.server import Call, Fault
from crm_sync.services.connections import create_connection
from tests.factories import Till
from tests.integration.crm_sync.klaviyo_calls import ADA, event, profile
from tests.integration.crm_sync.outbox import drain, pass_time
from tests.integration.crm_sync.vendor_specs import open_api
from tests.specs import folder


class TestJourney:
    """The engine, a till, and Klaviyo."""

    @pytest.fixture
    def connect(self, till: Till, klaviyo: Klaviyo, settings: Any) -> Callable[[], Connection]:
        settings.CRM_ALLOW_PRIVATE_ADDRESSES = True

        def make() -> Connection:
            return create_connection(
                program_id=till.program.pk,
                name="Klaviyo",
                adapter="klaviyo",
                config={"address": klaviyo.url},
                secrets={"api_key": klaviyo.api_key},
            )

        return make

    def test_the_right_profile_and_each_event_once_in_order(
        self, till: Till, klaviyo: Klaviyo, connect: Callable[[], Connection]
    ) -> None:
        destination = connect()
        card = till.member(balance=500)
        klaviyo.faults = [Fault(path="events", hangs_up=True)]
        for _ in range(3):
            drain()
            pass_time(destination)
        till.adjust(card, -200)
        drain()
        known = klaviyo.find("external_id", till.ids[card])
        assert known is not None
        assert [one["metric"] for one in known.events] == [
            "Loyalty Member Enrolled",
            *["Loyalty Points Adjusted"] * 2,
        ]
        # The till's request is named in the vendor's log.
        assert {one["properties"]["request_id"] for one in known.events} == {"test"}
        assert known.properties["loyalty_points_balance"] == 300
        assert known.properties["loyalty_tier"] == "bronze"

    def test_the_key_is_asked_for(self, till: Till, klaviyo: Klaviyo, connect: Any) -> None:
        with pytest.raises(ConfigRefused, match="Private API key is required"):
            create_connection(
                program_id=till.program.pk,
                name="Klaviyo",
                adapter="klaviyo",
                config={"address": klaviyo.url},
            )


class TestSandbox:
    """Klaviyo's own client takes our sandbox for Klaviyo."""

    def test_it_writes_reads_and_asks_for_jobs(self, klaviyo: Klaviyo) -> None:
        client: Any = KlaviyoAPI("pk_sandbox", max_retries=0, max_delay=1, test_host=klaviyo.url)
        ada = {"type": "profile", "attributes": {"email": "ada@example.com", "external_id": "m1"}}
        made = client.Profiles.create_or_update_profile({"data": ada})
        klaviyo.consent(klaviyo.profiles[made.data.id], "email", "SUBSCRIBED")
        listed = client.Profiles.get_profiles(
            filter='any(external_id,["m1"])', additional_fields_profile=["subscriptions"]
        )
        assert listed.data[0].attributes.subscriptions.email.marketing.consent == "SUBSCRIBED"
        metric = {"data": {"type": "metric", "attributes": {"name": "Loyalty Points Earned"}}}
        attributes = {"properties": {}, "metric": metric, "profile": {"data": ada}}
        for unique_id in ("a", "b", "a"):
            body = {"type": "event", "attributes": {**attributes, "unique_id": unique_id}}
            client.Events.create_event({"data": body})
        assert len(klaviyo.profiles[made.data.id].events) == 2
        bad = {"type": "profile", "attributes": {"email": "bad"}}
        job = {
            "type": "profile-bulk-import-job",
            "attributes": {"profiles": {"data": [ada, bad]}},
        }
        job_id = client.Profiles.bulk_import_profiles({"data": job}).data.id
        told = client.Profiles.get_bulk_import_profiles_job(job_id).data.attributes
        assert (told.status, told.failed_count) == ("complete", 1)
        errors = client.Profiles.get_errors_for_bulk_import_profiles_job(job_id, page_size=100)
        assert errors.data[0].attributes.source.pointer.endswith("/1")

    def test_it_finds_lists_and_reasons_where_we_do(
        self, klaviyo: Klaviyo, adapter: KlaviyoAdapter, account: Target
    ) -> None:
        client: Any = KlaviyoAPI("pk_sandbox", max_retries=0, max_delay=1, test_host=klaviyo.url)
        klaviyo.segments["list:Y6nRLr"] = []
        fields = ["email", "external_id", "properties"]
        client.Lists.get_profiles_for_list("Y6nRLr", fields_profile=fields, page_size=100)
        assert adapter.list_segment(account, "list:Y6nRLr", "").outcome is None
        bad = profile(Person(member_id="m2", email="bad"))
        submitted = adapter.push_bulk(account, [profile(), bad])
        assert isinstance(submitted, Submitted)
        adapter.poll_job(account, submitted.job_id, ["m1", "m2"])
        client.Profiles.get_errors_for_bulk_import_profiles_job(submitted.job_id, page_size=100)
        ours_and_theirs = [
            [(call.path, call.query) for call in klaviyo.calls if call.path.endswith(end)]
            for end in ("lists/Y6nRLr/profiles", "import-errors")
        ]
        for first, second in ours_and_theirs:
            assert first == second


class TestContract:
    """Klaviyo's own OpenAPI document."""

    def test_it_refuses_what_is_wrong(self) -> None:
        spec = open_api(folder("klaviyo") / "klaviyo-2026-07-15.slice.json")
        headers = {"revision": REVISION, "content-type": "application/vnd.api+json"}
        good: dict[str, Any] = {"data": {"type": "profile", "attributes": {"email": "a@b.c"}}}
        wrong: list[tuple[dict[str, str], Any]] = [
            ({"content-type": headers["content-type"]}, good),
            ({**headers, "content-type": "application/json"}, good),
            (headers, {"data": {"type": "person", "attributes": {}}}),
            (headers, {"data": {"type": "profile"}}),
            (headers, {"data": {"type": "profile", "attributes": {"mail": "a@b.c"}}}),
        ]
        assert spec.problems(Call("POST", "/api/profile-import", {}, headers, good)) == []
        for given, body in wrong:
            assert spec.problems(Call("POST", "/api/profile-import", {}, given, body)), body

    def test_it_takes_every_request_of_ours(
        self, klaviyo: Klaviyo, adapter: KlaviyoAdapter, account: Target
    ) -> None:
        spec = open_api(folder("klaviyo") / "klaviyo-2026-07-15.slice.json")
        (pushed,) = adapter.push(account, [profile(first_name="Ada", loyalty_tier=None)])
        assert isinstance(pushed, Delivered)
        known = replace(ADA, vendor_id=pushed.vendor_id)
        adapter.push(account, [profile(known)])
        adapter.send(account, [event(), event(2, person=known, is_backfill=True)])
        submitted = adapter.push_bulk(account, [profile(known)])
        assert isinstance(submitted, Submitted)
        adapter.poll_job(account, submitted.job_id, [known.member_id])
        adapter.match(account, [replace(ADA, phone="+15550100")])
        adapter.read(account, [known], ["loyalty_tier"])
        adapter.list_changes(account, adapter.list_changes(account, "").cursor)
        klaviyo.segments["Y6nRLr"] = [*klaviyo.profiles.values()] * 150
        adapter.list_segment(account, "Y6nRLr", adapter.list_segment(account, "Y6nRLr", "").page)
        adapter.probe(account, event())
        assert len(klaviyo.calls) == 15
        for call in klaviyo.calls:
            assert spec.problems(call) == [], call.path
