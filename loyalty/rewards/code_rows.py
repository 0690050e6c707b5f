"""What commands write and read of the codes in pools."""

from loyalty.engine.commands import Ask, Read
from loyalty.engine.writing import Table

POOL_CODE = Table(
    "loyalty_poolcode",
    {
        "id": "bigint",
        "state": "text",
        "member_id": "uuid",
        "number": "bigint",
        "wipe": "boolean",
    },
    key=("id",),
    update=(
        "UPDATE loyalty_poolcode AS c SET state = r.state, member_id = r.member_id,"
        " number = r.number, sealed = CASE WHEN r.wipe THEN '' ELSE c.sealed END FROM {rows}"
        " WHERE c.id = r.id"
    ),
)

# A unique violation is tried again as a whole: who comes second finds that it was told.
POOL_NOTICE = Table(
    "loyalty_poolnotice",
    {"program_id": "int", "pool": "text", "threshold": "int"},
    order_by="pool, threshold",
)

_FREE = """
            SELECT c.id, c.sealed, c.valid_until FROM loyalty_poolcode AS c
            WHERE c.program_id = $1 AND c.pool = p.pool AND c.state = 'free'
                AND (c.valid_until IS NULL OR c.valid_until >= p.today) {more}
            ORDER BY c.id"""

# Each command gets a code that no other transaction has locked, so that tills do not wait for each
# other. Where too few are left like that, the second branch waits for those that others are
# deciding about: a code that is refused to them is not sold out. LIMIT ends before it is begun
# otherwise. So a command that gets none can believe that there is none.
CODE_FOR = Read(
    "code of a pool",
    f"""
SELECT p.ords[x.n], x.id, x.sealed, x.valid_until
FROM (
    SELECT r.pool, array_agg(r.ord ORDER BY r.ord) AS ords,
        (clock_timestamp() AT TIME ZONE g.timezone)::date AS today
    FROM {{questions}} JOIN loyalty_program AS g ON g.id = $1
    GROUP BY r.pool, g.timezone
) AS p
CROSS JOIN LATERAL (
    WITH free AS MATERIALIZED (
        {_FREE.format(more="")} LIMIT cardinality(p.ords) FOR NO KEY UPDATE SKIP LOCKED
    )
    SELECT y.*, row_number() OVER () AS n FROM (
        SELECT * FROM free
        UNION ALL
        SELECT * FROM (
            {_FREE.format(more="AND c.id NOT IN (SELECT f.id FROM free AS f)")}
            FOR NO KEY UPDATE
        ) AS awaited
        LIMIT cardinality(p.ords)
    ) AS y
) AS x
""",
    {"pool": "text", "command": "bigint"},
    rank=8,
)

POOL_LEFT = Read(
    "codes left in a pool",
    """
SELECT r.ord,
    (SELECT count(*) FROM (
        SELECT FROM loyalty_poolcode AS c
        WHERE c.program_id = $1 AND c.pool = r.pool AND c.state = 'free'
            AND (c.valid_until IS NULL
                OR c.valid_until >= (clock_timestamp() AT TIME ZONE g.timezone)::date)
        LIMIT r.most) AS f),
    ARRAY(SELECT n.threshold FROM loyalty_poolnotice AS n
          WHERE n.program_id = $1 AND n.pool = r.pool)
FROM {questions} JOIN loyalty_program AS g ON g.id = $1
""",
    {"pool": "text", "most": "int"},
    rank=8,
)


def code_for(pool: str, command: object) -> Ask:
    """Ask for a code, and lock it; each command of a run asks for one of its own."""
    return Ask(CODE_FOR, (pool, id(command)))


def spare_code(pool: str, token: int) -> Ask:
    """Ask for a code for no command in particular; those asked for together get different ones."""
    return Ask(CODE_FOR, (pool, -token))


def taken_codes(pool: str) -> Ask:
    """Name where a run remembers the codes that it took; it is never asked."""
    return Ask(CODE_FOR, (pool, 0))


def pool_left(pool: str, most: int) -> Ask:
    """Ask how many codes are left, counted up to `most`, and which low numbers were told."""
    return Ask(POOL_LEFT, (pool, most))
