"""`manage.py create_api_key --program CODE --scopes a,b`: prints a new key, once."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from loyalty.errors import NotFound
from loyalty.http.auth import SCOPES, create_api_key
from loyalty.programs.models import Program
from loyalty.programs.selectors import get_program


class Command(BaseCommand):
    """Make a key for a till or a system; only its hash is kept."""

    help = "Make an API key and print it. It cannot be shown again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare what a key may do."""
        parser.add_argument("--program", required=True, metavar="CODE", help="the program's code")
        scopes = parser.add_mutually_exclusive_group(required=True)
        scopes.add_argument("--scopes", metavar="A,B", help=f"of {', '.join(SCOPES)}")
        scopes.add_argument("--all-scopes", action="store_true", help="everything")
        parser.add_argument(
            "--store",
            action="append",
            default=[],
            metavar="CODE",
            help="bind the key to this store; may be given several times",
        )
        parser.add_argument("--rate-limit", type=int, metavar="N", help="requests per minute")
        parser.add_argument("--name", default="", help="who uses it; stands in the ledger")
        parser.add_argument("--json", action="store_true", help='print {"key": …, "id": …}')

    def handle(self, *args: Any, **options: Any) -> None:
        """Make the key."""
        program = _program(options["program"])
        _check_stores(program, options["store"])
        scopes = SCOPES if options["all_scopes"] else _words(options["scopes"])
        try:
            key, plain = create_api_key(
                program_id=program.pk,
                scopes=scopes,
                name=options["name"] or "command line",
                stores=options["store"],
                rate_limit=options["rate_limit"],
            )
        except ValueError as error:
            raise CommandError(str(error)) from None
        if options["json"]:
            self.stdout.write(json.dumps({"key": plain, "id": str(key.pk)}))
            return
        self.stdout.write(f"Key {key.pk} of {program.code}, shown this once:\n{plain}")


def _program(code: str) -> Program:
    try:
        return get_program(code)
    except NotFound as error:
        raise CommandError(error.detail) from None


def _check_stores(program: Program, codes: list[str]) -> None:
    """Refuse a store that does not exist: its key could never be used."""
    known = set(program.stores.values_list("code", flat=True))
    unknown = sorted(set(codes) - known)
    if unknown:
        raise CommandError(f"{program.code} has no store {', '.join(unknown)}.")


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]
