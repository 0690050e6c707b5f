"""Leases: one sender for each member and destination, and never too many for a destination."""

import time
from uuid import uuid4

import pytest
from django.db import connection, transaction

from crm_sync.adapters.console import ConsoleAdapter
from crm_sync.models import Connection, Delivery, Lane, Relay
from crm_sync.services import deliver, lanes
from crm_sync.services.bulk import lease_many, push_many
from crm_sync.services.deliver import serve_lane
from crm_sync.services.lanes import Lease, claim_lanes
from crm_sync.services.relay import claim_due_lanes, fan_out_to_all, relay_events
from crm_sync.tasks import deliver_lanes
from loyalty.events.services import stamp_events
from tests.integration.crm_sync.outbox import Outbox, pass_time
from tests.integration.crm_sync.receivers import Receiver
from tests.threads import in_thread

WAITED_FOR = (
    "SELECT 1 FROM pg_locks WHERE NOT granted AND transactionid = pg_current_xact_id()::xid"
)


def is_waited_for() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(WAITED_FOR)
        return bool(cursor.fetchall())


def resume(lease: Lease) -> list[Lease]:
    return lanes.resume(
        connection_id=lease.connection_id, member_ids=[lease.member_id], token=lease.token
    )


def test_no_more_lanes_than_a_destination_may_have(outbox: Outbox) -> None:
    """Scenario 10: a destination that hangs holds so many workers, and no more."""
    destination = outbox.connect()
    outbox.write_many(members=10, each=1)
    relay_events()
    first = claim_lanes(connection_id=destination.pk)
    assert len(first) == 4
    assert claim_lanes(connection_id=destination.pk) == []
    lanes.give_back(first[0])
    assert len(claim_lanes(connection_id=destination.pk)) == 1


def test_a_connection_may_say_how_many_calls_it_takes_at_once(outbox: Outbox) -> None:
    narrow, wide = outbox.connect(), outbox.connect()
    Connection.objects.filter(pk=narrow.pk).update(calls_at_once=1)
    Connection.objects.filter(pk=wide.pk).update(calls_at_once=7)
    outbox.write_many(members=10, each=1)
    relay_events()
    claimed = [lease.connection_id for lease in claim_due_lanes()]
    assert (claimed.count(narrow.pk), claimed.count(wide.pk)) == (1, 7)


