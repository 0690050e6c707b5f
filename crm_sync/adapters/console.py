"""Writes events to the log, and to a file if asked: to look at, in development and demos."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import structlog

from crm_sync.adapters.access import Target
from crm_sync.adapters.contract import ConfigRefused, Environment, Outgoing, Setting
from crm_sync.adapters.outcomes import Configuration, Delivered, Outcome

log = structlog.get_logger(__name__)


class ConsoleAdapter:
    """Logs one line an event; with {"path": …} appends the whole event to that file as well."""

    title = "Console: lines in the worker's log, to look at"
    settings = (
        Setting(
            name="path",
            label="File",
            help="Also append to this file, such as events.jsonl. May be empty.",
        ),
    )
    batch_size = 50
    is_signed = False

    def __init__(self, environment: Environment) -> None:
        self._home = environment.home

    def check(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return {} or {"path": …}; the file must lie below the installation's own folder."""
        unknown = set(config) - {"path"}
        if unknown:
            raise ConfigRefused(f"The console has no setting named {sorted(unknown)[0]}.")
        if not config.get("path"):
            return {}
        self._file(str(config["path"]))
        return {"path": str(config["path"])}

    def probe(self, target: Target, event: Outgoing) -> Outcome:
        """Log an event."""
        return self.send(target, [event])[0]

    def send(self, target: Target, deliveries: Sequence[Outgoing]) -> list[Outcome]:
        """Log the events; one that cannot be written to the file is a wrong configuration."""
        for delivery in deliveries:
            log.info(
                "event",
                event_id=delivery.event_id,
                type=delivery.body.get("type"),
                member=delivery.body.get("member"),
                sequence=delivery.body.get("sequence"),
            )
        try:
            if target.config.get("path"):
                _append(self._file(str(target.config["path"])), deliveries)
        except (OSError, ConfigRefused) as error:
            return [Configuration(error=f"The file cannot be written: {error}"[:500])]
        return [Delivered() for _ in deliveries]

    def _file(self, path: str) -> Path:
        home = self._home.resolve()
        file = (home / path).resolve()
        # Keys and the database's own files lie there too; none of them ends like this.
        if not file.is_relative_to(home) or file.suffix != ".jsonl":
            raise ConfigRefused(f"Give a file below {home} whose name ends in .jsonl.")
        return file


def _append(file: Path, deliveries: Sequence[Outgoing]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = b"".join(orjson.dumps(delivery.body) + b"\n" for delivery in deliveries)
    with file.open("ab", buffering=0) as stream:
        stream.write(lines)  # one write: lines of several workers do not mix
