"""Scenario 9: a destination was away, and 10,000 deliveries wait for it."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from crm_sync.models import Connection, Lane
from crm_sync.services import lanes
from crm_sync.services.relay import fan_out_to_all
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


def pile_up(outbox: Outbox, destination: Connection, members: int) -> None:
    """Let two deliveries of each of these members wait, for some time already."""
    outbox.write_many(members=members, each=2)
    while stamp_events():
        pass
    while fan_out_to_all():
        pass
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE crm_sync_delivery, crm_sync_lane")


def rows_read_one_by_one() -> int:
    """Count the rows of lanes that were read without an index."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute(
            "SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'crm_sync_lane'"
        )
        return int(cursor.fetchone()[0])


def test_a_backlog_is_claimed_as_quickly_as_a_few(outbox: Outbox) -> None:
    """The obvious query takes a time that grows with the backlog: 200 times as long at 50,000.

    That all of it arrives is in test_day_down.py; how long it takes, a matter of benchmarks/.
    """
    destination = outbox.connect()

    def claim() -> None:
        for lease in lanes.claim_lanes(connection_id=destination.pk):
            lanes.give_back(lease)

    pile_up(outbox, destination, 50)
    few = timed(claim, times=30)
    pile_up(outbox, destination, BACKLOG // 2)
    many = timed(claim, times=30)
    assert Lane.objects.filter(connection=destination).count() == BACKLOG // 2 + 50
    assert many < 10 * few, f"{few:.1f} ms with 50 lanes, {many:.1f} ms with {BACKLOG // 2}"


def test_a_claim_of_many_reads_those_that_it_leases(outbox: Outbox) -> None:
    destination = outbox.connect()
    pile_up(outbox, destination, 2_000)
    before = rows_read_one_by_one()
    assert len(lanes.claim_together(connection_id=destination.pk, limit=20)) == 20
    assert rows_read_one_by_one() == before
