"""The overview: how a program does, in a handful of bounded queries."""

import time
from datetime import date, datetime, timedelta
from typing import Any, Final

from django.db import OperationalError, connection, transaction
from django.http import HttpRequest
from django.utils import timezone

from loyalty.admin.access import names_of
from loyalty.errors import LoyaltyError
from loyalty.events.models import OutboxEvent
from loyalty.programs.currencies import format_amount
from loyalty.programs.expiry import local_day
from loyalty.programs.models import Program
from loyalty.programs.rules import PublishedProgram
from loyalty.programs.selectors import published_program
from loyalty.rewards.payment import worth

DAYS: Final = 30
KEPT_SECONDS: Final = 60.0
"""Sums over all members are kept for so long in each process: many look, few changes show."""
PATIENCE: Final = "3s"
"""No look at the overview may keep the database busy for longer."""

PROGRAMS_SHOWN: Final = 50
"""More are not offered to choose from; each has its overview at its own address."""

_CHART_HEIGHT: Final = 120

_OUTSTANDING = """
SELECT count(*), coalesce(sum(w.available), 0)::bigint, coalesce(sum(w.pending), 0)::bigint,
    coalesce(sum(w.held), 0)::bigint, count(*) FILTER (WHERE w.debt > 0)
FROM loyalty_memberstate AS s JOIN loyalty_wallet AS w ON w.member_id = s.member_id
WHERE s.program_id = %s AND s.status IN ('active', 'frozen')
"""

# One pass over the index of what was recorded in the last days, counted on the day on which it
# happened: a file of last week's receipts is last week's.
_BY_DAY = """
SELECT (occurred_at AT TIME ZONE %s)::date AS day,
    coalesce(sum(points) FILTER (WHERE points > 0 AND kind IN ('earn', 'adjust')), 0),
    coalesce(-sum(points) FILTER (WHERE kind IN ('redeem', 'hold', 'void', 'lapse', 'reinstate')),
        0),
    coalesce(-sum(points) FILTER (WHERE kind = 'expire'), 0)
FROM loyalty_ledgertransaction
WHERE program_id = %s AND recorded_at >= %s AND occurred_at >= %s GROUP BY 1
"""

_TIERS = """
SELECT level, count(*) FROM loyalty_membertier WHERE program_id = %s GROUP BY level
"""

_kept: dict[tuple[int, int], tuple[float, dict[str, Any]]] = {}


def fill(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Give the index page what it shows; called by the theme."""
    if not request.user.has_perm("loyalty.view_member"):
        return {**context, "overview": None}
    published = Program.objects.filter(version__gt=0)
    programs = list(published[:PROGRAMS_SHOWN])
    wanted = request.GET.get("program", "")
    chosen = published.filter(pk=int(wanted)).first() if wanted.isdecimal() else None
    chosen = chosen or (programs[0] if programs else None)
    overview = _overview(chosen) if chosen else None
    return {**context, "programs": programs, "chosen": chosen, "overview": overview}


def _overview(row: Program) -> dict[str, Any]:
    try:
        program = published_program(row.pk, version=row.version)
    except LoyaltyError:
        return {}
    return {
        "program": program,
        "events": _events(row.pk),
        **_sums(program),
    }


def _events(program_id: int) -> list[dict[str, Any]]:
    """List the newest, with the names of their members: three queries."""
    events = OutboxEvent.objects.filter(program_id=program_id).order_by("-position", "-id")
    # First those that the relay has not seen yet: the index of a program's events has the others.
    found = list(events.filter(position__isnull=True)[:8])
    found += events.filter(position__isnull=False)[: 8 - len(found)]
    names = names_of(event.member_id for event in found)
    return [{"event": event, "name": names[event.member_id]} for event in found]


def _sums(program: PublishedProgram) -> dict[str, Any]:
    key = (program.id, program.version)
    at, sums = _kept.get(key, (0.0, {}))
    if not sums or at < time.monotonic() - KEPT_SECONDS:
        try:
            sums = _ask(program)
        except OperationalError:
            return {"too_long": True}
        _kept[key] = (time.monotonic(), sums)
    return sums


def _ask(program: PublishedProgram) -> dict[str, Any]:
    today = local_day(timezone.now(), program.timezone)
    since = timezone.now() - timedelta(days=DAYS)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = '{PATIENCE}'")
        cursor.execute(_OUTSTANDING, [program.id])
        members, available, pending, held, indebted = cursor.fetchone()
        cursor.execute(_BY_DAY, [program.timezone, program.id, since, since])
        by_day = {row[0]: tuple(map(int, row[1:])) for row in cursor.fetchall()}
        cursor.execute(_TIERS, [program.id])
        levels = dict(cursor.fetchall())
    outstanding = available + pending + held
    value = format_amount(worth(program, outstanding), program.currency_scale)
    return {
        "members": members,
        "outstanding": outstanding,
        "parts": {"available": available, "pending": pending, "reserved": held},
        "worth": f"{value} {program.currency}",
        "indebted": indebted,
        "moved": _totals(by_day),
        "chart": _chart(by_day, today),
        "tiers": _tiers(program, levels, members),
        "as_of": datetime.now(tz=timezone.get_current_timezone()),
    }


def _totals(by_day: dict[date, tuple[int, ...]]) -> dict[str, int]:
    sums = [sum(day[n] for day in by_day.values()) for n in range(3)]
    return dict(zip(("earned", "redeemed", "expired"), sums, strict=True))


def _chart(by_day: dict[date, tuple[int, ...]], today: date) -> dict[str, Any]:
    """Draw bars: earned upwards, redeemed and expired downwards, on one scale."""
    days = [today - timedelta(days=ago) for ago in range(DAYS - 1, -1, -1)]
    found = [by_day.get(day, (0, 0, 0)) for day in days]
    up = max(row[0] for row in found)
    down = max(max(0, row[1]) + row[2] for row in found)
    scale = _CHART_HEIGHT / max(1, up + down)
    axis = up * scale
    bars = [_bar(days[n], n, row, axis, scale) for n, row in enumerate(found)]
    return {"bars": bars, "axis": round(axis, 1), "first": days[0], "last": days[-1], "up": up}


def _bar(day: date, index: int, row: tuple[int, ...], axis: float, scale: float) -> dict[str, Any]:
    earned, redeemed, expired = row
    used = max(0, redeemed) * scale
    return {
        "x": index * 10 + 1,
        "y": round(axis - earned * scale, 1),
        "earned": round(earned * scale, 1),
        "axis": round(axis, 1),
        "redeemed": round(used, 1),
        "below": round(axis + used, 1),
        "expired": round(expired * scale, 1),
        "words": f"{day:%-d %B}: {earned:,} earned, {redeemed:,} redeemed, {expired:,} expired",
    }


def _tiers(program: PublishedProgram, found: dict[str, int], members: int) -> list[dict[str, Any]]:
    """Count members by level; who has no row yet is on the ground."""
    if program.tiers is None:
        return []
    levels = program.tiers.levels
    counts = {level.code: found.get(level.code, 0) for level in levels}
    counts[levels[0].code] += max(0, members - sum(found.values()))
    return [
        {
            "name": level.name,
            "count": counts[level.code],
            "percent": round(100 * counts[level.code] / max(1, members)),
        }
        for level in levels
    ]
