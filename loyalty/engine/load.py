"""The load: lock the members, then read all that the decisions need, in one pipeline.

Lots are read in a later statement than the lock: read together with it they were stale
(docs/decisions/0001). The statement that locks stands here once.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson

from loyalty.database.exchange import Statement
from loyalty.database.values import array_of
from loyalty.engine.commands import REF, Ask, Command, MemberRef, Read, fill_questions
from loyalty.engine.session import MemberWork, OpenHold, Session
from loyalty.http.auth import Principal
from loyalty.ledger.rules import NEVER, LotState, Use, WalletState
from loyalty.programs.rules import PublishedProgram

# How a reference becomes a member, in any statement with $1 the program and r(type, value).
# ("order", "SCOPE/REF") is the member of a recorded order; without SCOPE its ref must be the only.
# The id of somebody who was merged away leads to who goes on; identifiers and orders moved there.
# Its sub-select casts behind a CASE of its own: where a row changed while its lock was waited for,
# PostgreSQL runs the sub-selects of a kept plan before it looks which of them it needs.
MEMBER_OF = """(CASE r.type
    WHEN 'id' THEN coalesce(
        (SELECT o.merged_into FROM loyalty_memberstate AS o
         WHERE o.member_id = CASE r.type WHEN 'id' THEN r.value::uuid END),
        r.value::uuid)
    WHEN 'account' THEN r.value::uuid
    WHEN 'order' THEN (
        SELECT CASE WHEN count(*) = 1 THEN min(c.member_id::text)::uuid END
        FROM loyalty_orderclaim AS c
        WHERE c.program_id = $1 AND c.ref = split_part(r.value, '/', 2)
            AND split_part(r.value, '/', 1) IN ('', c.scope))
    ELSE (
        SELECT i.member_id FROM loyalty_identifier AS i
        WHERE i.program_id = $1 AND i.type = r.type AND i.value = r.value)
    END)"""

# The member x and who was merged into them: what a person may do so often counts for all of them.
PERSON = """(SELECT x.member_id UNION ALL
    SELECT o.member_id FROM loyalty_memberstate AS o WHERE o.merged_into = x.member_id)"""

KEY: Final = {"key": "text"}

# The same request that comes again meanwhile waits here, not at the member, so that it can be told
# why. One lock for a run, of the first of its keys: that no key is used twice is for the table's
# own key to see to, when the answer is written.
KEY_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($2::text, $1::bigint))"

# OFFSET 0 keeps all keys of a client from being read to find a batch's among them, which a plan
# made while the table was small would do for ever.
STORED = """
SELECT k.key, k.request_hash, k.status, k.body FROM {questions}
CROSS JOIN LATERAL (
    SELECT * FROM loyalty_idempotencykey AS k
    WHERE k.client = $1 AND k.key = r.key OFFSET 0
) AS k
"""

LOCK = f"""
SELECT s.member_id FROM {{questions}}
CROSS JOIN LATERAL (SELECT {MEMBER_OF} AS member_id OFFSET 0) AS x
JOIN loyalty_memberstate AS s ON s.member_id = x.member_id
WHERE s.program_id = $1
ORDER BY s.member_id FOR NO KEY UPDATE OF s
"""

# When a lot ends; one that slides, at its member's date, until it has ended.
LOT_ENDS = """CASE WHEN l.slides AND l.expires_at IS NULL THEN (
        SELECT e.slides_until FROM loyalty_memberstate AS e WHERE e.member_id = l.member_id)
    ELSE l.expires_at END"""
LOT_SLIDES = "(l.slides AND l.expires_at IS NULL)"

# A lot in the order of LotState's fields.
LOT_COLUMNS = f"""l.number, l.active_at, {LOT_ENDS} AS ends, l.pending, l.available, l.held,
    l.origin, l.order_number, {LOT_SLIDES} AS moves"""

LOT_JSON = f"""json_build_object('number', l.number, 'pending', l.pending,
    'available', l.available, 'held', l.held, 'active_at', l.active_at,
    'expires_at', {LOT_ENDS}, 'origin', l.origin, 'order_number', l.order_number,
    'slides', {LOT_SLIDES})"""

# $4 and $5 are the window of the tier policy: its kind and its months (tiers/rules.window_start).
# What is due is read by functions where there is any (migration 0003_read_what_is_due).
# OFFSET 0 keeps a plan from going by the index of what is due, which has all members in it.
MEMBERS = f"""
WITH t AS MATERIALIZED (
    SELECT clock_timestamp() AS now, p.id, p.version,
        (clock_timestamp() AT TIME ZONE p.timezone)::date AS today, p.timezone
    FROM loyalty_program AS p WHERE p.id = $1
)
SELECT t.now, t.version, r.type, r.value, s.member_id, s.status, s.event_seq, s.number_seq,
    m.enrolled_at, w.pending, w.available, w.held, w.debt, w.lifetime_earned, w.seq,
    g.level, g.since, g.grace_until, v.start, a.spend, a.points, a.orders,
    CASE WHEN EXISTS (
        SELECT FROM loyalty_lot AS l
        WHERE l.member_id = s.member_id AND l.available > 0 AND NOT l.slides
            AND l.expires_at <= t.now
    ) THEN loyalty_expired_lots(s.member_id, t.now) END,
    CASE WHEN w.pending > 0 THEN loyalty_matured_lots(s.member_id, t.now) END,
    CASE WHEN EXISTS (
        SELECT FROM (
            SELECT h.expires_at FROM loyalty_hold AS h
            WHERE h.member_id = s.member_id AND h.state = 'open' OFFSET 0
        ) AS h WHERE h.expires_at <= t.now
    ) THEN loyalty_lapsed_holds(s.member_id, t.now) END,
    g.valid_until, g.earned_level, g.earned_until,
    w.posted_at, s.slides_until,
    CASE WHEN s.slides_until <= t.now THEN loyalty_sliding_lots(s.member_id) END
