"""What the trigger makes of postings: it applies one by other statements than many."""

from typing import Any

import psycopg

from tests.factories import connect, open_till, rows

ISSUED, PENDING, AVAILABLE, HELD, REDEEMED, EXPIRED, REVOKED, DEBT, TRANSIT = range(9)

MOVES = [
    (ISSUED, PENDING),
    (PENDING, AVAILABLE),
    (ISSUED, AVAILABLE),
    (AVAILABLE, HELD),
    (HELD, REDEEMED),
    (REDEEMED, AVAILABLE),
    (AVAILABLE, HELD),
    (HELD, EXPIRED),
    (AVAILABLE, EXPIRED),
    (AVAILABLE, REVOKED),
    (AVAILABLE, TRANSIT),
    (TRANSIT, AVAILABLE),
    (DEBT, REVOKED),
    (AVAILABLE, DEBT),
    (AVAILABLE, HELD),
]
"""One after another; the member has 100 points before, and one is moved each time."""

POST = """
INSERT INTO loyalty_posting (member_id, currency, seq, transaction_number, lot_number, source,
    destination, amount, available_after, posted_at)
SELECT r.member, 1, w.seq + 1, l.number - 1, CASE WHEN r.source <> 7 THEN l.number END, r.source,
    r.destination, 1,
    w.available + CASE 2 WHEN r.destination THEN 1 WHEN r.source THEN -1 ELSE 0 END, now()
FROM unnest(%s::uuid[], %s::int[], %s::int[]) AS r (member, source, destination)
JOIN loyalty_wallet AS w ON w.member_id = r.member
JOIN loyalty_lot AS l ON l.member_id = r.member
"""
LOT = """
SELECT granted, pending, available, held, redeemed, expired, revoked, settled, moved
FROM loyalty_lot WHERE member_id = %s
"""
WALLET = """
SELECT pending, available, held, debt, lifetime_earned, seq FROM loyalty_wallet
WHERE member_id = %s
"""
TOTALS = "SELECT expires_at, points FROM loyalty_expirytotal WHERE member_id = %s"


def books(session: "psycopg.Connection[Any]", member: str) -> list[list[tuple[Any, ...]]]:
    return [session.execute(q.encode(), [member]).fetchall() for q in (LOT, WALLET, TOTALS)]


def test_one_posting_does_alone_what_it_does_among_others():
    till = open_till(points={"expiry": {"months": 12}})
    one, other = (till.ids[till.member(100)] for _ in range(2))
    with connect() as session:
        alone, among = [], []
        with session.transaction(force_rollback=True):
            for move in MOVES:
                session.execute(POST, [[one], [move[0]], [move[1]]])
                alone.append(books(session, one))
        with session.transaction(force_rollback=True):
            for move in MOVES:
                session.execute(POST, [[one, other], [move[0], ISSUED], [move[1], AVAILABLE]])
                among.append(books(session, one))
    assert alone == among
    assert rows("SELECT available FROM loyalty_wallet WHERE member_id = %s", one) == [(100,)]
