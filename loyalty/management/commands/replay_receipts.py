"""`manage.py replay_receipts FILE`: send real receipts through the API, as tills do."""

import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from loyalty.demo.market import Market, make_program, market_of
from loyalty.demo.receipts import Receipts, ReceiptsUnreadable, read_receipts
from loyalty.demo.replay import days_of_earlier_replay, replay
from loyalty.demo.till import ServerGone, Till
from loyalty.errors import NotFound
from loyalty.http.auth import create_api_key, revoke
from loyalty.programs.models import Program
from loyalty.programs.selectors import get_program

SCOPES = ("earn", "redeem", "members:read", "members:write")


class Command(BaseCommand):
    """Replay receipts over HTTP, tell what happened, and prove the ledger."""

    help = (
        "Send the receipts of a CSV file (columns in loyalty/demo/README.md) to a running engine, "
        "with redemptions, holds and returns; then audit the ledger. Exits 1 if it is not proved. "
        "A second run changes nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare what to send where."""
        parser.add_argument("file", type=Path, metavar="FILE", help="a CSV, or a .csv.gz")
        parser.add_argument("--base-url", default=settings.BASE_URL, metavar="URL")
        parser.add_argument("--api-key", default="", metavar="KEY", help="made for this run if not")
        parser.add_argument("--program", default="grocer", metavar="CODE")
        parser.add_argument("--connections", type=int, default=8, metavar="N", help="at once: 8")
        parser.add_argument("--limit", type=int, metavar="N", help="the first N baskets only")
        parser.add_argument(
            "--keep-dates",
            action="store_true",
            help="do not move the receipts by whole days so that the last one was yesterday",
        )
        parser.add_argument(
            "--make-program",
            action="store_true",
            help="add the stores that the program lacks; make it, with the demo's rules, if needed",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Read, send, tell, audit."""
        if options["connections"] < 1 or (options["limit"] or 1) < 1:
            raise CommandError("--connections and --limit are 1 or more.")
        try:
            receipts = read_receipts(options["file"])
            # Before anything is cut off, so that a first part is moved like the whole.
            last = receipts.baskets[-1].purchased_at.date()
            del receipts.baskets[options["limit"] or len(receipts.baskets) :]
            program = _program(options["program"], receipts, make=options["make_program"])
            market = market_of(program)
            with _key(program, options["api_key"]) as api_key:
                open_till = partial(Till, base_url=options["base_url"], api_key=api_key)
                if not options["keep_dates"]:
                    market = market.moved(_days(open_till(), receipts, market, last=last))
                self._replay(receipts, market, open_till, options["connections"])
        except (ReceiptsUnreadable, ServerGone) as error:
            raise CommandError(str(error)) from None
        except NotFound as error:
            raise CommandError(f"{error.detail} Add --make-program to make it.") from None
        call_command("audit_ledger", stdout=self.stdout, stderr=self.stderr)

    def _replay(
        self, receipts: Receipts, market: Market, open_till: partial[Till], tills: int
    ) -> None:
        began = time.monotonic()
        # Without a terminal there is no bar: it would fill a log.
        with tqdm(total=len(receipts.baskets), unit=" baskets", disable=None) as bar:
            tally = replay(
                receipts.baskets,
                market=market,
                open_till=open_till,
                tills=tills,
                progress=bar.update,
            )
        for line in tally.told(time.monotonic() - began):
            self.stdout.write(line)
        for what, count in receipts.odd().items():
            self.stdout.write(f"odd        {count:,} lines: {what}")
        skipped = [f"{count:,} {what}" for what, count in receipts.skipped.items()]
        self.stdout.write(f"skipped    {'; '.join(skipped) or 'nothing'}")


def _program(code: str, receipts: Receipts, *, make: bool) -> Program:
    if make:
        return make_program(code=code, stores=receipts.stores())
    program = get_program(code)
    lacking = sorted(receipts.stores() - market_of(program).stores)
    if lacking:
        some = ", ".join(lacking[:5]) + (", …" if lacking[5:] else "")
        raise CommandError(
            f"{code} lacks {len(lacking)} stores of the file ({some}): "
            "add them, or run this with --make-program, which does."
        )
    return program


def _days(till: Till, receipts: Receipts, market: Market, *, last: date) -> int:
    """Count the days by which to move, like an earlier replay if there was one."""
    try:
        days = days_of_earlier_replay(till, receipts.baskets, market)
    finally:
        till.close()
    if days is not None:
        return days
    yesterday = datetime.now(market.timezone).date() - timedelta(days=1)
    return (yesterday - last).days


@contextmanager
def _key(program: Program, given: str) -> Iterator[str]:
    """Give the key that was given, or one that lives as long as the replay."""
    if given:
        yield given
        return
    row, plain = create_api_key(program_id=program.pk, scopes=SCOPES, name="replay of receipts")
    try:
        yield plain
    finally:
        revoke(row)
