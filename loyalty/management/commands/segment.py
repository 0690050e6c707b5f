"""`manage.py segment load SEGMENT FILE | list`: fill named sets of members, and count them."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from pydantic import ValidationError
from tqdm import tqdm

from loyalty.errors import NotFound
from loyalty.management.lines import read_lines
from loyalty.members.identifiers import IDENTIFIER_TYPES
from loyalty.members.models import Segment
from loyalty.members.segment_lists import Loaded, load_list
from loyalty.members.segment_schemas import SEGMENT_CODE
from loyalty.members.segments import count_members_of, remove_others
from loyalty.programs.selectors import get_program


class Command(BaseCommand):
    """Fill a segment from a file, or list the segments."""

    help = "Put the members of a list into a segment, take them out, or list the segments."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the actions and their arguments."""
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        load = actions.add_parser("load", help="put the members of a list into a segment")
        shown = actions.add_parser("list", help="list the segments with their members' number")
        for action in (load, shown):
            action.add_argument("--program", required=True, metavar="CODE")
        load.add_argument("segment", metavar="SEGMENT", help="its code, as rules name it")
        load.add_argument(
            "file", metavar="FILE", help="a member in each line; - for standard input"
        )
        load.add_argument("--type", choices=IDENTIFIER_TYPES, help="what stands in each line")
        how = load.add_mutually_exclusive_group()
        how.add_argument("--remove", action="store_true", help="take them out instead")
        how.add_argument(
            "--replace", action="store_true", help="take out everybody who is not in the list"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the action."""
        try:
            program_id = get_program(options["program"]).pk
        except NotFound as error:
            raise CommandError(error.detail) from None
        if options["action"] == "load":
            self._load(program_id, options)
        else:
            self._list(program_id)

    def _load(self, program_id: int, options: dict[str, Any]) -> None:
        segment, told = _code(options["segment"]), Loaded()
        pieces = load_list(
            program_id,
            segment,
            read_lines(options["file"]),
            type_=options["type"],
            remove=options["remove"],
            keep=options["replace"],
        )
        with tqdm(unit=" lines", disable=None, file=sys.stderr) as bar:
            for told in pieces:
                bar.update(told.lines - bar.n)
        done = "taken out" if options["remove"] else "added"
        said = f"{segment}: {told.changed:,} members {done}, {told.same:,} as they were, "
        said += f"{told.unknown:,} unknown, {told.wrong:,} lines are no members."
        if options["replace"]:
            if not told.members:
                raise CommandError(f"{said} The list names nobody, so nobody is taken out.")
            said += f" {remove_others(program_id, segment, told.members):,} others taken out."
        self.stdout.write(said)
        if told.problems:
            raise CommandError("\n".join(told.problems))

    def _list(self, program_id: int) -> None:
        segments = list(Segment.objects.filter(program_id=program_id))
        counts = count_members_of(program_id, [segment.code for segment in segments])
        for segment in segments:
            number = counts.get(segment.code, 0)
            self.stdout.write(f"{segment.code}: {number:,} members ({segment.name})")


def _code(text: str) -> str:
    try:
        return SEGMENT_CODE.validate_python(text)
    except ValidationError:
        raise CommandError("A segment's code has 1 to 50 letters, digits and . _ -") from None
