"""Backfills through the engine: of vendors whose bulk form answers at once, and of Shopify."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.utils import timezone

from crm_sync.models import Allowance, Backfill, BulkJob, Connection, Contact
from crm_sync.sandboxes.hubspot import HubSpot
from crm_sync.sandboxes.segment import Segment
from crm_sync.sandboxes.server import Sandbox
from crm_sync.sandboxes.shopify import Shopify
from crm_sync.services.backfill import start_backfill, step_backfill
from crm_sync.services.connections import create_connection
from crm_sync.services.jobs import poll_jobs
from loyalty.members import services as members
from loyalty.members.schemas import EnrolRequest
from tests.factories import Till, unique
from tests.integration.crm_sync.outbox import drain, pass_time

PEOPLE, NAMELESS = 45, 5


def _hubspot(sandbox: HubSpot) -> dict[str, Any]:
    config = {"address": sandbox.url, "hub_id": "77"}
    return {"config": config, "secrets": {"access_token": sandbox.access_token}}


def _shopify(sandbox: Shopify) -> dict[str, Any]:
    return {
        "config": {"address": sandbox.url},
        "secrets": {"access_token": sandbox.access_token},
    }


def _segment(sandbox: Segment) -> dict[str, Any]:
    return {"config": {"address": sandbox.url}, "secrets": {"write_key": sandbox.write_key}}


KINDS: dict[str, tuple[Callable[[], Any], Callable[[Any], dict[str, Any]]]] = {
    "hubspot": (HubSpot, _hubspot),
    "shopify": (Shopify, _shopify),
    "segment": (Segment, _segment),
}


@contextmanager
def connected(till: Till, kind: str) -> Iterator[tuple[Any, Connection]]:
    make, options = KINDS[kind]
    with make() as sandbox:
        connection = create_connection(
            program_id=till.program.pk, name=kind, adapter=kind, **options(sandbox)
        )
        yield sandbox, connection


def enrol(till: Till, *emails: str) -> None:
    commands = []
    for email in emails:
        ids = [{"type": "card", "value": unique("c")}]
        ids += [{"type": "email", "value": email, "verified": True}] if email else []
        body = EnrolRequest.model_validate({"identifiers": ids})
        commands.append(till.command(members.ENROL, body, ids))
    assert {one.status for one in till.send(*commands)} == {201}


def run(backfill: Backfill, connection: Connection) -> None:
    for _ in range(20):
        step_backfill(backfill_id=backfill.pk)
        drain()
        BulkJob.objects.filter(connection=connection).update(ask_at=timezone.now())
        poll_jobs()
        pass_time(connection)
        Allowance.objects.filter(connection=connection).delete()  # nobody waits in tests
        backfill.refresh_from_db()
        if backfill.state == "done":
            return
    raise AssertionError(f"it is {backfill.state}")


def told(sandbox: Sandbox) -> list[str]:
    names = ("loyalty_tier", "tier")
    return [str(next(one.fields[n] for n in names if n in one.fields)) for one in sandbox.people()]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_everybody_who_can_be_told_is_told_in_few_calls(
    till: Till, settings: Any, kind: str
) -> None:
    settings.CRM_ALLOW_PRIVATE_ADDRESSES = True
    enrol(till, *(f"p{n}@example.com" for n in range(PEOPLE)), *[""] * NAMELESS)
    with connected(till, kind) as (sandbox, connection):
        run(start_backfill(connection_id=connection.pk), connection)
        nameless = NAMELESS if kind == "segment" else 0
        assert told(sandbox) == ["bronze"] * (PEOPLE + nameless)
        assert len(sandbox.calls) <= 12
        rows = Contact.objects.filter(connection=connection)
        assert set(rows.values_list("stuck", flat=True)) == {""}
        skipped = rows.exclude(last_error="").count()
        assert skipped == NAMELESS - nameless
        jobs = BulkJob.objects.filter(connection=connection)
        assert [len(job.items) for job in jobs] == ([PEOPLE] if kind == "shopify" else [])
