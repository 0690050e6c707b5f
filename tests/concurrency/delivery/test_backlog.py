"""Scenario 9: a destination was away, and 10,000 deliveries wait for it."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from crm_sync.models import Lane
from crm_sync.services import lanes
from crm_sync.services.fan_out import fan_out
from loyalty.events.services import stamp_events
from tests.integration.crm_sync.outbox import Outbox

pytestmark = pytest.mark.serial

BACKLOG = 10_000


def timed(work: Callable[[], Any], times: int = 1) -> float:
    """Run it and return the median, in milliseconds."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


def test_a_backlog_is_claimed_as_quickly_as_a_few(outbox: Outbox) -> None:
    """The obvious query takes a time that grows with the backlog: 200 times as long at 50,000.

    That all of it arrives is in test_day_down.py; how long it takes, a matter of benchmarks/.
    """
    destination = outbox.connect()

    def wait(members: int) -> float:
        outbox.write_many(members=members, each=2)
        while stamp_events():
            pass
        while fan_out(connection_id=destination.pk):
            pass
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE crm_sync_delivery, crm_sync_lane")
        return timed(claim, times=30)

    def claim() -> None:
        for lease in lanes.claim_lanes(connection_id=destination.pk):
            lanes.give_back(lease)

    few = wait(50)
    many = wait(BACKLOG // 2)
    assert Lane.objects.filter(connection=destination).count() == BACKLOG // 2 + 50
    assert many < 10 * few, f"{few:.1f} ms with 50 lanes, {many:.1f} ms with {BACKLOG // 2}"
