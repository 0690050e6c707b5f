"""Read a member's history: ledger transactions with their postings, lots, a balance in the past."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson

from loyalty.engine.commands import REF, Ask, MemberRef, Read
from loyalty.engine.load import LOT_ENDS, LOT_SLIDES, MEMBER_OF
from loyalty.engine.look import look
from loyalty.errors import MemberNotFound, TransactionNotFound
from loyalty.http.auth import Principal
from loyalty.http.ids import encode_id
from loyalty.ledger.buckets import Bucket

BUCKET_NAMES: Final = {bucket.value: bucket.name.lower() for bucket in Bucket}

# `number` orders everything of a member, so it is the cursor. The balance after a transaction
# without postings is that of the one before it.
LEDGER: Final = Read(
    "ledger",
    f"""
SELECT r.ord, t.member_id, t.number, t.kind, t.points, t.source, t.source_ref, t.actor, t.reason,
    t.store, t.redemption_number, t.reverses, t.program_version, t.occurred_at, t.recorded_at,
    t.explanation::text,
    coalesce((
        SELECT p.available_after FROM loyalty_posting AS p
        WHERE p.member_id = t.member_id AND p.transaction_number <= t.number
        ORDER BY p.transaction_number DESC, p.seq DESC LIMIT 1), 0),
    (SELECT json_agg(json_build_array(p.lot_number, p.source, p.destination, p.amount)
        ORDER BY p.seq)::text
     FROM loyalty_posting AS p
     WHERE p.member_id = t.member_id AND p.transaction_number = t.number)
FROM {{questions}}
CROSS JOIN LATERAL (
    SELECT * FROM loyalty_ledgertransaction AS t
    WHERE t.member_id = {MEMBER_OF} AND t.number < r.before
    ORDER BY t.number DESC LIMIT r.most
) AS t
ORDER BY r.ord, t.number DESC
""",
    {**REF, "before": "bigint", "most": "int"},
)

# What is due is shown as due, even before a command or the nightly job has posted it.
LOTS: Final = Read(
    "lots",
    f"""
SELECT r.ord, l.member_id, l.number, l.granted,
    CASE WHEN l.active_at > n.now THEN l.pending ELSE 0 END,
    CASE WHEN e.ends <= n.now THEN 0
        ELSE l.available + CASE WHEN l.active_at > n.now THEN 0 ELSE l.pending END END,
    l.held, l.redeemed,
    l.expired + CASE WHEN e.ends <= n.now
        THEN l.available + CASE WHEN l.active_at > n.now THEN 0 ELSE l.pending END ELSE 0 END,
    l.revoked, l.settled, l.moved, l.active_at, e.ends, l.origin,
    l.came_from, o.ref, {LOT_SLIDES}
FROM {{questions}}
CROSS JOIN (SELECT clock_timestamp() AS now) AS n
CROSS JOIN LATERAL (
    SELECT * FROM loyalty_lot AS l
    WHERE l.member_id = {MEMBER_OF} AND l.number < r.before
    ORDER BY l.number DESC LIMIT r.most
) AS l
CROSS JOIN LATERAL (SELECT {LOT_ENDS} AS ends OFFSET 0) AS e
LEFT JOIN loyalty_order AS o ON o.member_id = l.member_id AND o.number = l.order_number
ORDER BY r.ord, l.number DESC
""",
    {**REF, "before": "bigint", "most": "int"},
)

# Sums of postings, never a stored figure, so that the past cannot be changed. What was due at that
# moment and was posted only later counts as if it had been posted in time.
BALANCE_AT: Final = Read(
    "balance in the past",
    f"""
WITH r AS (
    SELECT r.ord, r.at, {MEMBER_OF} AS member_id
    FROM {{questions}}
), by_lot AS (
    SELECT r.ord, r.at, p.lot_number, l.active_at, l.expires_at,
        max(p.seq) AS seq,
        sum(CASE 0 WHEN p.source THEN p.amount ELSE 0 END) AS issued,
        sum(CASE 1 WHEN p.destination THEN p.amount WHEN p.source THEN -p.amount ELSE 0 END)
            AS pending,
        sum(CASE 2 WHEN p.destination THEN p.amount WHEN p.source THEN -p.amount ELSE 0 END)
            AS available,
        sum(CASE 3 WHEN p.destination THEN p.amount WHEN p.source THEN -p.amount ELSE 0 END)
            AS held,
        sum(CASE 7 WHEN p.source THEN p.amount WHEN p.destination THEN -p.amount ELSE 0 END)
            AS debt
    FROM r JOIN loyalty_posting AS p ON p.member_id = r.member_id AND p.posted_at <= r.at
    LEFT JOIN LATERAL (
        SELECT l.active_at, {LOT_ENDS} AS expires_at FROM loyalty_lot AS l
        WHERE l.member_id = p.member_id AND l.number = p.lot_number
    ) AS l ON true
    GROUP BY r.ord, r.at, p.lot_number, l.active_at, l.expires_at
), due AS (
    SELECT ord, expires_at, issued, held, debt, seq,
        CASE WHEN active_at > at THEN pending ELSE 0 END AS pending,
        CASE WHEN expires_at <= at THEN 0
            ELSE available + CASE WHEN active_at > at THEN 0 ELSE pending END END AS available,
        CASE WHEN active_at > at OR expires_at <= at THEN 0 ELSE pending END AS matured
    FROM by_lot
)
SELECT ord, sum(available)::bigint, sum(pending)::bigint, sum(held)::bigint, sum(debt)::bigint,
    sum(issued)::bigint, max(seq)::bigint, sum(matured)::bigint,
    (SELECT json_agg(json_build_array(e.points, e.expires_at) ORDER BY e.expires_at)::text
     FROM (SELECT sum(x.available)::bigint AS points, x.expires_at FROM due AS x
           WHERE x.ord = due.ord AND x.available > 0 AND x.expires_at IS NOT NULL
           GROUP BY x.expires_at ORDER BY x.expires_at LIMIT 12) AS e)
