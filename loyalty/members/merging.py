"""Merge two members who are one person, and take a merge back within 30 days.

Points, orders, identifiers and what counts for tiers go over to the survivor in one command over
both; the history of the merged member stays where it happened (docs/decisions/0006).
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson

from loyalty.engine.activity import held_by, tier_body
from loyalty.engine.commands import Ask, Decision, Kind, MemberRef, ReadAgain
from loyalty.engine.inactivity import carry_over
from loyalty.engine.session import MemberWork, Session
from loyalty.engine.writing import Table
from loyalty.errors import (
    MemberHasHolds,
    MemberNotFound,
    MergeNotReversible,
    NotMerged,
    SameMember,
)
from loyalty.ledger.rules import LotState, check_room
from loyalty.ledger.transfer import Moved, move_debt, move_lots
from loyalty.members.merge_rows import (
    MEMBER_MERGE,
    MERGE_UNDONE,
    SEGMENTS_JOINED,
    SEGMENTS_PARTED,
    USES_JOINED,
    USES_PARTED,
    Move,
    belongings_of,
    last_merge_of,
    merged_to,
    merged_with,
    movable_lots,
    their_lots,
)
from loyalty.members.merge_tiers import changes_of, join_tiers, part_tiers
from loyalty.members.schemas import EraseMember, MergeMembers, UnmergeMember
from loyalty.members.services import require
from loyalty.programs.rules import PublishedProgram
from loyalty.tiers.rules import Held

REVERSIBLE = timedelta(days=30)
ALL = 2**63 - 1


def account(member_id: Any) -> MemberRef:
    """Name a member's own rows, also where they were merged into another one."""
    return ("account", str(member_id))


def hand_over(
    giver: MemberWork,
    taker: MemberWork,
    *,
    kind: str,
    lots: Iterable[LotState],
    shift: int,
    debt: int = 0,
    number: Callable[[LotState], int],
    origin: Callable[[LotState], int | None] = lambda lot: None,
    reason: str = "",
) -> tuple[Moved, int, int]:
    """Move points and debt to another member, with both ledger transactions.

    Args:
        shift: What to add to an order's number to find it among the taker's rows.
        number: Gives the taker's number for a lot.
        origin: Gives which lot of the taker's own it continues, if any.

    Returns:
        What moved, and the numbers of the giver's and of the taker's ledger transaction.
    """
    out, into = giver.next_number(), taker.next_number()
    listed: list[dict[str, Any]] = []

    def continued(lot: LotState) -> LotState:
        renumbered = number(lot)
        came_from = giver.public_id("lot", lot.number)
        points = lot.pending + lot.available
        listed.append(
            {"from": came_from, "to": taker.public_id("lot", renumbered), "points": points}
        )
        return LotState(
            renumbered,
            lot.active_at,
            lot.expires_at,
            origin=origin(lot),
            order_number=lot.order_number + shift if lot.order_number else None,
            slides=lot.slides,
            came_from=came_from,
        )

    carry_over(giver, taker)
    found = sorted((lot for lot in lots if lot.pending or lot.available), key=lambda x: x.number)
    moved = move_lots(giver.books, taker.books, out=out, into=into, lots=found, continued=continued)
    move_debt(giver.books, taker.books, out=out, into=into, amount=debt)
    moved.debt = debt
    why = {"lots": listed, "debt": debt}
    for work, row, points, other in (
        (giver, out, -moved.points, (taker.member_id, into)),
        (taker, into, moved.points, (giver.member_id, out)),
    ):
        work.transaction(
            kind, number=row, points=points, reason=reason, counterpart=other, explanation=why
        )
        work.touched = True
    return moved, out, into


# Merge


