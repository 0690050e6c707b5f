"""`manage.py create_webhook`: connect a webhook and print its signing secret, once."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from crm_sync.adapters.contract import ConfigRefused
from crm_sync.models import Connection
from crm_sync.services.connections import create_connection
from crm_sync.signing import current_secret
from loyalty.programs.models import Program


class Command(BaseCommand):
    """Connect a webhook to a program, for scripts; people use the admin."""

    help = "Connect a webhook to a program and print its signing secret, which is shown only once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare what a webhook needs."""
        parser.add_argument("--program", required=True, metavar="CODE")
        parser.add_argument("--url", required=True, metavar="URL")
        parser.add_argument("--name", default="Webhook", help="unique in its program")
        parser.add_argument("--types", default="", help="such as points.*,tier.upgraded; or all")
        parser.add_argument(
            "--from-beginning", action="store_true", help="send all events that are kept"
        )
        parser.add_argument("--json", action="store_true", help='prints {"id": …, "secret": "…"}')

    def handle(self, *args: Any, **options: Any) -> None:
        """Create the connection, or say in one sentence why not."""
        program = Program.objects.filter(code=options["program"]).first()
        if program is None:
            raise CommandError(f"There is no program {options['program']}.")
        if Connection.objects.filter(program=program, name=options["name"]).exists():
            raise CommandError(f"{program} has a connection named {options['name']} already.")
        try:
            connection = create_connection(
                program_id=program.pk,
                name=options["name"],
                adapter="webhook",
                config={"url": options["url"]},
                event_types=[word.strip() for word in options["types"].split(",") if word.strip()],
                from_beginning=options["from_beginning"],
            )
        except ConfigRefused as error:
            raise CommandError(str(error)) from None
        secret = current_secret(connection)
        if options["json"]:
            self.stdout.write(json.dumps({"id": connection.pk, "secret": secret}))
        else:
            self.stdout.write(f"Connection {connection.pk}. Its signing secret, shown only now:")
            self.stdout.write(secret)
