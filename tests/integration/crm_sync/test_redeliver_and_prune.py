"""Sending again what is settled, and deleting what is done and old."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from crm_sync.models import Attempt, Connection, Delivery
from crm_sync.services.connections import disable_connection
from crm_sync.services.prune import delete_old_deliveries, delete_old_events
from crm_sync.services.redeliver import (
    Forecast,
    foresee_replay,
    redeliver,
    replay,
    why_replays_are_skipped,
)
from crm_sync.services.relay import relay_events
from loyalty.events.models import OutboxEvent
from loyalty.events.rules import event_id
from tests.integration.crm_sync.outbox import Outbox, drain
from tests.integration.crm_sync.receivers import Answer, Receiver
from tests.integration.crm_sync.vendor_cases import CASES, Case


def of(destination: Connection, **wanted: Any) -> list[int]:
    rows = Delivery.objects.filter(connection=destination, **wanted).order_by("position")
    return list(rows.values_list("pk", flat=True))


class TestRedeliver:
    def test_dead_ones_are_sent_with_the_same_id(self, outbox: Outbox, receiver: Receiver) -> None:
        receiver.respond = lambda call: Answer(422)
        destination, member = outbox.connect(receiver.url), uuid4()
        outbox.write(member)
        outbox.write(member)
        drain()
        receiver.respond = lambda call: Answer()
        assert redeliver(delivery_ids=of(destination, state="dead")) == 2
        drain()
        assert receiver.event_ids == [event_id(member, n) for n in (1, 2, 1, 2)]
        assert len(of(destination, state="delivered", attempts=1)) == 2
        assert Attempt.objects.filter(delivery__connection=destination).count() == 4

    def test_pending_ones_stay_as_they_are(self, outbox: Outbox, receiver: Receiver) -> None:
        receiver.respond = lambda call: Answer(500)
        destination = outbox.connect(receiver.url)
        outbox.write(uuid4())
        drain()
        assert redeliver(delivery_ids=of(destination)) == 0
        assert of(destination, attempts=1)

    def test_of_several_connections_at_once(self, outbox: Outbox, receiver: Receiver) -> None:
        one, two = outbox.connect(receiver.url), outbox.connect(receiver.url)
        outbox.write(uuid4())
        drain()
        assert redeliver(delivery_ids=of(one) + of(two)) == 2
        drain()
        assert len(receiver.calls) == 4


class TestReplay:
    """Scenario 11: the destination said yes, and lost them."""

    def test_a_range_is_sent_again(self, outbox: Outbox, receiver: Receiver) -> None:
        destination, member = outbox.connect(receiver.url), uuid4()
        for _ in range(5):
            outbox.write(member)
        drain()
        positions = list(
            OutboxEvent.objects.filter(program_id=outbox.program.pk)
            .order_by("position")
            .values_list("position", flat=True)
        )
        receiver.calls.clear()
        first, last = positions[0] or 0, positions[3] or 0
        assert replay(connection_id=destination.pk, after_position=first, up_to_position=last) == 3
        drain()
        assert receiver.event_ids == [event_id(member, n) for n in (2, 3, 4)]

    def test_also_what_was_deleted_from_the_books(self, outbox: Outbox, receiver: Receiver) -> None:
        destination = outbox.connect(receiver.url, event_types=["points.*"])
        written = outbox.write_many(members=700, each=1)
        outbox.write(uuid4(), "tier.upgraded")
        relay_events()
        Delivery.objects.filter(connection=destination).delete()
        assert replay(connection_id=destination.pk, after_position=0, up_to_position=2**62) == 700
        assert len(of(destination, state="pending")) == len(written)

    def test_what_the_cursor_has_not_reached_is_left_to_it(self, outbox: Outbox) -> None:
        destination = outbox.connect()
        relay_events()
        disable_connection(connection_id=destination.pk, reason="later")
        outbox.write(uuid4())
        relay_events()
        assert replay(connection_id=destination.pk, after_position=0, up_to_position=2**62) == 0

    def test_what_it_would_do_is_said_before(self, outbox: Outbox) -> None:
        destination, member = outbox.connect(event_types=["points.*"]), uuid4()
        for type_ in ("points.earned", "points.redeemed", "tier.upgraded"):
            outbox.write(member, type_)
        relay_events()
        disable_connection(connection_id=destination.pk, reason="later")
        outbox.write(member)
        outbox.write(member, "tier.downgraded")
        relay_events()
        first = Delivery.objects.filter(connection=destination).order_by("position")[0]
        first.state, first.settled_at = "delivered", timezone.now()
        first.save()
        everything = {"after_position": 0, "up_to_position": 2**62}
        found = foresee_replay(connection_id=destination.pk, **everything)
        assert found == Forecast(wanted=2, waiting=1, unwanted=1, ahead=1, why_skipped="")
        assert replay(connection_id=destination.pk, **everything) == found.wanted

    @pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
    def test_who_skips_old_events_says_why(self, case: Case, outbox: Outbox) -> None:
        destination = outbox.connect()
        Connection.objects.filter(pk=destination.pk).update(adapter=case.name)
        destination.refresh_from_db()
        assert bool(why_replays_are_skipped(destination)) != case.takes_old_events


class TestPrune:
    def test_delivered_ones_go_after_a_month_and_dead_ones_with_their_events(
        self, outbox: Outbox, receiver: Receiver
    ) -> None:
        receiver.respond = lambda call: Answer(422 if call.event["sequence"] == 1 else 200)
        destination, member = outbox.connect(receiver.url), uuid4()
        outbox.write(member)
        outbox.write(member)
        drain()
        now = timezone.now()
        delete_old_deliveries(now=now + timedelta(days=29))
        assert len(of(destination)) == 2
        delete_old_deliveries(now=now + timedelta(days=31))
        assert of(destination) == of(destination, state="dead")
        delete_old_deliveries(now=now + timedelta(days=401))
        assert of(destination) == []
        assert not Attempt.objects.filter(delivery__connection=destination).exists()

    def test_skipped_ones_go_as_delivered_ones_do_and_parked_ones_as_dead_ones(
        self, outbox: Outbox, receiver: Receiver
    ) -> None:
        destination = outbox.connect(receiver.url)
        for _ in range(2):
            outbox.write(uuid4())
        drain()
        skipped, parked = of(destination)
        Delivery.objects.filter(pk=skipped).update(state="skipped")
        Delivery.objects.filter(pk=parked).update(state="parked")
        now = timezone.now()
        assert delete_old_deliveries(now=now + timedelta(days=29)) == 0
        assert delete_old_deliveries(now=now + timedelta(days=31)) == 1
        assert of(destination) == [parked]
        assert delete_old_deliveries(now=now + timedelta(days=401)) == 1
        assert not Attempt.objects.filter(delivery__connection=destination).exists()

    def test_events_stay_until_enabled_connections_have_them(
        self, outbox: Outbox, receiver: Receiver
    ) -> None:
        receiver.respond = lambda call: Answer(500)
        destination = outbox.connect(receiver.url)
        outbox.write(uuid4(), at=timezone.now() - timedelta(days=401))
        drain()
        mine = OutboxEvent.objects.filter(program_id=outbox.program.pk)
        delete_old_events()
        assert mine.count() == 1
        disable_connection(connection_id=destination.pk, reason="for good")
        delete_old_events()
        assert mine.count() == 0

    def test_zero_days_keep_everything(self, outbox: Outbox, settings: Any) -> None:
        settings.CRM_DELIVERY_RETENTION_DAYS = settings.LOYALTY_EVENT_RETENTION_DAYS = 0
        destination = outbox.connect()
        outbox.write(uuid4())
        drain()
        later = timezone.now() + timedelta(days=40_000)
        assert delete_old_deliveries(now=later) == 0
        assert delete_old_events(now=later) == 0
        assert len(of(destination)) == 1
