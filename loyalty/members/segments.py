"""Segments: named sets of members, filled and emptied by the hundred thousand.

Being in a segment moves no points and tells no event, so it does not take the way of commands:
sets of rows come in under the members' locks, some thousand at a time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from loyalty.engine.commands import MemberRef
from loyalty.engine.load import MEMBER_OF
from loyalty.errors import SegmentInUse
from loyalty.members.models import Segment, SegmentMember
from loyalty.programs.drafts import lock
from loyalty.programs.expiry import local_day
from loyalty.programs.models import Program
from loyalty.programs.segments import naming
from loyalty.programs.selectors import draft_document, live_document

CHUNK: Final = 2_000
"""Members who are locked at once: their tills wait so long."""

# Shared with nobody who changes them: who is erased or merged at this moment is done before or
# after. The order of the engine's own locks, so that nobody waits in a circle.
_FIND: Final = f"""
SELECT r.ord, coalesce(s.merged_into, s.member_id)
FROM unnest(%(types)s::text[], %(values)s::text[]) WITH ORDINALITY AS r(type, value, ord)
JOIN loyalty_memberstate AS s ON s.member_id = {MEMBER_OF.replace("$1", "%(program)s::int")}
WHERE s.program_id = %(program)s AND s.status <> 'closed'
ORDER BY s.member_id FOR SHARE OF s
"""

# Who was brought in by a merge and is now added stays when the merge is undone.
_ADD: Final = """
WITH put AS (
    INSERT INTO loyalty_segmentmember AS s (member_id, segment, program_id)
    SELECT m.id, %(segment)s, %(program)s FROM unnest(%(members)s::uuid[]) AS m(id)
    ON CONFLICT (member_id, segment) DO UPDATE SET came_from = NULL
        WHERE s.came_from IS NOT NULL
    RETURNING s.xmax::text::bigint AS replaced
)
SELECT count(*) FROM put WHERE replaced = 0
"""

# Also for those who were merged into them: or undoing it would bring it back.
_REMOVE: Final = """
WITH gone AS (
    DELETE FROM loyalty_segmentmember AS s
    WHERE s.segment = %(segment)s AND s.member_id IN (
        SELECT m.id FROM unnest(%(members)s::uuid[]) AS m(id)
        UNION ALL
        SELECT o.member_id FROM loyalty_memberstate AS o
        WHERE o.merged_into = ANY(%(members)s::uuid[]))
    RETURNING s.member_id
)
SELECT count(*) FROM gone WHERE member_id = ANY(%(members)s::uuid[])
"""


@dataclass(frozen=True, slots=True)
class Changed:
    """What became of a list of members.

    Attributes:
        changed: How many came in, or went out.
        same: How many were in, or out, already; or were named twice.
        unknown: Which places of the list, from 0, name nobody of this program.
        members: Who was named.
    """

    changed: int
    same: int
    unknown: list[int]
    members: frozenset[UUID]


def save_segment(program_id: int, code: str, name: str = "") -> bool:
    """Make a segment, or give it another name; tell whether it is new.

    Args:
        name: As people call it; the code, or what it was, unless given.
    """
    rows = Segment.objects
    _, is_new = rows.update_or_create(
        program_id=program_id,
        code=code,
        defaults={"name": name} if name else {},
        create_defaults={"name": name or code, "changed_at": Now()},
    )
    return is_new


def add_members(program_id: int, code: str, members: Sequence[MemberRef]) -> Changed:
    """Put members into a segment; done again it changes nothing.

    A segment that does not exist is made. All of the list takes effect, or nothing; longer ones
    than `CHUNK` are better given in parts, since these members' tills wait.
    """
    with transaction.atomic():
        done = _change(_ADD, program_id, code, members)
        save_segment(program_id, code)
    return done


def remove_members(program_id: int, code: str, members: Sequence[MemberRef]) -> Changed:
    """Take members out of a segment; done again it changes nothing."""
    return _change(_REMOVE, program_id, code, members)


def _change(sql: str, program_id: int, code: str, refs: Sequence[MemberRef]) -> Changed:
    with transaction.atomic(), connection.cursor() as cursor:
        places = _find(cursor, program_id, refs)
        members = sorted(set(places.values()))
        named: dict[str, Any] = {"segment": code, "program": program_id, "members": members}
        cursor.execute(sql, named)
        changed: int = cursor.fetchone()[0]
        if changed:
            Segment.objects.filter(program_id=program_id, code=code).update(changed_at=Now())
    return Changed(
        changed=changed,
        same=len(places) - changed,
        unknown=[place for place in range(len(refs)) if place not in places],
        members=frozenset(members),
    )


def _find(cursor: Any, program_id: int, refs: Sequence[MemberRef]) -> dict[int, UUID]:
    """Lock the members that are named; give each one's place in the list."""
    types, values = [ref[0] for ref in refs], [ref[1] for ref in refs]
    cursor.execute(_FIND, {"types": types, "values": values, "program": program_id})
    return {place - 1: member for place, member in cursor.fetchall()}


