"""`manage.py load_demo`: fill an empty engine with a grocer's program and real receipts."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand

from loyalty.demo.access import keep_access
from loyalty.demo.market import EXAMPLE_CARD, RECEIPTS_FILE, demo_document
from loyalty.orders.models import OrderClaim
from loyalty.programs.models import Program
from loyalty.programs.services import apply_document

RECEIPTS = 2000


class Command(BaseCommand):
    """Load the demo; a second run finds everything there and changes nothing."""

    help = (
        "Publish the demo's program, make groups, an API key and an admin, and replay receipts. "
        "Ends with a line of JSON that says how to get in."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare where the engine runs and how much to load."""
        parser.add_argument("--base-url", default=settings.BASE_URL, metavar="URL")
        parser.add_argument(
            "--receipts", type=int, default=RECEIPTS, metavar="N", help=f"of {RECEIPTS}; 0 is none"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Bring the demo about, step by step."""
        home = Path(settings.LOYALTY_HOME)
        program = _program()
        call_command("create_groups", stdout=self.stdout)
        access = keep_access(program, home / "demo_access.json")
        self._replay(program, options["base_url"], options["receipts"], access.api_key)
        self.stdout.write(
            json.dumps(
                {
                    "api_key": access.api_key,
                    "admin_user": access.admin_user,
                    "admin_password": access.admin_password,
                    "program": program.code,
                    "example_card": EXAMPLE_CARD,
                    "member": f"card:{EXAMPLE_CARD}",
                    "currency": program.currency,
                }
            )
        )

    def _replay(self, program: Program, base_url: str, receipts: int, api_key: str) -> None:
        """Replay the receipts, unless they are there; a replay that was cut short is finished."""
        recorded = OrderClaim.objects.filter(program_id=program.pk).count()
        if recorded >= min(receipts, RECEIPTS):
            self.stdout.write(f"{program.code} has {recorded:,} orders; none are added.")
            return
        call_command(
            "replay_receipts",
            RECEIPTS_FILE,
            base_url=base_url,
            api_key=api_key,
            program=program.code,
            limit=receipts,
            stdout=self.stdout,
            stderr=self.stderr,
        )


def _program() -> Program:
    """Publish the program once; what marketers have made of it since stays."""
    document = demo_document()
    program = Program.objects.filter(code=document["program"], version__gt=0).first()
    return program or apply_document(document, actor="load_demo")
