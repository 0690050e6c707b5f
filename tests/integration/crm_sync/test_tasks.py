"""The doorbell: what happens when it does not ring."""

from typing import Any
from uuid import uuid4

import pytest
from celery import Task
from django.db import OperationalError as DatabaseBusy
from kombu.exceptions import OperationalError
from redis.exceptions import ConnectionError as RedisGone

from config.celery import app
from crm_sync import tasks
from crm_sync.models import Delivery, Lane
from crm_sync.services.relay import relay_events
from tests.integration.crm_sync.outbox import Outbox

Rung = list[dict[str, Any]]


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> Rung:
    """Return what workers were asked for; nobody else hears it."""
    calls: Rung = []
    monkeypatch.setattr(tasks.deliver_lanes, "apply_async", lambda **call: calls.append(call))
    return calls


@pytest.mark.parametrize("error", [OperationalError("gone"), RedisGone("gone"), OSError("gone")])
def test_without_redis_lanes_are_due_again_at_once(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Scenario 12: nobody waits for a lease of which no worker was ever told."""
    destination = outbox.connect()
    outbox.write_many(members=3, each=1)

    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(tasks.deliver_lanes, "apply_async", fail)
    tasks.relay()
    lanes = Lane.objects.filter(connection=destination)
    assert lanes.count() == lanes.filter(lease_token__isnull=True).count() == 3


def test_one_message_serves_the_lanes_of_a_turn(outbox: Outbox, rung: Rung) -> None:
    destination = outbox.connect()
    outbox.write_many(members=20, each=1)
    tasks.relay()
    assert len(rung) == 4
    for call in rung:
        tasks.deliver_lanes(*call["args"])
    assert Delivery.objects.filter(connection=destination, state="delivered").count() == 20


class WatchedPace:
    """Notes what a turn asks for, and which lanes are leased while it waits."""

    def __init__(self, *, has_places: bool = True, is_behind: bool = False) -> None:
        self.has_places = has_places
        self.is_behind = is_behind
        self.charged = 0
        self.waited: list[int] = []
        self.leased: list[int] = []

    def charge(self, connection_id: int, deliveries: int) -> None:
        self.charged += deliveries

    def wait(self, connection_id: int, deliveries: int, *, at_most: float) -> bool:
        assert at_most > 0
        if not self.has_places:
            return False
        self.charged += deliveries
        self.waited.append(deliveries)
        self.leased.append(Lane.objects.filter(lease_token__isnull=False).count())
        return True


def test_a_turn_keeps_to_the_pace_of_its_worker(
    outbox: Outbox, rung: Rung, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each delivery is counted once, and each lane waits for its place."""
    destination = outbox.connect()
    outbox.write_many(members=30, each=2)
    pace = WatchedPace()
    monkeypatch.setattr(tasks, "PACE", pace)
    tasks.relay()
    tasks.deliver_lanes(*rung[0]["args"])
    sent = Delivery.objects.filter(connection=destination, state="delivered").count()
    assert sent == pace.charged == 60 - 2 * (len(rung) - 1)
    assert sum(pace.waited) == sent // 2  # lanes
    assert all(
        leased == lanes + len(rung) - 1
        for lanes, leased in zip(pace.waited, pace.leased, strict=True)
    )


def test_a_turn_for_which_there_is_no_place_gives_its_lanes_back(
    outbox: Outbox, rung: Rung, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination = outbox.connect()
    outbox.write_many(members=30, each=2)
    monkeypatch.setattr(tasks, "PACE", WatchedPace(has_places=False))
    tasks.relay()
    tasks.deliver_lanes(*rung[0]["args"])
    assert not Delivery.objects.filter(connection=destination, state="delivered").exists()
    left = Lane.objects.filter(connection=destination)
    assert left.count() == 30
    assert left.filter(lease_token__isnull=False).count() == len(rung) - 1


def test_a_worker_behind_its_pace_begins_one_turn_at_each_connection(
    outbox: Outbox, rung: Rung, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its threads would all wait, and send a lane each that does not wait, many times a second."""
    busy, well = outbox.connect(), outbox.connect()
    outbox.write_many(members=10, each=1)
    monkeypatch.setattr(tasks, "PACE", WatchedPace(is_behind=True))
    with tasks.TURNS.at(busy.pk):
        tasks.relay()
        tasks.sweep()
    assert [call["args"][0] for call in rung] == [well.pk, well.pk]
    tasks.relay()
    assert [call["args"][0] for call in rung[2:]] == [busy.pk, well.pk]


def test_a_relay_that_takes_longer_is_not_joined_by_the_next(
    outbox: Outbox, rung: Rung, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox.connect()
    outbox.write_many(members=1, each=1)
    relay = tasks.relay_events

    def take_long() -> None:
        tasks.relay()
        assert rung == []
        relay()

    monkeypatch.setattr(tasks, "relay_events", take_long)
    tasks.relay()
    assert len(rung) == 1


def test_a_turn_ends_and_rings_for_the_next(
    outbox: Outbox, rung: Rung, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox.connect()
    outbox.write_many(members=20, each=1)
    monkeypatch.setattr(tasks, "TURN_SECONDS", 0.0)
    tasks.relay()
    before = len(rung)
    tasks.deliver_lanes(*rung[0]["args"])
    assert len(rung) == before + 1


def test_what_is_left_of_a_quick_turn_is_one_turn_that_waits_for_its_place(
    outbox: Outbox, rung: Rung, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination = outbox.connect()
    outbox.write_many(members=40, each=1)
    pace = WatchedPace()
    monkeypatch.setattr(tasks, "PACE", pace)
    monkeypatch.setattr(tasks, "TURN_SECONDS", 0.0)
    monkeypatch.setattr(tasks, "lanes_at_once", lambda *_, **__: 20)
    tasks.relay()
    tasks.deliver_lanes(*rung[0]["args"])
    assert pace.waited == [1]
    members = rung[-1]["args"][1]
    assert len(members) == 20
    monkeypatch.setattr(tasks, "TURN_SECONDS", 60.0)
    tasks.deliver_lanes(*rung[-1]["args"])
    assert pace.waited[1] == 20
    sent = Delivery.objects.filter(connection=destination, state="delivered")
    assert {str(one) for one in sent.values_list("member_id", flat=True)} >= set(members)


def test_a_turn_ends_where_the_relay_row_is_held_for_long(
    outbox: Outbox, rung: Rung, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has sent is written down; the relay rings for what is left."""
    destination = outbox.connect()
    outbox.write_many(members=9, each=1)
    tasks.relay()

    def be_late(**_: object) -> None:
        raise DatabaseBusy("canceling statement due to lock timeout")

    monkeypatch.setattr(tasks.lanes, "claim_together", be_late)
    tasks.deliver_lanes(*rung[0]["args"])
    assert Delivery.objects.filter(connection=destination, state="delivered").count() == 1
    assert Lane.objects.filter(connection=destination).count() == 8


def test_turns_go_behind_the_timetable_and_what_is_left_of_them_behind_what_is_due(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Turns wait for their pace: behind those of twelve backlogs the relay expired each time."""
    outbox.connect()
    outbox.write_many(members=20, each=1)
    name = f"turns-{uuid4()}"
    send = Task.apply_async
    monkeypatch.setattr(Task, "apply_async", lambda self, **call: send(self, queue=name, **call))
    monkeypatch.setattr(tasks, "TURN_SECONDS", 0.0)
    relay_events()
    lease = tasks.claim_due_lanes()[0]
    tasks.deliver_lanes(lease.connection_id, [str(lease.member_id)], str(lease.token))
    tasks.ring([lease])
    tasks.relay.apply_async()
    with app.connection_for_read() as broker:
        found = [broker.default_channel.basic_get(name, no_ack=True) for _ in range(3)]
        broker.default_channel.queue_delete(name)
    told = [(one.headers["task"], one.properties["priority"]) for one in found]
    turn = "crm_sync.deliver_lanes"
    assert told == [("crm_sync.relay", 0), (turn, tasks.DUE), (turn, tasks.BACKLOG)]


def test_the_sweep_finds_what_the_relay_did_not_ring_for(outbox: Outbox, rung: Rung) -> None:
    destination = outbox.connect()
    outbox.write(uuid4())
    relay_events()
    Lane.objects.filter(connection=destination).delete()
    tasks.sweep()
    assert len(rung) == 1
    tasks.prune_old_rows()
