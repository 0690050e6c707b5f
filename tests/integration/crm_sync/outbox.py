"""A program of a test's own with events in the outbox, committed, and taken away afterwards.

Members are only ids here: deliveries know nothing of the ledger.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django.db import connection
from django.utils import timezone

from crm_sync.models import Attempt, Connection, Contact, Delivery, Lane, Relay, Source
from crm_sync.services.connections import create_connection
from crm_sync.services.deliver import serve_lane
from crm_sync.services.relay import claim_due_lanes, relay_events
from loyalty.events.models import OutboxEvent
from loyalty.events.rules import event_id
from loyalty.programs.models import Program


def committed_rows(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Stand in for pytest-django's own way, which wraps a test in a transaction or truncates.

    Relays and workers see only what is committed, and the ledger's tables refuse TRUNCATE.
    """
    with django_db_blocker.unblock():
        yield


class Outbox:
    """Writes events as the engine does, and connects receivers to them."""

    def __init__(self) -> None:
        code = f"test-{uuid4().hex[:12]}"
        self.program = Program.objects.create(code=code, name=code, currency="USD")
        self.sequences: Counter[UUID] = Counter()

    def write(
        self, member_id: UUID, type_: str = "points.earned", *, at: datetime | None = None
    ) -> OutboxEvent:
        """Write a member's next event; it is committed unless a transaction is open."""
        self.sequences[member_id] += 1
        return OutboxEvent.objects.create(
            **self.columns(member_id, self.sequences[member_id], type_, at)
        )

    def columns(
        self, member_id: UUID, sequence: int, type_: str, at: datetime | None = None
    ) -> dict[str, Any]:
        at = at or timezone.now()
        return {
            "member_id": member_id,
            "sequence": sequence,
            "program_id": self.program.pk,
            "type": type_,
            "occurred_at": at,
            "recorded_at": at,
            "cause": {"kind": "earn", "order": "1", "rules": [], "actor": "", "request_id": ""},
            "balances": {"available": sequence},
            "data": {"points": 1},
        }

    def write_many(self, members: int, each: int) -> list[str]:
        """Write events for so many new members, in one go; return their public ids."""
        return self.write_for([uuid4() for _ in range(members)], each)

    def write_for(self, members: list[UUID], each: int) -> list[str]:
        """Do so for members who have none yet."""
        rows = [
            OutboxEvent(**self.columns(member_id, sequence, "points.earned"))
            for sequence in range(1, each + 1)
            for member_id in members
        ]
        OutboxEvent.objects.bulk_create(rows, batch_size=2000)
        return [event_id(row.member_id, row.sequence) for row in rows]

    def connect(self, url: str = "", **options: Any) -> Connection:
        """Connect a webhook, or the console where no URL is given."""
        kind = {"adapter": "webhook", "config": {"url": url}} if url else {"adapter": "console"}
        values = {"config": {}, "name": f"c{uuid4().hex[:8]}", "from_beginning": True}
        return create_connection(program_id=self.program.pk, **{**values, **kind, **options})

    def remove(self) -> None:
        """Take away all that was written for this program."""
        forget(self.program)
        OutboxEvent.objects.filter(program_id=self.program.pk).delete()
        self.program.delete()


def forget(program: Program) -> None:
    """Take away a program's connections and sources, and all that was written for them."""
    Source.objects.filter(program=program).delete()
    mine = Connection.objects.filter(program=program)
    Attempt.objects.filter(delivery__connection__in=mine).delete()
    Attempt.objects.filter(connection__in=mine).delete()
    for model in (Delivery, Lane, Contact, Relay):
        model.objects.filter(connection__in=mine).delete()
    mine.delete()


def drain(rounds: int = 1000) -> None:
    """Do what relay and workers do, here, until nothing is due."""
    relay_events()
    for _ in range(rounds):
        leases = claim_due_lanes()
        if not leases:
            return
        for lease in leases:
            serve_lane(lease)


def pass_time(destination: Connection, interval: str = "30 days") -> None:
    """Let so much time pass for everything that waits at a connection: nobody waits in tests."""
    with connection.cursor() as cursor:
        for table, column in (
            ("crm_sync_lane", "next_at"),
            ("crm_sync_lane", "lease_until"),
            ("crm_sync_relay", "resume_at"),
            ("crm_sync_relay", "failing_since"),
        ):
            cursor.execute(
                f"UPDATE {table} SET {column} = {column} - %s::interval WHERE connection_id = %s",
                [interval, destination.pk],
            )
