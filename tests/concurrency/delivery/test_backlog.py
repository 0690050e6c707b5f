"""Scenario 9: a destination was away, 10,000 deliveries wait, and it is back."""

import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from crm_sync.models import Lane
from crm_sync.services import lanes
from crm_sync.services.fan_out import fan_out
from loyalty.events.services import stamp_events
from tests.concurrency.delivery.workers import Workers
from tests.integration.crm_sync.outbox import Outbox
from tests.integration.crm_sync.receivers import Receiver

pytestmark = pytest.mark.serial

BACKLOG = 10_000
ARRIVE = 200  # different events, before the workers are stopped


def timed(work: Callable[[], Any], times: int = 1) -> float:
    """Run it and return the median, in milliseconds."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


def test_a_backlog_is_claimed_as_quickly_as_a_few_and_begins_to_drain(
    outbox: Outbox, receiver: Receiver, tmp_path: Path
) -> None:
    """The obvious query takes a time that grows with the backlog: 200 times as long at 50,000.

    How long all of it takes is a matter of benchmarks/; here the first of it arrives, as it should.
    """
    destination = outbox.connect(receiver.url)

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
    # No call is cut off and no lease runs out, however slow the machine: so nothing comes twice.
    with Workers(tmp_path, count=2, CRM_LEASE_SECONDS="100", CRM_TOTAL_SECONDS="60"):
        receiver.wait_for(ARRIVE, seconds=120)
    check_turns(receiver)


def check_turns(receiver: Receiver) -> None:
    """See that of those that arrived none came before its turn, or twice."""
    calls = list(receiver.calls)
    assert max(Counter(call.event_id for call in calls).values()) == 1
    sequences: dict[str, list[int]] = defaultdict(list)
    for call in calls:
        sequences[call.event["member"]].append(call.event["sequence"])
    assert all(mine == [1, 2][: len(mine)] for mine in sequences.values())
    assert any(len(mine) == 2 for mine in sequences.values())
