"""Sending what lanes hold: of each member the events in order, then the profile."""

import math
from collections import deque
from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

import structlog
from django.db import OperationalError
from django.db import connection as database
from django.utils import timezone

from crm_sync.adapters.contract import Outgoing, PushesProfiles
from crm_sync.adapters.outcomes import Ambiguous, Outcome, Permanent
from crm_sync.models import Connection
from crm_sync.services import lanes
from crm_sync.services.calls import FAILED_HERE, call_for_outcomes, no_adapter
from crm_sync.services.contacts import forget_what_was_told
from crm_sync.services.lanes import Lease
from crm_sync.services.mixed import serve_mixed
from crm_sync.services.people import get_to_know
from crm_sync.services.profiles import fail_profile_here, push_profile
from crm_sync.services.turns import Report, Turn, Visit, begin_turn, outgoing
from crm_sync.services.waiting import Waiting, list_waiting
from loyalty.database.statements import PreparedRows
from loyalty.events.rules import event_id

_CONNECTION = PreparedRows(Connection, "WHERE id = %(connection)s")
DELIVERIES_AT_ONCE = 100  # of all lanes together; one with more goes to the back of the queue
_DELETED = Permanent(error="The event is older than events are kept, and was deleted.")
log = structlog.get_logger(__name__)


def serve_lane(lease: Lease, *, until: float = math.inf) -> None:
    """Serve a single lane, as `serve_lanes` does."""
    serve_lanes([lease], until=until)


