"""When a delivery is tried again, given up, and when a destination is left alone."""

import pytest

from crm_sync.adapters.outcomes import (
    Ambiguous,
    Configuration,
    Delivered,
    Doubt,
    Outcome,
    Permanent,
    Retryable,
    Skipped,
)
from crm_sync.rules import (
    MAX_ATTEMPTS,
    MAX_ATTEMPTS_IN_DOUBT,
    RETRY_SECONDS,
    RETRY_SECONDS_MIN,
    TOGETHER_MAX,
    Next,
    Verdict,
    judge,
    lanes_at_once,
    retry_seconds,
    wants,
)


def decide(outcome: Outcome, **changes: float) -> Verdict:
    facts: dict[str, float] = {
        "attempts": 1,
        "failures": 0,
        "failing_hours": 0.0,
        "breaker_failures": 3,
        "disable_hours": 120.0,
        "luck": 0.5,
    }
    return judge(outcome, **(facts | changes))  # type: ignore[arg-type]


def test_delivered_clears_the_failures() -> None:
    assert decide(Delivered(), failures=7) == Verdict(Next.DELIVERED)


def test_a_refused_event_dies_and_says_that_the_destination_is_well() -> None:
    assert decide(Permanent(), failures=2) == Verdict(Next.DEAD)


def test_who_is_not_there_is_skipped_and_the_destination_is_well() -> None:
    assert decide(Skipped(), failures=2) == Verdict(Next.SKIPPED)


def test_the_schedule_is_ten_attempts_in_76_hours() -> None:
    assert MAX_ATTEMPTS == 10
    assert [retry_seconds(n, 0.5) for n in range(1, 10)] == list(RETRY_SECONDS)
    assert 75 < sum(RETRY_SECONDS) / 3600 < 76


def test_full_jitter_spreads_the_wait_from_nearly_nothing_to_twice_the_mean() -> None:
    assert retry_seconds(2, 0.0) == RETRY_SECONDS_MIN
    assert retry_seconds(2, 1.0) == 2 * RETRY_SECONDS[1]


def test_one_failure_lets_only_the_lane_wait() -> None:
    verdict = decide(Retryable(error="500"))
    assert (verdict.delivery, verdict.lane_seconds, verdict.pause_seconds) == (Next.WAIT, 5, None)


def test_the_last_attempt_is_the_last() -> None:
    assert decide(Retryable(), attempts=9).delivery is Next.WAIT
    assert decide(Retryable(), attempts=10).delivery is Next.DEAD


def test_nothing_dies_of_a_destination_that_is_down() -> None:
    verdict = decide(Retryable(), attempts=40, failures=3)
    assert verdict.delivery is Next.WAIT
    assert verdict.lane_seconds == RETRY_SECONDS[-1]


def test_what_a_destination_that_is_down_costs_is_no_attempt_of_the_events_own() -> None:
    assert decide(Retryable(), failures=2).is_own
    assert not decide(Retryable(), failures=3).is_own
    assert not decide(Configuration(error="401")).is_own
    assert decide(Ambiguous(reason=Doubt.MAYBE_TAKEN), failures=3).is_own  # it may have arrived


@pytest.mark.parametrize(
    ("failures", "seconds"), [(1, None), (2, 5), (3, 10), (4, 20), (5, 40), (6, 60), (900, 60)]
)
def test_a_destination_that_is_down_is_asked_ever_more_seldom(
    failures: int, seconds: float | None
) -> None:
    assert decide(Retryable(), failures=failures, luck=0.0).pause_seconds == seconds


def test_a_busy_destination_is_spared_as_long_as_it_asks() -> None:
    verdict = decide(Retryable(throttled=True, retry_after=90.0))
    assert (verdict.pause_seconds, verdict.lane_seconds) == (90.0, 90.0)


def test_a_busy_destination_that_names_no_time_gets_five_seconds() -> None:
    assert decide(Retryable(throttled=True)).pause_seconds == 5


def test_a_wrong_configuration_stops_the_connection_at_once_but_kills_nothing() -> None:
    verdict = decide(Configuration(error="401"), attempts=10)
    assert verdict.delivery is Next.WAIT
    assert verdict.failures > 3
    assert verdict.pause_seconds
    assert not verdict.disable_reason


def test_gone_disables_at_once() -> None:
    verdict = decide(Configuration(error="It answered 410.", gone=True))
    assert verdict.disable_reason == "It answered 410."
    assert verdict.delivery is Next.WAIT


@pytest.mark.parametrize(
    ("reason", "attempts", "then"),
    [
        (Doubt.MAYBE_TAKEN, 1, Next.WAIT),
        (Doubt.MAYBE_TAKEN, MAX_ATTEMPTS_IN_DOUBT, Next.PARKED),
        (Doubt.MUST_NOT_REPEAT, 1, Next.PARKED),
        (Doubt.SEVERAL_MATCHES, 1, Next.PARKED),
    ],
)
def test_what_nobody_can_tell_is_parked(reason: Doubt, attempts: int, then: Next) -> None:
    assert decide(Ambiguous(reason=reason), attempts=attempts).delivery is then


def test_a_match_that_a_person_must_choose_says_that_the_destination_is_well() -> None:
    assert decide(Ambiguous(reason=Doubt.SEVERAL_MATCHES), failures=2).failures == 0
    assert decide(Ambiguous(reason=Doubt.MAYBE_TAKEN), failures=2).failures == 3


def test_five_days_of_failures_disable() -> None:
    assert not decide(Retryable(), failures=9, failing_hours=119.0).disable_reason
    reason = decide(Retryable(error="Time-out."), failures=9, failing_hours=121.0).disable_reason
    assert reason == "It failed for 121 hours. The last time: Time-out."


def test_two_failures_a_week_apart_do_not_disable() -> None:
    assert not decide(Retryable(), failures=1, failing_hours=168.0).disable_reason


@pytest.mark.parametrize(
    ("types", "type_", "wanted"),
    [
        ([], "points.earned", True),
        (["points.earned"], "points.earned", True),
        (["points.earned"], "points.expired", False),
        (["points.*"], "points.expired", True),
        (["points.*", "tier.upgraded"], "tier.upgraded", True),
        (["points.*"], "tier.upgraded", False),
    ],
)
def test_types_choose_events(types: list[str], type_: str, wanted: bool) -> None:
    assert wants(types, type_) is wanted


@pytest.mark.parametrize(
    ("served", "seconds", "next_time"),
    [
        (1, 0.0, TOGETHER_MAX),
        (1, 0.01, TOGETHER_MAX),
        (1, 0.05, 5),
        (1, 0.2, 1),
        (1, 15.0, 1),
        (20, 0.25, TOGETHER_MAX),
        (20, 1.0, 5),
        (20, 30.0, 1),
    ],
)
def test_so_many_lanes_are_served_together_as_take_a_moment(
    served: int, seconds: float, next_time: int
) -> None:
    assert lanes_at_once(served, seconds) == next_time


def test_lanes_that_share_their_calls_are_many_however_slow_those_are() -> None:
    assert lanes_at_once(1, 15.0, are_mixed=True) == TOGETHER_MAX
