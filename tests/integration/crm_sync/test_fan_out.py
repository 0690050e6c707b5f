"""Who gets which events."""

from uuid import uuid4

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext

from config.processes import wait_until
from crm_sync.models import Attempt, Connection, Delivery, Lane, Relay
from crm_sync.services import fan_out
from crm_sync.services.connections import disable_connection, enable_connection
from crm_sync.services.fan_out import EVENTS_AT_ONCE, list_behind
from crm_sync.services.relay import fan_out_to_all, relay_events
from loyalty.events.selectors import last_position
from tests.integration.crm_sync.outbox import Outbox, drain
from tests.integration.crm_sync.receivers import Receiver
from tests.threads import in_thread


def types_for(destination: Connection) -> list[str]:
    rows = Delivery.objects.filter(connection=destination).order_by("position")
    return list(rows.values_list("type", flat=True))


def test_each_connection_gets_the_types_that_it_wants(outbox: Outbox) -> None:
    everything = outbox.connect()
    points = outbox.connect(event_types=["points.*"])
    tiers = outbox.connect(event_types=["tier.upgraded", "tier.downgraded"])
    member = uuid4()
    for type_ in ("member.enrolled", "points.earned", "tier.upgraded", "points.expired"):
        outbox.write(member, type_)
    relay_events()
    assert len(types_for(everything)) == 4
    assert types_for(points) == ["points.earned", "points.expired"]
    assert types_for(tiers) == ["tier.upgraded"]


def test_another_program_is_another_world(outbox: Outbox) -> None:
    stranger = Outbox()
    try:
        mine, theirs = outbox.connect(), stranger.connect()
        outbox.write(uuid4())
        relay_events()
        assert (len(types_for(mine)), len(types_for(theirs))) == (1, 0)
        assert Relay.objects.get(connection=theirs).position == last_position()
    finally:
        stranger.remove()


def test_a_new_connection_begins_now_or_at_the_beginning(outbox: Outbox) -> None:
    outbox.write(uuid4())
    from_now = outbox.connect(from_beginning=False)
    from_beginning = outbox.connect(from_beginning=True)
    outbox.write(uuid4(), "points.expired")
    relay_events()
    assert types_for(from_now) == ["points.expired"]
    assert types_for(from_beginning) == ["points.earned", "points.expired"]


def test_a_disabled_connection_continues_where_it_stopped(outbox: Outbox) -> None:
    destination = outbox.connect()
    outbox.write(uuid4())
    relay_events()
    disable_connection(connection_id=destination.pk, reason="holidays")
    outbox.write(uuid4(), "points.expired")
    relay_events()
    assert types_for(destination) == ["points.earned"]
    enable_connection(connection_id=destination.pk)
    relay_events()
    assert types_for(destination) == ["points.earned", "points.expired"]


def test_a_long_backlog_takes_several_steps_and_misses_nothing(outbox: Outbox) -> None:
    destination = outbox.connect()
    written = outbox.write_many(members=(EVENTS_AT_ONCE * 2 + 17) // 3, each=3)
    relay_events()
    rows = Delivery.objects.filter(connection=destination)
    assert rows.count() == len(written)
    assert Lane.objects.filter(connection=destination).count() == len(written) // 3
    assert list_behind() == []
    assert fan_out_to_all() is False


def test_fanning_out_again_changes_nothing(outbox: Outbox) -> None:
    destination = outbox.connect()
    outbox.write(uuid4())
    relay_events()
    Relay.objects.filter(connection=destination).update(position=0)
    relay_events()
    assert len(types_for(destination)) == 1


def test_one_connection_that_fails_does_not_stop_the_others(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, *healthy = [outbox.connect() for _ in range(3)]
    outbox.write(uuid4())
    original = fan_out.wants

    def fail(event_types: list[str], event_type: str) -> bool:
        if event_types == ["points.broken"]:
            raise DatabaseError("no")
        return original(event_types, event_type)

    Connection.objects.filter(pk=broken.pk).update(event_types=["points.broken"])
    monkeypatch.setattr(fan_out, "wants", fail)
    relay_events()
    assert [len(types_for(one)) for one in healthy] == [1, 1]
    assert [behind.connection_ids for behind in list_behind()] == [(broken.pk,)]


def test_fifty_connections_are_told_in_the_statements_of_one(outbox: Outbox) -> None:
    """Each by itself took a worker's whole core at two events a second."""

    def statements() -> int:
        outbox.write(uuid4())
        with CaptureQueriesContext(connection) as captured:
            relay_events()
        return len(captured)

    destinations = [outbox.connect()]
    of_one = statements()
    destinations += [outbox.connect() for _ in range(49)]
    relay_events()
    assert statements() == of_one
    assert {len(types_for(one)) for one in destinations} == {2}


def test_much_for_many_is_told_in_several_transactions(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fan_out, "DELIVERIES_AT_ONCE", 20)
    destinations = [outbox.connect() for _ in range(5)]
    written = outbox.write_many(members=5, each=2)
    told: list[int] = []
    add = fan_out._add
    monkeypatch.setattr(
        fan_out, "_add", lambda rows, keys: (told.append(len(rows)), add(rows, keys))
    )
    relay_events()
    assert told == [2, 2, 1]
    assert {len(types_for(one)) for one in destinations} == {len(written)}


def test_whom_somebody_else_has_locked_is_waited_for_by_itself(outbox: Outbox) -> None:
    """The others do not wait, and it is told in the same turn if that was a claim."""
    locked, *others = [outbox.connect() for _ in range(3)]
    outbox.write(uuid4())
    with transaction.atomic():
        Relay.objects.select_for_update().get(connection=locked)
        thread = in_thread(relay_events)
        assert wait_until(lambda: all(types_for(one) for one in others), 20)
        assert types_for(locked) == []
    thread.join()
    relay_events()
    assert len(types_for(locked)) == 1


def test_what_was_answered_about_an_erased_member_is_forgotten(
    outbox: Outbox, receiver: Receiver
) -> None:
    """Scenario 52: a destination may have answered with the member's name."""
    destination = outbox.connect(receiver.url)
    erased, other = uuid4(), uuid4()
    outbox.write(erased)
    outbox.write(other)
    drain()
    outbox.write(erased, "member.erased")
    relay_events()
    answers = Attempt.objects.filter(delivery__connection=destination)
    assert answers.get(delivery__member_id=erased).answer == ""
    assert answers.get(delivery__member_id=other).answer == "thank you"
