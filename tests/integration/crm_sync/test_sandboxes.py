"""The CRMs of the demo: they are connected, keep what they know, and show it."""

import json
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.db import connection as database
from django.test import Client

from config.ports import free_port
from config.processes import wait_until
from crm_sync.adapters.outcomes import Delivered
from crm_sync.management.commands.crm_sandboxes import DEMO, connect, serve
from crm_sync.models import Backfill, BulkJob, Connection, Delivery
from crm_sync.sandboxes.keeping import Keeper
from crm_sync.sandboxes.klaviyo import Klaviyo
from crm_sync.sandboxes.segment import Segment
from crm_sync.services.backfill import step_backfill
from crm_sync.services.jobs import poll_jobs
from crm_sync.services.probe import probe
from tests.factories import Till
from tests.integration.crm_sync.outbox import drain

pytestmark = pytest.mark.usefixtures("development")


@pytest.fixture
def development(settings: Any) -> None:
    settings.CRM_ALLOW_PRIVATE_ADDRESSES = True


@pytest.mark.parametrize("name", DEMO)
def test_each_sandbox_knows_after_a_restart_what_it_knew(name: str, tmp_path: Path) -> None:
    file = tmp_path / "folder" / "kept.pickle"
    with DEMO[name].sandbox() as first:
        keeper = Keeper(first, file)
        keeper.restore()
        assert not keeper.save()
        with httpx.Client(base_url=first.url) as client:
            client.get("/api/anything")
            assert not keeper.save()
            client.post("/api/anything", json={"data": {}})
        assert keeper.save()
        assert not keeper.save()
        before = first.people()
    assert file.stat().st_mode & 0o777 == 0o600
    with DEMO[name].sandbox() as second:
        Keeper(second, file).restore()
        assert second.people() == before
        assert httpx.get(second.url).status_code == 200


def test_a_file_that_cannot_be_read_is_as_good_as_none(tmp_path: Path) -> None:
    (tmp_path / "kept.pickle").write_bytes(b"something else")
    with Klaviyo() as klaviyo:
        Keeper(klaviyo, tmp_path / "kept.pickle").restore()
        assert klaviyo.people() == []


def test_a_connection_is_made_once_and_told_of_everybody(till: Till, klaviyo: Klaviyo) -> None:
    card = till.member(balance=30)
    for _ in range(2):
        connect("klaviyo", klaviyo, program_code=till.program.code)
    (made,) = Connection.objects.filter(program=till.program)
    assert made.name == "Klaviyo on this machine"
    step_backfill(backfill_id=Backfill.objects.get(connection=made).pk)
    BulkJob.objects.filter(connection=made).update(ask_at=made.created_at)
    poll_jobs()
    drain()
    (person,) = klaviyo.people()
    assert person.fields["loyalty_member_id"] == till.ids[card]
    assert person.fields["loyalty_points_balance"] == 30
    assert [line.partition(" ")[2] for line in person.timeline] == [
        "Loyalty Member Enrolled",
        "Loyalty Points Adjusted",
    ]
    assert all(event["backfill"] for known in klaviyo.profiles.values() for event in known.events)
    with Klaviyo() as elsewhere:
        connect("klaviyo", elsewhere, program_code=till.program.code)
        made.refresh_from_db()
        assert made.config["address"] == elsewhere.url


@pytest.mark.parametrize("name", DEMO)
def test_a_connection_follows_its_sandbox_and_is_let_in(name: str, till: Till) -> None:
    for _ in range(2):  # the second one listens elsewhere
        with DEMO[name].sandbox() as sandbox:
            connect(name, sandbox, program_code=till.program.code)
            made = Connection.objects.get(program=till.program)
            assert {made.config[setting] for setting in DEMO[name].addresses} == {sandbox.url}
            assert isinstance(probe(made), Delivered)


def test_the_connections_page_leads_to_it(page: Client, till: Till, klaviyo: Klaviyo) -> None:
    connect("klaviyo", klaviyo, program_code=till.program.code)
    made = Connection.objects.get(program=till.program)
    shown = page.get(f"/admin/crm_sync/connection/{made.pk}/change/").content.decode()
    assert f'href="{klaviyo.url}"' in shown


def _serve(**options: Any) -> None:
    try:
        serve(**options)
    finally:
        database.close()


def test_one_process_serves_all_of_them_and_keeps_what_they_know(
    till: Till, tmp_path: Path
) -> None:
    till.member(balance=5)
    ports = {name: free_port() for name in ("receiver", *DEMO)}
    ended = threading.Event()
    options = {"program_code": till.program.code, "folder": tmp_path, "ended": ended}
    options |= {"ports": ports, "log": tmp_path / "log.jsonl"}
    process = threading.Thread(target=_serve, kwargs=options)
    process.start()
    try:
        told = Delivery.objects.filter(connection__program=till.program)
        connected = told.values("connection").distinct()
        assert wait_until(lambda: connected.count() == len(DEMO), 60)
        drain()
        for port in ports.values():
            assert httpx.get(f"http://127.0.0.1:{port}/").status_code == 200
        till.adjust(next(iter(till.ids)), 1)
        drain()
        received = (tmp_path / "log.jsonl").read_text().splitlines()
        assert json.loads(received[-1])["type"] == "points.adjusted"
        shown = httpx.get(f"http://127.0.0.1:{ports['receiver']}/").text
        assert "points.adjusted" in shown
        nobody = httpx.get(f"http://127.0.0.1:{ports['receiver']}/?q=nobody-at-all").text
        assert "Nobody." in nobody
    finally:
        ended.set()
        process.join()
    with Klaviyo() as again:
        Keeper(again, tmp_path / "klaviyo.pickle").restore()
        (person,) = again.people()
        assert person.fields["loyalty_points_balance"] == 6
    with Segment() as another:
        Keeper(another, tmp_path / "segment.pickle").restore()
        (person,) = another.people()
        assert person.fields["loyalty_points_balance"] == 6
        assert person.timeline[-1].endswith("Loyalty Points Adjusted")
