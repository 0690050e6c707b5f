"""More to send than a vendor's limit allows at once: what its answers foretell is heeded in time.

Nobody sleeps, and no time passes by itself: who has to wait moves the vendor's clock, and our own
rows of limits, by as much. Or a slow machine would be one that never meets a limit.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db.models import F

from crm_sync.adapters.contract import Profile
from crm_sync.adapters.outcomes import Delivered, Postponed
from crm_sync.models import Allowance, Connection
from crm_sync.sandboxes.hubspot import HubSpot
from crm_sync.sandboxes.server import Call, Reply, Sandbox
from crm_sync.sandboxes.shopify import Shopify
from crm_sync.services.throttle import SharedThrottle
from tests.integration.crm_sync.calls import environment
from tests.integration.crm_sync.klaviyo_calls import ADA
from tests.integration.crm_sync.outbox import Outbox
from tests.integration.crm_sync.vendor_cases import CASES

PROFILES = 50
BEAT = 1.0  # seconds after which what had to wait is looked at again, at the soonest


def _take_calls(hubspot: HubSpot) -> None:
    hubspot.window.take(170)


def _take_points(shop: Shopify) -> None:
    shop.bucket.left = 400.0


class Halted:
    """Time that passes only where it is let: the vendor's, and that of our own limits."""

    def __init__(self, sandbox: Sandbox, connection: Connection) -> None:
        self._clock = sandbox.clock
        self._clock.stop()
        self._limits = Allowance.objects.filter(connection=connection)
        self._since = time.monotonic()

    def wait(self, seconds: float = 0.0) -> None:
        """Let so much pass, and nothing of what did by PostgreSQL's clock meanwhile."""
        now = time.monotonic()
        by_itself, self._since = now - self._since, now
        self._clock.wait(seconds)
        self._limits.update(free_at=F("free_at") - timedelta(seconds=seconds - by_itself))


def _is_refusal(reply: Reply) -> bool:
    return reply.status == 429 or "THROTTLED" in str(reply.body)


@pytest.mark.parametrize(
    ("name", "others_take"), [("hubspot", _take_calls), ("shopify", _take_points)]
)
def test_a_backlog_larger_than_the_bucket_gets_through_and_nothing_is_refused(
    outbox: Outbox, name: str, others_take: Callable[[Any], None]
) -> None:
    (case,) = [case for case in CASES if case.name == name]
    connection = outbox.connect()
    adapter, waits, replies = case.adapter(environment()), 0, []
    with case.sandbox() as sandbox:
        handle = sandbox.handle

        def watch(call: Call) -> Reply:
            replies.append(handle(call))
            return replies[-1]

        sandbox.handle = watch  # type: ignore[method-assign]
        target = replace(case.connect(sandbox), throttle=SharedThrottle(connection.pk))
        others_take(sandbox)  # who uses the same account leaves less than the backlog needs
        halted = Halted(sandbox, connection)
        for version in range(PROFILES):
            halted.wait()
            calls = len(replies)
            profile = Profile(person=ADA, fields=case.told, version=version, correlation_id=uuid4())
            while isinstance(outcome := adapter.push(target, [profile])[0], Postponed):
                assert len(replies) == calls, "what has to wait has not begun"
                waits += 1
                halted.wait(max(BEAT, outcome.seconds))
            assert isinstance(outcome, Delivered), outcome
    assert waits, "others left more than the backlog needs"
    assert [reply for reply in replies if _is_refusal(reply)] == []
