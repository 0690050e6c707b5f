"""An order that was paid with points and is over: the points that paid come back.

Only points that paid (`redeem` with `points` and `order_ref`), and only when nothing is left of the
order: of a part nobody can say which money paid it. A reward that was used for an order may be
drunk or handed over: the shop reverses it, or does not.
"""

from typing import Any, Final

import orjson

from loyalty.engine.commands import REF, Ask, MemberRef, Read
from loyalty.engine.load import LOT_JSON, MEMBER_OF, lot_of
from loyalty.engine.session import MemberWork
from loyalty.ledger.rules import Use
from loyalty.orders.rules import OrderRecord, all_returned
from loyalty.rewards.rows import COLUMNS
from loyalty.rewards.rules import state_of
from loyalty.rewards.settling import give_points_back

REASON: Final = "The order that the points paid for came back."

PAID_WITH: Final = Read(
    "points that paid for an order",
    f"""
SELECT r.ord, {COLUMNS},
    (SELECT json_agg(json_build_object('redeemed', u.redeemed, 'lot', {LOT_JSON}))::text
     FROM (
        SELECT p.lot_number, sum(CASE 4 WHEN p.destination THEN p.amount
            WHEN p.source THEN -p.amount ELSE 0 END)::bigint AS redeemed
        FROM loyalty_posting AS p
        WHERE p.member_id = d.member_id AND p.redemption_number = d.number
        GROUP BY p.lot_number
     ) AS u JOIN loyalty_lot AS l ON l.member_id = d.member_id AND l.number = u.lot_number
     WHERE u.redeemed > 0)
FROM {{questions}}
JOIN loyalty_redemption AS d ON d.member_id = {MEMBER_OF} AND d.order_ref = r.order_ref
    AND d.order_ref <> '' AND d.reward = '' AND d.captured > d.reinstated
ORDER BY r.ord, d.number
""",
    {**REF, "order_ref": "text"},
)


def paid_with(ref: MemberRef, order_ref: str) -> Ask:
    """Ask which points paid for an order and have not come back."""
    return Ask(PAID_WITH, (*ref, order_ref))


def repay(work: MemberWork, record: OrderRecord, ask: Ask) -> int:
    """Give points that paid for an order back if nothing is left of it; return how many."""
    if record.state != "cancelled" and not all_returned(record.lines):
        return 0
    total = 0
    for row in work.session.found(ask):
        redemption = state_of(row)
        if redemption.store and record.store and redemption.store != record.store:
            continue  # another store's order has the same number
        points = redemption.captured - redemption.reinstated
        uses = _uses(work, row[-1])
        give_points_back(work, redemption, uses, points=points, reason=REASON)
        total += points
    work.session.remember(ask, [])
    return total


def _uses(work: MemberWork, found: Any) -> list[Use]:
    uses = []
    for part in orjson.loads(found or "[]"):
        lot = lot_of(part["lot"])
        work.add_lots([lot])
        uses.append(Use(lot.number, part["redeemed"]))
    return uses
