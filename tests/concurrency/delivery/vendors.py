"""The vendors that know an event again by its id, each in its sandbox, all told by one outbox.

Shopify has no events of its own to repeat; Omnisend, Postscript and Attentive do not notice one.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final
from uuid import UUID

from crm_sync.models import Contact
from crm_sync.sandboxes.hubspot import HubSpot
from crm_sync.sandboxes.marketing_cloud import MarketingCloud
from crm_sync.sandboxes.server import Call, Reply
from tests.integration.crm_sync.outbox import Outbox
from tests.integration.crm_sync.vendor_cases import CASES, Case

_WITHOUT_EVENTS: Final = {"shopify"}
SEE_REPEATS: Final = [c for c in CASES if c.sees_repeats and c.name not in _WITHOUT_EVENTS]


class Vendor:
    """One vendor that runs, and our connection to it.

    It answers a moment after it has done the work, and the first call with an event not before it
    is let: whoever made that call dies, and nobody knows here that the event is there.

    Attributes:
        unanswered: The first call with an event, once its work is done.
    """

    def __init__(self, outbox: Outbox, case: Case, sandbox: Any) -> None:
        self.name, self.sandbox = case.name, sandbox
        self.unanswered: Call | None = None
        self._case = case
        self._is_let = threading.Event()
        self._lock = threading.Lock()
        self._work = sandbox.answer
        sandbox.answer = self._answer_late
        config, secrets = _account(case, sandbox)
        self.destination = outbox.connect(adapter=case.name, config=config, secrets=secrets)

    def meet(self, members: Sequence[UUID]) -> None:
        """Let a vendor that makes nobody without an email have had these members for long."""
        if isinstance(self.sandbox, HubSpot):
            Contact.objects.bulk_create(
                Contact(
                    connection=self.destination,
                    member_id=member,
                    vendor_id=self.sandbox.add(loyalty_member_id=str(member)).id,
                    matched_by="member_id",
                )
                for member in members
            )

    def let_answer(self) -> None:
        """Answer from now on."""
        self._is_let.set()

    def timeline(self, member: UUID) -> list[str]:
        """Give the ids of the member's events that are there, in their order."""
        return list(self._case.events_of(self.sandbox, str(member)))

    def count_events(self) -> int:
        """Count all that are there, whoever they are of."""
        if isinstance(self.sandbox, MarketingCloud):
            return len(self.sandbox.events.rows)  # they are of nobody there: rows of their own
        return sum(len(person.timeline) for person in self.sandbox.people())

    def times_told(self, event: str) -> int:
        """Count the calls that named an event."""
        told = [call for call in self.sandbox.calls if self._case.events_at in call.path]
        return sum(f'"{event}"'.encode() in call.raw for call in told)

    def _answer_late(self, call: Call) -> Reply | None:
        reply: Reply | None = self._work(call)
        with self._lock:
            is_first = self.unanswered is None and self._case.events_at in call.path
            if is_first:
                self.unanswered = call
        if is_first:
            self._is_let.wait(60)
        else:
            time.sleep(0.05)
        return reply


@contextmanager
def vendors_of(outbox: Outbox) -> Iterator[list[Vendor]]:
    """Connect all of them for as long as a test runs."""
    with ExitStack() as running:
        sandboxes = [(case, running.enter_context(case.sandbox())) for case in SEE_REPEATS]
        yield [Vendor(outbox, case, sandbox) for case, sandbox in sandboxes]


def _account(case: Case, sandbox: Any) -> tuple[dict[str, Any], dict[str, str]]:
    account = case.connect(sandbox)
    config, secrets = dict(account.config), account.credentials.given  # type: ignore[attr-defined]
    if isinstance(sandbox, HubSpot):
        # A refresh token that is replaced, and its heir lost with a worker, would need a person.
        config, secrets = {**config, "client_id": ""}, {"access_token": sandbox.access_token}
        sandbox.window.most = 1_000_000  # what is measured is not its limit
    return config, secrets
