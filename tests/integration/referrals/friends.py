"""Members who bring others, at a till of tests/factories.py."""

import json
from typing import Any

from loyalty.ledger.audit import audit
from loyalty.members import services as members
from loyalty.members.schemas import EnrolRequest
from loyalty.nightly.services import settle_referrals
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


def proved(till: Till) -> None:
    """Audit everybody of the program."""
    query = "SELECT member_id FROM loyalty_memberstate WHERE program_id = %s"
    ids = [row[0] for row in rows(query, till.program.pk)]
    assert [found for found in audit(members=ids) if found.rows] == []


def pair(till: Till) -> tuple[str, str]:
    """Ada, and Ben whom she brought."""
    ada = join(till)
    return ada.card, join(till, ada.referral_code).card


def converted(till: Till) -> tuple[str, str, str]:
    """Ada, Ben, and his first order, for which both have their points."""
    ada, ben = pair(till)
    order = unique("o")
    assert till.earn(ben, order, "20.00").referral["points"] == 100
    settle_referrals()
    return ada, ben, order


def code_of(till: Till, card: str) -> str:
    """Give the code by which a member brings others."""
    query = "SELECT code FROM loyalty_referralcode WHERE member_id = %s"
    return str(rows(query, till.ids[card])[0][0])