def remove_others(program_id: int, code: str, kept: Iterable[UUID]) -> int:
    """Take everybody out of a segment who is not among these; return how many went."""
    kept, gone = frozenset(kept), 0
    others = [member for member in _all_members(program_id, code) if member not in kept]
    for start in range(0, len(others), CHUNK):
        refs = [("account", str(member)) for member in others[start : start + CHUNK]]
        gone += remove_members(program_id, code, refs).changed
    return gone


_MEMBERS: Final = """
SELECT s.member_id FROM loyalty_segmentmember AS s
JOIN loyalty_memberstate AS m ON m.member_id = s.member_id AND m.merged_into IS NULL
WHERE s.program_id = %s AND s.segment = %s
"""


def _all_members(program_id: int, code: str) -> list[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(_MEMBERS, [program_id, code])
        return [row[0] for row in cursor.fetchall()]


def members_after(program_id: int, code: str, after: UUID, limit: int) -> list[UUID]:
    """List who is in a segment, by id, from the one after; who was merged away is not."""
    more = " AND s.member_id > %s ORDER BY s.member_id LIMIT %s"
    with connection.cursor() as cursor:
        cursor.execute(_MEMBERS + more, [program_id, code, after, limit])
        return [row[0] for row in cursor.fetchall()]


def count_members_of(program_id: int, codes: Sequence[str]) -> dict[str, int]:
    """Count who is in these segments; one that nobody is in is missing."""
    sql = (
        "SELECT s.segment, count(*) FROM loyalty_segmentmember AS s"
        " JOIN loyalty_memberstate AS m ON m.member_id = s.member_id AND m.merged_into IS NULL"
        " WHERE s.program_id = %s AND s.segment = ANY(%s) GROUP BY s.segment"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [program_id, list(codes)])
        return dict(cursor.fetchall())


def segments_of_member(member_id: UUID) -> list[str]:
    """List a member's segments, by code."""
    rows = SegmentMember.objects.filter(member_id=member_id).order_by("segment")
    return list(rows.values_list("segment", flat=True))


def filled_segments(program_id: int) -> frozenset[str]:
    """Give the segments of a program that somebody is in."""
    sql = (
        "SELECT g.code FROM loyalty_segment AS g WHERE g.program_id = %s AND EXISTS ("
        "SELECT FROM loyalty_segmentmember AS s"
        " WHERE s.program_id = g.program_id AND s.segment = g.code)"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [program_id])
        return frozenset(row[0] for row in cursor.fetchall())


def who_names(program_id: int, code: str) -> list[str]:
    """List in words what names a segment, in what is live and in the draft."""
    program = Program.objects.get(pk=program_id)
    today = local_day(timezone.now(), program.timezone).isoformat()
    live = naming(live_document(program_id) or {}, code, today=today)
    draft = naming(draft_document(program), code, today=today)
    return [*live, *(f"{words} of the draft" for words in draft if words not in live)]


def delete_segment(program_id: int, code: str) -> bool:
    """Empty a segment and forget it; tell whether there was one.

    Raises:
        SegmentInUse: A rule or reward names it. One for those who are *not* in the segment would
            be for everybody.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        lock(program_id)  # nobody publishes what names it meanwhile
        if named := who_names(program_id, code):
            raise SegmentInUse(
                f"The segment {code} is named by {', '.join(named)}. Take it out there, and"
                " publish that, before you delete it.",
                named_by=named,
            )
        cursor.execute(
            "DELETE FROM loyalty_segmentmember WHERE program_id = %s AND segment = %s",
            [program_id, code],
        )
        found, _ = Segment.objects.filter(program_id=program_id, code=code).delete()
    return bool(found)
