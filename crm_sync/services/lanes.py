"""Leases of lanes: who may send one member's deliveries to one connection, and until when.

The order of locks, for everybody: relay row, contacts, lane rows, deliveries. Whoever writes
several lanes locks the relay row first, so that two of them never wait for each other.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import connection, transaction

from crm_sync.services.contacts import forget_what_was_told
from loyalty.database.statements import Prepared

# Statements compare with statement_timestamp() where an index shall be used, and the clock is
# always PostgreSQL's: workers' clocks differ.
_LOCK_RELAY = """
SELECT CASE WHEN NOT destination.is_enabled OR relay.resume_at > statement_timestamp() THEN 0
            WHEN relay.failures >= %(breaker)s THEN 1
            ELSE coalesce(destination.calls_at_once, %(lanes)s) END,
       relay.failures >= %(breaker)s
FROM crm_sync_relay AS relay
JOIN crm_sync_connection AS destination ON destination.id = relay.connection_id
WHERE relay.connection_id = %(connection)s
FOR UPDATE OF relay
"""
_WAIT_FOR_RELAY = Prepared(_LOCK_RELAY)
_RELAY_OR_NOTHING = Prepared(_LOCK_RELAY + "SKIP LOCKED")

# By key, and so many as were locked: joined with them, whose number no plan can know, each claim
# read all lanes of the backlog.
_CLAIM = Prepared("""
WITH due AS MATERIALIZED (
    SELECT member_id, lease_token IS NOT NULL AS was_left FROM crm_sync_lane
    WHERE connection_id = %(connection)s
      AND next_at <= CASE WHEN %(is_down)s THEN 'infinity' ELSE statement_timestamp() END
      AND (lease_until IS NULL OR lease_until < statement_timestamp())
    ORDER BY next_at
    LIMIT (
        SELECT CASE WHEN %(token)s::uuid IS NULL OR %(is_down)s OR free = 0
                    THEN least(%(limit)s, free) ELSE %(limit)s END
        FROM (
            SELECT greatest(0, %(allowed)s - count(DISTINCT lease_token)) AS free
            FROM crm_sync_lane
            WHERE connection_id = %(connection)s AND lease_until >= statement_timestamp()
        ) AS turns)
    FOR UPDATE SKIP LOCKED
), leased AS (
    UPDATE crm_sync_lane
    SET lease_until = clock_timestamp() + make_interval(secs => %(seconds)s),
        lease_token = coalesce(%(token)s, gen_random_uuid())
    WHERE connection_id = %(connection)s AND member_id = ANY(ARRAY(SELECT member_id FROM due))
    RETURNING connection_id, member_id, lease_token, additions
)
SELECT leased.*, due.was_left FROM leased JOIN due ON due.member_id = leased.member_id
""")

_DUE_CONNECTIONS = """
SELECT destination.id
FROM crm_sync_connection AS destination
JOIN crm_sync_relay AS relay ON relay.connection_id = destination.id
WHERE destination.is_enabled
  AND (relay.resume_at IS NULL OR relay.resume_at <= statement_timestamp())
  AND EXISTS (
      SELECT FROM crm_sync_lane AS lane
      WHERE lane.connection_id = destination.id
        AND lane.next_at <= CASE WHEN relay.failures >= %(breaker)s THEN 'infinity'
                                 ELSE statement_timestamp() END
        AND (lane.lease_until IS NULL OR lane.lease_until < statement_timestamp()))
  AND CASE WHEN relay.failures >= %(breaker)s THEN 1
           ELSE coalesce(destination.calls_at_once, %(lanes)s) END > (
      SELECT count(DISTINCT lane.lease_token) FROM crm_sync_lane AS lane
      WHERE lane.connection_id = destination.id AND lane.lease_until >= statement_timestamp())
