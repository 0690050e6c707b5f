"""Who gets which events."""

from uuid import uuid4

import pytest

from crm_sync.models import Attempt, Connection, Delivery, Lane, Relay
from crm_sync.services.connections import disable_connection, enable_connection
from crm_sync.services.fan_out import EVENTS_AT_ONCE, fan_out
from crm_sync.services.relay import relay_events
from loyalty.events.selectors import last_position
from tests.integration.crm_sync.outbox import Outbox, drain
from tests.integration.crm_sync.receivers import Receiver


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
    assert fan_out(connection_id=destination.pk) is False


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
    broken, healthy = outbox.connect(), outbox.connect()
    Relay.objects.filter(connection=broken).update(position=-1)
    Connection.objects.filter(pk=broken.pk).update(event_types=["points.*"])
    outbox.write(uuid4(), "points.*" + "x" * 30)
    original = Delivery.objects.bulk_create

    def fail(rows: list[Delivery], **options: object) -> object:
        if rows and rows[0].connection_id == broken.pk:
            from django.db import DatabaseError

            raise DatabaseError("no")
        return original(rows, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Delivery.objects, "bulk_create", fail)
    relay_events()
    assert len(types_for(healthy)) == 1


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
