"""What becomes of deliveries when destinations take, refuse, fail, hang and come back."""

from uuid import UUID, uuid4

import pytest
from django.db import connection

from crm_sync.adapters.access import Target
from crm_sync.adapters.console import ConsoleAdapter
from crm_sync.adapters.contract import Outgoing
from crm_sync.adapters.outcomes import Ambiguous, Delivered, Doubt, Outcome, Permanent
from crm_sync.adapters.webhook import WebhookAdapter
from crm_sync.models import Attempt, Connection, Delivery, Lane, Relay
from crm_sync.rules import MAX_ATTEMPTS
from crm_sync.services.connections import enable_connection
from crm_sync.services.deliver import serve_lane
from crm_sync.services.relay import claim_due_lanes, relay_events
from loyalty.events.models import OutboxEvent
from loyalty.events.rules import event_id
from tests.integration.crm_sync.outbox import Outbox, drain, pass_time
from tests.integration.crm_sync.receivers import Answer, Call, Receiver


def states(destination: Connection) -> list[str]:
    rows = Delivery.objects.filter(connection=destination).order_by("position")
    return list(rows.values_list("state", flat=True))


def fail_for(member: UUID, status: int) -> object:
    def respond(call: Call) -> Answer:
        return Answer(status if call.event["member"] == str(member) else 200)

    return respond


class TestTaken:
    def test_in_order_and_the_same_as_in_the_feed(self, outbox: Outbox, receiver: Receiver) -> None:
        destination, member = outbox.connect(receiver.url), uuid4()
        rows = [outbox.write(member) for _ in range(5)]
        drain()
        assert receiver.event_ids == [event_id(member, n) for n in range(1, 6)]
        assert receiver.calls[0].event["balances"] == rows[0].balances
        assert states(destination) == ["delivered"] * 5

    def test_every_attempt_is_kept(self, outbox: Outbox, receiver: Receiver) -> None:
        destination = outbox.connect(receiver.url)
        outbox.write(uuid4())
        drain()
        attempt = Attempt.objects.get(delivery__connection=destination)
        assert (attempt.outcome, attempt.status_code) == ("delivered", 200)
        assert attempt.answer == "thank you"
        assert attempt.correlation_id.hex == receiver.calls[0].headers["x-correlation-id"]
        assert 0 <= attempt.duration_ms < 2000

    def test_an_answer_that_a_database_cannot_keep(
        self, outbox: Outbox, receiver: Receiver
    ) -> None:
        receiver.respond = lambda call: Answer(body=b"\x00\xff" * 5000)
        destination = outbox.connect(receiver.url)
        outbox.write(uuid4())
        drain()
        assert states(destination) == ["delivered"]


