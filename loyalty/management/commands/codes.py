"""`manage.py codes load POOL FILE | show POOL | find POOL CODE`: single-use codes of pools."""

import sys
from argparse import ArgumentParser
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from loyalty.errors import NotFound
from loyalty.http.ids import encode_id
from loyalty.management.lines import read_lines
from loyalty.programs.selectors import get_program
from loyalty.rewards.pools import Loaded, count_codes, find_code, load_codes


class Command(BaseCommand):
    """Load codes from a file, count a pool's codes, find out who got one."""

    help = "Load single-use codes into a pool, count them, or find who got one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the actions and their arguments."""
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        load = actions.add_parser(
            "load", help="add codes; those that are in already stay as they are"
        )
        show = actions.add_parser("show", help="count the codes by state")
        find = actions.add_parser("find", help="tell where a code is")
        for action in (load, show, find):
            action.add_argument("pool", metavar="POOL", help="the pool's name, as rewards have it")
            action.add_argument("--program", required=True, metavar="CODE")
        load.add_argument("file", metavar="FILE", help="a code in each line; - for standard input")
        load.add_argument("--valid-until", type=date.fromisoformat, metavar="DATE",
                          help="last day of codes that have none of their own")  # fmt: skip
        find.add_argument("code", metavar="THE_CODE")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the action."""
        try:
            program_id = get_program(options["program"]).pk
        except NotFound as error:
            raise CommandError(error.detail) from None
        if options["action"] == "load":
            self._load(program_id, options)
        elif options["action"] == "show":
            counts = count_codes(program_id, options["pool"])
            self.stdout.write(", ".join(f"{number:,} {state}" for state, number in counts.items()))
        else:
            self._find(program_id, options["pool"], options["code"])

    def _load(self, program_id: int, options: dict[str, Any]) -> None:
        told = Loaded()
        with tqdm(unit=" lines", disable=None, file=sys.stderr) as bar:
            for told in load_codes(
                program_id,
                options["pool"],
                read_lines(options["file"]),
                valid_until=options["valid_until"],
            ):
                bar.update(told.lines - bar.n)
        self.stdout.write(
            f"{options['pool']}: {told.added:,} codes added, {told.known:,} known already, "
            f"{told.wrong:,} lines are no codes."
        )
        if told.wrong:
            raise CommandError("\n".join(told.problems))

    def _find(self, program_id: int, pool: str, code: str) -> None:
        found = find_code(program_id, pool, code)
        if found is None:
            raise CommandError(f"The pool {pool} has no such code.")
        redemption = ""
        if found.member_id is not None and found.number is not None:
            redemption = f", redemption {encode_id('rdm', found.member_id, found.number)}"
        self.stdout.write(f"{found.state}{redemption}")
