"""Gives events their position in the feed, and deletes those that are too old.

Nothing here writes events: commands insert them in their own transaction (loyalty/engine).
"""

from datetime import datetime

from django.db import connection, transaction

from loyalty.events.models import FeedHead

# The head is locked in a statement of its own: a statement that locks and reads at once would read
# as of before it waited, and stamp again what the relay before it had stamped.
_LOCK_HEAD = "SELECT position FROM loyalty_feedhead WHERE id = 1 FOR UPDATE SKIP LOCKED"

# By position and id, as the index has them: it ends with those that have no position.
_STAMP = """
WITH fresh AS (
    SELECT member_id, sequence, row_number() OVER (ORDER BY id) AS place
    FROM (
        SELECT member_id, sequence, id FROM loyalty_outboxevent
        WHERE position IS NULL ORDER BY position, id LIMIT %(limit)s
    ) AS oldest
), stamped AS (
    UPDATE loyalty_outboxevent AS event SET position = %(position)s + fresh.place
    FROM fresh
    WHERE event.member_id = fresh.member_id AND event.sequence = fresh.sequence
)
UPDATE loyalty_feedhead SET position = position + stamp.events
FROM (SELECT count(*) AS events FROM fresh) AS stamp WHERE id = 1 AND stamp.events > 0
RETURNING stamp.events
"""

_DELETE = """
WITH oldest AS (
    SELECT member_id, sequence, recorded_at FROM loyalty_outboxevent
    WHERE position <= %(up_to)s ORDER BY position LIMIT %(limit)s
), old AS (
    SELECT member_id, sequence FROM oldest WHERE recorded_at < %(before)s
)
DELETE FROM loyalty_outboxevent AS event USING old
WHERE event.member_id = old.member_id AND event.sequence = old.sequence
"""


def stamp_events(*, limit: int = 1000) -> int:
    """Give committed events that have none yet a position, without gaps and in order of their ids.

    The relay calls it, and so does the feed before it reads: a reader sees fresh events even where
    no worker runs. A member's ids are drawn under the member's lock, so id order is right for each
    member; between members any order is.

    Returns:
        How many events were stamped; 0 as well if somebody else is stamping at this moment.
    """
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        cursor.execute(_LOCK_HEAD)
        head = cursor.fetchone()
        if head is None:
            # Either another relay has the lock, or this is the first event ever.
            FeedHead.objects.bulk_create([FeedHead()], ignore_conflicts=True)
            cursor.execute(_LOCK_HEAD)
            head = cursor.fetchone()
        if head is None:
            return 0
        cursor.execute(_STAMP, {"limit": limit, "position": head[0]})
        return sum(row[0] for row in cursor.fetchall())


def delete_old_events(*, before: datetime, up_to_position: int, limit: int = 1000) -> int:
    """Delete events that were recorded before a time and that nobody has to be sent any more.

    Args:
        up_to_position: The caller's word that everything up to here was delivered or given up.
        limit: At most so many at once, so that no lock is held for long; call again until 0.

    Returns:
        How many were deleted.
    """
    with connection.cursor() as cursor:
        cursor.execute(_DELETE, {"before": before, "up_to": up_to_position, "limit": limit})
        return int(cursor.rowcount)
