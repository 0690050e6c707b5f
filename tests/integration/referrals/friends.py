"""Members who bring others, at a till of tests/factories.py."""

import json
from typing import Any

from loyalty.members import services as members
from loyalty.members.schemas import EnrolRequest
from tests.factories import Reply, Till, balance_of, open_till, rows, unique

BRING = {"code": "bring", "bonus": 200, "trigger": "referral", "who": "referrer"}
WELCOME = {
    "code": "welcome-friend",
    "bonus": 100,
    "trigger": "referral",
    "who": "friend",
    "when": {"order_amount_min": "20.00"},
}
BASE = {"code": "base", "points": 1, "per": "1.00"}


def open_shop(bring: dict[str, Any] | None = None, **changes: Any) -> Till:
    """A shop that gives 200 points for a friend who buys for 20.00, and 100 to the friend."""
    one = {**BRING, "when": WELCOME["when"], **(bring or {})}
    return open_till(earning_rules=[BASE, one, WELCOME], **changes)


def join(till: Till, code: str | None = None, **identifiers: str) -> Reply:
    """Enrol somebody with a card, perhaps with a code; the till knows them by their card."""
    card = unique("c")
    named = {"card": card, **identifiers}
    body: dict[str, Any] = {
        "identifiers": [{"type": type_, "value": value} for type_, value in named.items()]
    }
    body |= {"referred_by": code} if code else {}
    payload = EnrolRequest.model_validate_json(json.dumps(body))
    reply = till.send(till.command(members.ENROL, payload, body))[0]
    if reply.status == 201:
        till.ids[card] = reply.id
        reply.body["card"] = card
    return reply


def points_of(till: Till, card: str) -> int:
    """Count what a member can spend."""
    return int(balance_of(till.ids[card])["available"])


def told(till: Till, card: str) -> list[tuple[str, Any]]:
    """List what was told of a member's referrals: the type, and the points."""
    found = rows(
        "SELECT type, data->>'points' FROM loyalty_outboxevent WHERE member_id = %s"
        " AND type LIKE 'referral.%%' ORDER BY sequence",
        till.ids[card],
    )
    return [(type_, points and int(points)) for type_, points in found]
