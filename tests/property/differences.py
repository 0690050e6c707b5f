"""What the database says about members, and how that differs from the reference."""

import json
from typing import Any

from tests.factories import rows
from tests.property.model import BUCKETS, Member

_LOT = ", ".join(f"'{name}', l.{name}" for name in BUCKETS)

# One statement: what is compared, and a fingerprint of every row of the member.
SEEN = f"""
SELECT i.value, m.id, s.status,
    json_build_array(coalesce(g.level, 'bronze'), g.valid_until, g.grace_until),
    (SELECT json_build_object('pending', w.pending, 'available', w.available, 'held', w.held,
        'debt', w.debt, 'lifetime_earned', w.lifetime_earned) FROM loyalty_wallet AS w
     WHERE w.member_id = m.id),
    (SELECT json_agg(json_build_object({_LOT}, 'starts', extract(epoch FROM l.active_at),
        'ends', extract(epoch FROM CASE WHEN l.slides AND l.expires_at IS NULL
            THEN s.slides_until ELSE l.expires_at END)) ORDER BY l.number)
     FROM loyalty_lot AS l WHERE l.member_id = m.id),
    (SELECT json_object_agg(a.day, a.spend) FROM loyalty_activityday AS a
     WHERE a.member_id = m.id AND a.spend <> 0),
    (SELECT json_agg(json_build_array(d.state, d.points, d.captured, d.reinstated)
        ORDER BY d.number) FROM loyalty_redemption AS d WHERE d.member_id = m.id),
    md5(concat(s::text, m::text,
        (SELECT string_agg(x::text, ',') FROM loyalty_wallet AS x WHERE x.member_id = m.id),
        (SELECT string_agg(x::text, ',' ORDER BY x.number) FROM loyalty_lot AS x
         WHERE x.member_id = m.id),
        (SELECT string_agg(x::text, ',' ORDER BY x.number) FROM loyalty_order AS x
         WHERE x.member_id = m.id),
        (SELECT string_agg(x::text, ',' ORDER BY x.number) FROM loyalty_redemption AS x
         WHERE x.member_id = m.id),
        (SELECT string_agg(x::text, ',' ORDER BY x.number) FROM loyalty_hold AS x
         WHERE x.member_id = m.id),
        (SELECT string_agg(x::text, ',' ORDER BY x.day) FROM loyalty_activityday AS x
         WHERE x.member_id = m.id),
        (SELECT count(*) FROM loyalty_tierchange AS x WHERE x.member_id = m.id), g::text,
        (SELECT count(*) FROM loyalty_ledgertransaction AS x WHERE x.member_id = m.id),
        (SELECT count(*) FROM loyalty_outboxevent AS x WHERE x.member_id = m.id),
        (SELECT count(*) FROM loyalty_orderclaim AS x WHERE x.member_id = m.id),
        (SELECT count(*) FROM loyalty_redemptionclaim AS x WHERE x.member_id = m.id)))
FROM loyalty_identifier AS i
JOIN loyalty_member AS m ON m.id = i.member_id
JOIN loyalty_memberstate AS s ON s.member_id = m.id
LEFT JOIN loyalty_membertier AS g ON g.member_id = m.id
WHERE i.program_id = %s AND i.type = 'card' AND i.value = ANY(%s)
"""

_NAMES = ("id", "status", "level", "wallet", "lots", "days", "takes", "print")


def seen(program_id: int, cards: list[str]) -> dict[str, dict[str, Any]]:
    """Read what the database says about these members, by card."""
    found = {}
    for card, *values in rows(SEEN, program_id, cards):
        values[2:7] = [json.loads(v) if isinstance(v, str) else v for v in values[2:7]]
        found[card] = dict(zip(_NAMES, values, strict=True))
    return found


def difference(member: Member, found: dict[str, Any]) -> str | None:
    """Say where a member's rows differ from the paper; None if nowhere."""
    lots = [
        {**lot.at, "starts": lot.starts.timestamp(), "ends": lot.ends and lot.ends.timestamp()}
        for lot in member.lots
    ]
    takes = sorted(member.takes.values(), key=lambda take: take.number)
    pairs = {
        "wallet": (member.wallet(), found["wallet"]),
        "level": (member.standing.said, found["level"]),
        "status": ("frozen" if member.frozen else "active", found["status"]),
        "takes": ([[t.state, t.points, t.captured, t.back] for t in takes], found["takes"] or []),
        "days": (
            {str(day): spend * 100 for day, spend in member.days.items() if spend},
            found["days"] or {},
        ),
    }
    for name, (paper, database) in pairs.items():
        if paper != database:
            return f"{name} on paper {paper}, in the database {database}"
    for number, (paper, database) in enumerate(zip(lots, found["lots"] or [], strict=False)):
        if not any(paper[name] for name in ("pending", "available", "held", "redeemed")):
            database["ends"] = paper["ends"]  # nobody asks any more, and nothing writes it down
        if paper != database:
            return f"lot {number} on paper {paper}, in the database {database}"
    if len(lots) != len(found["lots"] or []):
        return f"{len(lots)} lots on paper, {len(found['lots'] or [])} in the database"
    return None
