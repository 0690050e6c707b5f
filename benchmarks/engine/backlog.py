"""Connect a CRM that was down for a day: `python -m benchmarks.engine.backlog ADAPTER URL COUNT`.

At a webhook wait events of members who are nowhere else, two of each. A CRM that keeps profiles has
to find everybody: there wait all events that are in the outbox.
"""

import os
import sys

import django

WRITE_KEY = "write-sandbox"
EVENTS = """
INSERT INTO loyalty_outboxevent (member_id, sequence, program_id, type, version, occurred_at,
                                 recorded_at, cause, balances, data)
SELECT member.id, sequence, %s, 'points.earned', 1, now() - random() * interval '1 day', now(),
    '{"kind": "earn", "order": "1", "rules": ["base"], "actor": "till", "request_id": "1"}',
    '{"available": 3}', '{"points": 3}'
FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, %s)) AS member,
     generate_series(1, 2) AS sequence
"""

CONNECTED_EARLY = "UPDATE crm_sync_relay SET position = 0, live_from = 0"

# As many attempts leave it: asked each minute without an answer, some members waiting for hours.
DOWN = """
UPDATE crm_sync_relay SET failures = 1440, failing_since = now() - interval '1 day',
    resume_at = now();
UPDATE crm_sync_lane SET next_at = now() + random() * interval '10 hours'
WHERE member_id < '20000000-0000-0000-0000-000000000000'
"""


def wait(adapter: str, url: str, deliveries: int) -> None:
    """Let a day's events wait in the lanes."""
    from django.db import connection as database

    from crm_sync.services.connections import create_connection
    from crm_sync.services.relay import fan_out_to_all
    from loyalty.events.services import stamp_events
    from loyalty.programs.selectors import get_program

    program = get_program("grocer")
    is_webhook = adapter == "webhook"
    create_connection(
        program_id=program.pk,
        name="CRM",
        adapter=adapter,
        config={"url": url} if is_webhook else {"address": url, "profiles_address": url},
        secrets={} if is_webhook else {"write_key": WRITE_KEY},
    )
    with database.cursor() as cursor:
        if is_webhook:
            cursor.execute(EVENTS, [program.pk, deliveries // 2])
        else:
            cursor.execute(CONNECTED_EARLY)
    while stamp_events():
        pass
    while fan_out_to_all():
        pass
    with database.cursor() as cursor:
        cursor.execute(DOWN)


if __name__ == "__main__":
    os.environ["CRM_ALLOW_PRIVATE_ADDRESSES"] = "on"
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    wait(sys.argv[1], sys.argv[2], int(sys.argv[3]))
