"""Writing down what came of deliveries: several in one statement, where a destination is quick.

What was answered and is not written down yet is sent again if the worker dies, so it is never more
than one call of each lane, AT_ONCE deliveries of a turn, nor older than WITHIN_SECONDS when another
call is begun.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import OperationalError

from crm_sync.adapters.contract import Outgoing
from crm_sync.adapters.outcomes import Outcome, Postponed
from crm_sync.models import Attempt, Delivery
from crm_sync.rules import Next, Verdict
from crm_sync.services import health
from crm_sync.services.forget import keep_nothing_of_erased
from crm_sync.services.lanes import Lease
from crm_sync.services.waiting import Waiting
from loyalty.database.statements import Prepared

AT_ONCE = 20
WITHIN_SECONDS = 0.1
log = structlog.get_logger(__name__)

# One statement, so it is all or nothing, and each lane's part only under its own lease: the lane
# goes on, waits or closes, its deliveries get their state, and the attempts are kept in any case.
# Lanes are locked in the order in which they are opened. Who adds deliveries counts `additions` up:
# one of the two waits for the other, and a lane that got something new is not closed.
_SETTLE = Prepared("""
WITH told AS MATERIALIZED (
    SELECT * FROM unnest(
        %(of)s::uuid[], %(deliveries)s::bigint[], %(states)s::text[], %(at)s::timestamptz[],
        %(durations)s::int[], %(statuses)s::smallint[], %(outcomes)s::text[],
        %(correlations)s::uuid[], %(answers)s::text[], %(errors)s::text[], %(own)s::int[])
        WITH ORDINALITY
    AS told (member_id, delivery_id, state, at, duration_ms, status_code, outcome,
             correlation_id, answer, error, own, place)
), ours AS MATERIALIZED (
    SELECT lane.member_id, served.wait_seconds,
        served.ends AND lane.additions <> served.additions AS is_due,
        served.ends AND lane.additions = served.additions AS closes
    FROM unnest(%(members)s::uuid[], %(tokens)s::uuid[], %(additions)s::int[], %(ends)s::bool[],
                %(waits)s::float[])
        AS served (member_id, token, additions, ends, wait_seconds)
    JOIN crm_sync_lane AS lane
        ON lane.connection_id = %(connection)s AND lane.member_id = served.member_id
        AND lane.lease_token = served.token
    ORDER BY lane.member_id
    FOR UPDATE OF lane
), closed AS (
    DELETE FROM crm_sync_lane AS lane USING ours
    WHERE lane.connection_id = %(connection)s AND lane.member_id = ours.member_id AND ours.closes
), kept AS (
    UPDATE crm_sync_lane AS lane SET
        lease_until = CASE WHEN is_due OR wait_seconds IS NOT NULL THEN NULL
            ELSE clock_timestamp() + make_interval(secs => %(lease_seconds)s) END,
        lease_token = CASE WHEN is_due OR wait_seconds IS NOT NULL THEN NULL
            ELSE lease_token END,
        next_at = CASE WHEN is_due OR wait_seconds IS NOT NULL
            THEN clock_timestamp() + make_interval(secs => coalesce(wait_seconds, 0))
            ELSE next_at END
    FROM ours
    WHERE lane.connection_id = %(connection)s AND lane.member_id = ours.member_id
      AND NOT ours.closes
), logged AS (
    INSERT INTO crm_sync_attempt (delivery_id, at, duration_ms, status_code, outcome,
                                  correlation_id, answer, error)
    SELECT told.delivery_id, told.at, told.duration_ms, told.status_code,
        CASE WHEN ours.member_id IS NULL THEN 'fenced' ELSE told.outcome END,
        told.correlation_id, told.answer, told.error
    FROM told LEFT JOIN ours ON ours.member_id = told.member_id
    ORDER BY told.place
), settled AS (
    UPDATE crm_sync_delivery AS delivery SET
        state = told.state, attempts = delivery.attempts + told.own, last_error = told.error,
        settled_at = CASE WHEN told.state = 'pending' THEN NULL ELSE clock_timestamp() END
    FROM told JOIN ours ON ours.member_id = told.member_id
    WHERE delivery.id = told.delivery_id
)
SELECT failures, ARRAY(SELECT member_id FROM ours)
FROM crm_sync_relay WHERE connection_id = %(connection)s
""")


@dataclass(frozen=True, slots=True)
class Told:
    """One call, and what follows from it."""

    lease: Lease
    delivery: Waiting
    call: Outgoing
    began: datetime
    outcome: Outcome
    verdict: Verdict

    @property
    def state(self) -> str:
        """Give the state that the delivery gets."""
        verdict = self.verdict.delivery
        return Delivery.State.PENDING if verdict is Next.WAIT else verdict.value


@dataclass(slots=True)
class Served:
    """A lane of which something is to be written down.

    Attributes:
        ends: All that waited in it was sent.
        wait_seconds: How long it waits after a failure.
    """

    lease: Lease
    ends: bool = False
    wait_seconds: float | None = None


class Books:
    """What came of the calls of one turn at a connection, until it is written down.

    Args:
        at_once: How many outcomes one call may have, where that is more than AT_ONCE.

    Attributes:
        is_well: No call has failed: the destination takes what it is sent.
    """

    def __init__(self, connection_id: int, *, at_once: int = 0) -> None:
        self.is_well = True
        self._connection_id = connection_id
        self._at_once = max(at_once, AT_ONCE)
        self._told: list[Told] = []
        self._served: dict[UUID, Served] = {}
        self._lost: set[UUID] = set()
        self._since = 0.0

    def note(
        self,
        lease: Lease,
        delivery: Waiting,
        call: Outgoing,
        began: datetime,
        outcome: Outcome,
        *,
        is_last: bool = True,
    ) -> bool:
        """Take down what came of a call; True if the lane goes on with its next delivery.

        Args:
            is_last: Nothing else came of the same call; what did is written down together.
        """
        if isinstance(outcome, Postponed):
            self.is_well = False
            self.write()
            health.postpone(lease, outcome)
            return False
        if outcome.error:  # a connection may be disabled with these words for its reason
            (outcome,) = keep_nothing_of_erased([(lease.member_id, outcome)])
        if not health.is_well(outcome):
            self.write()  # what went well before it ends the row of failures that it would lengthen
        verdict = health.judge(self._connection_id, outcome, attempts=delivery.attempts + 1)
        if not self._told:
            self._since = time.monotonic() - outcome.duration_ms / 1000
        self._told.append(Told(lease, delivery, call, began, outcome, verdict))
        served = self._served.setdefault(lease.member_id, Served(lease))
        if verdict.delivery is Next.WAIT:
            served.wait_seconds = verdict.lane_seconds
        self.is_well = self.is_well and not verdict.failures
        if self._is_due(is_last=is_last):
            self.write()
        return served.wait_seconds is None and lease.member_id not in self._lost

    def is_held(self, lease: Lease) -> bool:
        """Say whether a lane is still ours, with all that came of its calls written down.

        So a member's next event is not sent before: if the worker dies, only the last one of a
        member comes again.
        """
        if lease.member_id in self._served:
            self.write()
        return lease.member_id not in self._lost

    def close(self, lease: Lease) -> None:
        """Take down that all that waited in a lane was sent: it closes, if nothing was added."""
        self._served.setdefault(lease.member_id, Served(lease)).ends = True

    def write(self) -> None:
        """Write down what is not written down yet.

        Raises:
            OperationalError: PostgreSQL is away or busy. It may be tried once more: what a
                destination took, and nobody has written down, is sent to it again.
        """
        told, served = self._told, self._served
        if not served:
            return
        self._told, self._served = [], {}
        # Who was erased since, while another call was made, is not spoken of either.
        said = keep_nothing_of_erased([(one.lease.member_id, one.outcome) for one in told])
        told = [
            one if outcome is one.outcome else replace(one, outcome=outcome)
            for one, outcome in zip(told, said, strict=True)
        ]
        values = _values(self._connection_id, told, list(served.values()))
        try:
            ((failures, held),) = _SETTLE.fetch(values)
        except OperationalError:
            self._told, self._served = told, served
            raise
        self._lost |= served.keys() - set(held)
        for one in told:
            if one.lease.member_id in self._lost:
                log.warning("lease was lost while sending", event_id=one.call.event_id)
                continue
            # A success that was noted is not noted again.
            failures = health.note(self._connection_id, failures, one.verdict, one.outcome)

    def _is_due(self, *, is_last: bool) -> bool:
        is_late = is_last and time.monotonic() - self._since >= WITHIN_SECONDS
        return is_late or not self.is_well or len(self._told) >= self._at_once


def _values(connection_id: int, told: Sequence[Told], served: Sequence[Served]) -> dict[str, Any]:
    outcomes = [one.outcome for one in told]
    return {
        "connection": connection_id,
        "lease_seconds": settings.CRM_LEASE_SECONDS,
        "members": [lane.lease.member_id for lane in served],
        "tokens": [lane.lease.token for lane in served],
        "additions": [lane.lease.additions for lane in served],
        "ends": [lane.ends for lane in served],
        "waits": [lane.wait_seconds for lane in served],
        "of": [one.lease.member_id for one in told],
        "deliveries": [one.delivery.id for one in told],
        "states": [one.state for one in told],
        "at": [one.began for one in told],
        "correlations": [one.call.correlation_id for one in told],
        "durations": [outcome.duration_ms for outcome in outcomes],
        "statuses": [outcome.status_code for outcome in outcomes],
        "outcomes": [Attempt.Outcome[type(o).__name__.upper()].value for o in outcomes],
        "answers": [outcome.answer for outcome in outcomes],
        "errors": [outcome.error for outcome in outcomes],
        "own": [int(one.verdict.is_own) for one in told],
    }
