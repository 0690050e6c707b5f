"""What worker and beat cost PostgreSQL while they have nothing to do: no log-ins, few questions."""

from pathlib import Path

import pytest
from django.db import connection
from django_celery_beat.models import PeriodicTasks

from config import timetable
from config.celery import app
from config.processes import wait_until
from tests.concurrency.delivery.workers import Workers
from tests.integration.crm_sync.outbox import Outbox

pytestmark = pytest.mark.serial

NAME = "a worker that keeps its connections"
# Connections that were used in a second after the one in which they were made: tasks are rung
# four times a second, and each takes milliseconds.
KEPT = """
SELECT pid FROM pg_stat_activity
WHERE application_name = %s AND query_start > backend_start + interval '1 second'
"""
END = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = %s"


def kept() -> set[int]:
    with connection.cursor() as cursor:
        cursor.execute(KEPT, [NAME])
        return {row[0] for row in cursor.fetchall()}


def test_a_connection_is_kept_from_task_to_task_and_made_again_when_it_broke(
    outbox: Outbox, tmp_path: Path
) -> None:
    with Workers(tmp_path, count=1, DB_APPLICATION_NAME=NAME) as workers:
        assert wait_until(lambda: bool(kept()), 60), workers.output()[-4000:]
        broken = kept()
        with connection.cursor() as cursor:
            cursor.execute(END, [NAME])
        assert wait_until(lambda: bool(kept() - broken), 60), workers.output()[-4000:]


def test_a_changed_timetable_is_seen_in_the_next_second(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(timetable.time, "monotonic", lambda: now)
    watched = timetable.Timetable(app=app, lazy=True)
    PeriodicTasks.update_changed()
    try:
        watched.schedule_changed()
        PeriodicTasks.update_changed()
        seen = [watched.schedule_changed()]
        now += timetable.LOOK_SECONDS
        seen += [watched.schedule_changed(), watched.schedule_changed()]
        now += timetable.LOOK_SECONDS
        seen.append(watched.schedule_changed())
    finally:
        PeriodicTasks.objects.all().delete()
    assert seen == [False, True, False, False]