FROM t
LEFT JOIN {{questions}} ON true
LEFT JOIN LATERAL (SELECT {MEMBER_OF} AS member_id OFFSET 0) AS x ON true
LEFT JOIN loyalty_memberstate AS s ON s.member_id = x.member_id AND s.program_id = $1
LEFT JOIN loyalty_member AS m ON m.id = s.member_id
LEFT JOIN LATERAL (
    SELECT * FROM loyalty_wallet AS w
    WHERE w.member_id = s.member_id AND w.currency = 1 OFFSET 0
) AS w ON true
LEFT JOIN loyalty_membertier AS g ON g.member_id = s.member_id
LEFT JOIN LATERAL (
    SELECT CASE $4::text
        WHEN 'rolling' THEN (t.today - make_interval(months => $5::int))::date + 1
        WHEN 'calendar_year' THEN date_trunc('year', t.today::timestamp)::date
        ELSE (CASE WHEN (e.day + e.years)::date <= t.today THEN e.day + e.years
            ELSE e.day + (e.years - interval '1 year') END)::date
        END AS start
    FROM (
        SELECT (m.enrolled_at AT TIME ZONE t.timezone)::date AS day, make_interval(years =>
            extract(year FROM t.today)::int
            - extract(year FROM m.enrolled_at AT TIME ZONE t.timezone)::int) AS years
    ) AS e
) AS v ON true
LEFT JOIN LATERAL (
    SELECT sum(d.spend)::bigint AS spend, sum(d.points)::bigint AS points,
        sum(d.orders)::bigint AS orders
    FROM loyalty_activityday AS d WHERE d.member_id = s.member_id AND d.day >= v.start
) AS a ON true
"""

LOTS_AT_FIRST = 100
ALL_LOTS = 2_000_000_000

# A member's spendable lots in the order in which they pay; `most` limits how many are read: of
# those with an end of their own and of those that slide, each by its index.
SPENDABLE = Read(
    "spendable lots",
    f"""
