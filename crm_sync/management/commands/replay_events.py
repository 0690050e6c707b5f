"""`manage.py replay_events`: send a connection again what it has lost."""

from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from crm_sync.models import Connection
from crm_sync.services.redeliver import replay, why_replays_are_skipped
from loyalty.events.selectors import positions_between


class Command(BaseCommand):
    """Send all wanted events of a time again, in order, with the ids that they had."""

    help = "Send a connection again all wanted events that were recorded in a time."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare whom and what."""
        parser.add_argument("--connection", type=int, required=True, metavar="ID")
        parser.add_argument(
            "--since", type=_instant, required=True, help="such as 2026-11-01T00:00:00+00:00"
        )
        parser.add_argument("--until", type=_instant, required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        """Make the deliveries; the workers send them."""
        connection = Connection.objects.filter(pk=options["connection"]).first()
        if connection is None:
            raise CommandError(f"There is no connection {options['connection']}.")
        if why := why_replays_are_skipped(connection):
            raise CommandError(f"All of the events would be skipped. {why}")
        found = positions_between(options["since"], options["until"])
        count = 0
        if found:
            count = replay(
                connection_id=options["connection"],
                after_position=found[0] - 1,
                up_to_position=found[1],
            )
        self.stdout.write(f"{count} events are on their way.")


def _instant(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("give an offset")
    return at
