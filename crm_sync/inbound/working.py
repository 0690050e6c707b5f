"""Work on the inbox: claim what is due, do it, settle it.

A claim moves a message's time ahead, so that a worker that dies in the middle is followed by
another when that time has come. The number of attempts is the fence: whoever was overtaken settles
nothing. Doing a message twice is the same as once, since orders and consents are states.
"""

import random
import time
from datetime import datetime
from typing import Any

import structlog
from django.conf import settings
from django.db import DatabaseError
from django.db import connection as database
from django.db.models import Min

from crm_sync import vault
from crm_sync.adapters.access import SecretMissing
from crm_sync.adapters.orders import OrderTold
from crm_sync.adapters.outcomes import Permanent, storable
from crm_sync.inbound.applying import Result, apply, doubt_left
from crm_sync.inbound.contract import Said, Unreadable
from crm_sync.inbound.in_doubt import work_this_again
from crm_sync.inbound.models import InboxMessage
from crm_sync.inbound.people import Heard
from crm_sync.inbound.reconciling import UNREAD, read_late
from crm_sync.inbound.sources import kind_of
from crm_sync.inbound.vendors.generic import load_object
from crm_sync.rules import MAX_ATTEMPTS, retry_seconds
from loyalty.errors import LoyaltyError

AT_ONCE = 20
State = InboxMessage.State
log = structlog.get_logger(__name__)

_CLAIM = """
WITH due AS MATERIALIZED (
    SELECT message.id FROM crm_sync_inboxmessage AS message
    JOIN crm_sync_source AS source ON source.id = message.source_id
    WHERE message.state = 'pending' AND message.next_at <= statement_timestamp()
      AND source.is_enabled
    ORDER BY message.next_at LIMIT %(limit)s
    FOR UPDATE OF message SKIP LOCKED
)
UPDATE crm_sync_inboxmessage AS message
SET attempts = message.attempts + 1,
    next_at = clock_timestamp() + make_interval(secs => %(lease_seconds)s)
FROM due WHERE message.id = due.id
RETURNING message.id
"""

_GIVE_BACK = """
UPDATE crm_sync_inboxmessage SET attempts = attempts - 1, next_at = clock_timestamp()
WHERE id = %(id)s AND attempts = %(attempts)s AND state = 'pending'
"""

_LATER = """
UPDATE crm_sync_inboxmessage
SET note = %(note)s, next_at = clock_timestamp() + make_interval(secs => %(seconds)s)
WHERE id = %(id)s AND attempts = %(attempts)s AND state = 'pending'
"""

_READ_LATE = """
UPDATE crm_sync_inboxmessage SET topic = %(topic)s, content = %(content)s
WHERE id = %(id)s AND attempts = %(attempts)s AND state = 'pending'
"""

# A message that is settled for good names nobody any more.
_SETTLE = """
UPDATE crm_sync_inboxmessage SET
    state = %(state)s, note = %(note)s, candidates = %(candidates)s,
    member_id = coalesce(%(member)s, member_id), settled_at = clock_timestamp(),
    content = CASE WHEN %(state)s IN ('done', 'ignored') THEN '' ELSE content END,
    person = CASE WHEN %(state)s = 'ignored' THEN '' ELSE %(person)s END
WHERE id = %(id)s AND attempts = %(attempts)s AND state = 'pending'
"""


def work_inbox(*, seconds: float) -> int:
    """Work on what is due, for a turn; return how many messages were worked on."""
    ends = time.monotonic() + seconds
    count = 0
    while claimed := _claim():
        for message in claimed:
            if count and time.monotonic() >= ends:
                _execute(_GIVE_BACK, message)
                continue
            work(message)
            count += 1
        if time.monotonic() >= ends:
            break
    return count


