"""`manage.py backtest`: try a program over the orders of a period; the ledger is only read."""

import getpass
import os
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from tqdm import tqdm

from loyalty.errors import LoyaltyError
from loyalty.programs import files
from loyalty.programs.expiry import local_day
from loyalty.programs.models import Program
from loyalty.programs.problems import DocumentInvalid
from loyalty.programs.selectors import get_program
from loyalty.trials import report, services
from loyalty.trials.candidates import Candidate, candidate, draft_of, version_of
from loyalty.trials.models import Backtest

NICE = 5
"""Tills come first: what a worker starts runs on what they leave."""


class Command(BaseCommand):
    """Run a backtest here and print what it found; it is kept for the admin, too."""

    help = "Try the draft, a version or a program file over the orders of a period."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare what is tried, on which orders, and where the tables go."""
        parser.add_argument("--program", metavar="CODE", help="the program whose orders are used")
        parser.add_argument("--from", dest="begin", type=_day, metavar="DAY", help="2026-01-01")
        parser.add_argument("--to", dest="end", type=_day, metavar="DAY", help="yesterday if not")
        tried = parser.add_mutually_exclusive_group()
        tried.add_argument("--file", metavar="FILE", help="a program file; the draft if not")
        tried.add_argument("--version-number", type=int, metavar="N", help="a published version")
        parser.add_argument("--csv", metavar="OUT", help="write all tables there; - is stdout")
        parser.add_argument("--run", type=int, metavar="ID", help="run one that a worker took")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run it with a progress bar; end with 1 where it fails."""
        if options["run"] is not None:
            os.nice(NICE)
            services.run_taken(options["run"])
            return
        if not options["program"] or options["begin"] is None:
            raise CommandError("Say which orders: --program CODE --from DAY, and --to DAY.")
        try:
            backtest = services.ask(**_asked(options))
        except (LoyaltyError, DocumentInvalid) as error:
            raise CommandError(error.detail) from None
        with tqdm(unit=" orders", file=sys.stderr, disable=None) as bar:
            done = services.run_backtest(backtest.pk, progress=_shown_on(bar))
        if done.result is None:
            raise CommandError(done.problem or f"The backtest ended as {done.state}.")
        if options["csv"]:
            self._write_csv(done, options["csv"])
        if options["csv"] != "-":
            for line in report.told(done):
                self.stdout.write(line)

    def _write_csv(self, backtest: Backtest, name: str) -> None:
        text = report.csv_text(backtest)
        if name == "-":
            self.stdout.write(text, ending="")
            return
        try:
            Path(name).write_text(text, encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{name} cannot be written: {error.strerror}.") from None


def _day(text: str) -> date:
    return date.fromisoformat(text)


def _asked(options: dict[str, Any]) -> dict[str, Any]:
    program = get_program(options["program"])
    yesterday = local_day(timezone.now(), program.timezone) - timedelta(days=1)
    return {
        "program": program,
        "tried": _tried(program, options),
        "begin": options["begin"],
        "end": options["end"] or yesterday,
        "actor": f"command line: {_user()}"[:150],
    }


def _tried(program: Program, options: dict[str, Any]) -> Candidate:
    if options["version_number"] is not None:
        return version_of(program, options["version_number"])
    if not options["file"]:
        return draft_of(program)
    try:
        document = files.read(Path(options["file"]).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{options['file']} cannot be read: {error}.") from None
    except files.ProgramFileInvalid as invalid:
        found = "\n".join(f"{options['file']}: {each}" for each in invalid.messages)
        raise CommandError(found) from None
    return candidate(program, document, label=Path(options["file"]).name)


def _shown_on(bar: Any) -> Callable[[int, int], None]:
    def show(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    return show


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
