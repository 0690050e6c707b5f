"""Consent as others tell it: every word is kept, the newest counts. Nobody here gives or takes it.

Where it cannot be told which of two words is newer, the opt-out counts.

Rows are only added: the database refuses to change or delete them, but with an erased member.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction

from loyalty.members.models import ConsentRecord

# Shared with nobody who changes them: who is erased or merged meanwhile is done before or after.
_LOCK: Final = """
SELECT told.member_id, s.member_id FROM loyalty_memberstate AS told
JOIN loyalty_memberstate AS s ON s.member_id = coalesce(told.merged_into, told.member_id)
WHERE told.program_id = %(program)s AND told.member_id = ANY(%(members)s::uuid[])
  AND s.status <> 'closed'
ORDER BY s.member_id FOR SHARE OF s
"""

# Without a time of its own, or with one in the future, a word counts only if it is another one than
# the last of the same source, also where that one was said of somebody merged into the member: the
# same state, read once more, must not override what another source said meanwhile. And that nobody
# was ever asked is no word at all, unless it is said that somebody withdrew.
#
# What is worked on late was said no later than when it was heard: the source's last word is the
# last one before that.
#
# An opt-out counts from when it was heard; consent only from when it must have been given: after
# the same source's last opt-out, or at no known time. So it never outdoes an opt-out, told by
# whomever, that may have come after it.
_INSERT: Final = """
INSERT INTO loyalty_consentrecord
    (member_id, program_id, channel, is_given, source, at, counts_from, raw_id, recorded_at)
SELECT said.member_id, %(program)s, said.channel, said.is_given, said.source,
    coalesce(said.at, said.heard_at),
    CASE WHEN said.at IS NOT NULL THEN least(said.at, clock_timestamp())
         WHEN said.is_given THEN coalesce(last.counts_from, 'epoch') ELSE said.heard_at END,
    said.raw_id, clock_timestamp()
FROM unnest(%(members)s::uuid[], %(channels)s::text[], %(given)s::boolean[], %(sources)s::text[],
            %(times)s::timestamptz[], %(raw_ids)s::text[], %(heard)s::timestamptz[],
            %(acts)s::boolean[])
    AS told (member_id, channel, is_given, source, told_at, raw_id, told_heard_at, is_act)
CROSS JOIN LATERAL (
    SELECT told.*, coalesce(told_heard_at, clock_timestamp()) AS heard_at,
        CASE WHEN told_at <= clock_timestamp() + interval '1 day' THEN told_at END AS at
) AS said
LEFT JOIN LATERAL (
    SELECT c.is_given, c.counts_from FROM loyalty_consentrecord AS c
    WHERE c.channel = said.channel AND c.source = said.source
      AND least(c.at, c.recorded_at) <= said.heard_at
      AND (c.member_id = said.member_id OR c.member_id IN (
          SELECT s.member_id FROM loyalty_memberstate AS s WHERE s.merged_into = said.member_id))
    ORDER BY c.at DESC, c.recorded_at DESC LIMIT 1
) AS last ON true
WHERE said.at IS NOT NULL OR (last.is_given IS DISTINCT FROM said.is_given
    AND (said.is_given OR said.is_act OR last.is_given IS NOT NULL))
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentSaid:
    """One word about one channel.

    Attributes:
        at: When it was given or withdrawn; None if nobody says.
        source: Who says so.
        raw_id: Theirs, of the message that said it.
        heard_at: When it came in; None if just now.
        is_act: Somebody has given or withdrawn it; else it is a state, which may be that nobody was
            ever asked.
    """

    member_id: UUID
    channel: str
    is_given: bool
    source: str
    at: datetime | None = None
    raw_id: str = ""
    heard_at: datetime | None = None
    is_act: bool = False


def record_consents(*, program_id: int, said: Sequence[ConsentSaid]) -> int:
    """Add what was said to the histories; return how much of it was new.

    It goes to whoever goes on where two were merged. Who is closed has no history any more.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        wanted: dict[str, Any] = {"program": program_id, "members": [s.member_id for s in said]}
        cursor.execute(_LOCK, wanted)
        present = dict(cursor.fetchall())
        kept = [one for one in said if one.member_id in present]
        values: dict[str, Any] = {
            "program": program_id,
            "members": [present[one.member_id] for one in kept],
            "channels": [one.channel for one in kept],
            "given": [one.is_given for one in kept],
            "sources": [one.source[:100] for one in kept],
            "times": [one.at for one in kept],
            "raw_ids": [one.raw_id[:200] for one in kept],
            "heard": [one.heard_at for one in kept],
            "acts": [one.is_act for one in kept],
        }
        cursor.execute(_INSERT, values)
        return int(cursor.rowcount)


def list_consents(member_ids: Collection[UUID], *, limit: int = 100) -> list[ConsentRecord]:
    """List what was said about these members, the newest first."""
    rows = ConsentRecord.objects.filter(member_id__in=member_ids)
    return list(rows.order_by("-at", "-recorded_at")[:limit])


def present_consents(member_ids: Collection[UUID]) -> dict[str, ConsentRecord]:
    """Give the word about each channel that counts: the newest, by when it must have been said."""
    rows = ConsentRecord.objects.filter(member_id__in=member_ids)
    newest = rows.order_by("channel", "-counts_from", "-recorded_at", "is_given")
    newest = newest.distinct("channel")
    return {row.channel: row for row in newest}
