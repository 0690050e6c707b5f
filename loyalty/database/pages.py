"""Read many rows without having all of them, and without a cursor of the server's.

Such a cursor lives in a session, and a pooler gives each transaction to another one.
"""

from collections.abc import Iterator
from typing import Final, TypeVar

from django.db.models import Model, QuerySet

ROWS_AT_ONCE: Final = 500

Instance = TypeVar("Instance", bound=Model)


def by_key(rows: QuerySet[Instance], at_once: int = ROWS_AT_ONCE) -> Iterator[Instance]:
    """Give rows in the order of their primary key; each page is a statement of its own.

    What others change meanwhile is seen where it comes behind the page that is being read.
    """
    rows = rows.order_by("pk")
    page = list(rows[:at_once])
    while page:
        yield from page
        page = list(rows.filter(pk__gt=page[-1].pk)[:at_once])
