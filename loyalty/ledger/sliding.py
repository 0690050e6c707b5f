"""Lots that end together, at a date of the member's that activity moves.

Pure: works on the books in memory, like the other operations of `loyalty.ledger.rules`. Why one
date, and not one in each lot: docs/decisions/0014.
"""

from datetime import datetime

from loyalty.ledger.rules import Books


def slide(books: Books, until: datetime) -> None:
    """Move the end of all lots that slide."""
    for lot in books.lots.values():
        if lot.slides:
            lot.expires_at = until


def stop_sliding(books: Books) -> None:
    """Leave every lot the end that it has come to: a lot that has ended does not live again."""
    for lot in books.lots.values():
        lot.slides = False
