"""The Segment adapter against our sandbox, and our sandbox against Segment's own client."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from segment.analytics.client import Client

from crm_sync.adapters.access import Target
from crm_sync.adapters.contract import ConfigRefused, Outgoing, Person
from crm_sync.adapters.outcomes import (
    Configuration,
    Delivered,
    Outcome,
    Permanent,
    Retryable,
)
from crm_sync.adapters.segment import BATCH_BYTES, SegmentAdapter, batches, problem_of
from crm_sync.sandboxes.segment import Segment
from crm_sync.sandboxes.server import Fault, Reply
from tests.integration.crm_sync.calls import environment
from tests.integration.crm_sync.klaviyo_calls import ADA, MEMBER, event, profile
from tests.integration.crm_sync.vendor_cases import connect_segment


@pytest.fixture
def segment() -> Iterator[Segment]:
    with Segment() as running:
        yield running


@pytest.fixture(scope="module")
def adapter() -> SegmentAdapter:
    return SegmentAdapter(environment(total=2.0))


@pytest.fixture
def target(segment: Segment) -> Target:
    return connect_segment(segment)


def large(sequence: int) -> Outgoing:
    one = event(sequence)
    return replace(one, body={**one.body, "data": {"note": "x" * 40_000}})


class TestEvents:
    def test_exactly_what_is_sent(
        self, segment: Segment, adapter: SegmentAdapter, target: Target
    ) -> None:
        one = event()
        adapter.send(target, [one])
        assert segment.calls[-1].body["batch"] == [
            {
                "type": "track",
                "messageId": one.event_id,
                "userId": MEMBER,
                "event": "Loyalty Points Earned",
                "timestamp": "2026-11-22T19:06:53+00:00",
                "properties": {
                    "event_id": one.event_id,
                    "sequence": 1,
                    "order": "316",
                    "cause": "earn",
                    "rules": "base",
                    "request_id": "till-4-77",
                    "points_available": 3,
                    "points_pending": 0,
                    "points_held": 0,
                    "points_debt": 0,
                    "points_lifetime_earned": 3,
                    "points": 3,
                    "lots_count": 1,
                    "tier_from": "bronze",
                    "tier_to": "silver",
                },
            }
        ]

    def test_many_are_one_call_and_what_would_be_dropped_is_told(
        self, segment: Segment, adapter: SegmentAdapter, target: Target
    ) -> None:
        sent = [event(1), large(2), *(event(number) for number in range(3, 30))]
        outcomes = adapter.send(target, sent)
        assert [type(one) for one in outcomes] == [Delivered, Permanent, *[Delivered] * 27]
        assert "over 32 kB" in outcomes[1].error
        tracks = [one["properties"]["sequence"] for one in segment.users[MEMBER].tracks]
        assert tracks == [1, *range(3, 30)]
        assert len(segment.calls) == 1
        assert segment.dropped == []

    def test_old_ones_reach_no_tool_behind_segment(
        self, segment: Segment, adapter: SegmentAdapter, target: Target
    ) -> None:
        adapter.send(target, [event(1, is_backfill=True), event(2)])
        assert len(segment.users[MEMBER].tracks) == 2
        assert [one["properties"]["sequence"] for one in segment.forwarded] == [2]

    def test_the_rest_of_a_lane_waits_behind_what_may_work_later(
        self, segment: Segment, adapter: SegmentAdapter, target: Target
    ) -> None:
        segment.faults = [Fault(Reply(503, {}))]
        outcomes = adapter.send(target, [event(1), event(2)])
        assert isinstance(outcomes[0], Retryable)
        assert segment.users == {}

    def test_what_comes_behind_a_call_that_failed_is_not_sent(
        self, segment: Segment, adapter: SegmentAdapter, target: Target
    ) -> None:
        """A member's later events, in a second call, would arrive before the earlier ones."""
        segment.faults = [Fault(Reply(500, {}))]
        fills = BATCH_BYTES // 30_000
        body = {**event(1).body, "data": {"note": "x" * 30_000}}
        outcomes = adapter.send(
            target, [replace(event(number), body=body) for number in range(1, fills + 2)]
        )
        assert len(outcomes) <= fills
        assert {type(one) for one in outcomes} == {Retryable}
        assert len(segment.calls) == 1


