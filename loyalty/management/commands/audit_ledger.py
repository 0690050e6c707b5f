"""Prove the ledger: `manage.py audit_ledger`."""

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction

from loyalty.ledger.audit import audit, count_rows

BEGIN = (
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    # Sums over a whole ledger want memory: so much for each step of a plan, then it goes to disk.
    "SET LOCAL work_mem = '128MB'",
    # Compiling these statements takes longer than it saves.
    "SET LOCAL jit = off",
)


class Command(BaseCommand):
    """Prove every invariant of the ledger, say how many rows that took, and show what is wrong."""

    help = "Prove every invariant of the ledger; exits 1 and shows the rows where one is broken."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run all checks in one snapshot."""
        started = time.monotonic()
        broken = 0
        with transaction.atomic():
            with connection.cursor() as cursor:
                for statement in BEGIN:
                    cursor.execute(statement)
            counts = count_rows()
            for finding in audit():
                broken += bool(finding.rows)
                sign = self.style.ERROR("BROKEN") if finding.rows else self.style.SUCCESS("ok    ")
                check = finding.check
                self.stdout.write(f"{sign} {check.invariant:8} {check.says}")
                for row in finding.rows:
                    facts = ", ".join(f"{name}={value}" for name, value in row.items())
                    self.stdout.write(f"         {facts}")
        seconds = max(time.monotonic() - started, 0.001)
        told = ", ".join(f"{count:,} {name}" for name, count in counts.items())
        rate = counts["postings"] / seconds
        self.stdout.write(f"{told}; {seconds:.1f} s, {rate:,.0f} postings a second.")
        if broken:
            raise CommandError(f"{broken} invariants are broken; the rows are above.")
        self.stdout.write(self.style.SUCCESS("The ledger is proved."))
