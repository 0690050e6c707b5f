"""What a member's page shows: read through the engine, so that what is due counts as done."""

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import orjson

from loyalty.admin import words
from loyalty.engine.activity import activity_of, days_found, tier_body
from loyalty.engine.commands import Ask, MemberRef
from loyalty.engine.look import look
from loyalty.engine.run import known_program
from loyalty.engine.session import MemberWork, Session
from loyalty.events.models import OutboxEvent
from loyalty.http.actors import name_actors
from loyalty.http.auth import Principal
from loyalty.http.fields import MAX_INT64
from loyalty.ledger.models import MemberState
from loyalty.members.consent import list_consents, present_consents
from loyalty.members.models import Member
from loyalty.members.rows import expiring_of
from loyalty.members.statements import ledger_of, lots_of
from loyalty.orders.models import Order
from loyalty.programs.currencies import format_amount
from loyalty.programs.expiry import last_day
from loyalty.programs.rules import PublishedProgram
from loyalty.referrals.selectors import list_friends, read_brought
from loyalty.rewards.models import Redemption
from loyalty.rewards.payment import worth
from loyalty.rewards.selectors import list_rewards_for, redemptions_of
from loyalty.rewards.selectors import shown as redemption_shown
from loyalty.tiers.models import TierChange
from loyalty.tiers.rules import format_metric
from loyalty.tiers.windows import ActivityDay

ROWS: Final = 25
"""Of a list on one page; older ones are a click away."""

MOST_FRIENDS: Final = 200

SHOWN: Final = {
    "statement": "Statement",
    "lots": "Points by expiry",
    "orders": "Orders",
    "redemptions": "Redemptions",
    "rewards": "Rewards",
    "tiers": "Tier history",
    "friends": "Friends",
    "consent": "Consent",
    "events": "Events",
}

Row = tuple[Any, ...]


def member_context(
    principal: Principal, member: Member, *, shown: str, before: int | None
) -> dict[str, Any]:
    """Read everything of the page, and the rows of the one list that is shown.

    Args:
        shown: Which list, a key of `SHOWN`.
        before: Only rows with a smaller number; None begins with the newest.
    """
    ref: MemberRef = ("account", str(member.id))  # their own page, also after a merge
    list_of = _ENGINE_LISTS.get(shown)
    limit = MAX_INT64 if before is None else before
    program = known_program(principal.program_id)
    activity = activity_of(ref, program)
    questions = [expiring_of(ref), activity]
    if list_of is not None:
        questions.append(list_of[0](ref, before=limit, most=ROWS + 1))
    session, work = look(principal, ref, questions)
    if list_of is not None:
        found = session.found(questions[2])
        rows = [list_of[1](work, row) for row in found[:ROWS]]
        if shown == "redemptions":
            _lead_to_pages(work, rows)
        older = found[ROWS - 1][1] if len(found) > ROWS else None
    elif shown == "rewards":
        rows, older = list_rewards_for(principal, ref), None
    else:
        rows, older = _TABLE_LISTS[shown](work, limit)
    if shown in ("statement", "tiers"):
        name_actors(rows)
    return {
        "member": member,
        "work": work,
        "program": work.program,
        "identifiers": member.identifiers.all(),
        "brought": read_brought(member.pk),
        "balance": _balance(work),
        "expiring": _expiring(session, questions[0]),
        "tier": _tier(work, days_found(work, activity)),
        "tabs": SHOWN,
        "shown": shown,
        "rows": rows,
        "older": older,
        "newest": before is None,
    }


def _balance(work: MemberWork) -> dict[str, Any]:
    wallet, program = work.books.wallet, work.program
    value = worth(program, wallet.available)
    return {
        "available": wallet.available,
        "pending": wallet.pending,
        "held": wallet.held,
        "debt": wallet.debt,
        "lifetime": wallet.lifetime_earned,
        "worth": f"{format_amount(value, program.currency_scale)} {program.currency}",
    }


def _expiring(session: Session, question: Ask) -> list[dict[str, Any]]:
    zone = session.program.timezone
    found = session.found(question)[:3]
    return [{"points": points, "last_day": last_day(ends, zone)} for points, ends in found]