class TestUsers:
    def test_exactly_what_is_sent(
        self, segment: Segment, adapter: SegmentAdapter, target: Target
    ) -> None:
        (outcome,) = adapter.push(target, [profile(loyalty_tier=None)])
        assert isinstance(outcome, Delivered)
        assert outcome.vendor_id == MEMBER
        (message,) = segment.calls[-1].body["batch"]
        assert message.pop("messageId").startswith("state_")
        assert message == {
            "type": "identify",
            "userId": MEMBER,
            "traits": {
                "email": "ada@example.com",
                "loyalty_member_id": MEMBER,
                "loyalty_points_balance": 3,
                "loyalty_tier": None,
            },
        }

    def test_one_of_a_backfill_reaches_every_tool_and_says_what_it_is(
        self, segment: Segment, adapter: SegmentAdapter, target: Target
    ) -> None:
        (outcome,) = adapter.push(target, [replace(profile(), is_backfill=True)])
        assert isinstance(outcome, Delivered)
        (forwarded,) = segment.forwarded
        assert forwarded["context"] == {"backfill": True}
        assert forwarded["traits"]["loyalty_points_balance"] == 3

    def test_a_state_that_comes_back_is_not_taken_for_a_repeat(
        self, segment: Segment, adapter: SegmentAdapter, target: Target
    ) -> None:
        for version, points in ((1, 3), (2, 5), (3, 3)):
            state = replace(profile(loyalty_points_balance=points), version=version)
            adapter.push(target, [state])
        assert segment.users[MEMBER].traits["loyalty_points_balance"] == 3

    def test_many_are_a_few_calls(
        self, segment: Segment, adapter: SegmentAdapter, target: Target
    ) -> None:
        people = [Person(member_id=f"m{number}") for number in range(60)]
        outcomes = adapter.push_bulk(target, [profile(one, note="x" * 8_000) for one in people])
        assert {type(one) for one in outcomes} == {Delivered}
        assert len(segment.users) == 60
        assert len(segment.calls) == 2
        assert segment.dropped == []

    def test_without_unify_nothing_can_be_read(
        self, segment: Segment, adapter: SegmentAdapter
    ) -> None:
        found = adapter.read(connect_segment(segment, space_id=""), [ADA], ["loyalty_tier"])
        assert isinstance(found, Configuration)
        assert "Unify" in found.error


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], []),
        ([10, 10], [[0, 1]]),
        ([BATCH_BYTES - 1, 1], [[0], [1]]),
        ([1] * 501, [list(range(500)), [500]]),
    ],
)
def test_batches_keep_to_the_limits(sizes: list[int], expected: list[list[int]]) -> None:
    assert batches(range(len(sizes)), sizes) == expected


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ({"userId": "", "messageId": "1"}, "no user"),
        ({"userId": "m", "messageId": "1" * 100}, "at most 99"),
        ({"userId": "m", "messageId": "1", "traits": {"a": "x" * 33_000}}, "over 32 kB"),
        ({"userId": "m", "messageId": "1"}, ""),
    ],
)
def test_what_segment_would_drop_is_seen_before(message: dict[str, Any], says: str) -> None:
    assert says in problem_of(message)
    assert bool(says) == bool(problem_of(message))


class TestRefusals:
    @pytest.mark.parametrize(
        ("reply", "kind"),
        [
            (Reply(400, {"message": "malformed"}), Permanent),
            (Reply(401, {}), Configuration),
            (Reply(410, {}), Retryable),
            (Reply(460, {}), Retryable),
            (Reply(200, {"success": False}), Retryable),
        ],
    )
    def test_each_has_its_meaning(
        self,
        segment: Segment,
        adapter: SegmentAdapter,
        target: Target,
        reply: Reply,
        kind: type[Outcome],
    ) -> None:
        segment.faults = [Fault(reply)]
        (outcome,) = adapter.push(target, [profile()])
        assert isinstance(outcome, kind), outcome

    def test_a_batch_that_is_refused_is_halved(
        self, segment: Segment, adapter: SegmentAdapter, target: Target
    ) -> None:
        segment.faults = [Fault(Reply(400, {})), Fault(Reply(400, {}))]
        people = [Person(member_id=f"m{number}") for number in range(2)]
        outcomes = adapter.push(target, [profile(one) for one in people])
        assert [type(one) for one in outcomes] == [Permanent, Delivered]

    def test_a_test_event_reaches_nobody_behind(
        self, segment: Segment, adapter: SegmentAdapter, target: Target
    ) -> None:
        body = {"id": "test_1", "type": "connection.test", "member": None}
        test = replace(event(), event_id="test_1", body=body)
        assert isinstance(adapter.probe(target, test), Delivered)
        assert list(segment.users) == ["loyalty-connection-test"]
        assert segment.forwarded == segment.dropped == []

    @pytest.mark.parametrize(
        "config",
        [{"space_id": "a/b"}, {"space_id": "a", "profiles_address": "ftp://x"}, {"write_key": "w"}],
    )
    def test_a_bad_configuration(self, adapter: SegmentAdapter, config: dict[str, str]) -> None:
        with pytest.raises(ConfigRefused):
            adapter.check({"address": "http://127.0.0.1", **config})


def test_segments_own_client_takes_our_sandbox_for_segment(segment: Segment) -> None:
    client: Any = Client(segment.write_key, host=segment.url, sync_mode=True, max_retries=0)
    client.identify("m1", {"loyalty_tier": "gold"})
    for message_id in ("a", "b", "a"):
        client.track("m1", "Loyalty Points Earned", {"points": 3}, message_id=message_id)
    assert segment.users["m1"].traits == {"loyalty_tier": "gold"}
    assert len(segment.users["m1"].tracks) == 2
    wrong: Any = Client("wrong", host=segment.url, sync_mode=True, max_retries=0)
    wrong.track("m1", "Loyalty Points Earned", {})
    assert len(segment.users["m1"].tracks) == 2
