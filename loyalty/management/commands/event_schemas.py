"""`manage.py event_schemas FOLDER`: write the JSON Schema of every type of event."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from loyalty.events.catalogue import CATALOGUE, json_schema


class Command(BaseCommand):
    """Write one file for each type and version."""

    help = "Write the JSON Schemas of all events into a folder, one file for each type and version."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the folder."""
        parser.add_argument("folder", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        """Write them, and take away what is no type any more."""
        folder: Path = options["folder"]
        folder.mkdir(parents=True, exist_ok=True)
        files = {f"{type_}.v1.json": json_schema(type_) for type_ in CATALOGUE}
        for old in folder.glob("*.json"):
            if old.name not in files:
                old.unlink()
        for name, schema in files.items():
            text = json.dumps(schema, indent=1, ensure_ascii=False)
            (folder / name).write_text(text + "\n", encoding="utf-8")
        self.stdout.write(f"{len(files)} schemas are in {folder}.")
