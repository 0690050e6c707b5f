"""Prove the ledger's invariants from its rows alone, and show what breaks them.

Each check is one statement that gives the offending rows; nothing found is the proof. The
numbers I2 to I17 are those of docs/ledger.md.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection

from loyalty.ledger.snapshot import Snapshot, rows_of

SHOWN = 20


@dataclass(frozen=True, slots=True)
class Check:
    """One invariant: its number, what it says, and the query of its offenders.

    Attributes:
        long: Whether it is among those that take longest.
        sql: `{member}` stands for the condition on members, `{m}` for its prefix.
    """

    invariant: str
    says: str
    sql: str
    long: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found: the offending rows, as dictionaries, at most SHOWN of them."""

    check: Check
    rows: list[dict[str, Any]]


# Most lots have few postings and most of their buckets none: FILTER spares a sum of zeros for each.
# Sums of bigint are numeric, which costs more to compare than to add up: one cast spares that.
def _sum(what: str, where: str) -> str:
    return f"coalesce((sum({what}) FILTER (WHERE {where}))::bigint, 0)"


def _moved(bucket: int) -> str:
    return _sum(
        f"CASE p.destination WHEN {bucket} THEN p.amount ELSE -p.amount END",
        f"p.source = {bucket} OR p.destination = {bucket}",
    )


