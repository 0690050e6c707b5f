"""Erase again whom a restored backup has brought back."""

import argparse
import re
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser

from loyalty.database.pages import by_key
from loyalty.engine.commands import Command as EngineCommand
from loyalty.engine.run import run
from loyalty.http.auth import Principal
from loyalty.ledger.models import MemberState
from loyalty.members.erasing import ERASE, digest_of
from loyalty.members.identifiers import MemberRef
from loyalty.members.schemas import EraseMember, EraseRequest

_DIGEST: Final = re.compile(r"\b[0-9a-f]{64}\b")


class Command(BaseCommand):
    """Read a list of `list_erasures`, and erase whoever of it is there and not erased."""

    help = "Erase again all members of a list that list_erasures printed; run it after a restore."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the list."""
        parser.add_argument("file", type=argparse.FileType(), help="What list_erasures printed.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Erase, and say how many."""
        wanted = set(_DIGEST.findall(options["file"].read()))
        if not wanted:
            raise CommandError("No hash is in this file; it should be what list_erasures printed.")
        found, erased = 0, 0
        for state in by_key(MemberState.objects.only("member_id", "program_id", "status")):
            if digest_of(state.member_id) not in wanted:
                continue
            found += 1
            if state.status in ("active", "frozen"):
                erased += _erase(str(state.member_id), state.program_id)
        self.stdout.write(
            f"{len(wanted)} in the list, {found} of them in this database, {erased} erased again."
        )


def _erase(member_id: str, program_id: int) -> int:
    engine = Principal(
        key_id=0, program_id=program_id, name="engine", scopes=frozenset(), source="system"
    )
    payload = EraseMember(MemberRef("id", member_id), EraseRequest())
    answer = run([EngineCommand(ERASE, payload, request_id="reapply")], principal=engine)[0]
    if answer.status != 200:
        raise CommandError(f"{member_id}: {answer.body.decode()}")
    return 1
