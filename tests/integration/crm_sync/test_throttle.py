"""Keeping within a vendor's limits, all workers together."""

import threading

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from crm_sync.adapters.access import Limit, MustWait
from crm_sync.adapters.console import ConsoleAdapter
from crm_sync.adapters.outcomes import Delivered, Outcome, Postponed
from crm_sync.models import Attempt, Delivery, Relay
from crm_sync.services.throttle import SharedThrottle
from tests.factories import rows
from tests.integration.crm_sync.outbox import Outbox, drain, pass_time

HOURLY = Limit("hourly", calls=60, seconds=3600.0, burst=3)


def test_a_burst_and_then_one_at_a_time(outbox: Outbox) -> None:
    throttle = SharedThrottle(outbox.connect().pk)
    for _ in range(3):
        throttle.take(HOURLY)
    with pytest.raises(MustWait) as wait:
        throttle.take(HOURLY)
    assert 50 < wait.value.seconds <= 60


def test_leave_to_call_waits_for_no_disk_and_what_comes_of_the_call_does(outbox: Outbox) -> None:
    throttle = SharedThrottle(outbox.connect().pk)
    with CaptureQueriesContext(connection) as asked:
        throttle.take(HOURLY)
    assert "set_config('synchronous_commit', 'off', true)" in asked[0]["sql"]
    assert rows("SHOW synchronous_commit") == [("on",)]


def test_each_limit_and_each_connection_counts_for_itself(outbox: Outbox) -> None:
    one, two = SharedThrottle(outbox.connect().pk), SharedThrottle(outbox.connect().pk)
    single = Limit("single", calls=1, seconds=3600.0)
    one.take(single)
    two.take(single)
    one.take(Limit("other", calls=1, seconds=3600.0))
    with pytest.raises(MustWait):
        one.take(single)


def test_workers_at_the_same_time_do_not_add_up(outbox: Outbox) -> None:
    connection_id = outbox.connect().pk
    taken: list[bool] = []

    def work() -> None:
        for _ in range(5):
            try:
                SharedThrottle(connection_id).take(HOURLY)
                taken.append(True)
            except MustWait:
                taken.append(False)
        connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sum(taken), len(taken)) == (3, 20)


def test_what_the_vendor_says_holds_everybody(outbox: Outbox) -> None:
    throttle = SharedThrottle(outbox.connect().pk)
    throttle.hold(HOURLY, 30.0)
    throttle.hold(HOURLY, 10.0)
    with pytest.raises(MustWait) as wait:
        throttle.take(HOURLY)
    assert 20 < wait.value.seconds <= 30


def test_a_call_that_was_not_made_counts_as_nothing(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination = outbox.connect()
    outbox.write_many(members=1, each=1)
    answers: list[Outcome] = [Postponed(seconds=600.0), Delivered()]
    monkeypatch.setattr(ConsoleAdapter, "send", lambda *_: [answers.pop(0)])
    drain()
    delivery = Delivery.objects.get(connection=destination)
    relay = Relay.objects.get(connection=destination)
    assert (delivery.state, delivery.attempts, relay.failures) == ("pending", 0, 0)
    assert relay.resume_at is not None
    assert not Attempt.objects.filter(delivery=delivery).exists()
    pass_time(destination, "11 minutes")
    drain()
    assert Delivery.objects.get(connection=destination).state == "delivered"
