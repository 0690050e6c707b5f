"""Serving many lanes with one call, at destinations that take events of many members at once.

Of each lane in order, as ever; what came of a call is written down before the next one is made.
"""

from collections import deque
from collections.abc import Sequence

import structlog
from django.utils import timezone

from crm_sync.adapters.contract import Outgoing, PushesProfiles
from crm_sync.adapters.outcomes import Outcome, Retryable
from crm_sync.services import lanes
from crm_sync.services.calls import call_for_outcomes
from crm_sync.services.people import get_to_know
from crm_sync.services.profiles import push_profiles
from crm_sync.services.turns import Turn, Visit, outgoing
from crm_sync.services.waiting import Waiting

log = structlog.get_logger(__name__)
Item = tuple[Visit, Waiting, Outgoing]


def serve_mixed(turn: Turn, visits: deque[Visit]) -> bool:
    """Send what these lanes hold, and then their profiles; take out the lanes that are done.

    What does not fit in with others stays: where it is in doubt who is meant, or an event is gone.

    Returns:
        Whether the turn may go on with what stayed.
    """
    _meet(turn, visits)
    fitting = [visit for visit in visits if _fits(visit)]
    # A profile by itself counts as a delivery does; among those of a call it costs next to nothing.
    turn.sent += sum(not visit.left for visit in fitting)
    while items := _next_items(turn, fitting):
        is_sent = _send(turn, items)
        if turn.is_over or not turn.books.is_well:
            return False
        if not is_sent:
            return True
    done = [v for v in fitting if not v.has_more and turn.books.is_held(v.lease)]
    _end(turn, done)
    for visit in done:
        visits.remove(visit)
    return True


def _meet(turn: Turn, visits: deque[Visit]) -> None:
    if turn.knows_people:
        known = get_to_know(turn.connection, [visit.lease.member_id for visit in visits])
        for visit in visits:
            visit.known = known[visit.lease.member_id]


def _fits(visit: Visit) -> bool:
    is_in_doubt = visit.known is not None and visit.known.trouble is not None
    return not is_in_doubt and all(delivery.event is not None for delivery in visit.left)


def _next_items(turn: Turn, visits: Sequence[Visit]) -> list[Item]:
    """Give what is next of each lane that is still ours, as much as one call takes."""
    found: list[Item] = []
    for visit in visits:
        if visit.left and turn.books.is_held(visit.lease):
            room = turn.mixed_size - len(found)
            found += [(visit, one, outgoing(visit, one)) for one in visit.left[:room]]
    return found


def _send(turn: Turn, items: Sequence[Item]) -> bool:
    """Make one call and take down what came of it; False if not all of it is sent.

    Where the destination is down the first delivery has had an attempt; those behind it are known
    again by their ids. Where it may be a single event that it stumbles over, nobody has, and each
    lane is served alone: or one would use up the attempts of others.
    """
    adapter = turn.adapter
    assert adapter is not None
    turn.sent += len(items)
    began, calls = timezone.now(), [call for *_, call in items]
    outcomes = call_for_outcomes(turn.connection, lambda t: adapter.send(t, calls), turn.target)
    last = len(outcomes) - 1
    for place, ((visit, delivery, call), outcome) in enumerate(zip(items, outcomes, strict=False)):
        if _may_be_of_one(outcome) and items[0][0] is not items[-1][0]:
            log.warning("a call for many failed", connection=turn.connection.pk, of=outcome.error)
            return False
        turn.books.note(visit.lease, delivery, call, began, outcome, is_last=place == last)
        if not turn.books.is_well:
            return False
        visit.left = visit.left[1:]
    return len(outcomes) == len(items)


def _may_be_of_one(outcome: Outcome) -> bool:
    """Say whether the destination answered, and not that it is busy."""
    return (
        isinstance(outcome, Retryable) and outcome.status_code is not None and not outcome.throttled
    )


def _end(turn: Turn, done: Sequence[Visit]) -> None:
    adapter: object = turn.adapter
    idle = [visit.lease for visit in done]
    if isinstance(adapter, PushesProfiles):
        people = [(visit.lease, visit.known) for visit in done if visit.known]
        pushed = push_profiles(turn.connection, turn.target, people)
        lanes.give_back_all(pushed.unsent)
        idle = pushed.idle
    for lease in idle:
        turn.books.close(lease)
