"""Ask shops which orders changed, for those that their webhooks did not tell.

What is read goes into the inbox as a webhook would have left it, under an id of the order and its
time: it is done as a webhook is, once, and an order that is known already changes nothing. Each
change is read even where a webhook brought one of the same second: it may have been another.

An order that cannot be read is left to the inbox under a topic of its own, which tries it again and
shows it to a person in the end; the walk goes on. Where the next one cannot be read either, it is
the shop that does not answer, and the walk waits.

A walk goes through a time that has a fixed end, page by page; the cursor moves after a page is in
the inbox, so a worker that dies, or a shop that fails in the middle, costs one page read again.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import orjson
import structlog
from django.conf import settings
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from crm_sync import vault
from crm_sync.adapters.contract import (
    ConfigRefused,
)
from crm_sync.adapters.orders import ListsOrders, OrderChanged, OrderPage, OrderTold
from crm_sync.adapters.outcomes import Outcome, Permanent, Postponed, Retryable, storable
from crm_sync.inbound.contract import Item
from crm_sync.inbound.models import InboxMessage, OrderCursor, Source
from crm_sync.inbound.receiving import keep
from crm_sync.inbound.rounds import LED_ROUND, step
from crm_sync.inbound.sources import check_account
from crm_sync.services.calls import adapter_of, call

log = structlog.get_logger(__name__)

# What clocks that differ, and a shop that finds an order late, may cost.
OVERLAP: Final = timedelta(minutes=10)
# A webhook of the last minute may still be on its way, and the second that runs is not over.
SETTLES: Final = timedelta(minutes=1)
UNREAD: Final = "orders/unread"
_FIRST_PAGE: Final = {"page": "", "mark": "", "pages": 0}


@dataclass(frozen=True, slots=True)
class Taken:
    """How far a page was put into the inbox.

    Attributes:
        outcome: Why no more, if the shop did not answer.
        is_all: Nothing is left of the page; else time was up.
    """

    count: int
    outcome: Outcome | None = None
    is_all: bool = True


def list_reconciled() -> list[int]:
    """List the sources whose turn it is: of the same vendor as their connection, which is asked.

    A source begins with what changed since it was created: what was sold before is not its own.
    """
    rows = Source.objects.filter(
        is_enabled=True,
        removed_at=None,
        kind=F("connection__adapter"),
        connection__is_enabled=True,
        connection__removed_at=None,
    )
    found = [
        row
        for row in rows.select_related("connection")
        if row.connection is not None
        and isinstance(adapter_of(row.connection), ListsOrders)
        and _is_of_its_account(row)
    ]
    OrderCursor.objects.bulk_create(
        [OrderCursor(source=row, since=row.created_at, next_at=Now()) for row in found],
        ignore_conflicts=True,
    )
    due = OrderCursor.objects.filter(source__in=found, next_at__lte=Now())
    due = due.exclude(source__connection__relay__resume_at__gt=Now())
    return list(due.order_by("next_at").values_list("pk", flat=True))


def _is_of_its_account(source: Source) -> bool:
    """Say whether the orders that would be read are this shop's; its page says so if not."""
    try:
        check_account(kind=source.kind, config=source.config, connection=source.connection)
    except ConfigRefused as error:
        OrderCursor.objects.filter(source=source).update(last_error=str(error)[:500])
        return False
    return True


def reconcile(*, source_id: int, seconds: float) -> int:
    """Read orders that changed, for a turn; return how many were put into the inbox."""
    # Claimed by moving its time: whoever asks at the same moment finds it gone.
    row = OrderCursor.objects.filter(pk=source_id, next_at__lte=Now())
    if not row.update(next_at=Now() + timedelta(seconds=settings.CRM_LEASE_SECONDS)):
        return 0
    ends = time.monotonic() + seconds
    count = 0
    while True:
        cursor = OrderCursor.objects.select_related("source__connection").get(pk=source_id)
        cursor.until = cursor.until or timezone.now() - SETTLES
        page = _list(cursor)
        taken = _take_all(cursor.source, page, ends, is_first=count == 0)
        count += taken.count
        if taken.outcome is not None:
            _fail(cursor, storable(taken.outcome))
            return count
        if not taken.is_all:
            _pause(cursor)
            return count
        if not _keep(cursor, page.page):
            _fail(cursor, LED_ROUND)
            return count
        if not page.page or time.monotonic() >= ends:
            return count


def read_late(message: InboxMessage) -> OrderTold | Outcome | None:
    """Read the order of a message that says only that it could not be read; None if it is gone."""
    connection = message.source.connection
    adapter: Any = adapter_of(connection) if connection is not None else None
    if connection is None or not isinstance(adapter, ListsOrders):
        return Permanent(error="There is no connection any more by which to read the order.")
    ref = str(orjson.loads(vault.unseal(message.content)["content"])["id"])
    told: OrderTold | Outcome | None = call(
        connection, lambda target: adapter.read_order(target, ref)
    )
    return told