def _decide_merge(session: Session, decision: Decision) -> tuple[int, dict[str, Any]]:
    request: MergeMembers = decision.payload
    merged = require(decision)
    survivor = session.members.get(request.into)
    if survivor is None:
        raise MemberNotFound("There is no member to merge into.")
    require(Decision(decision.command, survivor))
    if merged is survivor:
        raise SameMember()
    counted, taken, days, identifiers, orders, holds = session.found(belongings_of(request.member))[
        0
    ]
    if merged.books.wallet.held or holds:  # a reward may be held for nothing
        raise MemberHasHolds(f"{merged.books.wallet.held} points are held.")
    before_them = merged_before(session, request, session.found(merged_with(request.member)))
    merged.add_lots([LotState(*row) for row in session.found(movable_lots(request.member))])
    base, size = survivor.number_seq, merged.number_seq
    survivor.number_seq = base + size
    moved, out, into = hand_over(
        merged,
        survivor,
        kind="merge",
        lots=_fitting(survivor, list(merged.books.lots.values())),
        shift=base,
        debt=merged.books.wallet.debt,
        number=lambda lot: lot.number + base,
        reason=request.body.reason,
    )
    Move(merged, survivor, above=0, upto=ALL, shift=base).put()
    _both(USES_JOINED, merged, survivor)
    _both(SEGMENTS_JOINED, merged, survivor)
    before = held_by(survivor)
    join_tiers(merged, survivor, orjson.loads(days))
    _put_merge(merged, survivor, (out, into, base, size), before, moved.debt, (counted, taken))
    if merged.status == "frozen":
        survivor.status = "frozen"
    merged.status, merged.merged, merged.slides_until = "merged", (survivor.member_id, base), None
    for earlier, their_base in before_them:
        earlier.merged, earlier.touched = (survivor.member_id, their_base + base), True
    facts = {"points": moved.available, "pending": moved.pending, "debt": moved.debt}
    facts |= {"orders": orders, "identifiers": identifiers}
    merged.event("member.merged", {"into": str(survivor.member_id), **facts}, kind="merge")
    survivor.event("member.merged", {"merged": str(merged.member_id), **facts}, kind="merge")
    return 200, {
        "merged": str(merged.member_id),
        "into": str(survivor.member_id),
        **facts,
        "reversible_until": (merged.now + REVERSIBLE).isoformat(),
        "balance": survivor.books.wallet.as_balance(),
        "tier": tier_body(survivor, changed=survivor.level != before.level),
    }


def _fitting(taker: MemberWork, lots: Sequence[LotState]) -> Sequence[LotState]:
    """Give lots that are to go over.

    Raises:
        BalanceTooLarge: The taker's balance would pass the largest one.
    """
    check_room(taker.books, sum(lot.pending + lot.available for lot in lots))
    return lots


def merged_before(
    session: Session,
    request: MergeMembers | UnmergeMember | EraseMember,
    found: list[tuple[UUID, int]],
) -> list[tuple[MemberWork, int]]:
    """Give who was merged before and leads elsewhere now, with what their numbers grew by.

    Raises:
        ReadAgain: They are not locked yet; all members of a command are locked in one order.
    """
    missing = [account(member_id) for member_id, _ in found if member_id not in session.works]
    if missing:
        request.also.extend(missing)
        raise ReadAgain
    return [(session.works[member_id], base) for member_id, base in found]


def _both(table: Table, merged: MemberWork, survivor: MemberWork) -> None:
    row = {"merged": merged.member_id, "survivor": survivor.member_id}
    survivor.rows.put(table, row)


def _put_merge(
    merged: MemberWork,
    survivor: MemberWork,
    numbers: tuple[int, int, int, int],
    before: Held,
    debt: int,
    orders: tuple[str, str],
) -> None:
    (out, into, base, size), (counted, taken) = numbers, orders
    merged.rows.put(
        MEMBER_MERGE,
        {
            "member_id": merged.member_id,
            "number": out,
            "program_id": merged.program.id,
            "survivor_id": survivor.member_id,
            "survivor_number": into,
            "base": base,
            "size": size,
            "status_before": merged.status,
            "level_before": before.level,
            "terms_before": [before.valid_until, before.earned_level, before.earned_until],
            "level_after": survivor.level,
            "debt": debt,
            "counted": orjson.loads(counted),
            "taken": orjson.loads(taken),
            "merged_at": merged.now,
            "reversible_until": merged.now + REVERSIBLE,
        },
    )


def _asks_merge(request: MergeMembers, program: PublishedProgram) -> list[Ask]:
    asks = (movable_lots, belongings_of, merged_with)
    return [ask(request.member) for ask in asks]


MERGE = Kind(
    "merge",
    member=lambda request: request.member,
    decide=_decide_merge,
    asks=_asks_merge,
    others=lambda request: [request.into, *request.also],
)


# Taking it back