ORDER BY destination.id
"""

# In the order in which lanes are opened.
_OURS = """
WITH ours AS MATERIALIZED (
    SELECT member_id FROM crm_sync_lane
    WHERE connection_id = %(connection)s AND member_id = ANY(%(members)s::uuid[])
      AND lease_token = ANY(%(tokens)s::uuid[])
    ORDER BY member_id FOR UPDATE
)
"""

_RENEW = Prepared(f"""{_OURS}UPDATE crm_sync_lane AS lane
SET lease_until = clock_timestamp() + make_interval(secs => %(seconds)s)
FROM ours WHERE lane.connection_id = %(connection)s AND lane.member_id = ours.member_id
RETURNING lane.connection_id, lane.member_id, lane.lease_token, lane.additions
""")

_GIVE_BACK = """
UPDATE crm_sync_lane SET lease_until = NULL, lease_token = NULL, next_at = clock_timestamp()
WHERE connection_id = %(connection)s AND member_id = %(member)s AND lease_token = %(token)s
"""

_GIVE_BACK_ALL = Prepared(f"""{_OURS}UPDATE crm_sync_lane AS lane
SET lease_until = NULL, lease_token = NULL, next_at = clock_timestamp()
FROM ours WHERE lane.connection_id = %(connection)s AND lane.member_id = ours.member_id
""")

_WAIT = """
UPDATE crm_sync_lane SET lease_until = NULL, lease_token = NULL,
    next_at = clock_timestamp() + make_interval(secs => %(wait_seconds)s)
WHERE connection_id = %(connection)s AND member_id = %(member)s AND lease_token = %(token)s
"""

_CLOSE = """
DELETE FROM crm_sync_lane
WHERE connection_id = %(connection)s AND member_id = %(member)s AND lease_token = %(token)s
  AND additions = %(additions)s
"""

# A lane that is there is counted up and not moved: if it waits after a failure, it goes on waiting.
_OPEN = """
INSERT INTO crm_sync_lane (connection_id, member_id, next_at, additions)
SELECT lane.*, clock_timestamp(), 1
FROM unnest(%(connections)s::bigint[], %(members)s::uuid[]) AS lane (connection_id, member_id)
ORDER BY connection_id, member_id
ON CONFLICT (connection_id, member_id) DO UPDATE SET additions = crm_sync_lane.additions + 1
"""

_WAKE = """
UPDATE crm_sync_lane SET next_at = clock_timestamp()
WHERE connection_id = %(connection)s AND next_at > clock_timestamp() AND lease_token IS NULL
"""

_ORPHANS = """
SELECT DISTINCT waiting.connection_id, waiting.member_id
FROM (
    SELECT connection_id, member_id FROM crm_sync_delivery WHERE state = 'pending'
    UNION ALL
    SELECT connection_id, member_id FROM crm_sync_contact WHERE wanted > done
) AS waiting
WHERE NOT EXISTS (
    SELECT FROM crm_sync_lane AS lane
    WHERE lane.connection_id = waiting.connection_id AND lane.member_id = waiting.member_id)
LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to send a lane's deliveries, as long as the lane still carries this token.

    Attributes:
        additions: How often deliveries had been added when the lease began.
    """

    connection_id: int
    member_id: UUID
    token: UUID
    additions: int


def list_due_connections() -> list[int]:
    """List the connections that have a lane to claim and may be called now."""
    values = {"breaker": settings.CRM_BREAKER_FAILURES, "lanes": settings.CRM_LANES_PER_CONNECTION}
    with connection.cursor() as cursor:
        cursor.execute(_DUE_CONNECTIONS, values)
        return [row[0] for row in cursor.fetchall()]


def claim_lanes(
    *, connection_id: int, limit: int = 1_000_000, patiently: bool = True
) -> list[Lease]:
    """Lease the connection's lanes that are due, oldest first, as many as it may have at once.

    So many and no more, because a destination that hangs keeps a worker's thread for each. One
    that is down gets a single lane, due or not, to find out whether it is back.

    Args:
        patiently: Wait while somebody else claims here. Who serves many connections does not: a
            worker that is frozen in the middle of a claim must not hold up the others' deliveries.
    """
    lock = _WAIT_FOR_RELAY if patiently else _RELAY_OR_NOTHING
    return _claim(connection_id, limit=limit, token=None, lock=lock)


def claim_together(*, connection_id: int, limit: int) -> list[Lease]:
    """Lease lanes that are due under one token, to be served one after the other.

    Together they are one of those that the connection may have at once.
    """
    return _claim(connection_id, limit=limit, token=uuid4(), lock=_WAIT_FOR_RELAY)


def _claim(connection_id: int, *, limit: int, token: UUID | None, lock: Prepared) -> list[Lease]:
    values: dict[str, Any] = {
        "connection": connection_id,
        "breaker": settings.CRM_BREAKER_FAILURES,
        "lanes": settings.CRM_LANES_PER_CONNECTION,
        "seconds": settings.CRM_LEASE_SECONDS,
        "limit": limit,
        "token": token,
    }
    with transaction.atomic(durable=True):
        # Counted in a later statement than the lock, or two claims would each see the other's none.
        (found,) = lock.fetch(values) or [(0, False)]
        values["allowed"], values["is_down"] = found
        if not values["allowed"]:
            return []
        rows = _CLAIM.fetch(values)
    # Whoever had these may have died while they told of a profile that holds no more. Later than
    # the claim, since contacts are locked before lanes; if it fails, these leases run out as well.
    if left := [row[1] for row in rows if row[-1]]:
        forget_what_was_told(connection_id=connection_id, member_ids=left)
    return [Lease(*row[:-1]) for row in rows]


def resume(*, connection_id: int, member_ids: Collection[UUID], token: UUID) -> list[Lease]:
    """Begin what a message asks for: a full term from now, of the lanes that are still ours."""
    return _renew(connection_id, member_ids, [token])


def renew(
    *, connection_id: int, member_ids: Collection[UUID], tokens: Collection[UUID]
) -> set[UUID]:
    """Begin a full term anew, after a call that may have taken most of it, and before the next.

    Returns:
        Whose lanes are still ours. What the others hold, somebody else may have sent meanwhile.
    """
    return {lease.member_id for lease in _renew(connection_id, member_ids, tokens)}


def _renew(
    connection_id: int, member_ids: Collection[UUID], tokens: Collection[UUID]
) -> list[Lease]:
    values: dict[str, Any] = {
        "connection": connection_id,
        "members": list(member_ids),
        "tokens": list(tokens),
        "seconds": settings.CRM_LEASE_SECONDS,
    }
    return [Lease(*row) for row in _RENEW.fetch(values)]


def renew_one(lease: Lease) -> bool:
    """Do so for one lane; False if somebody else has it."""
    member = lease.member_id
    tokens = [lease.token]
    return bool(renew(connection_id=lease.connection_id, member_ids=[member], tokens=tokens))


def give_back(lease: Lease) -> None:
    """End the lease and leave the lane due; a lease that was lost is not given back."""
    _execute(_GIVE_BACK, lease)


def give_back_all(leases: Sequence[Lease]) -> None:
    """End these leases of one connection as `give_back` does."""
    if leases:
        values: dict[str, Any] = {
            "connection": leases[0].connection_id,
            "members": [lease.member_id for lease in leases],
            "tokens": list({lease.token for lease in leases}),
        }
        _GIVE_BACK_ALL.fetch(values)


def wait(lease: Lease, seconds: float) -> bool:
    """End the lease and let the lane wait; False if somebody else has it."""
    return _execute(_WAIT, lease, wait_seconds=seconds) == 1


def close(lease: Lease) -> None:
    """Remove the lane, if all that was there when the lease began is sent, and nothing was added.

    The relay counts additions in the row that this deletes: one of the two waits for the other, so
    a delivery is either seen here, or its lane is opened anew.
    """
    if _execute(_CLOSE, lease) == 0:
        give_back(lease)


def open_lanes(*, connection_id: int, member_ids: Collection[UUID]) -> None:
    """Make sure that these members have a lane, and that nobody closes it without looking again.

    The caller has locked the relay row, and adds the deliveries in the same transaction.
    """
    open_lanes_at([(connection_id, member_id) for member_id in member_ids])


def open_lanes_at(places: Collection[tuple[int, UUID]]) -> None:
    """Do so for members of several connections, all of whose relay rows the caller has locked."""
    if places:
        connections, members = zip(*places, strict=True)
        with connection.cursor() as cursor:
            cursor.execute(_OPEN, {"connections": list(connections), "members": list(members)})


def wake_lanes(*, connection_id: int) -> None:
    """Let every waiting lane be due now: the destination is back. The relay row is locked."""
    with connection.cursor() as cursor:
        cursor.execute(_WAKE, {"connection": connection_id})


def reopen_orphans(*, limit: int = 1000) -> int:
    """Open a lane where deliveries wait without one; return how many were missing.

    Nothing in here leaves such a delivery behind. This is for what nobody thought of.
    """
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(_ORPHANS, {"limit": limit})
        orphans = sorted(cursor.fetchall())
        for connection_id, member_id in orphans:
            open_lanes(connection_id=connection_id, member_ids=[member_id])
        return len(orphans)


def _execute(statement: str, lease: Lease, **more: float) -> int:
    values: dict[str, Any] = {
        "connection": lease.connection_id,
        "member": lease.member_id,
        "token": lease.token,
        "additions": lease.additions,
        **more,
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return int(cursor.rowcount)
