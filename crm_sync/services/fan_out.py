"""From the outbox to the lanes: who wants which event.

Connections that have seen the same are told together: what is read and written once for each of
fifty would take a worker's whole core at two events a second.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection as database
from django.db import transaction
from django.utils import timezone

from crm_sync.adapters.contract import PushesProfiles
from crm_sync.models import Connection, Relay
from crm_sync.rules import wants
from crm_sync.services import lanes
from crm_sync.services.connections import adapters
from crm_sync.services.forget import forget_answers, forget_words_of_calls
from crm_sync.services.people import want_profiles_at
from loyalty.events import selectors as events
from loyalty.events.selectors import EventKey

EVENTS_AT_ONCE = 500
DELIVERIES_AT_ONCE = 2_000  # of one transaction, unless a single connection gets more
# A worker that is frozen in the middle of a claim must not hold up all other connections.
_BE_BRIEF = "SET LOCAL lock_timeout = '250ms'"
# An event that was replayed before the cursor came by is there already.
_ADD = """
INSERT INTO crm_sync_delivery (connection_id, position, member_id, sequence, type, is_backfill,
                               created_at, state, attempts, last_error)
SELECT wanted.*, %(now)s, 'pending', 0, ''
FROM unnest(%(connections)s::bigint[], %(positions)s::bigint[], %(members)s::uuid[],
            %(sequences)s::bigint[], %(types)s::text[], %(backfills)s::bool[]) AS wanted
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Behind:
    """Connections of a program that have seen all of its events up to the same position."""

    program_id: int
    position: int
    connection_ids: tuple[int, ...]

    def each(self) -> list["Behind"]:
        """Give them one by one."""
        return [Behind(self.program_id, self.position, (pk,)) for pk in self.connection_ids]


@dataclass(frozen=True, slots=True)
class Step:
    """What came of a step.

    Attributes:
        has_more: There are events behind it.
        left: Of these connections somebody else holds the relay row.
    """

    has_more: bool
    left: Behind


def list_behind() -> list[Behind]:
    """List the enabled connections that have not seen the newest stamped event."""
    behind = Relay.objects.filter(connection__is_enabled=True, position__lt=events.last_position())
    found = defaultdict(list)
    for pk, program_id, position in behind.order_by("connection_id").values_list(
        "connection_id", "connection__program_id", "position"
    ):
        found[program_id, position].append(pk)
    return [Behind(*seen, tuple(pks)) for seen, pks in found.items()]


def fan_out(behind: Behind) -> Step:
    """Make deliveries of the next events for these connections, and move their cursors behind them.

    A disabled connection stays where it is, and continues there when it is enabled: nothing is
    skipped, and nothing piles up for it. A single one is waited for, for a moment; of several,
    those are left out that somebody else has locked.

    Raises:
        OperationalError: If somebody holds a row for longer than a claim does.
    """
    head = events.last_position()
    keys = events.list_event_keys(
        program_id=behind.program_id,
        after_position=behind.position,
        up_to_position=head,
        limit=EVENTS_AT_ONCE,
    )
    has_more = len(keys) == EVENTS_AT_ONCE
    until = keys[-1].position if has_more else head
    pks, told = behind.connection_ids, set[int]()
    size = _connections_at_once(keys)
    for first in range(0, len(pks), size):
        told |= _tell(behind, pks[first : first + size], keys, until)
    left = tuple(pk for pk in pks if pk not in told) if len(pks) > 1 else ()
    return Step(has_more, Behind(behind.program_id, behind.position, left))


def _connections_at_once(keys: Sequence[EventKey]) -> int:
    if any(key.type == "member.erased" for key in keys):
        return 1  # what has to be forgotten is looked for, at each of them
    return max(1, DELIVERIES_AT_ONCE // max(len(keys), 1))


def _tell(behind: Behind, pks: Collection[int], keys: Sequence[EventKey], until: int) -> set[int]:
    with transaction.atomic(durable=True):
        with database.cursor() as cursor:
            cursor.execute(_BE_BRIEF)
        relays = Relay.objects.select_for_update(
            of=("self",), skip_locked=len(behind.connection_ids) > 1
        )
        here = relays.filter(pk__in=pks, position=behind.position, connection__is_enabled=True)
        told = {relay.pk: relay for relay in here.select_related("connection").order_by("pk")}
        _add(list(told.values()), keys)
        erased = [key.member_id for key in keys if key.type == "member.erased"]
        for pk in told if erased else ():
            forget_answers(connection_id=pk, member_ids=erased)
            forget_words_of_calls(connection_id=pk)
        Relay.objects.filter(pk__in=told).update(position=until)
        return set(told)


def _add(relays: Sequence[Relay], keys: Sequence[EventKey]) -> None:
    wanted = [(relay, key) for relay in relays for key in _wanted(relay.connection, keys)]
    values: dict[str, Any] = {
        "now": timezone.now(),
        "connections": [relay.pk for relay, _ in wanted],
        "positions": [key.position for _, key in wanted],
        "members": [key.member_id for _, key in wanted],
        "sequences": [key.sequence for _, key in wanted],
        "types": [key.type for _, key in wanted],
        "backfills": [key.position <= relay.live_from for relay, key in wanted],
    }
    with database.cursor() as cursor:
        cursor.execute(_ADD, values)
    # Whatever happened, and whether or not the event is wanted: where they stand may be new.
    members = {key.member_id for key in keys}
    profiles = {(relay.pk, member) for relay in _push_profiles(relays) for member in members}
    want_profiles_at(profiles)
    lanes.open_lanes_at(profiles | {(relay.pk, key.member_id) for relay, key in wanted})


def _wanted(connection: Connection, keys: Sequence[EventKey]) -> list[EventKey]:
    return [key for key in keys if wants(connection.event_types, key.type)]


def _push_profiles(relays: Sequence[Relay]) -> list[Relay]:
    return [r for r in relays if isinstance(adapters().get(r.connection.adapter), PushesProfiles)]
