"""Reads of a member's tier: where they stand, and how they came there."""

from collections.abc import Sequence
from typing import Any, Final

from loyalty.engine.activity import activity_of, days_found, tier_body
from loyalty.engine.commands import REF, Ask, MemberRef, Read
from loyalty.engine.load import MEMBER_OF
from loyalty.engine.look import look
from loyalty.engine.run import known_program
from loyalty.engine.session import MemberWork
from loyalty.errors import NotFound
from loyalty.http.auth import Principal
from loyalty.http.ids import encode_id
from loyalty.tiers.rules import format_metric

HISTORY: Final = Read(
    "tier history",
    f"""
SELECT r.ord, c.member_id, c.number, c.from_level, c.to_level, c.kind, c.metric, c.valid_until,
    c.reason, c.actor, c.program_version, c.changed_at
FROM {{questions}}
CROSS JOIN LATERAL (
    SELECT * FROM loyalty_tierchange AS c
    WHERE c.member_id = {MEMBER_OF} AND c.number < r.before
    ORDER BY c.number DESC LIMIT r.most
) AS c
ORDER BY r.ord, c.number DESC
""",
    {**REF, "before": "bigint", "most": "int"},
)


def history_of(ref: MemberRef, *, before: int, most: int) -> Ask:
    """Ask for changes with a smaller number, the newest first."""
    return Ask(HISTORY, (*ref, before, most))


def tier_of(principal: Principal, ref: MemberRef) -> dict[str, Any]:
    """Describe where a member stands, and exactly what it takes to stay, in one round trip.

    Raises:
        NotFound: The program has no tiers.
    """
    activity = activity_of(ref, known_program(principal.program_id))
    _, work = look(principal, ref, [activity])
    body = tier_body(work, days=days_found(work, activity))
    if body is None:
        raise NotFound("This program has no tiers.")
    return body


def history_item(work: MemberWork, row: Sequence[Any]) -> dict[str, Any]:
    """Show one row of the history."""
    member_id, number, source, to, kind, metric, valid_until, reason, actor, version, at = row
    return {
        "id": encode_id("tch", member_id, number),
        "from": source,
        "to": to,
        "kind": kind,
        "metric": format_metric(work.program, metric),
        "valid_until": valid_until,
        "reason": reason or None,
        "actor": actor,
        "program_version": version,
        "changed_at": at,
    }
