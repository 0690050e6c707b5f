"""What commands read for earning rules: facts about members, asked only where a rule needs them."""

from datetime import date

from loyalty.engine.commands import REF, Ask, MemberRef, Read
from loyalty.engine.load import MEMBER_OF
from loyalty.engine.session import Session
from loyalty.engine.writing import Table

BIRTH_DATE = Read(
    "birth date",
    f"""
SELECT r.ord, m.birth_date
FROM {{questions}}
CROSS JOIN LATERAL (
    SELECT * FROM loyalty_member AS m WHERE m.id = {MEMBER_OF} AND m.program_id = $1 OFFSET 0
) AS m
""",
    REF,
)

# Sums per day, so ten thousand orders are read as some hundred rows.
ORDERS_SO_FAR = Read(
    "orders so far",
    f"""
SELECT r.ord, sum(d.orders)::int
FROM {{questions}}
JOIN loyalty_activityday AS d ON d.member_id = {MEMBER_OF}
GROUP BY r.ord
""",
    REF,
)


SEGMENTS = Read(
    "segments",
    f"""
SELECT r.ord, s.segment
FROM {{questions}}
CROSS JOIN LATERAL (
    SELECT * FROM loyalty_segmentmember AS s
    WHERE s.member_id = {MEMBER_OF} AND s.program_id = $1 OFFSET 0
) AS s
""",
    REF,
)


def segments_of(ref: MemberRef) -> Ask:
    """Ask in which segments a member is."""
    return Ask(SEGMENTS, tuple(ref))


def segments_found(session: Session, ref: MemberRef) -> frozenset[str]:
    """Give what was read of a member's segments; nothing where nobody asked."""
    return frozenset(row[0] for row in session.found(segments_of(ref)))


def birth_date_of(ref: MemberRef) -> Ask:
    """Ask when a member was born."""
    return Ask(BIRTH_DATE, tuple(ref))


def orders_of(ref: MemberRef) -> Ask:
    """Ask how many orders of a member were paid and did not come back altogether."""
    return Ask(ORDERS_SO_FAR, tuple(ref))


RULE_USE = Table(
    "loyalty_ruleuse",
    {
        "member_id": "uuid",
        "starts_on": "date",
        "rule": "text",
        "per": "text",
        "times": "int",
        "points": "bigint",
    },
    key=("member_id", "starts_on", "rule", "per"),
    add=("times", "points"),
    tail=(
        "ON CONFLICT (member_id, starts_on, rule, per) DO UPDATE SET"
        " times = loyalty_ruleuse.times + excluded.times,"
        " points = loyalty_ruleuse.points + excluded.points"
    ),
)

# All periods that a day lies in begin on one of these days: five look-ups, whatever the history.
RULE_USES = Read(
    "uses of limited rules",
    f"""
SELECT r.ord, u.rule, u.per, u.starts_on, u.times, u.points
FROM {{questions}}
JOIN loyalty_ruleuse AS u ON u.member_id = {MEMBER_OF} AND u.starts_on IN (
    r.day, date_trunc('week', r.day)::date, date_trunc('month', r.day)::date,
    date_trunc('year', r.day)::date, '0001-01-01')
""",
    {**REF, "day": "date"},
)


CAMPAIGN_BUDGET = Table(
    "loyalty_campaignbudget",
    {"program_id": "int", "campaign": "text", "points": "bigint"},
    key=("program_id", "campaign"),
    add=("points",),
    # Locked in one order first: two batches that take of several would wait for each other.
    update=(
        "UPDATE loyalty_campaignbudget AS b SET used = b.used + n.points FROM ("
        "SELECT k.id, r.points FROM {rows} JOIN loyalty_campaignbudget AS k"
        " ON k.program_id = r.program_id AND k.campaign = r.campaign"
        " ORDER BY k.campaign FOR NO KEY UPDATE OF k) AS n WHERE b.id = n.id"
    ),
)

# Read without a lock: a popular campaign must not line up all tills. The CHECK of the table
# refuses what is too much, and only then is it read under a lock.
BUDGET_LEFT = Read(
    "budgets of campaigns",
    """
SELECT r.ord, b.total - b.used
FROM {questions}
JOIN loyalty_campaignbudget AS b ON b.program_id = $1 AND b.campaign = r.campaign
""",
    {"campaign": "text"},
    rank=8,
    lock="ORDER BY b.campaign FOR NO KEY UPDATE OF b",
)


def budget_of(campaign: str) -> Ask:
    """Ask how many points are left of a campaign's budget."""
    return Ask(BUDGET_LEFT, (campaign,))


def uses_of(ref: MemberRef, day: date) -> Ask:
    """Ask what a member has had of limited rules in the periods that a day lies in."""
    return Ask(RULE_USES, (*ref, day))