class TestRefused:
    def test_one_dies_and_the_lane_goes_on(self, outbox: Outbox, receiver: Receiver) -> None:
        receiver.respond = lambda call: Answer(422 if call.event["sequence"] == 2 else 200)
        destination, member = outbox.connect(receiver.url), uuid4()
        for _ in range(3):
            outbox.write(member)
        drain()
        assert states(destination) == ["delivered", "dead", "delivered"]
        dead = Delivery.objects.get(connection=destination, state="dead")
        assert dead.last_error == "The destination answered 422."
        assert Relay.objects.get(connection=destination).failures == 0

    def test_one_dies_in_a_batch_and_those_behind_it_do_not_wait_for_the_lease(
        self, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def send(_: object, target: Target, calls: list[Outgoing]) -> list[Outcome]:
            if calls[0].body["sequence"] == 1:
                return [Permanent(error="Too large.")]
            return [Delivered() for _ in calls]

        monkeypatch.setattr(ConsoleAdapter, "send", send)
        destination, member = outbox.connect(), uuid4()
        for _ in range(3):
            outbox.write(member)
        drain()
        assert states(destination) == ["dead", "delivered", "delivered"]

    def test_an_event_that_was_deleted_is_not_sent(
        self, outbox: Outbox, receiver: Receiver
    ) -> None:
        destination, member = outbox.connect(receiver.url), uuid4()
        gone = outbox.write(member)
        outbox.write(member)
        relay_events()
        OutboxEvent.objects.filter(pk=gone.pk).delete()
        drain()
        assert states(destination) == ["dead", "delivered"]
        assert "deleted" in Delivery.objects.get(connection=destination, state="dead").last_error


class TestFailing:
    def test_the_lane_waits_and_keeps_its_order(self, outbox: Outbox, receiver: Receiver) -> None:
        destination, unlucky, lucky = outbox.connect(receiver.url), uuid4(), uuid4()
        receiver.respond = fail_for(unlucky, 500)  # type: ignore[assignment]
        for _ in range(2):
            outbox.write(unlucky)
            outbox.write(lucky)
        drain()
        assert len(receiver.calls) == 3
        assert Delivery.objects.filter(connection=destination, state="delivered").count() == 2
        lane = Lane.objects.get(connection=destination)
        assert lane.member_id == unlucky
        assert lane.lease_token is None
        receiver.respond = lambda call: Answer()
        pass_time(destination)
        drain()
        mine = [c.event["sequence"] for c in receiver.calls if c.event["member"] == str(unlucky)]
        assert mine == [1, 1, 2]

    def test_a_new_event_does_not_bring_a_waiting_lane_forward(
        self, outbox: Outbox, receiver: Receiver
    ) -> None:
        receiver.respond = lambda call: Answer(500)
        outbox.connect(receiver.url)
        member = uuid4()
        outbox.write(member)
        drain()
        outbox.write(member)
        drain()
        assert receiver.event_ids == [event_id(member, 1)]

    def test_repeats_carry_the_same_id_and_the_same_body(
        self, outbox: Outbox, receiver: Receiver
    ) -> None:
        receiver.respond = lambda call: Answer(500)
        destination = outbox.connect(receiver.url)
        outbox.write(uuid4())
        for _ in range(4):
            drain()
            pass_time(destination)
        assert len(receiver.calls) == 4
        assert len({(call.event_id, call.body) for call in receiver.calls}) == 1
        assert len({call.headers["x-correlation-id"] for call in receiver.calls}) == 4

    def test_attempts_run_out_where_others_get_through(
        self, outbox: Outbox, receiver: Receiver
    ) -> None:
        poisoned, healthy = uuid4(), uuid4()
        receiver.respond = fail_for(poisoned, 500)  # type: ignore[assignment]
        destination = outbox.connect(receiver.url)
        outbox.write(poisoned)
        outbox.write(poisoned)
        for _ in range(MAX_ATTEMPTS):
            outbox.write(healthy)
            drain()
            pass_time(destination)
        first, second = Delivery.objects.filter(
            connection=destination, member_id=poisoned
        ).order_by("sequence")
        assert (first.state, first.attempts) == ("dead", MAX_ATTEMPTS)
        assert second.state == "pending"

    def test_a_bug_in_an_adapter_is_an_attempt_like_another(
        self, outbox: Outbox, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise ZeroDivisionError

        destination = outbox.connect(receiver.url)
        outbox.write(uuid4())
        with monkeypatch.context() as patch:
            patch.setattr(WebhookAdapter, "send", fail)
            drain()
        attempt = Attempt.objects.get(delivery__connection=destination)
        assert attempt.outcome == "retryable"
        pass_time(destination)
        drain()
        assert states(destination) == ["delivered"]

    def test_an_adapter_that_is_gone_stops_the_connection_only(self, outbox: Outbox) -> None:
        destination = outbox.connect()
        Connection.objects.filter(pk=destination.pk).update(adapter="fax")
        outbox.write(uuid4())
        drain()
        assert states(destination) == ["pending"]
        assert "fax" in Delivery.objects.get(connection=destination).last_error


class TestDown:
    """Scenario 9: a destination is down for an hour, or a day."""

    def test_it_is_asked_by_one_lane_at_a_time(self, outbox: Outbox, receiver: Receiver) -> None:
        receiver.respond = lambda call: Answer(503)
        destination = outbox.connect(receiver.url)
        outbox.write_many(members=30, each=1)
        drain()
        assert len(receiver.calls) <= 4
        for _ in range(5):
            before = len(receiver.calls)
            pass_time(destination, "2 minutes")
            drain()
            assert len(receiver.calls) == before + 1

    def test_a_day_of_silence_loses_nothing_and_keeps_the_order(
        self, outbox: Outbox, receiver: Receiver
    ) -> None:
        receiver.respond = lambda call: Answer(503)
        destination = outbox.connect(receiver.url)
        written = outbox.write_many(members=20, each=3)
        for _ in range(48):
            drain()
            pass_time(destination, "30 minutes")
        assert len(receiver.calls) < 60
        assert set(states(destination)) == {"pending"}
        receiver.respond = lambda call: Answer()
        receiver.calls.clear()
        pass_time(destination, "1 minute")
        drain()
        assert sorted(receiver.event_ids) == sorted(written)
        sequences: dict[str, list[int]] = {}
        for call in receiver.calls:
            sequences.setdefault(call.event["member"], []).append(call.event["sequence"])
        assert all(mine == [1, 2, 3] for mine in sequences.values())

    def test_nothing_waits_any_longer_when_it_is_back(
        self, outbox: Outbox, receiver: Receiver
    ) -> None:
        """One success wakes all lanes, also those that were to wait for hours."""
        receiver.respond = lambda call: Answer(500)
        destination = outbox.connect(receiver.url)
        outbox.write_many(members=3, each=1)
        for _ in range(25):
            drain()
            pass_time(destination, "2 minutes")
        receiver.respond = lambda call: Answer()
        drain()
        assert states(destination) == ["delivered"] * 3

    def test_no_delivery_dies_of_it(self, outbox: Outbox, receiver: Receiver) -> None:
        receiver.respond = lambda call: Answer(500)
        destination = outbox.connect(receiver.url)
        outbox.write(uuid4())
        for _ in range(MAX_ATTEMPTS + 10):
            drain()
            pass_time(destination, "5 hours")
        assert states(destination) == ["pending"]

    def test_an_outage_uses_up_no_attempts(self, outbox: Outbox, receiver: Receiver) -> None:
        """What failed once more just after it has all its attempts before it."""
        receiver.respond = lambda call: Answer(500)
        destination = outbox.connect(receiver.url)
        unlucky, healthy = uuid4(), uuid4()
        outbox.write(unlucky)
        for _ in range(MAX_ATTEMPTS + 2):
            drain()
            pass_time(destination, "5 hours")  # more than any lane waits after its third attempt
        receiver.respond = fail_for(unlucky, 500)  # type: ignore[assignment]
        outbox.write(healthy)
        for _ in range(2):  # back, and one event is still refused
            drain()
            pass_time(destination, "1 day")
        mine = Delivery.objects.get(connection=destination, member_id=unlucky)
        assert mine.state == "pending"
        assert Attempt.objects.filter(delivery=mine).count() > MAX_ATTEMPTS
        receiver.respond = lambda call: Answer()
        pass_time(destination, "1 day")
        drain()
        assert states(destination) == ["delivered"] * 2

    def test_after_five_days_it_is_disabled_and_says_why(
        self, outbox: Outbox, receiver: Receiver
    ) -> None:
        receiver.respond = lambda call: Answer(500)
        destination = outbox.connect(receiver.url)
        outbox.write(uuid4())
        for _ in range(12):
            drain()
            pass_time(destination, "1 day")
        destination.refresh_from_db()
        assert not destination.is_enabled
        assert destination.disabled_reason.startswith("It failed for 2")
        receiver.respond = lambda call: Answer()
        enable_connection(connection_id=destination.pk)
        drain()
        assert states(destination) == ["delivered"]

    def test_gone_disables_at_once(self, outbox: Outbox, receiver: Receiver) -> None:
        receiver.respond = lambda call: Answer(410)
        destination = outbox.connect(receiver.url)
        outbox.write_many(members=3, each=1)
        drain()
        destination.refresh_from_db()
        assert (destination.is_enabled, len(receiver.calls)) == (False, 1)
        assert destination.disabled_reason == "The destination answered 410."

    def test_a_wrong_secret_costs_no_event(self, outbox: Outbox, receiver: Receiver) -> None:
        receiver.respond = lambda call: Answer(401)
        destination = outbox.connect(receiver.url)
        outbox.write_many(members=10, each=1)
        for _ in range(20):
            drain()
            pass_time(destination, "30 minutes")
        assert states(destination) == ["pending"] * 10
        receiver.respond = lambda call: Answer()
        drain()
        assert states(destination) == ["delivered"] * 10


class TestBusy:
    def test_it_is_left_alone_as_long_as_it_asks(self, outbox: Outbox, receiver: Receiver) -> None:
        receiver.respond = lambda call: Answer(429, {"retry-after": "600"})
        destination = outbox.connect(receiver.url)
        outbox.write_many(members=10, each=1)
        drain()
        asked = len(receiver.calls)
        assert asked <= 4
        pass_time(destination, "590 seconds")
        drain()
        assert len(receiver.calls) == asked
        receiver.respond = lambda call: Answer()
        pass_time(destination, "20 seconds")
        drain()
        assert states(destination) == ["delivered"] * 10

    def test_a_success_meanwhile_does_not_end_the_pause(
        self, outbox: Outbox, receiver: Receiver
    ) -> None:
        destination, member = outbox.connect(receiver.url), uuid4()
        outbox.write(member)
        outbox.write(uuid4())
        relay_events()
        busy, under_way = claim_due_lanes()
        receiver.respond = lambda call: Answer(429, {"retry-after": "600"})
        serve_lane(busy)
        receiver.respond = lambda call: Answer()
        serve_lane(under_way)
        relay = Relay.objects.get(connection=destination)
        assert relay.failures == 0
        assert relay.resume_at is not None


def test_a_lease_lost_while_sending_leaves_its_trace(outbox: Outbox, receiver: Receiver) -> None:
    """Scenario 14: the destination has it twice, the books have it once."""
    destination = outbox.connect(receiver.url)
    outbox.write(uuid4())
    relay_events()

    def steal(call: Call) -> Answer:
        if len(receiver.calls) == 1:
            with connection.cursor() as cursor:
                cursor.execute(
                    "UPDATE crm_sync_lane SET lease_token = gen_random_uuid(),"
                    " lease_until = now() - interval '1 s' WHERE connection_id = %s",
                    [destination.pk],
                )
            connection.close()
        return Answer()

    receiver.respond = steal
    (lease,) = claim_due_lanes()
    serve_lane(lease)
    assert states(destination) == ["pending"]
    drain()
    assert states(destination) == ["delivered"]
    outcomes = Attempt.objects.filter(delivery__connection=destination).order_by("id")
    assert list(outcomes.values_list("outcome", flat=True)) == ["fenced", "delivered"]
    assert len(set(receiver.event_ids)) == 1


class TestInDoubt:
    """Nobody can tell: the vendor does not notice repeats, or several people match."""

    @pytest.mark.parametrize(
        ("reason", "attempts"), [(Doubt.MAYBE_TAKEN, 3), (Doubt.MUST_NOT_REPEAT, 1)]
    )
    def test_it_is_parked_and_the_lane_goes_on(
        self, outbox: Outbox, monkeypatch: pytest.MonkeyPatch, reason: Doubt, attempts: int
    ) -> None:
        def send(_: object, target: Target, calls: list[Outgoing]) -> list[Outcome]:
            first = calls[0].body["sequence"] == 1
            return [Ambiguous(reason=reason, error="No answer.") if first else Delivered()]

        monkeypatch.setattr(ConsoleAdapter, "send", send)
        destination, member = outbox.connect(), uuid4()
        outbox.write(member)
        outbox.write(member)
        for _ in range(attempts):
            drain()
            pass_time(destination)
        drain()
        assert states(destination) == ["parked", "delivered"]
        parked = Delivery.objects.get(connection=destination, state="parked")
        assert (parked.attempts, parked.last_error) == (attempts, "No answer.")
        outcomes = Attempt.objects.filter(delivery=parked).values_list("outcome", flat=True)
        assert set(outcomes) == {"ambiguous"}