CHECKS = (
    Check(
        "I2",
        "every posting has its lot, whose buckets are what was moved, and sum to what was granted",
        f"""
SELECT l.member_id, l.number, l.granted, l.pending, l.available, l.held, d.*
FROM (SELECT * FROM loyalty_lot AS l WHERE {{lot_member}}) AS l FULL JOIN (
    SELECT p.member_id AS member, p.lot_number,
        {_sum("p.amount", "p.source IN (0, 8)")} AS granted_posted,
        {_moved(1)} AS pending_posted, {_moved(2)} AS available_posted, {_moved(3)} AS held_posted,
        {_moved(4)} AS redeemed_posted, {_moved(5)} AS expired_posted,
        {_moved(6)} AS revoked_posted, {_moved(7)} AS settled_posted,
        {_sum("p.amount", "p.destination = 8")} AS moved_posted
    FROM loyalty_posting AS p WHERE p.lot_number IS NOT NULL AND {{member}}
    GROUP BY p.member_id, p.lot_number
) AS d ON d.member = l.member_id AND d.lot_number = l.number
WHERE (l.granted, l.pending, l.available, l.held, l.redeemed, l.expired, l.revoked, l.settled,
        l.moved) IS DISTINCT FROM
    (d.granted_posted, d.pending_posted, d.available_posted, d.held_posted, d.redeemed_posted,
        d.expired_posted, d.revoked_posted, d.settled_posted, d.moved_posted)
    OR l.granted <> l.pending + l.available + l.held + l.redeemed + l.expired + l.revoked
        + l.settled + l.moved
    OR least(l.pending, l.available, l.held, l.redeemed, l.expired, l.revoked, l.settled,
        l.moved) < 0
""",
        long=True,
    ),
    Check(
        "I4",
        "a wallet's balances are the sums of its lots",
        """
SELECT w.member_id, w.pending, w.available, w.held, s.*
FROM loyalty_wallet AS w LEFT JOIN (
    SELECT l.member_id AS member, l.currency AS in_currency,
        sum(l.pending)::bigint AS lots_pending, sum(l.available)::bigint AS lots_available,
        sum(l.held)::bigint AS lots_held
    FROM loyalty_lot AS l WHERE {lot_member} GROUP BY l.member_id, l.currency
) AS s ON s.member = w.member_id AND s.in_currency = w.currency
WHERE {wallet_member} AND ((w.pending, w.available, w.held) IS DISTINCT FROM
        (coalesce(s.lots_pending, 0), coalesce(s.lots_available, 0), coalesce(s.lots_held, 0))
    OR least(w.pending, w.available, w.held, w.debt) < 0)
""",
    ),
    Check(
        "I4",
        "what a wallet has for each expiry is the sum of the lots that expire then",
        """
SELECT coalesce(l.member_id, x.member_id) AS member_id,
    coalesce(l.expires_at, x.expires_at)::text AS expires_at, l.points AS lots_available, x.points
FROM (
    SELECT l.member_id, l.currency, e.expires_at, sum(l.available)::bigint AS points
    FROM loyalty_lot AS l
    CROSS JOIN LATERAL (
        SELECT CASE WHEN l.slides THEN 'infinity' ELSE l.expires_at END AS expires_at) AS e
    WHERE l.available > 0 AND e.expires_at IS NOT NULL AND {lot_member}
    GROUP BY l.member_id, l.currency, e.expires_at
) AS l FULL JOIN (SELECT * FROM loyalty_expirytotal AS x WHERE {total_member}) AS x
    ON x.member_id = l.member_id AND x.currency = l.currency AND x.expires_at = l.expires_at
WHERE coalesce(l.points, 0) <> coalesce(x.points, 0)
""",
    ),
    Check(
        "I4",
        "points that slide have an end that is to come",
        """
SELECT l.member_id, l.number, l.available, l.expires_at, s.slides_until FROM loyalty_lot AS l
JOIN loyalty_memberstate AS s ON s.member_id = l.member_id
WHERE {lot_member} AND l.slides AND l.available > 0
    AND (l.expires_at IS NOT NULL OR s.slides_until IS NULL)
""",
    ),
    Check(
        "I5, I6",
        "every posting has its wallet, whose balances and count are what they say, without a gap",
        f"""
SELECT w.member_id, w.seq, w.available, w.debt, w.lifetime_earned, s.*
FROM (SELECT * FROM loyalty_wallet AS w WHERE {{wallet_member}}) AS w FULL JOIN (
    SELECT p.member_id AS member, p.currency AS in_currency, count(*) AS postings,
        min(p.seq) AS first_seq, max(p.seq) AS last_seq,
        {_moved(1)} AS pending_posted, {_moved(2)} AS available_posted, {_moved(3)} AS held_posted,
        -{_moved(7)} AS debt_posted,
        {_sum("p.amount", "p.source = 0")} AS issued_posted
    FROM loyalty_posting AS p WHERE {{member}} GROUP BY p.member_id, p.currency
) AS s ON s.member = w.member_id AND s.in_currency = w.currency
WHERE (w.pending, w.available, w.held, w.debt, w.lifetime_earned, w.seq)
        IS DISTINCT FROM (coalesce(s.pending_posted, 0), coalesce(s.available_posted, 0),
            coalesce(s.held_posted, 0), coalesce(s.debt_posted, 0), coalesce(s.issued_posted, 0),
            coalesce(s.postings, 0))
    OR coalesce(s.first_seq, 1) <> 1 OR coalesce(s.last_seq, 0) <> w.seq
""",
        long=True,
    ),
    Check(
        "I5, I17",
        "each posting carries the running balance, and none is earlier than the one before",
        # That of the one before and its own amount, from the first on: so it is their sum.
        """
SELECT * FROM (
    SELECT p.member_id, p.seq, p.available_after,
        coalesce(lag(p.available_after) OVER w, 0)
            + CASE 2 WHEN p.destination THEN p.amount WHEN p.source THEN -p.amount ELSE 0 END
            AS running,
        p.posted_at, lag(p.posted_at) OVER w AS posted_before
    FROM loyalty_posting AS p WHERE {member}
    WINDOW w AS (PARTITION BY p.member_id, p.currency ORDER BY p.seq)
) AS r WHERE r.available_after <> r.running OR r.posted_at < r.posted_before
""",
    ),
    Check(
        "I7",
        "every posting belongs to a ledger transaction",
        """
SELECT p.member_id, p.seq, p.transaction_number FROM loyalty_posting AS p
LEFT JOIN loyalty_ledgertransaction AS t
    ON t.member_id = p.member_id AND t.number = p.transaction_number
WHERE {member} AND t.number IS NULL
""",
    ),
    Check(
        "I8",
        "every committed idempotency key has its answer",
        """
SELECT k.client, k.key, k.created_at FROM loyalty_idempotencykey AS k
WHERE {whole} AND (k.status IS NULL OR k.body IS NULL)
""",
    ),
    Check(
        "I9, I10",
        "every order has one claim, that on its ref at its store, and no more was taken back than"
        " it earned",
        # Claims are unique, so of two of an order one is another order's by right, and found here.
        # Materialized, or it would be planned for finding 20 rows soon, and there is none to find.
        """
WITH wrong AS MATERIALIZED (
    SELECT o.member_id, o.number, o.ref, c.scope, c.ref AS claimed, o.points, o.clawed_back
    FROM loyalty_order AS o LEFT JOIN loyalty_orderclaim AS c
        ON c.member_id = o.member_id AND c.number = o.number
    WHERE {order_member} AND (
        (c.program_id, c.ref) IS DISTINCT FROM (o.program_id, o.ref)
        OR c.scope <> CASE o.store WHEN '' THEN 'channel:' || o.channel ELSE 'store:' || o.store END
        OR o.clawed_back > o.points OR o.clawed_back < 0)
)
SELECT * FROM wrong
""",
        long=True,
    ),
    Check(
        "I10",
        "no more was given back of a redemption than was taken",
        """
SELECT d.member_id, d.number, d.points, d.captured, d.reinstated FROM loyalty_redemption AS d
WHERE {redemption_member} AND (d.reinstated > d.captured OR d.captured > d.points)
""",
    ),
    Check(
        "I11, I12",
        "held points are those of open holds, and a settled hold holds nothing",
        """
SELECT w.member_id, w.held, coalesce(h.held, 0) AS open_holds FROM loyalty_wallet AS w
LEFT JOIN (
    SELECT h.member_id AS member, sum(h.amount - h.captured - h.released) AS held,
        bool_or(h.amount > 0
            AND (h.state = 'open') <> (h.captured + h.released < h.amount)) AS wrong
    FROM loyalty_hold AS h WHERE {hold_member} GROUP BY h.member_id
) AS h ON h.member = w.member_id
WHERE {wallet_member} AND (w.held <> coalesce(h.held, 0) OR coalesce(h.wrong, false))
""",
    ),
    Check(
        "I12",
        "a redemption's state is that of its hold, and its postings redeemed what it says",
        """
SELECT d.member_id, d.number, d.state, d.captured, d.reinstated, h.state AS hold_state
FROM loyalty_redemption AS d
LEFT JOIN loyalty_hold AS h ON h.member_id = d.member_id AND h.number = d.number
LEFT JOIN LATERAL (
    SELECT coalesce(sum(CASE 4 WHEN p.destination THEN p.amount WHEN p.source THEN -p.amount
        ELSE 0 END), 0) AS redeemed
    FROM loyalty_posting AS p
    WHERE p.member_id = d.member_id AND p.redemption_number = d.number
) AS p ON true
WHERE {redemption_member} AND (p.redeemed <> d.captured - d.reinstated
    OR (h.state IS NOT DISTINCT FROM 'open') <> (d.state = 'held')
    OR (h.state IN ('voided', 'lapsed') AND h.state <> d.state))
""",
    ),
    Check(
        "I13",
        "the outbox counts a member's events without a gap",
        """
SELECT s.member_id, s.event_seq, e.* FROM loyalty_memberstate AS s
LEFT JOIN (
    SELECT e.member_id AS member, count(*) AS events, min(e.sequence) AS first_sequence,
        max(e.sequence) AS last_sequence
    FROM loyalty_outboxevent AS e WHERE {event_member} GROUP BY e.member_id
) AS e ON e.member = s.member_id
WHERE {state_member} AND CASE
    WHEN e.member IS NOT NULL THEN e.last_sequence <> s.event_seq
        OR e.events <> e.last_sequence - e.first_sequence + 1
    -- Old events are deleted in their order: who did nothing since has none.
    ELSE s.event_seq > 0 AND EXISTS (
        SELECT FROM loyalty_ledgertransaction AS t WHERE t.member_id = s.member_id
            AND t.recorded_at > (SELECT min(recorded_at) FROM loyalty_outboxevent))
    END
""",
    ),
    Check(
        "I16",
        "what leaves a lot through transit arrives in another, in the same ledger transaction"
        " or in its counterpart at another member",
        f"""
SELECT p.member_id, p.transaction_number, {_moved(8)} + coalesce(o.there, 0) AS lost
FROM loyalty_posting AS p
JOIN loyalty_ledgertransaction AS t
    ON t.member_id = p.member_id AND t.number = p.transaction_number
LEFT JOIN LATERAL (
    SELECT {_moved(8).replace("p.", "q.")} AS there FROM loyalty_posting AS q
    WHERE q.member_id = t.counterpart_id AND q.transaction_number = t.counterpart_number
        AND 8 IN (q.source, q.destination)
) AS o ON true
WHERE {{member}} AND 8 IN (p.source, p.destination)
GROUP BY p.member_id, p.transaction_number, o.there HAVING {_moved(8)} + coalesce(o.there, 0) <> 0
""",
    ),
    Check(
        "I16",
        "counterparts name each other",
        """
SELECT t.member_id, t.number, t.counterpart_id, t.counterpart_number
FROM loyalty_ledgertransaction AS t
LEFT JOIN loyalty_ledgertransaction AS o
    ON o.member_id = t.counterpart_id AND o.number = t.counterpart_number
WHERE {transaction_member} AND t.counterpart_id IS NOT NULL
    AND (t.member_id, t.number) IS DISTINCT FROM (o.counterpart_id, o.counterpart_number)
""",
    ),
    Check(
        "I16",
        "who was merged away has neither points nor debt, and leads to a member who was not",
        """
SELECT s.member_id, s.merged_into, w.pending, w.available, w.held, w.debt
FROM loyalty_memberstate AS s
JOIN loyalty_wallet AS w ON w.member_id = s.member_id
LEFT JOIN loyalty_memberstate AS o ON o.member_id = s.merged_into
WHERE {state_member} AND s.merged_into IS NOT NULL AND (
    w.pending + w.available + w.held + w.debt <> 0 OR s.status <> 'merged'
    OR o.merged_into IS NOT NULL OR o.member_id IS NULL)
""",
    ),
)