FROM due GROUP BY ord
""",
    {**REF, "at": "timestamptz"},
)


def ledger_of(ref: MemberRef, *, before: int, most: int) -> Ask:
    """Ask for ledger transactions with a smaller number, the newest first."""
    return Ask(LEDGER, (*ref, before, most))


def transaction_of(member_id: UUID, number: int) -> Ask:
    """Ask for one ledger transaction, where it happened: also of who was merged away since."""
    return Ask(LEDGER, ("account", str(member_id), number + 1, 1))


def read_transaction(principal: Principal, member_id: UUID, number: int) -> dict[str, Any]:
    """Read one ledger transaction with its explanation, as it was decided.

    Raises:
        TransactionNotFound: This program has no such ledger transaction.
    """
    question = transaction_of(member_id, number)
    try:
        session, _ = look(principal, ("account", str(member_id)), [question])
    except MemberNotFound:
        raise TransactionNotFound() from None
    found = session.found(question)
    if not found or found[0][1] != number:
        raise TransactionNotFound()
    return {**ledger_item(found[0]), "member": str(member_id)}


def lots_of(ref: MemberRef, *, before: int, most: int) -> Ask:
    """Ask for lots with a smaller number, the newest first."""
    return Ask(LOTS, (*ref, before, most))


def balance_at(ref: MemberRef, at: datetime) -> Ask:
    """Ask what the balance was at a time."""
    return Ask(BALANCE_AT, (*ref, at))


def ledger_item(row: tuple[Any, ...]) -> dict[str, Any]:
    """Show one ledger transaction: what moved, and why."""
    member_id, number, kind, points, source, source_ref, actor, reason, store = row[:9]
    redemption, reverses, version, occurred_at, recorded_at, explanation, after, postings = row[9:]
    why = orjson.loads(explanation or "{}")
    return {
        "id": encode_id("txn", member_id, number),
        "kind": kind,
        "points": points,
        "available_after": after,
        "occurred_at": occurred_at,
        "recorded_at": recorded_at,
        "source": source,
        "source_ref": source_ref or None,
        "store": store or None,
        "actor": actor,
        "program_version": version,
        "reason": reason or None,
        "redemption": encode_id("rdm", member_id, redemption) if redemption else None,
        "reverses": encode_id("txn", member_id, reverses) if reverses else None,
        "explanation": why.pop("applied", []),
        "not_applied": why.pop("not_applied", []),
        "facts": why,
        "postings": [_posting(member_id, *part) for part in orjson.loads(postings or "[]")],
    }


def _posting(member_id: Any, lot: int | None, source: int, to: int, amount: int) -> dict[str, Any]:
    return {
        "lot": encode_id("lot", member_id, lot) if lot else None,
        "from": BUCKET_NAMES[source],
        "to": BUCKET_NAMES[to],
        "points": amount,
    }


def lot_item(row: tuple[Any, ...]) -> dict[str, Any]:
    """Show one lot: where its points are now."""
    member_id, number, granted, pending, available, held, redeemed, expired = row[:8]
    revoked, settled, moved, active_at, expires_at, origin, came_from, order, slides = row[8:]
    return {
        "id": encode_id("lot", member_id, number),
        "granted": granted,
        "pending": pending,
        "available": available,
        "held": held,
        "redeemed": redeemed,
        "expired": expired,
        "revoked": revoked,
        "settled": settled,
        "moved": moved,
        "active_at": active_at,
        "expires_at": expires_at,
        "slides": slides,
        "origin": encode_id("lot", member_id, origin) if origin else came_from,
        "order": order,
    }


def past_balance(row: tuple[Any, ...]) -> dict[str, Any]:
    """Show a balance in the past, in the shape of the present one."""
    available, pending, held, debt, issued, seq, matured, expiring = row
    repaid = min(debt, matured)
    return {
        "available": available - repaid,
        "pending": pending,
        "held": held,
        "debt": debt - repaid,
        "lifetime_earned": issued,
        "version": seq,
        "expiring": [
            {"points": points, "expires_at": ends}
            for points, ends in orjson.loads(expiring or "[]")
        ],
    }


NOTHING_YET: Final = {
    "available": 0,
    "pending": 0,
    "held": 0,
    "debt": 0,
    "lifetime_earned": 0,
    "version": 0,
    "expiring": [],
}
