"""Prove the ledger: `manage.py audit_ledger`."""

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from loyalty.ledger.audit import Finding, audit_side_by_side, count_rows
from loyalty.ledger.snapshot import snapshot


class Command(BaseCommand):
    """Prove every invariant of the ledger, say how many rows that took, and show what is wrong."""

    help = "Prove every invariant of the ledger; exits 1 and shows the rows where one is broken."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take how many connections share the work."""
        parser.add_argument(
            "--connections",
            type=int,
            choices=range(1, 17),
            default=2,
            metavar="N",
            help="checks that run at once, 1 to 16; all see the same moment (default: 2)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run all checks in one snapshot."""
        started = time.monotonic()
        broken = 0
        with snapshot(options["connections"]) as view:
            findings = audit_side_by_side(view)
            for finding in findings:
                broken += bool(finding.rows)
                self._tell(finding)
            counts = {name: told.result()[0]["count"] for name, told in count_rows(view).items()}
        seconds = max(time.monotonic() - started, 0.001)
        told = ", ".join(f"{count:,} {name}" for name, count in counts.items())
        rate = counts["postings"] / seconds
        self.stdout.write(f"{told}; {seconds:.1f} s, {rate:,.0f} postings a second.")
        if broken:
            raise CommandError(f"{broken} invariants are broken; the rows are above.")
        self.stdout.write(self.style.SUCCESS("The ledger is proved."))

    def _tell(self, finding: Finding) -> None:
        sign = self.style.ERROR("BROKEN") if finding.rows else self.style.SUCCESS("ok    ")
        self.stdout.write(f"{sign} {finding.check.invariant:8} {finding.check.says}")
        for row in finding.rows:
            facts = ", ".join(f"{name}={value}" for name, value in row.items())
            self.stdout.write(f"         {facts}")
