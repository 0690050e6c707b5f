"""Lanes of many members in one call: fewer calls, and each lane as if it were served alone."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from crm_sync.adapters.outcomes import Outcome
from crm_sync.adapters.segment import SegmentAdapter
from crm_sync.models import Attempt, Connection, Contact, Delivery, FieldMapping, Lane, Relay
from crm_sync.sandboxes.segment import Segment
from crm_sync.sandboxes.server import Call, Fault, Reply
from crm_sync.services import mixed, settle
from crm_sync.services.connections import create_connection
from crm_sync.services.deliver import serve_lanes
from crm_sync.services.lanes import Lease, claim_together
from crm_sync.services.relay import relay_events
from crm_sync.services.turns import Report
from tests.factories import Till
from tests.integration.crm_sync.outbox import drain, pass_time

MEMBERS = 6


@pytest.fixture
def segment() -> Iterator[Segment]:
    with Segment() as running:
        yield running


@pytest.fixture
def destination(till: Till, segment: Segment, settings: Any) -> Connection:
    settings.CRM_ALLOW_PRIVATE_ADDRESSES = True
    return create_connection(
        program_id=till.program.pk,
        name="Segment",
        adapter="segment",
        config={"address": segment.url, "profiles_address": segment.url},
        secrets={"write_key": segment.write_key},
    )


@pytest.fixture
def leases(till: Till, destination: Connection) -> list[Lease]:
    """Give members with two events each: enrolled, and given points."""
    for _ in range(MEMBERS):
        till.member(balance=5)
    relay_events()
    found = claim_together(connection_id=destination.pk, limit=MEMBERS)
    assert len(found) == MEMBERS
    return found


def told(segment: Segment) -> list[list[str]]:
    return [[one["event"] for one in user.tracks] for user in segment.users.values()]


def counts(destination: Connection) -> tuple[int, int]:
    """Count the deliveries that arrived, and the members whose profile did."""
    delivered = Delivery.objects.filter(connection=destination, state="delivered").count()
    contacts = Contact.objects.filter(connection=destination, done__gt=0)
    return delivered, contacts.count()


def do_while_sending(monkeypatch: pytest.MonkeyPatch, do: Callable[[], None]) -> None:
    """Let something happen while the first call with events is made."""
    real = SegmentAdapter.send

    def send(*given: Any) -> list[Outcome]:
        monkeypatch.setattr(SegmentAdapter, "send", real)
        do()
        return real(*given)

    monkeypatch.setattr(SegmentAdapter, "send", send)


def test_events_are_one_call_and_profiles_another(
    destination: Connection, leases: list[Lease], segment: Segment
) -> None:
    with CaptureQueriesContext(connection) as asked:
        serve_lanes(leases)
    assert len(segment.calls) == 2
    assert told(segment) == [["Loyalty Member Enrolled", "Loyalty Points Adjusted"]] * MEMBERS
    assert all(user.traits["loyalty_points_balance"] == 5 for user in segment.users.values())
    assert counts(destination) == (2 * MEMBERS, MEMBERS)
    assert not Lane.objects.filter(connection=destination).exists()
    assert Attempt.objects.filter(outcome="delivered").count() == 3 * MEMBERS
    assert len(asked) <= 20


def test_where_it_is_down_one_delivery_has_an_attempt(
    destination: Connection, leases: list[Lease], segment: Segment
) -> None:
    segment.faults = [Fault(Reply(503))]
    assert serve_lanes(leases) == Report(sent=2 * MEMBERS, was_mixed=True)
    assert Attempt.objects.count() == 1
    assert Relay.objects.get(connection=destination).failures == 1
    Relay.objects.filter(connection=destination).update(resume_at=None)
    assert len(claim_together(connection_id=destination.pk, limit=MEMBERS)) == MEMBERS - 1
    pass_time(destination)
    drain()
    assert counts(destination) == (2 * MEMBERS, MEMBERS)


def test_an_event_that_it_stumbles_over_costs_the_others_nothing(
    destination: Connection, leases: list[Lease], segment: Segment
) -> None:
    poisoned = str(leases[2].member_id)

    def stumble(call: Call) -> Reply:
        return Reply(500) if poisoned.encode() in call.raw else Segment.handle(segment, call)

    segment.handle = stumble  # type: ignore[method-assign]
    serve_lanes(leases)
    drain()
    assert counts(destination) == (2 * MEMBERS - 2, MEMBERS - 1)
    failed = Attempt.objects.exclude(outcome="delivered")
    assert {one.delivery.member_id for one in failed if one.delivery} == {UUID(poisoned)}


def test_a_profile_that_fails_has_the_attempt_and_the_others_are_due_again(
    destination: Connection, leases: list[Lease], segment: Segment
) -> None:
    segment.faults = [Fault(Reply(500), says='"identify"')]
    serve_lanes(leases)
    assert counts(destination) == (2 * MEMBERS, 0)
    assert Contact.objects.filter(connection=destination, attempts=1).count() == 1
    assert len(claim_together(connection_id=destination.pk, limit=MEMBERS)) == MEMBERS - 1
    pass_time(destination)
    drain()
    assert counts(destination) == (2 * MEMBERS, MEMBERS)


def test_profiles_of_a_call_without_an_answer_are_set_right_though_they_hold_no_more(
    till: Till, destination: Connection, leases: list[Lease], segment: Segment
) -> None:
    FieldMapping.objects.exclude(attribute="points_available").delete()
    serve_lanes(leases)
    for points in (7, -7):
        for card in till.ids:
            till.adjust(card, points)
        relay_events()
        segment.faults = [Fault(hangs_up=True, says='"identify"')] if points > 0 else []
        serve_lanes(claim_together(connection_id=destination.pk, limit=MEMBERS))
        pass_time(destination)
    drain()
    balances = [user.traits["loyalty_points_balance"] for user in segment.users.values()]
    assert balances == [5] * MEMBERS


def test_what_came_of_a_slow_call_is_written_down_at_once(
    destination: Connection, leases: list[Lease], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settle, "WITHIN_SECONDS", 0.0)
    with CaptureQueriesContext(connection) as asked:
        serve_lanes(leases)
    assert len(asked) <= 20


def test_what_happens_meanwhile_is_sent_after_it(
    till: Till,
    destination: Connection,
    leases: list[Lease],
    segment: Segment,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def adjust() -> None:
        till.adjust(next(iter(till.ids)), 7)
        relay_events()

    do_while_sending(monkeypatch, adjust)
    serve_lanes(leases)
    drain()
    assert counts(destination) == (2 * MEMBERS + 1, MEMBERS)
    balances = [user.traits["loyalty_points_balance"] for user in segment.users.values()]
    assert sorted(balances) == [5] * (MEMBERS - 1) + [12]


def test_a_lane_that_was_lost_meanwhile_is_left_to_who_has_it(
    destination: Connection,
    leases: list[Lease],
    segment: Segment,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lose() -> None:
        pass_time(destination, "61 seconds")
        lost.extend(claim_together(connection_id=destination.pk, limit=1))

    lost: list[Lease] = []
    do_while_sending(monkeypatch, lose)
    serve_lanes(leases)
    assert counts(destination) == (2 * MEMBERS - 2, MEMBERS - 1)
    assert Attempt.objects.filter(outcome="fenced").count() == 2
    serve_lanes(lost)
    assert counts(destination) == (2 * MEMBERS, MEMBERS)
    assert told(segment) == [["Loyalty Member Enrolled", "Loyalty Points Adjusted"]] * MEMBERS


def test_where_writing_down_failed_nothing_is_told_that_is_older_than_what_others_told(
    till: Till,
    destination: Connection,
    leases: list[Lease],
    segment: Segment,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        monkeypatch.undo()
        for card in till.ids:
            till.adjust(card, 7)
        relay_events()
        pass_time(destination, "61 seconds")
        serve_lanes(claim_together(connection_id=destination.pk, limit=MEMBERS - 1))
        raise LookupError("as a bug does")

    monkeypatch.setattr(mixed, "push_profiles", fail)
    serve_lanes(leases)
    drain()
    balances = [user.traits["loyalty_points_balance"] for user in segment.users.values()]
    assert balances == [12] * MEMBERS


def test_what_arrived_is_written_down_once_more_where_postgresql_was_busy(
    destination: Connection, leases: list[Lease], segment: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        monkeypatch.undo()
        raise OperationalError("canceling statement due to lock timeout")

    monkeypatch.setattr(type(settle._SETTLE), "fetch", fail_only(settle._SETTLE, fail))
    with pytest.raises(OperationalError, match="lock timeout"):
        serve_lanes(leases)
    assert counts(destination) == (2 * MEMBERS, 0)
    pass_time(destination, "61 seconds")
    drain()
    assert counts(destination) == (2 * MEMBERS, MEMBERS)
    assert len(segment.calls) == 1 + MEMBERS  # the events once, and each profile by itself


def fail_only(meant: Any, fail: Callable[..., Any]) -> Callable[..., Any]:
    real = type(meant).fetch

    def fetch(statement: Any, *given: Any) -> Any:
        return fail() if statement is meant else real(statement, *given)

    return fetch


def test_a_bug_in_serving_them_together_lets_each_be_served_alone(
    destination: Connection,
    leases: list[Lease],
    segment: Segment,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise LookupError("as a bug does")

    monkeypatch.setattr(mixed, "_next_items", fail)
    serve_lanes(leases)
    assert len(segment.calls) == 2 * MEMBERS
    assert counts(destination) == (2 * MEMBERS, MEMBERS)
