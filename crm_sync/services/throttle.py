"""Keeping all workers of a connection together within its vendor's limits.

One row a limit, and one statement a call: calls are spread out evenly (the generic cell rate
algorithm), by PostgreSQL's clock.
"""

from typing import Any

from django.db import connection as database

from crm_sync.adapters.access import Limit, MustWait
from loyalty.database.statements import Prepared

# Gives the seconds to wait where the call may not be made; the row is written only where it may.
# Its commit waits for no disk: all calls of a connection wait for this row, one after the other,
# and what a crash of PostgreSQL forgets of it costs a few calls too many.
_TAKE = Prepared("""
WITH taken AS (
    INSERT INTO crm_sync_allowance AS allowance (connection_id, name, free_at)
    VALUES (%(connection)s, %(name)s, clock_timestamp() + make_interval(secs => %(each)s))
    ON CONFLICT (connection_id, name) DO UPDATE
    SET free_at = greatest(allowance.free_at, clock_timestamp()) + make_interval(secs => %(each)s)
    WHERE allowance.free_at <= clock_timestamp() + make_interval(secs => %(ahead)s)
    RETURNING name
)
SELECT EXISTS (SELECT FROM taken), extract(epoch FROM free_at - clock_timestamp())::float,
    set_config('synchronous_commit', 'off', true)
FROM (SELECT max(free_at) AS free_at FROM crm_sync_allowance
      WHERE connection_id = %(connection)s AND name = %(name)s) AS allowance
""")

_HOLD = """
INSERT INTO crm_sync_allowance AS allowance (connection_id, name, free_at)
VALUES (%(connection)s, %(name)s, clock_timestamp() + make_interval(secs => %(seconds)s))
ON CONFLICT (connection_id, name) DO UPDATE
SET free_at = greatest(allowance.free_at, excluded.free_at)
"""


class SharedThrottle:
    """The limits of one connection."""

    def __init__(self, connection_id: int) -> None:
        self._connection_id = connection_id

    def take(self, limit: Limit, units: int = 1) -> None:
        """Take leave for a call that costs so much, when there is as much.

        Raises:
            MustWait: Not yet.
        """
        each = limit.seconds / limit.calls
        ahead = each * max(limit.burst - units, 0)
        values = self._values(limit, each=each * units, ahead=ahead)
        ((may, free_in, _),) = _TAKE.fetch(values)
        if not may:
            raise MustWait(max((free_in or 0.0) - ahead, 0.01))

    def hold(self, limit: Limit, seconds: float) -> None:
        """Let nobody call for so long; what was to be waited for longer stays so."""
        burst_seconds = limit.seconds / limit.calls * (limit.burst - 1)
        with database.cursor() as cursor:
            cursor.execute(_HOLD, self._values(limit, seconds=seconds + burst_seconds))

    def _values(self, limit: Limit, **more: float) -> dict[str, Any]:
        return {"connection": self._connection_id, "name": limit.name, **more}