def _tier(work: MemberWork, days: Sequence[ActivityDay]) -> dict[str, Any] | None:
    body = tier_body(work, days=days)
    if body is None or work.program.tiers is None:
        return None
    unit = _unit(work.program)
    present = work.program.levels.get(body["code"])
    following, stay = body["next"], body["to_stay"]
    tier = {
        "name": body["name"],
        "since": work.level_since,
        "metric": f"{body['metric']} {unit}",
        "until": work.grace_until or work.valid_until,
        "assigned": body["assigned"],
        "perks": body["perks"],
        "stay": f"{stay['missing']} {unit}" if stay and Decimal(stay["missing"]) else "",
        "is_safe": stay is not None and not Decimal(stay["missing"]),
        "percent": 100,
    }
    if following:
        target = work.program.levels[following["code"]]
        floor = present.threshold if present and work.metric >= present.threshold else 0
        span = max(1, target.threshold - floor)
        tier["next"] = target.name
        tier["missing"] = f"{following['missing']} {unit}"
        tier["percent"] = max(2, min(100, 100 * (work.metric - floor) // span))
    return tier


def _unit(program: PublishedProgram) -> str:
    assert program.tiers is not None
    units = {"spend": program.currency, "points": program.points.name, "orders": "orders"}
    return units[program.tiers.qualify_by]


def _statement_row(work: MemberWork, row: Row) -> dict[str, Any]:
    number, kind, points, source, source_ref, actor, reason, store = row[1:9]
    occurred_at, recorded_at, why, after, postings = row[12:17]
    return {
        "number": number,
        "kind": words.kind_in_words(kind),
        "points": words.signed(points),
        "gives": points > 0,
        "takes": points < 0,
        "after": after,
        "source": words.SOURCES.get(source, source),
        "ref": source_ref,
        "store": store,
        "actor": actor,
        "reason": reason,
        "occurred_at": occurred_at,
        "recorded_at": recorded_at,
        "late": _late(occurred_at, recorded_at),
        "why": words.explanation(orjson.loads(why or "{}")),
        "postings": [
            words.posting_in_words(amount=amount, lot=lot, source=origin, destination=to)
            for lot, origin, to, amount in orjson.loads(postings or "[]")
        ],
    }


def _late(occurred_at: datetime, recorded_at: datetime) -> bool:
    return (recorded_at - occurred_at).total_seconds() > 3600


def _lot_row(work: MemberWork, row: Row) -> dict[str, Any]:
    names = ("granted", "pending", "available", "held", "redeemed", "expired", "revoked")
    lot: dict[str, Any] = dict(zip(names, row[2:9], strict=True))
    settled, moved, active_at, expires_at, _, _, order, slides = row[9:17]
    used = {
        "redeemed": lot["redeemed"],
        "expired": lot["expired"],
        "taken back": lot["revoked"],
        "repaid a debt": settled,
        "moved to another member": moved,
    }
    return {
        **lot,
        "number": row[1],
        "active_at": active_at,
        "last_day": expires_at and last_day(expires_at, work.program.timezone),
        "order": order,
        "slides": slides and lot["available"] + lot["pending"] + lot["held"] > 0,
        "is_pending": lot["pending"] > 0,
        "used": ", ".join(f"{points:,} {what}" for what, points in used.items() if points),
    }


def _redemption_row(work: MemberWork, row: Row) -> dict[str, Any]:
    body = redemption_shown(work, row[1:])
    reward = work.program.rewards.get(body["reward"] or "")
    return {
        **body,
        "number": row[1],
        "created_at": datetime.fromisoformat(body["created_at"]),
        "what": reward.name if reward else body["reward"] or "Paid with points",
        "gives": words.gives(body["gives"]),
        "colour": words.REDEMPTION_COLOURS.get(body["state"], "info"),
    }


def _lead_to_pages(work: MemberWork, rows: list[dict[str, Any]]) -> None:
    """Add the ids under which the admin knows redemptions; the engine has none of them."""
    numbers = [row["number"] for row in rows]
    found = Redemption.objects.filter(member_id=work.member_id, number__in=numbers)
    pages = dict(found.values_list("number", "pk"))
    for row in rows:
        row["pk"] = pages[row["number"]]


_ENGINE_LISTS: Final[dict[str, tuple[Callable[..., Ask], Callable[[MemberWork, Row], Any]]]] = {
    "statement": (ledger_of, _statement_row),
    "lots": (lots_of, _lot_row),
    "redemptions": (redemptions_of, _redemption_row),
}


def _page(rows: list[Any], number: str) -> tuple[list[Any], int | None]:
    older = getattr(rows[ROWS - 1], number) if len(rows) > ROWS else None
    return rows[:ROWS], older


def _orders(work: MemberWork, before: int) -> tuple[list[Any], int | None]:
    found = Order.objects.filter(member_id=work.member_id, number__lt=before)
    return _page(list(found.order_by("-number")[: ROWS + 1]), "number")


def _tier_changes(work: MemberWork, before: int) -> tuple[list[Any], int | None]:
    found = TierChange.objects.filter(member_id=work.member_id, number__lt=before)
    rows, older = _page(list(found.order_by("-number")[: ROWS + 1]), "number")
    return [_tier_change_row(work, change) for change in rows], older


def _tier_change_row(work: MemberWork, change: TierChange) -> dict[str, Any]:
    names = {code: level.name for code, level in work.program.levels.items()}
    return {
        "from": names.get(change.from_level, change.from_level),
        "to": names.get(change.to_level, change.to_level),
        "renewed": change.from_level == change.to_level,
        "changed_at": change.changed_at,
        "valid_until": change.valid_until,
        "by": words.TIER_KINDS.get(change.kind, change.kind),
        "actor": change.actor if change.kind == "assign" else "",
        "reason": change.reason,
        "metric": f"{format_metric(work.program, change.metric)} {_unit(work.program)}"
        if work.program.tiers
        else "",
        "version": change.program_version,
    }


def _events(work: MemberWork, before: int) -> tuple[list[Any], int | None]:
    found = OutboxEvent.objects.filter(member_id=work.member_id, sequence__lt=before)
    return _page(list(found.order_by("-sequence")[: ROWS + 1]), "sequence")


def _friends(work: MemberWork, before: int) -> tuple[list[Any], int | None]:
    """Show the newest of those whom the member brought: an influencer's are for a report."""
    return list(list_friends(work.member_id, most=MOST_FRIENDS)), None


def _consents(work: MemberWork, before: int) -> tuple[list[Any], int | None]:
    """Show what was said of the member, and of who was merged into them: it is one person."""
    merged = MemberState.objects.filter(merged_into=work.member_id).values_list("pk", flat=True)
    people = [work.member_id, *merged]
    newest = {row.pk for row in present_consents(people).values()}
    rows = list_consents(people)
    for row in rows:
        row.counts = row.pk in newest  # type: ignore[attr-defined]
    return rows, None


_TABLE_LISTS: Final[dict[str, Callable[[MemberWork, int], tuple[list[Any], int | None]]]] = {
    "orders": _orders,
    "tiers": _tier_changes,
    "events": _events,
    "friends": _friends,
    "consent": _consents,
}
