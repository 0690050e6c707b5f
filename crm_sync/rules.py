"""When to try again, when to give up, and when to leave a destination alone. Pure.

Four things can be wrong, and each has an answer of its own: one event (its delivery dies), one
moment (the lane waits), the whole destination (the connection waits, and one lane at a time asks
whether it is back), or nobody can tell (it is parked for a person). While the whole destination is
down no delivery dies of it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

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

# The mean wait after the first, second, … failed attempt of a delivery, in seconds; after the last
# one it is dead. Full jitter: the wait is anything up to twice the mean, so that what failed
# together does not return together.
RETRY_SECONDS = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
RETRY_SECONDS_MIN = 3.0
MAX_ATTEMPTS = len(RETRY_SECONDS) + 1
# A repeat that may double is a nuisance to somebody; so often it is risked before a person decides.
MAX_ATTEMPTS_IN_DOUBT = 3
PROBE_JITTER = 0.2  # a probe comes at most so much later: one lane asks for all

# Seconds between probes of a destination that is down: doubled each time.
PROBE_SECONDS_MIN, PROBE_SECONDS_MAX = 5.0, 60.0
SAID_LAST = " The last time: "  # before a destination's own words
# Lanes that are served under one lease: as many as take so long, by the ones before them. A member
# waits so much longer at most for others of the same claim, unless one of them meets a slow call.
TOGETHER_SECONDS = 0.25
TOGETHER_MAX = 20
THROTTLE_SECONDS = 5.0  # pause of a busy destination that gives no Retry-After


class Next(Enum):
    """What becomes of a delivery."""

    DELIVERED = "delivered"
    SKIPPED = "skipped"
    WAIT = "wait"
    DEAD = "dead"
    PARKED = "parked"


GIVEN_UP = frozenset({Next.DEAD, Next.PARKED})  # until a person looks after it


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows from an outcome.

    Attributes:
        lane_seconds: How long this member's lane waits.
        failures: Failures in a row of the connection, this one included.
        pause_seconds: How long the whole connection waits; None if it does not.
        disable_reason: Why the connection is switched off; empty if it is not.
        is_own: It counts among the delivery's own attempts: the destination as a whole was not
            down. Or a long outage would use them up, and the first failure after it be the last.
    """

    delivery: Next
    lane_seconds: float = 0.0
    failures: int = 0
    pause_seconds: float | None = None
    disable_reason: str = ""
    is_own: bool = True


def judge(
    outcome: Outcome,
    *,
    attempts: int,
    failures: int,
    failing_hours: float,
    breaker_failures: int,
    disable_hours: float,
    luck: float,
) -> Verdict:
    """Decide what an outcome means.

    Args:
        attempts: Of this delivery's own, this one included.
        failures: In a row at this connection, without this one.
        failing_hours: Since the first of them.
        breaker_failures: So many in a row mean that the destination as a whole is down.
        disable_hours: A destination that is down for longer is switched off; not before
            MAX_ATTEMPTS failures in a row, since it may be us who were away.
        luck: From 0 to 1, for jitter.
    """
    match outcome:
        case Delivered():
            return Verdict(Next.DELIVERED)
        case Skipped():
            return Verdict(Next.SKIPPED)
        case Permanent():
            # The destination answered, and understood: it is well.
            return Verdict(Next.DEAD)
        case Ambiguous(reason=Doubt.SEVERAL_MATCHES):
            return Verdict(Next.PARKED)
        case Configuration(gone=True):
            return Verdict(Next.WAIT, failures=failures + 1, disable_reason=outcome.error)
        case Configuration():
            # No event can get through: as good as down, at once.
            failures = max(failures, breaker_failures)
    was_down = failures >= breaker_failures
    failures += 1
    reason = ""
    if failing_hours >= disable_hours and failures >= MAX_ATTEMPTS:
        reason = f"It failed for {failing_hours:.0f} hours.{SAID_LAST}{outcome.error}"
    asked = (outcome.retry_after if isinstance(outcome, Retryable) else None) or 0.0
    return Verdict(
        _after_failure(outcome, attempts, was_down),
        lane_seconds=max(retry_seconds(attempts, luck), asked),
        failures=failures,
        pause_seconds=_pause_seconds(outcome, failures - breaker_failures, luck),
        disable_reason=reason,
        is_own=not was_down or isinstance(outcome, Ambiguous),
    )


def retry_seconds(attempts: int, luck: float) -> float:
    """Give the wait after so many failed attempts: anything up to twice the mean."""
    mean = RETRY_SECONDS[min(attempts, len(RETRY_SECONDS)) - 1]
    return max(RETRY_SECONDS_MIN, 2 * mean * luck)


def lanes_at_once(served: int, seconds: float, *, are_mixed: bool = False) -> int:
    """Give how many lanes to serve under one lease, where so many took so long.

    Args:
        are_mixed: All of them are in the same calls: fewer would take as long.
    """
    if are_mixed or served * TOGETHER_SECONDS >= seconds * TOGETHER_MAX:
        return TOGETHER_MAX
    return max(1, int(served * TOGETHER_SECONDS / seconds))


def wants(event_types: Iterable[str], event_type: str) -> bool:
    """Say whether a connection with these types takes an event; no types means all."""
    family = event_type.partition(".")[0] + ".*"
    chosen = set(event_types)
    return not chosen or event_type in chosen or family in chosen


def _after_failure(outcome: Outcome, attempts: int, was_down: bool) -> Next:
    if isinstance(outcome, Ambiguous):
        risky = outcome.reason is Doubt.MUST_NOT_REPEAT
        return Next.PARKED if risky or attempts >= MAX_ATTEMPTS_IN_DOUBT else Next.WAIT
    return Next.DEAD if attempts >= MAX_ATTEMPTS and not was_down else Next.WAIT


def _pause_seconds(outcome: Outcome, beyond: int, luck: float) -> float | None:
    """Give the longest of what the destination asked for and what its state calls for."""
    pauses = []
    if isinstance(outcome, Retryable) and outcome.throttled:
        pauses.append(outcome.retry_after or THROTTLE_SECONDS)
    if beyond >= 0:
        probe = min(PROBE_SECONDS_MIN * 2 ** min(beyond, 10), PROBE_SECONDS_MAX)
        pauses.append(probe * (1 + PROBE_JITTER * luck))
    return max(pauses, default=None)
