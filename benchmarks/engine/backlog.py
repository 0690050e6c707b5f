"""Connect a webhook that was down for a day: `python -m benchmarks.engine.backlog URL COUNT`."""

import os
import sys

import django

EVENTS = """
INSERT INTO loyalty_outboxevent (member_id, sequence, program_id, type, version, occurred_at,
                                 recorded_at, cause, balances, data)
SELECT member.id, sequence, %s, 'points.earned', 1, now() - random() * interval '1 day', now(),
    '{"kind": "earn", "order": "1", "rules": ["base"], "actor": "till", "request_id": "1"}',
    '{"available": 3}', '{"points": 3}'
FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, %s)) AS member,
     generate_series(1, 2) AS sequence
"""

# As many attempts leave it: asked each minute without an answer, some members waiting for hours.
DOWN = """
UPDATE crm_sync_relay SET failures = 1440, failing_since = now() - interval '1 day',
    resume_at = now();
UPDATE crm_sync_lane SET next_at = now() + random() * interval '10 hours'
WHERE member_id < '20000000-0000-0000-0000-000000000000'
"""


def wait(url: str, deliveries: int) -> None:
    """Write a day's events of members with two each, and hand them to the lanes."""
    from django.db import connection as database

    from crm_sync.services.connections import create_connection
    from crm_sync.services.fan_out import fan_out
    from loyalty.events.services import stamp_events
    from loyalty.programs.selectors import get_program

    program = get_program("grocer")
    destination = create_connection(
        program_id=program.pk, name="CRM", adapter="webhook", config={"url": url}
    )
    with database.cursor() as cursor:
        cursor.execute(EVENTS, [program.pk, deliveries // 2])
    while stamp_events():
        pass
    while fan_out(connection_id=destination.pk):
        pass
    with database.cursor() as cursor:
        cursor.execute(DOWN)


if __name__ == "__main__":
    os.environ["CRM_ALLOW_PRIVATE_ADDRESSES"] = "on"
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    wait(sys.argv[1], int(sys.argv[2]))