def _take_all(source: Source, page: OrderPage, ends: float, *, is_first: bool) -> Taken:
    """Put a page's orders into the inbox, as far as there is time and the shop answers."""
    count, is_in_doubt = 0, False
    for order in _unread(source, page.orders):
        if (count or not is_first) and time.monotonic() >= ends:
            return Taken(count, is_all=False)
        outcome = _take(source, order)
        if outcome is not None:
            if _is_the_shops(outcome) or (is_in_doubt and not isinstance(outcome, Permanent)):
                return Taken(count, outcome)
            log.warning("order not read", source=source.pk, ref=order.ref, error=outcome.error)
            content = orjson.dumps({"id": order.ref}).decode()
            keep(source, [Item(message_id=_name(order), topic=UNREAD, content=content)])
        is_in_doubt = outcome is not None and not isinstance(outcome, Permanent)
        count += 1
    return Taken(count, page.outcome)


def _is_the_shops(outcome: Outcome) -> bool:
    """Say whether no order at all can be read now."""
    return isinstance(outcome, Postponed) or (isinstance(outcome, Retryable) and outcome.throttled)


def _list(cursor: OrderCursor) -> OrderPage:
    connection, until = cursor.source.connection, cursor.until
    assert connection is not None and until is not None
    adapter: Any = adapter_of(connection)
    begin = cursor.since - OVERLAP
    found = call(connection, lambda target: adapter.list_orders(target, begin, until, cursor.page))
    return found if isinstance(found, OrderPage) else OrderPage(outcome=found)


def _take(source: Source, order: OrderChanged) -> Outcome | None:
    """Put an order into the inbox as it is now; say why it cannot be read, if it cannot."""
    connection = source.connection
    assert connection is not None
    adapter: Any = adapter_of(connection)
    told = call(connection, lambda target: adapter.read_order(target, order.ref))
    if isinstance(told, OrderTold):
        keep(source, [Item(message_id=_name(order), topic=told.topic, content=told.content)])
        return None
    outcome: Outcome | None = told
    return outcome


def _unread(source: Source, orders: Sequence[OrderChanged]) -> list[OrderChanged]:
    """Leave out what an earlier walk, or an earlier try, has put into the inbox."""
    names = [_name(order) for order in orders]
    found = InboxMessage.objects.filter(source=source, message_id__in=names)
    there = set(found.values_list("message_id", flat=True))
    return [order for order in orders if _name(order) not in there]


def _name(order: OrderChanged) -> str:
    return f"poll:{order.ref}:{order.changed_at}"


def _keep(cursor: OrderCursor, page: str) -> bool:
    """Go on with the next page; after the last, everything up to the end of the walk is read.

    What was wrong is said until then.

    Returns:
        False if the shop has led to that page before.
    """
    row = OrderCursor.objects.filter(pk=cursor.pk)
    if not page:
        wait = timedelta(seconds=settings.CRM_POLL_SECONDS)
        ended = {"since": cursor.until, "until": None, "next_at": Now() + wait, "last_error": ""}
        row.update(asked_at=Now(), **_FIRST_PAGE, **ended)
        return True
    walked = step(cursor.pages, cursor.mark, page)
    if walked is not None:
        pages, mark = walked
        row.update(
            asked_at=Now(), until=cursor.until, page=page, pages=pages, mark=mark, next_at=Now()
        )
    return walked is not None


def _pause(cursor: OrderCursor) -> None:
    """Go on with the same page at the next turn; what is in the inbox is not read again."""
    OrderCursor.objects.filter(pk=cursor.pk).update(until=cursor.until, next_at=Now())


def _fail(cursor: OrderCursor, outcome: Outcome) -> None:
    """Ask later; from the first page where this one may be the fault."""
    if isinstance(outcome, Postponed):
        seconds = outcome.seconds
    elif isinstance(outcome, Retryable) and outcome.throttled and outcome.retry_after:
        seconds = outcome.retry_after
    else:
        log.warning("orders not read", source=cursor.pk, error=outcome.error)
        asked = (outcome.retry_after if isinstance(outcome, Retryable) else None) or 0.0
        seconds = max(asked, float(settings.CRM_POLL_SECONDS))
    OrderCursor.objects.filter(pk=cursor.pk).update(
        next_at=Now() + timedelta(seconds=seconds),
        last_error=outcome.error[:500],
        **(_FIRST_PAGE if isinstance(outcome, Permanent) else {}),
    )