def serve_lanes(leases: Sequence[Lease], *, until: float = math.inf) -> Report:
    """Send these lanes' deliveries, in each in order and until nothing is left, then the profile.

    One of each lane in turn, so that what came of them is written down together, and still before
    the lane's next one is sent. Where a call fails, the lanes that are left are given back: how
    many may be tried then is the next claim's business. A lease that was lost meanwhile ends its
    lane, without a trace in it: whoever has it now goes on from what is written down, so a
    destination may see an event twice, never none.

    Args:
        leases: Of one connection.
        until: On the monotonic clock, when the turn ends: no further call is begun then.
    """
    (connection,) = _CONNECTION.fetch({"connection": leases[0].connection_id})
    if not connection.is_enabled:
        lanes.give_back_all(leases)
        return Report()
    turn = begin_turn(connection, until=until)
    # A lane's call is not made smaller because others are served beside it.
    size = turn.adapter.batch_size if turn.adapter else 1
    limit = max(size, DELIVERIES_AT_ONCE // len(leases))
    waiting = list_waiting(leases, limit=limit)
    visits = deque(
        Visit(turn, lease, found, has_more=len(found) == limit)
        for lease, found in ((lease, waiting[lease.member_id]) for lease in leases)
    )
    try:
        _take_turns(turn, visits)
    finally:
        turn.books.write()
    return Report(sent=turn.sent, was_mixed=bool(turn.mixed_size))


def _take_turns(turn: Turn, visits: deque[Visit]) -> None:
    goes_on = _serve_mixed_safely(turn, visits)
    while visits and goes_on:
        visit = visits.popleft()
        if _go_on_safely(visit):
            visits.append(visit)
        if turn.is_over or not turn.books.is_well:
            break
    turn.books.write()
    lanes.give_back_all([visit.lease for visit in visits])


def _serve_mixed_safely(turn: Turn, visits: deque[Visit]) -> bool:
    """Serve what can be served together; whom it fails at is found when each is served alone."""
    if not turn.mixed_size:
        return True
    try:
        return serve_mixed(turn, visits)
    except OperationalError:
        raise
    except Exception:
        if database.in_atomic_block:
            raise
        log.exception("lanes failed together", connection=turn.connection.pk)
        _look_anew(turn, visits)
        return True


def _look_anew(turn: Turn, visits: deque[Visit]) -> None:
    """Keep the lanes that are still ours, and nothing of what was known of their members.

    A call of which nobody knows the end may have told of them, and have taken most of a lease.
    """
    leases = [visit.lease for visit in visits]
    ours = lanes.renew(
        connection_id=turn.connection.pk,
        member_ids=[lease.member_id for lease in leases],
        tokens={lease.token for lease in leases},
    )
    forget_what_was_told(connection_id=turn.connection.pk, member_ids=ours)
    for visit in list(visits):
        visit.known = None
        if visit.lease.member_id not in ours:
            visits.remove(visit)


def _go_on_safely(visit: Visit) -> bool:
    """Go on with a lane; what fails here is an attempt like any other, and so not for ever."""
    try:
        return _go_on(visit)
    except OperationalError:
        raise  # the database is away, or busy: when the lease has run out, another one tries
    except Exception:
        if database.in_atomic_block:
            raise  # nothing can be written down that is sure to stay
        member_id = visit.lease.member_id
        log.exception("lane failed", connection=visit.lease.connection_id, member=str(member_id))
    _fail_here(visit)
    return False


def _fail_here(visit: Visit) -> None:
    """Count it as an attempt of the delivery that was next, or of the profile."""
    books, lease = visit.turn.books, visit.lease
    books.write()
    forget_what_was_told(connection_id=lease.connection_id, member_ids=[lease.member_id])
    waiting = list_waiting([lease], limit=1)[lease.member_id]
    if not waiting:
        fail_profile_here(lease)
        return
    name = event_id(waiting[0].member_id, waiting[0].sequence)
    call = Outgoing(event_id=name, body={}, correlation_id=uuid4())
    if books.note(lease, waiting[0], call, timezone.now(), FAILED_HERE):
        _leave(visit)


def _go_on(visit: Visit) -> bool:
    """Send the lane's next deliveries, or its profile; False when the lane is done, or left."""
    turn, lease = visit.turn, visit.lease
    if visit.left:
        if not turn.books.is_held(lease):
            return False
        if visit.known is None and turn.knows_people:
            visit.known = get_to_know(turn.connection, [lease.member_id])[lease.member_id]
            if visit.known.was_asked and not lanes.renew_one(lease):
                return False
        size = turn.adapter.batch_size if turn.adapter else 1
        batch, visit.left = visit.left[:size], visit.left[size:]
        if not _send_batch(visit, batch):
            return False
        if visit.left:
            return True
    _end(visit)
    return False


def _end(visit: Visit) -> None:
    turn, lease = visit.turn, visit.lease
    adapter: object = turn.adapter
    if not visit.has_more and not isinstance(adapter, PushesProfiles):
        turn.books.close(lease)
        return
    if not turn.books.is_held(lease):
        return
    if visit.has_more or turn.is_over:
        lanes.give_back(lease)
        return
    turn.sent += 1
    if push_profile(lease, turn.connection, turn.target, visit.known):
        lanes.close(lease)


def _send_batch(visit: Visit, batch: Sequence[Waiting]) -> bool:
    note, lease = visit.turn.books.note, visit.lease
    calls = []
    for delivery in batch:
        call = outgoing(visit, delivery)
        if delivery.event is not None:
            calls.append((delivery, call))
        elif not note(lease, delivery, call, timezone.now(), _DELETED):
            return False
    visit.turn.sent += len(calls)
    began = timezone.now()
    outcomes = _call(visit, [call for _, call in calls])
    for (delivery, call), outcome in zip(calls, outcomes, strict=False):
        if not note(lease, delivery, call, began, outcome):
            return False
        began += timedelta(milliseconds=outcome.duration_ms)
    if outcomes and len(outcomes) < len(calls):
        _leave(visit)  # one was refused, and those behind it were not sent
    return len(outcomes) == len(calls)


def _leave(visit: Visit) -> None:
    visit.turn.books.write()
    lanes.give_back(visit.lease)


def _call(visit: Visit, calls: Sequence[Outgoing]) -> list[Outcome]:
    turn = visit.turn
    adapter, connection = turn.adapter, turn.connection
    if not calls:
        return []
    if adapter is None:
        return [no_adapter(connection)]
    trouble = visit.known.trouble if visit.known else None
    if trouble is not None:
        # Who is meant is in doubt for all of them; whatever else is wrong, the first one tells.
        return [trouble] * (len(calls) if isinstance(trouble, Ambiguous) else 1)
    return call_for_outcomes(connection, lambda target: adapter.send(target, calls), turn.target)