ALIASES = {
    "member": "p",
    "lot_member": "l",
    "total_member": "x",
    "wallet_member": "w",
    "order_member": "o",
    "redemption_member": "d",
    "hold_member": "h",
    "event_member": "e",
    "state_member": "s",
    "transaction_member": "t",
}


def audit(*, members: Sequence[UUID] | None = None) -> Iterator[Finding]:
    """Run every check one after another, over the whole ledger or over some members.

    Sees what the caller's transaction sees, also what it has not committed.
    """
    conditions = _EVERYTHING
    parameters: dict[str, Any] = {}
    if members is not None:
        conditions = {name: f"{a}.member_id = ANY(%(members)s)" for name, a in ALIASES.items()}
        conditions["whole"] = "false"
        parameters["members"] = list(members)
    for check in CHECKS:
        yield Finding(check, rows_of(connection, _statement(check, conditions), parameters))


def audit_side_by_side(view: Snapshot) -> Iterator[Finding]:
    """Run every check over the whole ledger, several at once, the longest first."""
    longest_first = sorted(CHECKS, key=lambda check: not check.long)
    asked = {check: view.ask(_statement(check, _EVERYTHING)) for check in longest_first}
    for check in CHECKS:
        yield Finding(check, asked[check].result())


_EVERYTHING = {**dict.fromkeys(ALIASES, "true"), "whole": "true"}


def _statement(check: Check, conditions: dict[str, str]) -> str:
    return check.sql.format(**conditions) + f" LIMIT {SHOWN}"


COUNTED = {
    "postings": "loyalty_posting",
    "lots": "loyalty_lot",
    "wallets": "loyalty_wallet",
    "ledger transactions": "loyalty_ledgertransaction",
    "redemptions": "loyalty_redemption",
    "orders": "loyalty_order",
    "events": "loyalty_outboxevent",
}


def count_rows(view: Snapshot) -> "dict[str, Future[list[dict[str, Any]]]]":
    """Ask how many rows an audit looks at, as `count`."""
    return {name: view.ask(f"SELECT count(*) FROM {table}") for name, table in COUNTED.items()}
