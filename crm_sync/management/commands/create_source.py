"""`manage.py create_source`: let somebody send to us, and print address and secret, once."""

import json
import os
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from crm_sync.adapters.contract import ConfigRefused
from crm_sync.inbound.sources import create_source
from crm_sync.inbound.vendors import KINDS
from crm_sync.models import Connection, Source
from loyalty.programs.models import Program

SECRET = "SOURCE_SECRET"


class Command(BaseCommand):
    """Make a source of a program, for scripts; people use the admin."""

    help = (
        "Make a source and print where to send, and its secret, which is shown only once. A "
        f"vendor's own secret is taken from the variable {SECRET}, so that no history keeps it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare what a source needs."""
        parser.add_argument("--program", required=True, metavar="CODE")
        parser.add_argument("--kind", required=True, choices=sorted(KINDS))
        parser.add_argument("--name", required=True, help="unique in its program")
        parser.add_argument("--connection", metavar="NAME", help="to the same account, if any")
        parser.add_argument(
            "--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the kind"
        )
        parser.add_argument("--json", action="store_true", help='{"path": …, "secret": …}')

    def handle(self, *args: Any, **options: Any) -> None:
        """Create the source, or say in one sentence why not."""
        program = Program.objects.filter(code=options["program"]).first()
        if program is None:
            raise CommandError(f"There is no program {options['program']}.")
        if Source.objects.filter(program=program, name=options["name"], removed_at=None).exists():
            raise CommandError(f"{program} has a source named {options['name']} already.")
        kind = KINDS[options["kind"]]
        try:
            source, secret = create_source(
                program_id=program.pk,
                name=options["name"],
                kind=options["kind"],
                config=_settings(options["set"]),
                secret="" if kind.makes_secret else os.environ.get(SECRET, ""),
                connection_id=_connection(program, options["connection"]),
            )
        except ConfigRefused as error:
            raise CommandError(str(error)) from None
        told = {"path": f"/inbound/{source.key_id}"}
        if kind.makes_secret:
            told["secret"] = secret
        lines = [json.dumps(told)] if options["json"] else [f"{k}: {v}" for k, v in told.items()]
        self.stdout.write("\n".join(lines))


def _settings(given: list[str]) -> dict[str, str]:
    for one in given:
        if "=" not in one:
            raise CommandError(f"Write --set name=value, not {one}.")
    return dict(one.split("=", 1) for one in given)


def _connection(program: Program, name: str | None) -> int | None:
    if name is None:
        return None
    found = Connection.objects.filter(program=program, name=name, removed_at=None).first()
    if found is None:
        raise CommandError(f"{program} has no connection named {name}.")
    return found.pk
