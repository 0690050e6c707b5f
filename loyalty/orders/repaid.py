"""An order that was paid with points and is over: the points that paid come back.

Points that are only held for it are let go, or a till could still take them for nothing.

Only points that paid (`redeem` with `points` and `order_ref`), and only when nothing is left of the
order: of a part nobody can say which money paid it. A reward that was used for an order may be
drunk or handed over: the shop reverses it, or does not.

What somebody paid before they were merged comes back where it was taken, and on to the survivor.
"""

from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson

from loyalty.engine.commands import REF, Ask, MemberRef, Read, ReadAgain
from loyalty.engine.load import LOT_JSON, MEMBER_OF, PERSON, lot_of
from loyalty.engine.session import MemberWork
from loyalty.ledger.rules import Use
from loyalty.members.merging import account, asks_survivor, pass_on, take_used
from loyalty.orders.rows import order_by_ref
from loyalty.orders.rules import OrderRecord, all_returned
from loyalty.rewards.rows import COLUMNS
from loyalty.rewards.rules import RedemptionState, state_of
from loyalty.rewards.settling import give_points_back, let_go

REASON: Final = "The order that the points paid for came back."

PAID_WITH: Final = Read(
    "points that paid for an order",
    f"""
SELECT r.ord, d.member_id, {COLUMNS},
    (SELECT count(*) FROM loyalty_orderclaim AS c
     WHERE c.program_id = $1 AND c.ref = r.order_ref AND c.member_id = x.member_id),
    (SELECT json_agg(json_build_object('used', u.used, 'lot', {LOT_JSON}))::text
     FROM (
        SELECT p.lot_number, sum(CASE s.bucket WHEN p.destination THEN p.amount
            WHEN p.source THEN -p.amount ELSE 0 END)::bigint AS used
        FROM loyalty_posting AS p
        CROSS JOIN (SELECT CASE d.state WHEN 'held' THEN 3 ELSE 4 END AS bucket) AS s
        WHERE p.member_id = d.member_id AND p.redemption_number = d.number
        GROUP BY p.lot_number
     ) AS u JOIN loyalty_lot AS l ON l.member_id = d.member_id AND l.number = u.lot_number
     WHERE u.used > 0)
FROM {{questions}}
CROSS JOIN LATERAL (SELECT {MEMBER_OF} AS member_id OFFSET 0) AS x
CROSS JOIN LATERAL {PERSON} AS o (member_id)
CROSS JOIN LATERAL (
    SELECT * FROM loyalty_redemption AS d
    WHERE d.member_id = o.member_id AND d.order_ref = r.order_ref AND d.order_ref <> ''
        AND d.reward = '' AND (d.captured > d.reinstated OR d.state = 'held') OFFSET 0
) AS d
ORDER BY r.ord, d.member_id, d.number
""",
    {**REF, "order_ref": "text"},
)


def paid_with(ref: MemberRef, order_ref: str) -> Ask:
    """Ask which points paid for an order, or are held for it, and have not come back."""
    return Ask(PAID_WITH, (*ref, order_ref))


def payers(also: list[UUID]) -> list[MemberRef]:
    """Name those who paid before they were merged: their own rows, and who goes on for them."""
    return [ref for payer in also for ref in (account(payer), ("id", str(payer)))]


def asks_payers(also: list[UUID]) -> list[Ask]:
    """Ask what it takes to hand on what comes back to them."""
    return [ask for payer in also for ask in asks_survivor(payer)]


def repay(work: MemberWork, record: OrderRecord, ask: Ask, also: list[UUID]) -> int:
    """Give points that paid for an order back if nothing is left of it; return how many.

    Raises:
        ReadAgain: Some of those who paid are not locked yet; they are added to `also`.
    """
    if record.state != "cancelled" and not all_returned(record.lines):
        return 0
    found = work.session.found(ask)
    missing = {row[0] for row in found if row[0] not in work.session.works}
    if missing:
        also.extend(sorted(missing))
        raise ReadAgain
    total = 0
    for paid in [*_paid_before(work, record, found), *_paid_now(work, record)]:
        if not _is_of(paid, record):
            continue
        payer, redemption, uses, _ = paid
        if redemption.state == "held":
            let_go(payer, redemption, uses, reason=REASON)
        else:
            points = redemption.captured - redemption.reinstated
            give_points_back(payer, redemption, uses, points=points, reason=REASON)
            total += points
        payer.touched = True
        pass_on(payer)
    work.session.remember(ask, [])
    return total


class Paid(NamedTuple):
    """A redemption that may have paid for an order.

    Attributes:
        orders: How many of the member's orders have the number that it names.
    """

    payer: MemberWork
    redemption: RedemptionState
    uses: list[Use]
    orders: int


def _is_of(paid: Paid, record: OrderRecord) -> bool:
    """Tell whether it paid for this very order, and something of it is left.

    Of two stores' orders with one number, a payment that names no store may be of either: it is
    left to whoever knows.
    """
    redemption = paid.redemption
    if redemption.order_ref != record.ref or redemption.number in paid.payer.lapsed:
        return False
    if redemption.state != "held" and redemption.captured == redemption.reinstated:
        return False
    if redemption.store and record.store:
        return redemption.store == record.store
    return paid.orders < 2


def _paid_before(work: MemberWork, record: OrderRecord, found: Any) -> list[Paid]:
    known = _known_orders(work, record)
    return [
        Paid(payer, state_of(row[1:]), _uses(payer, row[-1]), max(known, row[-2]))
        for payer, row in ((work.session.works[row[0]], row) for row in found)
    ]


def _paid_now(work: MemberWork, record: OrderRecord) -> list[Paid]:
    known = _known_orders(work, record)
    return [Paid(work, redemption, uses, known) for redemption, uses in work.paid]


def _known_orders(work: MemberWork, record: OrderRecord) -> int:
    """Count the orders of this number that this run has met."""
    return len(work.session.found(order_by_ref("", record.ref)))


def _uses(work: MemberWork, found: Any) -> list[Use]:
    uses = []
    for part in orjson.loads(found or "[]"):
        lot = lot_of(part["lot"])
        take_used(work, [lot])
        uses.append(Use(lot.number, part["used"]))
    return uses
