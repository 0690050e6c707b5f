"""What commands write and read of members: their profile and their identifiers."""

from loyalty.engine.commands import REF, Ask, MemberRef, Read
from loyalty.engine.load import MEMBER_OF
from loyalty.engine.writing import Table

NEW_MEMBER = Table(
    "loyalty_member",
    {
        "id": "uuid",
        "program_id": "int",
        "first_name": "text",
        "last_name": "text",
        "birth_date": "date",
        "language": "text",
        "attributes": "jsonb",
        "enrolled_at": "timestamptz",
        "updated_at": "timestamptz",
    },
)

# Inserted onto themselves, so that no plan of the first day looks through all members for many.
PROFILE_CHANGE = Table(
    "loyalty_member",
    {
        "id": "uuid",
        "first_name": "text",
        "last_name": "text",
        "birth_date": "date",
        "language": "text",
        "attributes": "jsonb",
        "updated_at": "timestamptz",
    },
    key=("id",),
    update=(
        "INSERT INTO loyalty_member (id, program_id, first_name, last_name, birth_date, language,"
        " attributes, enrolled_at, updated_at)"
        " SELECT r.id, m.program_id, r.first_name, r.last_name, r.birth_date, r.language,"
        " r.attributes, m.enrolled_at, r.updated_at FROM {rows} CROSS JOIN LATERAL ("
        "SELECT * FROM loyalty_member AS m WHERE m.id = r.id OFFSET 0) AS m"
        " ON CONFLICT (id) DO UPDATE SET first_name = excluded.first_name,"
        " last_name = excluded.last_name, birth_date = excluded.birth_date,"
        " language = excluded.language, attributes = excluded.attributes,"
        " updated_at = excluded.updated_at"
    ),
)

NEW_IDENTIFIER = Table(
    "loyalty_identifier",
    {
        "member_id": "uuid",
        "number": "bigint",
        "program_id": "int",
        "type": "text",
        "value": "text",
        "verified_by": "text",
        "created_at": "timestamptz",
    },
    order_by="type, value",
)

IDENTIFIER_VERIFIED = Table(
    "loyalty_identifier",
    {"member_id": "uuid", "number": "bigint", "verified_by": "text"},
    update=(
        "UPDATE loyalty_identifier AS i SET verified_by = r.verified_by FROM {rows}"
        " WHERE i.member_id = r.member_id AND i.number = r.number"
    ),
)

IDENTIFIER_REMOVED = Table(
    "loyalty_identifier",
    {"member_id": "uuid", "number": "bigint"},
    update=(
        "DELETE FROM loyalty_identifier AS i USING {rows}"
        " WHERE i.member_id = r.member_id AND i.number = r.number"
    ),
)

# OFFSET 0 keeps a plan that was made for a small table from reading it whole when it is large.
IDENTIFIER_OWNER = Read(
    "owner of an identifier",
    """
SELECT r.ord, i.member_id
FROM {questions}
CROSS JOIN LATERAL (
    SELECT * FROM loyalty_identifier AS i
    WHERE i.program_id = $1 AND i.type = r.type AND i.value = r.value OFFSET 0
) AS i
""",
    REF,
)

PROFILE = Read(
    "profile",
    f"""
SELECT r.ord, m.first_name, m.last_name, m.birth_date, m.language, m.attributes, m.updated_at,
    (SELECT json_agg(json_build_object('id', i.number, 'type', i.type, 'value', i.value,
        'verified', i.verified_by <> '') ORDER BY i.number)
     FROM loyalty_identifier AS i WHERE i.member_id = m.id),
    (SELECT c.code FROM loyalty_referralcode AS c WHERE c.member_id = m.id),
    (SELECT f.referrer_id FROM loyalty_referral AS f WHERE f.member_id = m.id)
FROM {{questions}}
CROSS JOIN LATERAL (
    SELECT * FROM loyalty_member AS m WHERE m.id = {MEMBER_OF} AND m.program_id = $1 OFFSET 0
) AS m
""",
    REF,
)


def expiring_after(moment: str, member: str, *, most: int | None = None) -> str:
    """Give the SQL of which points of a member expire when, after a moment, in no order.

    Args:
        moment, member: SQL of the moment and of the member's id.
        most: So many dates, the soonest, besides the date of the points that slide.
    """
    limit = f"ORDER BY t.expires_at LIMIT {most}" if most else ""
    return f"""
    (SELECT t.points, t.expires_at FROM loyalty_expirytotal AS t
     WHERE t.member_id = {member} AND t.currency = 1 AND t.points > 0
        AND t.expires_at > {moment} AND t.expires_at < 'infinity' {limit})
    UNION ALL
    SELECT t.points, s.slides_until FROM loyalty_memberstate AS s
    JOIN loyalty_expirytotal AS t
        ON t.member_id = s.member_id AND t.currency = 1 AND t.expires_at = 'infinity'
    WHERE s.member_id = {member} AND s.slides_until > {moment} AND t.points > 0"""


EXPIRING = Read(
    "expiring points",
    f"""
SELECT r.ord, e.points, e.expires_at
FROM {{questions}}
CROSS JOIN LATERAL (SELECT {MEMBER_OF} AS member_id OFFSET 0) AS x
CROSS JOIN LATERAL (
    SELECT e.expires_at, sum(e.points)::bigint AS points
    FROM ({expiring_after("statement_timestamp()", "x.member_id", most=12)}) AS e
    GROUP BY e.expires_at ORDER BY e.expires_at LIMIT 12
) AS e
ORDER BY r.ord, e.expires_at
""",
    REF,
)


def owner_of(type_: str, value: str) -> Ask:
    """Ask which member has an identifier."""
    return Ask(IDENTIFIER_OWNER, (type_, value))


def profile_of(ref: MemberRef) -> Ask:
    """Ask for a member's personal data and identifiers."""
    return Ask(PROFILE, tuple(ref))


def expiring_of(ref: MemberRef) -> Ask:
    """Ask which points expire when, the soonest dozen of dates."""
    return Ask(EXPIRING, tuple(ref))