def test_claims_at_the_same_time_do_not_add_up(outbox: Outbox) -> None:
    destination = outbox.connect()
    outbox.write_many(members=40, each=1)
    relay_events()
    claimed: list[Lease] = []
    threads = [
        in_thread(lambda: claimed.extend(claim_lanes(connection_id=destination.pk)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.join()
    assert len(claimed) == 4
    assert len({lease.member_id for lease in claimed}) == 4


def test_one_destination_does_not_use_up_the_share_of_another(outbox: Outbox) -> None:
    one, two = outbox.connect(), outbox.connect()
    outbox.write_many(members=10, each=1)
    relay_events()
    claimed = [lease.connection_id for lease in claim_due_lanes()]
    assert (claimed.count(one.pk), claimed.count(two.pk)) == (4, 4)


def test_a_worker_that_is_frozen_in_a_claim_holds_up_its_connection_only(outbox: Outbox) -> None:
    """It has the relay row of one connection, and never commits."""
    frozen, healthy = outbox.connect(), outbox.connect()
    outbox.write_many(members=2, each=1)
    relay_events()
    with transaction.atomic():
        Relay.objects.select_for_update().get(connection=frozen)
        claimed: list[Lease] = []

        def work() -> None:
            outbox.write_many(members=1, each=1)
            relay_events()
            claimed.extend(claim_due_lanes())

        in_thread(work).join()
    assert [lease.connection_id for lease in claimed] == [healthy.pk] * 3


def test_a_lease_that_ran_out_goes_to_the_next(outbox: Outbox) -> None:
    """Scenario 13: the worker died; its lane is found by nothing but the time."""
    destination = outbox.connect()
    outbox.write(uuid4())
    relay_events()
    (dead,) = claim_due_lanes()
    assert claim_due_lanes() == []
    pass_time(destination, "61 seconds")
    (alive,) = claim_due_lanes()
    assert alive.member_id == dead.member_id
    assert alive.token != dead.token
    assert resume(alive) == [alive]
    assert resume(dead) == []


def test_whoever_lost_the_lease_changes_nothing(outbox: Outbox, receiver: Receiver) -> None:
    """Scenario 14: a slow worker wakes up, and another one has done its work."""
    destination = outbox.connect(receiver.url)
    outbox.write(uuid4())
    relay_events()
    (slow,) = claim_due_lanes()
    pass_time(destination, "61 seconds")
    (quick,) = claim_due_lanes()
    deliver_lanes(slow.connection_id, [str(slow.member_id)], str(slow.token))
    assert receiver.calls == []
    lanes.give_back(slow)
    lanes.close(slow)
    deliver_lanes(quick.connection_id, [str(quick.member_id)], str(quick.token))
    assert Delivery.objects.get(connection=destination).state == "delivered"
    assert len(receiver.calls) == 1


def test_a_lane_is_gone_when_all_is_sent(outbox: Outbox) -> None:
    destination = outbox.connect()
    outbox.write(uuid4())
    relay_events()
    for lease in claim_due_lanes():
        serve_lane(lease)
    assert not Lane.objects.filter(connection=destination).exists()


def test_an_event_that_comes_while_the_lane_closes_opens_it_anew(outbox: Outbox) -> None:
    """The worker has deleted the lane and not committed; the relay adds, and must wait."""
    destination, member = outbox.connect(), uuid4()
    outbox.write(member)
    relay_events()
    (lease,) = claim_due_lanes()
    outbox.write(member)
    stamp_events()
    with transaction.atomic():
        lanes.close(lease)
        assert not Lane.objects.filter(connection=destination).exists()
        thread = in_thread(fan_out_to_all)
        time.sleep(0.1)
        assert thread.is_alive()
    thread.join()
    assert Lane.objects.get(connection=destination).lease_token is None
    assert len(claim_due_lanes()) == 1


def test_an_event_that_comes_before_the_lane_closes_keeps_it_open(outbox: Outbox) -> None:
    """The relay has added and not committed; the worker closes, and must wait, and see it."""
    destination, member = outbox.connect(), uuid4()
    outbox.write(member)
    relay_events()
    (lease,) = claim_due_lanes()
    with transaction.atomic():
        lanes.open_lanes(connection_id=destination.pk, member_ids=[member])
        thread = in_thread(lambda: lanes.close(lease))
        time.sleep(0.3)
        assert thread.is_alive()
    thread.join()
    lane = Lane.objects.get(connection=destination)
    assert (lane.lease_token, lane.additions) == (None, 2)


def test_what_comes_while_lanes_of_one_call_close_is_due_at_once(outbox: Outbox) -> None:
    """Whoever closes many waits for the relay too, and leaves no lane leased by nobody."""
    destination, token = outbox.connect(), uuid4()
    members = sorted(uuid4() for _ in range(3))
    with transaction.atomic():
        lease_many(connection_id=destination.pk, member_ids=members, token=token)
    with transaction.atomic():
        lanes.open_lanes(connection_id=destination.pk, member_ids=members[1:2])
        thread = in_thread(
            lambda: push_many(connection_id=destination.pk, member_ids=members, token=token)
        )
        until = time.monotonic() + 60
        while time.monotonic() < until and not is_waited_for():
            time.sleep(0.01)
    thread.join()
    lane = Lane.objects.get(connection=destination)
    assert (lane.member_id, lane.lease_token) == (members[1], None)


def test_a_lane_that_got_something_new_stays_open(outbox: Outbox) -> None:
    destination, member = outbox.connect(), uuid4()
    outbox.write(member)
    relay_events()
    (lease,) = claim_due_lanes()
    outbox.write(member)
    relay_events()
    lanes.close(lease)
    lane = Lane.objects.get(connection=destination)
    assert lane.lease_token is None
    assert len(claim_due_lanes()) == 1


def test_a_delivery_without_a_lane_is_found(outbox: Outbox) -> None:
    destination = outbox.connect()
    outbox.write_many(members=3, each=2)
    relay_events()
    Lane.objects.filter(connection=destination).delete()
    assert lanes.reopen_orphans() == 3
    assert lanes.reopen_orphans() == 0
    assert len(claim_due_lanes()) == 3


def test_no_destination_is_called_in_a_transaction(outbox: Outbox, receiver: Receiver) -> None:
    outbox.connect(receiver.url)
    outbox.write(uuid4())
    relay_events()
    (lease,) = claim_due_lanes()
    with transaction.atomic(), pytest.raises(RuntimeError, match="transaction"):
        serve_lane(lease)
    assert receiver.calls == []


def test_a_long_lane_goes_to_the_back_of_the_queue(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination = outbox.connect()
    outbox.write_many(members=1, each=5)
    relay_events()
    monkeypatch.setattr(deliver, "DELIVERIES_AT_ONCE", 2)
    monkeypatch.setattr(ConsoleAdapter, "batch_size", 1)
    (lease,) = claim_due_lanes()
    serve_lane(lease)
    assert Delivery.objects.filter(connection=destination, state="pending").count() == 3
    (lease,) = claim_due_lanes()
    serve_lane(lease)
    (lease,) = claim_due_lanes()
    serve_lane(lease)
    assert not Lane.objects.filter(connection=destination).exists()


def test_a_paused_connection_is_not_due(outbox: Outbox) -> None:
    destination = outbox.connect()
    outbox.write(uuid4())
    relay_events()
    lease = claim_due_lanes()[0]
    lanes.give_back(lease)
    Relay.objects.filter(connection=destination).update(
        resume_at=Lane.objects.get(connection=destination).next_at.replace(year=2099)
    )
    assert lanes.list_due_connections() == []
    assert claim_lanes(connection_id=destination.pk) == []
