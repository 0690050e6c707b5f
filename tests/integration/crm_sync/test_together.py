"""Several lanes under one lease: fewer statements, and each lane as if it were served alone."""

import math
from collections import defaultdict
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from crm_sync.adapters.access import Target
from crm_sync.adapters.console import ConsoleAdapter
from crm_sync.adapters.contract import Outgoing
from crm_sync.adapters.outcomes import Delivered, Outcome, Permanent, Postponed
from crm_sync.models import Attempt, Connection, Delivery, Lane, Relay
from crm_sync.services import deliver, lanes, settle
from crm_sync.services.deliver import serve_lanes
from crm_sync.services.lanes import Lease, claim_together
from crm_sync.services.relay import claim_due_lanes, relay_events
from tests.integration.crm_sync.outbox import Outbox, drain, pass_time
from tests.integration.crm_sync.receivers import Answer, Call, Receiver


@pytest.fixture(autouse=True)
def _written_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing depend on how fast this machine is."""
    monkeypatch.setattr(settle, "WITHIN_SECONDS", math.inf)


def claim(outbox: Outbox, destination: Connection, members: int, each: int) -> list[Lease]:
    outbox.write_many(members=members, each=each)
    relay_events()
    return claim_together(connection_id=destination.pk, limit=members)


def states(destination: Connection) -> dict[str, int]:
    found: dict[str, int] = defaultdict(int)
    for state in Delivery.objects.filter(connection=destination).values_list("state", flat=True):
        found[state] += 1
    return dict(found)


class TestClaim:
    def test_they_are_one_of_those_that_a_connection_may_have(self, outbox: Outbox) -> None:
        """Scenario 10: a thread that hangs is one of four, however many lanes it has."""
        destination = outbox.connect()
        outbox.write_many(members=100, each=1)
        relay_events()
        claims = [claim_together(connection_id=destination.pk, limit=10) for _ in range(5)]
        assert [len(found) for found in claims] == [10, 10, 10, 10, 0]
        assert [len({lease.token for lease in found}) for found in claims] == [1, 1, 1, 1, 0]
        lanes.give_back_all(claims[0])
        assert len(claim_due_lanes()) == 1

    def test_one_that_is_down_is_asked_by_a_single_lane(self, outbox: Outbox) -> None:
        destination = outbox.connect()
        outbox.write_many(members=10, each=1)
        relay_events()
        Relay.objects.filter(connection=destination).update(failures=3)
        assert len(claim_together(connection_id=destination.pk, limit=10)) == 1
        assert claim_together(connection_id=destination.pk, limit=10) == []

    def test_what_is_given_back_is_due_and_what_was_lost_is_left(self, outbox: Outbox) -> None:
        destination = outbox.connect()
        slow = claim(outbox, destination, members=4, each=1)
        pass_time(destination, "61 seconds")
        quick = claim_together(connection_id=destination.pk, limit=2)
        lanes.give_back_all(slow)
        leased = Lane.objects.filter(connection=destination, lease_token=quick[0].token)
        assert leased.count() == 2
        assert len(claim_together(connection_id=destination.pk, limit=9)) == 2


class TestServed:
    def test_in_order_each_once_and_in_few_statements(
        self, outbox: Outbox, receiver: Receiver
    ) -> None:
        """Twenty lanes of two take seven statements; one by one they took 220."""
        receiver.respond = lambda call: Answer(body=b"")
        destination = outbox.connect(receiver.url)
        leases = claim(outbox, destination, members=20, each=2)
        with CaptureQueriesContext(connection) as asked:
            serve_lanes(leases)
        assert len(asked) <= 7
        mine = defaultdict(list)
        for call in receiver.calls:
            mine[call.event["member"]].append(call.event["sequence"])
        assert sorted(mine.values()) == [[1, 2]] * 20
        assert states(destination) == {"delivered": 40}
        assert not Lane.objects.filter(connection=destination).exists()
        attempts = Attempt.objects.filter(delivery__connection=destination)
        assert attempts.count() == attempts.filter(outcome="delivered", status_code=200).count()
        assert attempts.count() == 40

    def test_a_failure_ends_it_and_the_other_lanes_are_due_again(
        self, outbox: Outbox, receiver: Receiver
    ) -> None:
        destination = outbox.connect(receiver.url)
        leases = claim(outbox, destination, members=6, each=2)
        unlucky = str(leases[2].member_id)
        receiver.respond = lambda c: Answer(500 if c.event["member"] == unlucky else 200)
        serve_lanes(leases)
        assert len(receiver.calls) == 3
        assert states(destination) == {"delivered": 2, "pending": 10}
        assert Relay.objects.get(connection=destination).failures == 1
        again = claim_together(connection_id=destination.pk, limit=10)
        assert {str(one.member_id) for one in again} == {str(one.member_id) for one in leases} - {
            unlucky
        }

    def test_what_went_well_before_a_failure_ends_the_row_of_failures(
        self, outbox: Outbox, receiver: Receiver
    ) -> None:
        destination = outbox.connect(receiver.url)
        leases = claim(outbox, destination, members=4, each=1)
        Relay.objects.filter(connection=destination).update(failures=2)
        unlucky = str(leases[3].member_id)
        receiver.respond = lambda c: Answer(500 if c.event["member"] == unlucky else 200)
        serve_lanes(leases)
        relay = Relay.objects.get(connection=destination)
        assert (relay.failures, relay.resume_at) == (1, None)

    def test_an_event_that_is_refused_ends_nothing(
        self, outbox: Outbox, receiver: Receiver
    ) -> None:
        destination = outbox.connect(receiver.url)
        leases = claim(outbox, destination, members=5, each=2)
        refused = str(leases[1].member_id)
        receiver.respond = lambda c: Answer(422 if c.event["member"] == refused else 200)
        serve_lanes(leases)
        assert states(destination) == {"delivered": 8, "dead": 2}
        assert not Lane.objects.filter(connection=destination).exists()

    def test_what_comes_meanwhile_keeps_its_lane_open(
        self, outbox: Outbox, receiver: Receiver
    ) -> None:
        destination = outbox.connect(receiver.url)
        leases = claim(outbox, destination, members=3, each=1)
        late = leases[0].member_id
        outbox.sequences[late] = 1

        def add(call: Call) -> Answer:
            if len(receiver.calls) == 3:
                outbox.write(late)
                relay_events()
                connection.close()
            return Answer()

        receiver.respond = add
        serve_lanes(leases)
        lane = Lane.objects.get(connection=destination)
        assert (lane.member_id, lane.lease_token) == (late, None)
        drain()
        assert states(destination) == {"delivered": 4}

    def test_a_lane_that_somebody_else_has_meanwhile_is_theirs(
        self, outbox: Outbox, receiver: Receiver
    ) -> None:
        """Scenario 14, of one lane among several."""
        destination = outbox.connect(receiver.url)
        leases = claim(outbox, destination, members=3, each=1)
        Lane.objects.filter(connection=destination, member_id=leases[1].member_id).update(
            lease_token=uuid4()
        )
        serve_lanes(leases)
        assert states(destination) == {"delivered": 2, "pending": 1}
        fenced = Attempt.objects.get(delivery__connection=destination, outcome="fenced")
        assert fenced.delivery is not None
        assert fenced.delivery.member_id == leases[1].member_id

    def test_a_worker_that_dies_before_it_writes_sends_again_what_it_sent(
        self, outbox: Outbox, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Scenario 13: of each lane the last call, with the same id; nothing is lost."""
        destination = outbox.connect(receiver.url)
        leases = claim(outbox, destination, members=3, each=2)
        with monkeypatch.context() as dying:
            real = settle.Books.write

            def die(books: settle.Books) -> None:
                if len(receiver.calls) == 6:
                    raise KeyboardInterrupt
                real(books)

            dying.setattr(settle.Books, "write", die)
            with pytest.raises(KeyboardInterrupt):
                serve_lanes(leases)
        assert states(destination) == {"delivered": 3, "pending": 3}
        pass_time(destination, "61 seconds")
        drain()
        assert sorted(receiver.event_ids[6:]) == sorted(receiver.event_ids[3:6])
        assert states(destination) == {"delivered": 6}

    def test_the_time_is_up(self, outbox: Outbox, receiver: Receiver) -> None:
        destination = outbox.connect(receiver.url)
        leases = claim(outbox, destination, members=3, each=1)
        serve_lanes(leases, until=-math.inf)
        assert len(receiver.calls) == 1
        assert states(destination) == {"delivered": 1, "pending": 2}
        assert len(claim_together(connection_id=destination.pk, limit=3)) == 2

    def test_a_long_lane_is_taken_in_parts(
        self, outbox: Outbox, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(deliver, "DELIVERIES_AT_ONCE", 4)
        destination = outbox.connect(receiver.url)
        serve_lanes(claim(outbox, destination, members=2, each=3))
        assert states(destination) == {"delivered": 4, "pending": 2}
        drain()
        assert states(destination) == {"delivered": 6}

    def test_a_call_takes_no_less_of_a_lane_because_of_others(
        self, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sizes: list[int] = []

        def send(_: object, target: Target, calls: list[Outgoing]) -> list[Outcome]:
            sizes.append(len(calls))
            return [Delivered() for _ in calls]

        monkeypatch.setattr(ConsoleAdapter, "batch_size", 5)
        monkeypatch.setattr(ConsoleAdapter, "send", send)
        monkeypatch.setattr(deliver, "DELIVERIES_AT_ONCE", 6)
        destination = outbox.connect()
        serve_lanes(claim(outbox, destination, members=3, each=4))
        assert sizes == [4, 4, 4]
        assert states(destination) == {"delivered": 12}

    def test_a_connection_that_was_disabled_is_sent_nothing(
        self, outbox: Outbox, receiver: Receiver
    ) -> None:
        destination = outbox.connect(receiver.url)
        leases = claim(outbox, destination, members=3, each=1)
        Connection.objects.filter(pk=destination.pk).update(is_enabled=False)
        serve_lanes(leases)
        assert receiver.calls == []
        assert not Lane.objects.exclude(lease_token=None).filter(connection=destination).exists()


class TestInParts:
    """What an adapter of a test's own answers in the middle of a turn."""

    def test_limits_that_are_reached_lose_nothing(
        self, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answers: list[Outcome] = [Delivered(), Postponed(seconds=60), *[Delivered()] * 3]
        self.answer(monkeypatch, answers)
        destination = outbox.connect()
        serve_lanes(claim(outbox, destination, members=4, each=1))
        assert states(destination) == {"delivered": 1, "pending": 3}
        assert claim_together(connection_id=destination.pk, limit=4) == []
        pass_time(destination, "61 seconds")
        drain()
        assert states(destination) == {"delivered": 4}

    def test_a_bug_in_the_middle_costs_nothing_that_was_sent(
        self, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.answer(monkeypatch, [Delivered()] * 3)
        destination = outbox.connect()
        leases = claim(outbox, destination, members=3, each=1)
        broken = leases[2].member_id
        real = deliver.outgoing

        def fail(visit: Any, delivery: Any) -> Outgoing:
            if delivery.member_id == broken:
                raise RuntimeError("a bug")
            return real(visit, delivery)

        monkeypatch.setattr(deliver, "outgoing", fail)
        serve_lanes(leases)
        assert states(destination) == {"delivered": 2, "pending": 1}
        assert Delivery.objects.get(connection=destination, member_id=broken).attempts == 1

    def test_of_who_is_erased_meanwhile_no_word_is_kept(
        self, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        destination = outbox.connect()
        leases = claim(outbox, destination, members=2, each=1)
        erased = leases[0].member_id
        monkeypatch.setattr(
            "crm_sync.services.forget.list_erased", lambda asked: {erased} & set(asked)
        )
        said = "Ada Lovelace has it."
        self.answer(monkeypatch, [Delivered(answer=said), Permanent(answer=said, error=said)])
        serve_lanes(leases)
        attempts = Attempt.objects.filter(delivery__connection=destination)
        kept = {one.delivery.member_id: one.answer for one in attempts if one.delivery}
        assert kept == {erased: "", leases[1].member_id: said}

    def answer(self, monkeypatch: pytest.MonkeyPatch, outcomes: list[Outcome]) -> None:
        def send(_: object, target: Target, calls: list[Outgoing]) -> list[Outcome]:
            return [outcomes.pop(0)]

        monkeypatch.setattr(ConsoleAdapter, "send", send)