SELECT r.ord, l.*
FROM {{questions}}
CROSS JOIN LATERAL (SELECT {MEMBER_OF} AS member_id OFFSET 0) AS x
CROSS JOIN LATERAL (
    (SELECT {LOT_COLUMNS} FROM loyalty_lot AS l
     WHERE l.member_id = x.member_id AND l.available > 0 AND NOT l.slides
     ORDER BY l.expires_at, l.number LIMIT r.most)
    UNION ALL
    (SELECT {LOT_COLUMNS} FROM loyalty_lot AS l
     WHERE l.member_id = x.member_id AND l.available > 0 AND l.slides
     ORDER BY l.number LIMIT r.most)
    ORDER BY ends, number LIMIT r.most
) AS l
""",
    {**REF, "most": "int"},
)


def spendable_lots(ref: MemberRef, *, most: int = LOTS_AT_FIRST) -> Ask:
    """Ask for the lots with which a member can pay, soonest expiry first."""
    return Ask(SPENDABLE, (*ref, most))


Stored = tuple[bytes, int, bytes]
"""What is kept of a key: the hash of its request, and the status and body of its answer."""


class Loaded:
    """The answers of one load pipeline, still as rows."""

    __slots__ = ("asks", "members", "stored")

    def __init__(self) -> None:
        self.stored: dict[str, Stored] = {}
        self.members: list[tuple[Any, ...]] = []
        self.asks: dict[Ask, list[tuple[Any, ...]]] = {}


def collect_asks(
    commands: Sequence[Command], program: PublishedProgram, *, all_lots: bool
) -> dict[Read, list[Ask]]:
    """Gather the questions of all commands, each once, by read."""
    asks: dict[Ask, None] = {}
    for command in commands:
        for ask in command.kind.asks(command.payload, program):
            asks[ask] = None
        ref = command.kind.member(command.payload)
        if all_lots and ref is not None:
            asks[spendable_lots(ref, most=ALL_LOTS)] = None
    return by_read(asks)


def by_read(asks: Iterable[Ask]) -> dict[Read, list[Ask]]:
    """Sort questions by their read, in the order in which reads run."""
    found: dict[Read, list[Ask]] = {}
    for ask in asks:
        found.setdefault(ask.read, []).append(ask)
    return {read: found[read] for read in sorted(found, key=lambda read: (read.rank, read.name))}


def reads_for(
    program_id: int, asks: dict[Read, list[Ask]], *, locked: bool = False
) -> list[Statement]:
    """Make one statement per read."""
    return [
        Statement(
            read.statement(single=len(questions) == 1, locked=locked),
            [program_id, *parameters_of(read.columns, [ask.args for ask in questions])],
        )
        for read, questions in asks.items()
    ]


def lock_of(program: PublishedProgram, refs: Sequence[MemberRef]) -> Statement:
    """Make the statement that locks these members."""
    return _about_members(LOCK, program, refs)


def members_of(program: PublishedProgram, refs: Sequence[MemberRef]) -> Statement:
    """Make the statement that reads these members, the time and the program's version."""
    return _about_members(MEMBERS, program, refs, *tier_window(program))


def _about_members(
    sql: str, program: PublishedProgram, refs: Sequence[MemberRef], *more: Any
) -> Statement:
    filled = fill_questions(sql, tuple(REF.items()), single=len(refs) == 1)
    return Statement(filled, [program.id, *parameters_of(REF, refs), *more])


def parameters_of(columns: Mapping[str, str], questions: Sequence[Sequence[Any]]) -> list[Any]:
    """Give what a statement with `{questions}` takes: the one question, or arrays of columns."""
    if len(questions) == 1:
        return list(questions[0])
    return [
        array_of(type_, [question[place] for question in questions])
        for place, type_ in enumerate(columns.values())
    ]


def gather(
    asks: Iterable[list[Ask]], reads: Iterable[Statement]
) -> dict[Ask, list[tuple[Any, ...]]]:
    """Sort the rows found to their questions by the number in front."""
    found: dict[Ask, list[Any]] = {}
    for questions, read in zip(asks, reads, strict=True):
        for ask in questions:
            found[ask] = []
        for row in read.rows:
            found[questions[row[0] - 1]].append(row[1:])
    return found


def tier_window(program: PublishedProgram) -> tuple[str, int]:
    """Give the kind and the months of the program's qualifying window."""
    if program.tiers is None:
        return "rolling", 12
    return program.tiers.window, program.tiers.rolling_months


