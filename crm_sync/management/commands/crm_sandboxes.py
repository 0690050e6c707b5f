"""`manage.py crm_sandboxes`: CRMs on this machine, connected to a program, for `make run`.

One process for all of them: a receiver of webhooks, and sandboxes of vendors. Each has a page at
its address that shows whom it knows and what happened to them.
"""

import signal
import threading
from argparse import ArgumentParser
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from django.core.management.base import BaseCommand
from django.db import close_old_connections

from crm_sync.management.commands import webhook_receiver
from crm_sync.management.commands.webhook_receiver import Receiver
from crm_sync.models import Connection
from crm_sync.sandboxes.keeping import Keeper
from crm_sync.sandboxes.klaviyo import Klaviyo
from crm_sync.sandboxes.segment import Segment
from crm_sync.sandboxes.server import Sandbox
from crm_sync.services.backfill import start_backfill
from crm_sync.services.connections import create_connection
from crm_sync.services.redeliver import replay
from loyalty.events import selectors as events
from loyalty.programs.selectors import get_program

SAVE_SECONDS: Final = 5.0
OLD_EVENTS: Final = 300  # of those before the connection, so that timelines have something to show


@dataclass(frozen=True)
class Shown:
    """A vendor of the demo: its sandbox, and what a connection to it needs.

    Attributes:
        addresses: Settings that say where the sandbox is, which every start may change.
    """

    sandbox: type[Sandbox]
    addresses: tuple[str, ...] = ("address",)
    config: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)

    def config_at(self, url: str) -> dict[str, str]:
        """Give the settings of a connection to the sandbox at this address."""
        return {**self.config, **dict.fromkeys(self.addresses, url)}


# Both take members of whom only a card is known, as the demo's are; HubSpot takes no such people.
DEMO: Final = {
    "klaviyo": Shown(Klaviyo, secrets={"api_key": "pk_sandbox"}),
    "segment": Shown(
        Segment,
        addresses=("address", "profiles_address"),
        config={"space_id": "spa_sandbox"},
        secrets={"write_key": "write-sandbox", "profiles_token": "token-sandbox"},
    ),
}


class Command(BaseCommand):
    """Run the sandboxes until somebody ends the process."""

    help = "Run CRMs on this machine, connected to a program, that keep and show what they get."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the program, the ports, and where things are kept."""
        parser.add_argument("--program", required=True)
        parser.add_argument("--receiver-port", type=int, required=True)
        parser.add_argument("--log", type=Path, required=True, metavar="FILE")
        parser.add_argument("--folder", type=Path, required=True)
        for name in DEMO:
            parser.add_argument(f"--{name}-port", type=int, required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve, connect, and keep what they know until we are told to end."""
        ended = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: ended.set())
        ports = {name: options[f"{name}_port"] for name in ("receiver", *DEMO)}
        serve(
            program_code=options["program"],
            ports=ports,
            log=options["log"],
            folder=options["folder"],
            ended=ended,
        )


def serve(
    *, program_code: str, ports: Mapping[str, int], log: Path, folder: Path, ended: threading.Event
) -> None:
    """Serve, connect, and keep what they know until we are told to end."""
    with ExitStack() as running:
        keepers = {name: _open(running, name, ports[name], folder) for name in DEMO}
        receiver = Receiver(ports["receiver"], log, webhook_receiver.known_secrets)
        running.enter_context(receiver)
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        running.callback(receiver.shutdown)
        webhook_receiver.connect(program_code=program_code, port=ports["receiver"])
        for name, keeper in keepers.items():
            connect(name, keeper.sandbox, program_code=program_code)
        close_old_connections()
        while not ended.wait(SAVE_SECONDS):
            for keeper in keepers.values():
                keeper.save()


def _open(running: ExitStack, name: str, port: int, folder: Path) -> Keeper:
    sandbox = DEMO[name].sandbox(port=port)
    sandbox.keeps_calls = False
    keeper = Keeper(sandbox, folder / f"{name}.pickle")
    keeper.restore()
    running.enter_context(sandbox)
    running.callback(keeper.save)
    return keeper


def connect(name: str, sandbox: Sandbox, *, program_code: str) -> None:
    """Make the connection, and tell it of everybody; or turn it to where the sandbox is now."""
    program = get_program(program_code)
    title = f"{sandbox.title} on this machine"
    known = Connection.objects.filter(program=program, name=title, adapter=name).first()
    if known is not None:
        Connection.objects.filter(pk=known.pk).update(
            config={**known.config, **DEMO[name].config_at(sandbox.url)}
        )
        return
    made = create_connection(
        program_id=program.pk,
        name=title,
        adapter=name,
        config=DEMO[name].config_at(sandbox.url),
        secrets=DEMO[name].secrets,
    )
    start_backfill(connection_id=made.pk, by="make run")
    head = events.last_position()
    replay(connection_id=made.pk, after_position=max(0, head - OLD_EVENTS), up_to_position=head)