def _decide_unmerge(session: Session, decision: Decision) -> tuple[int, dict[str, Any]]:
    request: UnmergeMember = decision.payload
    merged = decision.work
    if merged is None:
        raise MemberNotFound()
    found = session.found(last_merge_of(request.account))
    if merged.status != "merged" or not found:
        raise NotMerged(
            ""
            if request.member.type == "id"
            else "Name who was merged by their id: their cards lead to the survivor."
        )
    survivor = _survivor(session, request, found[0])
    number, _, base, size, status, level_before, level_after, debt, counted = found[0][:9]
    counted_now, days, identifiers, orders, terms = found[0][12:]
    with_them = [
        row for row in session.found(merged_with(request.member)) if base < row[1] < base + size
    ]
    before_them = merged_before(session, request, with_them)
    survivor.add_lots([LotState(*row) for row in session.found(their_lots(request.account))])
    theirs = [lot for lot in survivor.books.lots.values() if _came(lot, base, base + size)]
    moved, _, _ = hand_over(
        survivor,
        merged,
        kind="unmerge",
        lots=_fitting(merged, theirs),
        shift=-base,
        debt=min(debt, survivor.books.wallet.debt),
        number=lambda lot: merged.next_number(),
        origin=lambda lot: _before(lot, base, base + size),
        reason=request.body.reason,
    )
    Move(survivor, merged, above=base, upto=base + size, shift=-base).put()
    theirs_of_limits = {"merged": merged.member_id, "survivor": survivor.member_id}
    survivor.rows.put(USES_PARTED, {**theirs_of_limits, "number": number})
    _both(SEGMENTS_PARTED, merged, survivor)
    merged.status, merged.merged = status, (None, None)
    for earlier, their_base in before_them:
        earlier.merged, earlier.touched = (merged.member_id, their_base - base), True
    changes = changes_of(orjson.loads(counted), orjson.loads(counted_now))
    levels = (level_before, level_after)
    part_tiers(merged, survivor, orjson.loads(days), changes, levels, orjson.loads(terms))
    undone = {"member_id": merged.member_id, "number": number, "undone_at": merged.now}
    merged.rows.put(MERGE_UNDONE, undone)
    facts = {"points": moved.available, "pending": moved.pending, "debt": moved.debt}
    facts |= {"orders": orders, "identifiers": identifiers}
    merged.event("member.unmerged", {"from": str(survivor.member_id), **facts}, kind="unmerge")
    survivor.event("member.unmerged", {"unmerged": str(merged.member_id), **facts}, kind="unmerge")
    return 200, {
        "unmerged": str(merged.member_id),
        "from": str(survivor.member_id),
        **facts,
        "balance": merged.books.wallet.as_balance(),
        "tier": tier_body(merged),
    }


def _survivor(session: Session, request: UnmergeMember, merge: tuple[Any, ...]) -> MemberWork:
    """Give the member from whom to part; refuse where it cannot be done any more."""
    survivor_id, until, merged_into = merge[1], merge[9], merge[11]
    survivor = session.works.get(survivor_id)
    if survivor is None or merged_into != survivor_id:
        raise MergeNotReversible("The survivor was merged too; take that merge back first.")
    if until <= session.now:
        raise MergeNotReversible()
    if survivor.status == "closed":
        raise MergeNotReversible("The survivor's account is closed.")
    if survivor.books.wallet.held:
        raise MemberHasHolds(f"{survivor.books.wallet.held} points of the survivor are held.")
    return survivor


def _came(lot: LotState, above: int, upto: int) -> bool:
    """Tell whether a lot of the survivor's came with the merge, or continues or renews one."""
    return any(
        number is not None and above < number <= upto
        for number in (lot.number, lot.origin, lot.order_number)
    )


def _before(lot: LotState, above: int, upto: int) -> int | None:
    """Give the merged member's own lot that this one of the survivor's continues."""
    for number in (lot.number, lot.origin):
        if number is not None and above < number <= upto:
            return number - above
    return None


def _asks_unmerge(request: UnmergeMember, program: PublishedProgram) -> list[Ask]:
    account = request.account
    return [last_merge_of(account), their_lots(account), merged_with(request.member)]


UNMERGE = Kind(
    "unmerge",
    member=lambda request: request.account,
    decide=_decide_unmerge,
    asks=_asks_unmerge,
    others=lambda request: [request.member, *request.also],
)


# What comes back to a merged member's account afterwards


def asks_survivor(member_id: UUID) -> list[Ask]:
    """Ask what it takes to hand on what comes back to a merged member."""
    return [merged_to(account(member_id))]


def take_used(work: MemberWork, lots: Sequence[LotState]) -> None:
    """Take lots that a redemption used into the books, with the end that they have come to.

    What a merged member used ends with the survivor's points, also where only this run finds that
    those have ended.
    """
    if work.status == "merged":
        work.slide_ended = work.session.members[("id", str(work.member_id))].slide_ended
    work.add_lots(lots)


def pass_on(work: MemberWork) -> MemberWork:
    """Hand what came back to a merged member on to the survivor; give whoever has it now.

    Never refused: what came back is in the books of both by then.
    """
    session = work.session
    if work.status != "merged":
        return work
    survivor = session.members[("id", str(work.member_id))]
    survivor.touched = True  # what was due for them has been done: their balance is answered
    base = session.found(merged_to(account(work.member_id)))[0][0]
    lots, new = list(work.books.lots.values()), survivor.next_number
    if any(lot.pending or lot.available for lot in lots):
        moved, _, _ = hand_over(
            work, survivor, kind="merge", lots=lots, shift=base, number=lambda _: new()
        )
        facts = {"points": moved.available, "pending": moved.pending, "debt": 0}
        facts |= {"orders": 0, "identifiers": 0}
        survivor.event("member.merged", {"merged": str(work.member_id), **facts}, kind="merge")
    return survivor