def work(message: InboxMessage) -> None:
    """Do one claimed message, and write down what came of it."""
    if message.attempts > MAX_ATTEMPTS:  # only where no worker lived to write down what happened
        _settle(message, Result(State.DEAD, "Workers ended in the middle of it, again and again."))
        return
    try:
        if message.topic == UNREAD and not _read_late(message):
            return
        said = read(message)
        result = _apply(message, said)
    except (Unreadable, SecretMissing) as error:
        said, result = None, Result(State.DEAD, str(error))
    except (LoyaltyError, DatabaseError) as error:
        log.info("inbox has to wait", message=message.pk, error=str(error))
        _later(message, "The engine was busy.")
        return
    except Exception:
        log.exception("inbox failed", message=message.pk)
        _later(message, "It failed here; the worker's log says how.")
        return
    _settle(message, result, said)
    if said is not None and result.candidates and doubt_left(message.source, said, ()) is None:
        work_this_again(message)  # it came to be clear before anybody could see that it waits


def _settle(message: InboxMessage, result: Result, said: Said | None = None) -> None:
    who = getattr(said, "who", None)
    _execute(
        _SETTLE,
        message,
        state=result.state.value,
        note=result.note[:500],
        member=result.member_id,
        person=who.vendor_id if who else "",
        candidates=_as_json(result),
    )


def _read_late(message: InboxMessage) -> bool:
    """Ask the shop for an order that could not be read; True if the message says it now."""
    told = read_late(message)
    if isinstance(told, OrderTold):
        message.topic, message.content = told.topic, vault.seal({"content": told.content})
        _execute(_READ_LATE, message, topic=message.topic, content=message.content)
        return True
    if told is None:
        _settle(message, Result(State.IGNORED, "The shop has this order no more."))
        return False
    note = f"The order cannot be read. {storable(told).error}"[:500]
    if isinstance(told, Permanent):
        _settle(message, Result(State.DEAD, note))
    else:
        _later(message, note)
    return False


def read(message: InboxMessage) -> Said | None:
    """Read a message; None where its topic is not known.

    Raises:
        Unreadable: It is not what its topic promises.
        SecretMissing: It was sealed under a key that is not configured any more.
    """
    kind = kind_of(message.source)
    if kind is None:
        raise Unreadable(f"There is no kind of source named {message.source.kind} any more.")
    document = load_object(vault.unseal(message.content)["content"].encode())
    try:
        return kind.read(message.topic, document, message.source.config)
    except Unreadable:
        raise
    except (LookupError, TypeError, AttributeError, ArithmeticError, ValueError, OSError) as error:
        kind_of_error = type(error).__name__
        raise Unreadable(f"It is not what its topic promises ({kind_of_error}).") from error


def _apply(message: InboxMessage, said: Said | None) -> Result:
    if said is None:
        return Result(State.KEPT, "Nobody here reads this topic.")
    if message.candidates and (doubt := doubt_left(message.source, said, message.candidates)):
        return doubt
    heard = Heard(message.received_at, _first_heard_at(message), message.message_id)
    return apply(message.source, said, heard=heard, chosen=message.member_id)


def _first_heard_at(message: InboxMessage) -> datetime:
    """Say when its sender said the same for the first time, where it names no messages."""
    if not message.said_hash:
        return message.received_at
    same = InboxMessage.objects.filter(source=message.source, said_hash=message.said_hash)
    first: datetime | None = same.aggregate(first=Min("received_at"))["first"]
    return first or message.received_at


def _claim() -> list[InboxMessage]:
    values: dict[str, Any] = {"limit": AT_ONCE, "lease_seconds": settings.CRM_LEASE_SECONDS}
    with database.cursor() as cursor:
        cursor.execute(_CLAIM, values)
        ids = [row[0] for row in cursor.fetchall()]
    rows = InboxMessage.objects.filter(pk__in=ids).select_related("source__connection")
    return list(rows.order_by("pk"))


def _later(message: InboxMessage, note: str) -> None:
    if message.attempts >= MAX_ATTEMPTS:
        _settle(message, Result(State.DEAD, note))
        return
    seconds = retry_seconds(message.attempts, random.random())
    _execute(_LATER, message, note=note, seconds=seconds)


def _as_json(result: Result) -> str:
    return "[" + ", ".join(f'"{member}"' for member in result.candidates) + "]"


def _execute(statement: str, message: InboxMessage, **values: Any) -> None:
    with database.cursor() as cursor:
        cursor.execute(statement, {"id": message.pk, "attempts": message.attempts, **values})