def build_session(
    loaded: Loaded, *, program: PublishedProgram, principal: Principal, now: datetime
) -> Session:
    """Make members and answers of the rows that were read."""
    session = Session(program=program, principal=principal, now=now)
    for row in loaded.members:
        if row[4] is None:
            continue
        ref = (row[2], row[3])
        known = session.works.get(row[4])
        if known is None:
            session.add_member(build_member(session, row), [ref])
        else:
            session.members[ref] = known
    take_found(session, loaded.asks)
    return session


def take_found(session: Session, found: Mapping[Ask, list[tuple[Any, ...]]]) -> None:
    """Let decisions find what was read: lots in their member's books, all else by its question."""
    for ask, rows in found.items():
        if ask.read is SPENDABLE:
            _take_spendable(session, ask, rows)
        else:
            session.remember(ask, rows)


def build_member(session: Session, row: tuple[Any, ...]) -> MemberWork:
    """Make one member of a row of MEMBERS."""
    work = MemberWork(
        session,
        member_id=row[4],
        status=row[5],
        event_seq=row[6],
        number_seq=row[7],
        enrolled_at=row[8],
        wallet=WalletState(*row[9:15]),
    )
    work.posted_at = max(session.now, row[28] or session.now)
    work.slides_until = row[29]
    _set_tier(work, row)
    for found in filter(None, (row[22], row[23], row[30])):
        work.add_lots([lot_of(lot) for lot in _json(found)])
    if row[24]:
        work.due_holds += [_hold_of(work, hold) for hold in _json(row[24])]
    return work


def _set_tier(work: MemberWork, row: tuple[Any, ...]) -> None:
    tiers = work.program.tiers
    if tiers is None:
        return
    work.level = row[15] or tiers.levels[0].code
    work.level_since = row[16] or work.enrolled_at
    work.grace_until = row[17]
    work.valid_until, work.earned_level, work.earned_until = row[25], row[26] or "", row[27]
    work.window_start = row[18]
    by = {"spend": row[19], "points": row[20], "orders": row[21]}
    work.metric = by[tiers.qualify_by] or 0


def _json(found: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = orjson.loads(found) if isinstance(found, str | bytes) else found
    return rows


def lot_of(found: dict[str, Any]) -> LotState:
    """Make a lot of its JSON object (LOT_JSON)."""
    ends = found["expires_at"]
    return LotState(
        number=found["number"],
        active_at=datetime.fromisoformat(found["active_at"]),
        expires_at=datetime.fromisoformat(ends) if ends else None,
        pending=found["pending"],
        available=found["available"],
        held=found["held"],
        origin=found["origin"],
        order_number=found["order_number"],
        slides=found["slides"],
    )


def _hold_of(work: MemberWork, found: dict[str, Any]) -> OpenHold:
    parts = found["lots"] or []
    work.add_lots([lot_of(part["lot"]) for part in parts])
    return OpenHold(
        number=found["number"],
        amount=found["amount"],
        expires_at=datetime.fromisoformat(found["expires_at"]),
        uses=[Use(part["lot"]["number"], part["held_here"]) for part in parts],
        reward_stock=found["reward_stock"],
        has_code=found["has_code"],
    )


def _take_spendable(session: Session, ask: Ask, rows: list[tuple[Any, ...]]) -> None:
    type_, value, most = ask.args
    work = session.members.get((type_, value))
    if work is None:
        return
    work.add_lots([LotState(*row) for row in rows])
    work.books.complete = work.books.complete or len(rows) < most
    if rows:
        work.books.read_to = (rows[-1][2] or NEVER, rows[-1][0])


def member_refs(commands: Sequence[Command]) -> list[MemberRef]:
    """List the references of the members that these commands lock, each once."""
    refs: dict[MemberRef | None, None] = {}
    for command in commands:
        refs[command.kind.member(command.payload)] = None
        for other in command.kind.others(command.payload):
            refs[other] = None
    return [ref for ref in refs if ref is not None]


def member_id_of(session: Session, ref: MemberRef) -> UUID | None:
    """Give the id of a loaded member, or None."""
    work = session.members.get(ref)
    return work.member_id if work else None
