"""What must add up whatever happened, each a query that gives what does not; `%(program)s` asks.

The audit proves points; these prove what is counted beside them.
"""

from typing import Any

from loyalty.ledger.audit import audit
from tests.factories import rows

# Whoever was merged away keeps what they were counted for, to be parted by.
_LIVING = "SELECT member_id FROM loyalty_memberstate WHERE program_id = {p} AND status <> 'merged'"
_OF = " FROM loyalty_order AS o CROSS JOIN LATERAL json_to_recordset(o.taken) AS t("

SUMS = {
    "a member's days are what their orders count for": """
WITH o AS (
    SELECT o.member_id, o.day, sum(o.net_amount) AS spend, sum(o.points - o.clawed_back) AS points,
        count(*) FILTER (WHERE NOT (
            EXISTS (SELECT FROM json_array_elements(o.lines) AS e
                WHERE (e->>'returned')::bigint <> 0)
            AND NOT EXISTS (SELECT FROM json_array_elements(o.lines) AS e
                WHERE coalesce((e->>'returned')::bigint, 0)
                    <> (e->>'quantity')::numeric * 10000))) AS orders
    FROM loyalty_order AS o WHERE o.program_id = {p} AND o.state = 'paid' GROUP BY 1, 2
), d AS (SELECT * FROM loyalty_activityday WHERE member_id IN ({living}))
SELECT member_id, day, o.spend, d.spend, o.points, d.points, o.orders, d.orders
FROM o FULL JOIN d USING (member_id, day)
WHERE (coalesce(o.spend, 0), coalesce(o.points, 0), coalesce(o.orders, 0))
    <> (coalesce(d.spend, 0), coalesce(d.points, 0), coalesce(d.orders, 0))
""",
    "what a member has had of limits is what their orders took": """
WITH t AS (
    SELECT o.member_id, t.rule, t.per, t."from" AS starts_on, count(*) AS times,
        sum(t.points) AS points
    {of}rule text, per text, "from" date, points bigint, back text)
    WHERE o.program_id = {p} AND t.rule IS NOT NULL AND t.back IS NULL GROUP BY 1, 2, 3, 4
), u AS (SELECT * FROM loyalty_ruleuse WHERE member_id IN ({living}))
SELECT member_id, rule, per, starts_on, t.times, u.times, t.points, u.points
FROM t FULL JOIN u USING (member_id, rule, per, starts_on)
WHERE (coalesce(t.times, 0), coalesce(t.points, 0))
    <> (coalesce(u.times, 0), coalesce(u.points, 0))
""",
    "a member's last event tells their balances": """
SELECT w.member_id, e.type, e.balances, w.available, w.pending, w.held, w.debt, w.seq
FROM loyalty_memberstate AS s JOIN loyalty_wallet AS w USING (member_id)
JOIN loyalty_outboxevent AS e ON e.member_id = s.member_id AND e.sequence = s.event_seq
WHERE s.member_id IN ({living}) AND e.balances::jsonb <> json_build_object('available', w.available,
    'pending', w.pending, 'held', w.held, 'debt', w.debt, 'lifetime_earned', w.lifetime_earned,
    'version', w.seq)::jsonb
""",
    "what is left of a stock and what was taken are the stock": """
SELECT s.reward, s.remaining, s.total, count(d.number) FROM loyalty_rewardstock AS s
LEFT JOIN loyalty_redemption AS d
    ON d.program_id = s.program_id AND d.reward = s.reward AND d.took_stock
WHERE s.program_id = {p} GROUP BY s.id HAVING s.remaining + count(d.number) <> s.total
""",
    "what is used of a budget is what orders took": """
SELECT b.campaign, b.used, sum(t.points) FROM loyalty_campaignbudget AS b LEFT JOIN (
    SELECT o.program_id, t.campaign, t.points
    {of}campaign text, points bigint, back text) WHERE t.back IS NULL
) AS t ON t.program_id = b.program_id AND t.campaign = b.campaign
WHERE b.program_id = {p} GROUP BY b.id HAVING b.used <> coalesce(sum(t.points), 0)
""",
}


def not_adding_up(program_id: int) -> dict[str, Any]:
    """Give what does not add up, by what should."""
    living = _LIVING.format(p=program_id)
    asked = {
        says: rows(query.format(p=program_id, of=_OF, living=living))
        for says, query in SUMS.items()
    }
    return {says: found for says, found in asked.items() if found}


def unproved(program_id: int) -> list[Any]:
    """Audit everybody of a program."""
    members = rows("SELECT member_id FROM loyalty_memberstate WHERE program_id = %s", program_id)
    return [found for found in audit(members=[row[0] for row in members]) if found.rows]
