"""What a vendor has otherwise than it was told: found, reported, put right."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.utils import timezone

from crm_sync.adapters.outcomes import Postponed
from crm_sync.models import BulkJob, Comparison, Connection, Contact, Drift
from crm_sync.sandboxes.klaviyo import Klaviyo
from crm_sync.sandboxes.server import Fault, Reply
from crm_sync.selectors import count_drifted
from crm_sync.services import compare, drift
from crm_sync.services.backfill import step_backfill
from crm_sync.services.compare import (
    ComparisonRefused,
    list_due_comparisons,
    start_all_comparisons,
    start_comparison,
    step_comparison,
)
from crm_sync.services.connections import create_connection
from crm_sync.services.drift import push_again, push_all_again
from crm_sync.services.prune import delete_old_deliveries
from tests.factories import Till
from tests.integration.crm_sync.outbox import drain
from tests.integration.crm_sync.vendor import Vendor
from tests.people import erase


@pytest.fixture
def destination(till: Till, klaviyo: Klaviyo, settings: Any) -> Connection:
    """Return a connection to a Klaviyo that nobody repairs by itself."""
    settings.CRM_ALLOW_PRIVATE_ADDRESSES = True
    made = create_connection(
        program_id=till.program.pk,
        name="Klaviyo",
        adapter="klaviyo",
        config={"address": klaviyo.url},
        secrets={"api_key": klaviyo.api_key},
    )
    repairing(made, False)
    return made


def repairing(destination: Connection, wanted: bool) -> None:
    Connection.objects.filter(pk=destination.pk).update(repairs_drift=wanted)


def told(till: Till, count: int) -> list[str]:
    ids = sorted(till.ids[till.member(balance=10 + n)] for n in range(count))
    drain()
    return ids


def compare_all(destination: Connection) -> Comparison:
    run = start_comparison(connection_id=destination.pk)
    while step_comparison(comparison_id=run.pk):
        pass
    run.refresh_from_db()
    return run


def at_vendor(klaviyo: Klaviyo, member_id: str) -> dict[str, Any]:
    known = klaviyo.find("external_id", member_id)
    assert known is not None
    return known.properties


def found(destination: Connection) -> list[tuple[str, str, str, str]]:
    rows = Drift.objects.filter(connection=destination).order_by("member_id", "name")
    return [(str(row.member_id), row.name, row.here, row.there) for row in rows]


class TestComparing:
    def test_what_somebody_changed_there_is_found_and_goes_when_it_is_right(
        self, till: Till, klaviyo: Klaviyo, destination: Connection
    ) -> None:
        ids = told(till, 3)
        assert compare_all(destination).compared == 3
        assert found(destination) == []
        at_vendor(klaviyo, ids[0]).update(loyalty_points_balance=9999, loyalty_tier="gold")
        at_vendor(klaviyo, ids[0]).update(shoe_size=43)
        run = compare_all(destination)
        assert (run.state, run.compared, run.drifted) == ("done", 3, 1)
        mine = at_vendor(klaviyo, ids[0])
        points = found(destination)[0][2]
        assert found(destination) == [
            (ids[0], "loyalty_points_balance", points, "9999"),
            (ids[0], "loyalty_tier", "bronze", "gold"),
        ]
        since = {row.since for row in Drift.objects.filter(connection=destination)}
        mine["loyalty_tier"] = "bronze"
        compare_all(destination)
        assert [row[1] for row in found(destination)] == ["loyalty_points_balance"]
        assert Drift.objects.get(connection=destination).since in since

    def test_what_was_not_told_yet_is_no_difference(
        self, till: Till, klaviyo: Klaviyo, destination: Connection
    ) -> None:
        card = till.member(balance=10)
        drain()
        till.adjust(card, 5)
        run = compare_all(destination)
        assert (run.compared, run.untold, found(destination)) == (0, 1, [])
        destination.fields.filter(name="loyalty_tier").delete()
        drain()
        destination.fields.create(attribute="status", name="standing")
        run = compare_all(destination)
        assert (run.compared, run.untold, found(destination)) == (0, 1, [])

    def test_what_is_told_while_we_ask_is_no_difference(
        self, till: Till, klaviyo: Klaviyo, destination: Connection, monkeypatch: Any
    ) -> None:
        card = till.member(balance=10)
        drain()
        real = compare.call

        def meanwhile(*args: Any) -> Any:
            till.adjust(card, 5)
            drain()
            return real(*args)

        monkeypatch.setattr(compare, "call", meanwhile)
        run = compare_all(destination)
        assert (run.compared, run.untold, found(destination)) == (0, 1, [])

    def test_whoever_is_not_known_there_any_more_is_one_difference(
        self, till: Till, klaviyo: Klaviyo, destination: Connection
    ) -> None:
        ids = told(till, 2)
        gone = klaviyo.find("external_id", ids[1])
        assert gone is not None
        del klaviyo.profiles[gone.id]
        compare_all(destination)
        assert found(destination) == [(ids[1], "", "a profile", "")]
        push_again(connection_id=destination.pk, member_ids=[UUID(ids[1])])
        drain()
        compare_all(destination)
        assert found(destination) == []

    def test_those_who_were_told_in_bulk_are_found_too(
        self, till: Till, klaviyo: Klaviyo, destination: Connection
    ) -> None:
        (member,) = told(till, 1)
        contact = Contact.objects.get(connection=destination, member_id=member)
        Contact.objects.filter(pk=contact.pk).update(vendor_id="")
        assert compare_all(destination).compared == 1
        contact.refresh_from_db()
        assert contact.vendor_id

    def test_whoever_is_erased_leaves_no_difference_behind(
        self, till: Till, klaviyo: Klaviyo, destination: Connection
    ) -> None:
        card = till.member(balance=10)
        drain()
        at_vendor(klaviyo, till.ids[card])["loyalty_tier"] = "Ada was here"
        compare_all(destination)
        assert found(destination)
        erase(till, card)
        drain()
        assert found(destination) == []


class TestGoingOn:
    def test_in_batches_and_from_where_somebody_stopped(
        self, till: Till, klaviyo: Klaviyo, destination: Connection, monkeypatch: Any
    ) -> None:
        ids = told(till, 5)
        monkeypatch.setattr(compare, "MEMBERS_AT_ONCE", 2)
        run = start_comparison(connection_id=destination.pk)
        assert step_comparison(comparison_id=run.pk)
        run.refresh_from_db()
        assert (run.compared, str(run.after)) == (2, ids[1])
        assert run.pk in list_due_comparisons()
        # Somebody has claimed the next step and dies: nobody else takes it until the lease ends.
        later = timezone.now() + timedelta(seconds=60)
        Comparison.objects.filter(pk=run.pk).update(next_at=later)
        assert not step_comparison(comparison_id=run.pk)
        assert run.pk not in list_due_comparisons()
        Comparison.objects.filter(pk=run.pk).update(next_at=timezone.now())
        while step_comparison(comparison_id=run.pk):
            pass
        run.refresh_from_db()
        assert (run.state, run.compared) == ("done", 5)

    def test_a_vendor_that_is_busy_is_asked_later_and_one_that_refuses_is_left(
        self, till: Till, klaviyo: Klaviyo, destination: Connection
    ) -> None:
        told(till, 1)
        run = start_comparison(connection_id=destination.pk)
        klaviyo.faults = [Fault(Reply(503))]
        assert not step_comparison(comparison_id=run.pk)
        run.refresh_from_db()
        assert (run.state, run.attempts) == ("running", 1)
        assert run.next_at > timezone.now()
        Comparison.objects.filter(pk=run.pk).update(next_at=timezone.now())
        klaviyo.faults = [Fault(Reply(401))]
        assert not step_comparison(comparison_id=run.pk)
        run.refresh_from_db()
        assert run.state == "failed"
        assert run.last_error

    def test_limits_are_waited_for(
        self, till: Till, klaviyo: Klaviyo, destination: Connection, monkeypatch: Any
    ) -> None:
        told(till, 1)
        monkeypatch.setattr(compare, "call", lambda *_: Postponed(seconds=7.0))
        run = start_comparison(connection_id=destination.pk)
        assert not step_comparison(comparison_id=run.pk)
        run.refresh_from_db()
        assert run.attempts == 0
        assert run.next_at > timezone.now() + timedelta(seconds=5)

    def test_one_at_a_time_each_night_and_only_where_it_can_be_asked(
        self, till: Till, destination: Connection, connect_vendor: Callable[..., Connection]
    ) -> None:
        other = connect_vendor(Vendor())
        with pytest.raises(ComparisonRefused, match="does not show"):
            start_comparison(connection_id=other.pk)
        start_all_comparisons()
        start_all_comparisons()
        (run,) = Comparison.objects.filter(connection__program=till.program)
        assert run.connection_id == destination.pk
        with pytest.raises(ComparisonRefused, match="under way"):
            start_comparison(connection_id=destination.pk)
        Connection.objects.filter(pk=destination.pk).update(is_enabled=False)
        assert run.pk not in list_due_comparisons()
        Comparison.objects.filter(pk=run.pk).update(state="done", ended_at=timezone.now())
        delete_old_deliveries(now=timezone.now() + timedelta(days=31))
        assert not Comparison.objects.filter(pk=run.pk).exists()


class TestPuttingRight:
    def test_all_who_differ_are_sent_again_and_marked(
        self, till: Till, klaviyo: Klaviyo, destination: Connection
    ) -> None:
        ids = told(till, 3)
        for member in ids[:2]:
            at_vendor(klaviyo, member)["loyalty_tier"] = "gold"
        compare_all(destination)
        assert count_drifted()[destination.pk] == 2
        calls = len(klaviyo.calls)
        assert push_all_again(connection_id=destination.pk) == 2
        drain()
        assert [at_vendor(klaviyo, member)["loyalty_tier"] for member in ids] == ["bronze"] * 3
        assert len(klaviyo.calls) - calls == 2
        assert {row.pushed_at is None for row in Drift.objects.filter(connection=destination)} == {
            False
        }
        compare_all(destination)
        assert count_drifted().get(destination.pk, 0) == 0

    def test_many_go_by_a_backfill(
        self, till: Till, klaviyo: Klaviyo, destination: Connection, monkeypatch: Any
    ) -> None:
        ids = told(till, 3)
        for member in ids[:2]:
            at_vendor(klaviyo, member)["loyalty_tier"] = "gold"
        compare_all(destination)
        monkeypatch.setattr(drift, "FEW", 1)
        assert push_all_again(connection_id=destination.pk, by="ada") == 2
        backfill = destination.backfills.get()
        step_backfill(backfill_id=backfill.pk)
        job = BulkJob.objects.get(connection=destination)
        assert sorted(item[0] for item in job.items) == ids[:2]

    def test_the_night_repairs_by_itself_but_never_makes_anybody_anew(
        self, till: Till, klaviyo: Klaviyo, destination: Connection
    ) -> None:
        repairing(destination, True)
        ids = told(till, 2)
        at_vendor(klaviyo, ids[0])["loyalty_tier"] = "gold"
        gone = klaviyo.find("external_id", ids[1])
        assert gone is not None
        del klaviyo.profiles[gone.id]
        compare_all(destination)
        drain()
        assert at_vendor(klaviyo, ids[0])["loyalty_tier"] == "bronze"
        assert klaviyo.find("external_id", ids[1]) is None

    def test_where_many_differ_nothing_is_repaired_without_a_person(
        self, till: Till, klaviyo: Klaviyo, destination: Connection, monkeypatch: Any
    ) -> None:
        repairing(destination, True)
        monkeypatch.setattr(drift, "FEW_ENOUGH_TO_TRUST", 0)
        ids = told(till, 2)
        at_vendor(klaviyo, ids[0])["loyalty_tier"] = "gold"
        compare_all(destination)
        drain()
        assert at_vendor(klaviyo, ids[0])["loyalty_tier"] == "gold"


class TestPages:
    def test_a_person_compares_looks_and_repairs(
        self, page: Client, till: Till, klaviyo: Klaviyo, destination: Connection
    ) -> None:
        here = f"/admin/crm_sync/connection/{destination.pk}"
        ids = told(till, 2)
        at_vendor(klaviyo, ids[0])["loyalty_tier"] = "<b>gold</b>"
        asked = page.post(f"{here}/compare/", follow=True).content.decode()
        assert "It is under way" in asked
        assert "under way already" in page.post(f"{here}/compare/", follow=True).content.decode()
        while step_comparison(comparison_id=Comparison.objects.get(connection=destination).pk):
            pass
        shown = page.get(f"{here}/change/").content.decode()
        assert "/repair/" in shown
        assert "Members who differ: 1<" in shown
        assert "2 compared, 1 differed" in shown
        rows = f"/admin/crm_sync/drift/?connection__id__exact={destination.pk}"
        listed = page.get(rows).content.decode()
        for text in (ids[0], "loyalty_tier", "&lt;b&gt;gold&lt;/b&gt;", "bronze"):
            assert text in listed
        assert ids[0] not in page.get(f"{rows}&q=nothing").content.decode()
        assert ids[0] in page.get(f"{rows}&q={ids[0]}").content.decode()
        chosen = Drift.objects.get(connection=destination)
        form = {"action": "push_chosen_again", "_selected_action": str(chosen.pk)}
        assert "sent again: 1." in page.post(rows, form, follow=True).content.decode()
        drain()
        assert at_vendor(klaviyo, ids[0])["loyalty_tier"] == "bronze"
        at_vendor(klaviyo, ids[0])["loyalty_tier"] = "gold"
        assert "sent again: 1." in page.post(f"{here}/repair/", follow=True).content.decode()
        drain()
        assert at_vendor(klaviyo, ids[0])["loyalty_tier"] == "bronze"

    def test_only_what_can_be_asked_offers_it(
        self, page: Client, till: Till, connect_vendor: Callable[..., Connection]
    ) -> None:
        other = connect_vendor(Vendor())
        shown = page.get(f"/admin/crm_sync/connection/{other.pk}/change/").content.decode()
        assert "/compare/" not in shown
        assert "repairs_drift" not in shown
