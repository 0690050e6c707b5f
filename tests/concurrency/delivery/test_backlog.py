"""Scenario 9: a destination was away, 50,000 deliveries wait, and it is back."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from crm_sync.models import Delivery, Lane, Relay
from crm_sync.services import lanes
from crm_sync.services.fan_out import fan_out
from loyalty.events.services import stamp_events
from tests.concurrency.delivery.workers import Workers
from tests.integration.crm_sync.outbox import Outbox
from tests.integration.crm_sync.receivers import Receiver

pytestmark = pytest.mark.serial

BACKLOG = 50_000


def timed(work: Callable[[], Any], times: int = 1) -> float:
    """Run it and return the median, in milliseconds."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


def test_a_backlog_is_claimed_quickly_and_drained_steadily(
    outbox: Outbox, receiver: Receiver, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    destination = outbox.connect(receiver.url)
    outbox.write_many(members=BACKLOG // 2, each=2)
    figures = {"stamp 1,000": timed(lambda: stamp_events(), times=BACKLOG // 1000)}
    figures["fan out 500"] = timed(
        lambda: fan_out(connection_id=destination.pk), times=BACKLOG // 500
    )
    assert Lane.objects.filter(connection=destination).count() == BACKLOG // 2
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE crm_sync_delivery, crm_sync_lane")
    figures["find due connections"] = timed(lanes.list_due_connections, times=20)
    figures["look for orphans"] = timed(lanes.reopen_orphans, times=5)

    def claim() -> None:
        for lease in lanes.claim_lanes(connection_id=destination.pk):
            lanes.give_back(lease)

    figures["claim 4 of 25,000 lanes, give back"] = timed(claim, times=50)
    Relay.objects.filter(connection=destination).update(failures=9)
    figures["claim a probe"] = timed(claim, times=20)
    Relay.objects.filter(connection=destination).update(failures=0)

    with Workers(tmp_path, count=2) as workers:
        receiver.wait_for(200, seconds=60)
        begin, began, cpu = len(receiver.calls), time.monotonic(), workers.cpu_seconds()
        time.sleep(15)
        count = len(receiver.calls) - begin
        rate = count / (time.monotonic() - began)
        figures["CPU of workers for a delivery"] = (workers.cpu_seconds() - cpu) / count * 1000
        pending = Delivery.objects.filter(connection=destination, state="pending").count()
    with capsys.disabled():
        print()
        for name, value in figures.items():
            print(f"  {name}: {value:.1f} ms")
        print(f"  drained: {rate:.0f} a second by two workers; {pending:,} left")
    assert figures["claim 4 of 25,000 lanes, give back"] < 200
    assert rate > 25
