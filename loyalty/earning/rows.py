"""What commands read for earning rules: facts about members, asked only where a rule needs them."""

from loyalty.engine.commands import REF, Ask, MemberRef, Read
from loyalty.engine.load import MEMBER_OF

BIRTH_DATE = Read(
    "birth date",
    f"""
SELECT r.ord, m.birth_date
FROM {{questions}}
JOIN loyalty_member AS m ON m.id = {MEMBER_OF}
WHERE m.program_id = $1
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


def birth_date_of(ref: MemberRef) -> Ask:
    """Ask when a member was born."""
    return Ask(BIRTH_DATE, tuple(ref))


def orders_of(ref: MemberRef) -> Ask:
    """Ask how many orders of a member were paid and did not come back altogether."""
    return Ask(ORDERS_SO_FAR, tuple(ref))
