"""`manage.py program apply FILE | diff FILE | export CODE`: programs as files."""

import getpass
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from loyalty.errors import NotFound
from loyalty.http.actors import named
from loyalty.programs import files, selectors, services
from loyalty.programs.changes import changes, review
from loyalty.programs.models import Program, PublishedVersion
from loyalty.programs.problems import DocumentInvalid


class Command(BaseCommand):
    """Write, compare and apply a whole program; ends with 1 where the file is refused."""

    help = "Apply a program file, show what it would change, or write a program as a file."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare one action and its one argument."""
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        apply = actions.add_parser(
            "apply", help="make a program what the file says, and publish it"
        )
        apply.add_argument("file", metavar="FILE", help="a program file, or - for standard input")
        apply.add_argument("--reason", default="", help="why, kept with the version")
        diff = actions.add_parser("diff", help="show what apply would change; nothing if nothing")
        diff.add_argument("--lines", action="store_true", help="as lines of the two files")
        diff.add_argument("file", metavar="FILE", help="a program file, or - for standard input")
        export = actions.add_parser("export", help="write what is live to standard output")
        export.add_argument("code", metavar="CODE", help="the program's code")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the action."""
        action = options["action"]
        if action == "export":
            self._export(options["code"])
        elif action == "diff":
            self._diff(options["file"], by_lines=options["lines"])
        else:
            self._apply(options["file"], reason=options["reason"])

    def _apply(self, name: str, *, reason: str) -> None:
        document = _read(name)
        code = document["program"]
        row = Program.objects.filter(code=code).first()
        before, gone = row.version if row else 0, _unpublished(row)
        actor = f"command line: {_user()}"[:100]
        try:
            program = services.apply_document(document, actor=actor, reason=reason[:500])
        except DocumentInvalid as invalid:
            raise CommandError("\n".join(f"{name}: {each}" for each in invalid.problems)) from None
        if program.version == before:
            self.stdout.write(f"{code}: nothing changed, version {before} stays live.")
        else:
            self.stdout.write(f"{code}: version {program.version} is live.")
            for line in _summary(program):
                self.stdout.write(f"  {line}")
        for line in gone:
            self.stdout.write(line)

    def _diff(self, name: str, *, by_lines: bool) -> None:
        wanted = _read(name)
        program = Program.objects.filter(code=wanted["program"]).first()
        live = selectors.live_document(program.pk) if program else None
        version, file = program.version if program else 0, f"file ({name})"
        if by_lines:
            text = files.diff(live, wanted, live_name=f"live (version {version})", wanted_name=file)
        else:
            of = f"changes of version {version}, which is live" if live else "would make live"
            told = review(changes(live, wanted))
            text = f"{wanted['program']}: what the {file} {of}\n\n{told}" if told else ""
        if text:
            self.stdout.write(text)

    def _export(self, code: str) -> None:
        try:
            live = selectors.live_document(selectors.get_program(code).pk)
        except NotFound as error:
            raise CommandError(error.detail) from None
        if live is None:
            raise CommandError(f'The program "{code}" is not published yet.')
        self.stdout.write(files.export(live), ending="")


def _read(name: str) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        return files.read(text)
    except OSError as error:
        raise CommandError(f"{name} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise CommandError(f"{name} is not text in UTF-8.") from None
    except files.ProgramFileInvalid as invalid:
        raise CommandError("\n".join(f"{name}: {each}" for each in invalid.messages)) from None


def _unpublished(program: Program | None) -> list[str]:
    """List the edits in the admin that applying a file takes out of the draft."""
    found = selectors.unpublished(program) if program is not None and program.version else []
    if not found or program is None:
        return []
    one = len(found) == 1
    who = named(program.edited_by)
    head = (
        f"  {len(found)} change{'' if one else 's'} of the draft, which {who} edited last, "
        f"{'was' if one else 'were'} not live and {'is' if one else 'are'} gone:"
    )
    return [head, *(f"    {change}" for change in found)]


def _summary(program: Program) -> list[str]:
    live = PublishedVersion.objects.get(program=program, version=program.version)
    return live.summary.splitlines()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
