"""A till with every vendor connected to its program, and what each of them has to hold.

All vendors of vendor_cases.py, and a webhook, each at its sandbox. They can all be down for a
while: time then passes for what waits, as relay and workers would see it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

from crm_sync.adapters.contract import Outgoing, ReadsBack
from crm_sync.comparing import compared_fields, differences
from crm_sync.models import Allowance, Connection, Delivery, Lane
from crm_sync.sandboxes.server import Reply
from crm_sync.services.calls import adapter_of, call
from crm_sync.services.people import get_to_know_locally
from crm_sync.services.profiles import draft_profile, fields_of
from loyalty.events.models import OutboxEvent
from loyalty.events.rules import event_id
from loyalty.members import services as members
from loyalty.members.models import Identifier
from loyalty.members.schemas import EnrolRequest
from loyalty.nightly.services import run_night
from tests.factories import Clock, Till, rows, unique
from tests.integration.crm_sync.outbox import drain, pass_time
from tests.integration.crm_sync.receivers import Answer, Receiver
from tests.integration.crm_sync.vendor_cases import Case

NEWEST_ONLY = {"shopify"}  # it has no events of its own: a customer's fields show the newest one
# Without an email they make nobody whom they do not know yet; Salesforce nobody who is erased.
MAKE_NOT_ALL = {"omnisend", "attentive", "hubspot", "shopify", "salesforce"}
ROUNDS_DOWN = 2  # of 90 minutes each, between two things that happen while all are down


@dataclass
class Story:
    """A till, and all vendors connected to its program."""

    till: Till
    clock: Clock
    receiver: Receiver
    vendors: list[tuple[Case, Any, Connection]] = field(default_factory=list)
    seen: int = 0
    is_down: bool = False
    hours_down: float = 0.0

    def enrol(self, email: str) -> str:
        card = unique("c")
        named = {"type": "email", "value": email, "verified": True}
        ids = [{"type": "card", "value": card}, named]
        body = EnrolRequest.model_validate(
            {"identifiers": ids, "profile": {"last_name": "Lovelace"}}
        )
        self.till.ids[card] = self.till.send(self.till.command(members.ENROL, body))[0].id
        return card

    def night(self, after: timedelta) -> None:
        self.clock.move(after)
        run_night(self.till.program.pk, today=self.today())

    def today(self) -> date:
        return self.clock.now.date()

    def tell(self) -> None:
        """Do what relay and workers do, by the real clock, until nobody has anything to send."""
        with self.real_clock():
            for _ in range(ROUNDS_DOWN if self.is_down else 20):
                drain()
                if not Lane.objects.filter(connection__in=self.connections()).exists():
                    break
                Allowance.objects.filter(connection__in=self.connections()).delete()
                self.wait()

    def wait(self) -> None:
        """Let time pass for all that waits."""
        for destination in self.connections():
            pass_time(destination, "90 minutes")
        self.hours_down += 1.5 * self.is_down

    def connections(self) -> Any:
        return Connection.objects.filter(program=self.till.program)

    def go_down(self) -> None:
        """Let the webhook and every vendor answer 503, whatever they are asked."""
        self.is_down = True
        self.receiver.respond = lambda call: Answer(503)
        for _, sandbox, _ in self.vendors:
            sandbox.handle = lambda call: Reply(503)

    def be_well(self) -> None:
        """Let them answer as they do, and remember nothing of the calls that they refused."""
        self.is_down = False
        self.receiver.respond = lambda call: Answer()
        self.receiver.calls.clear()
        for _, sandbox, _ in self.vendors:
            del sandbox.handle
            sandbox.calls.clear()

    @contextmanager
    def real_clock(self) -> Iterator[None]:
        """Let leases and limits see the time that it is: they know nothing of the story's."""
        rows("SELECT set_config('loyalty.test_clock', '', false)")
        yield
        self.clock.set(self.clock.now)

    def happened(self, card: str) -> list[str]:
        """Give the types of the member's events since the last time."""
        types = list(self.events(card).values_list("type", flat=True))
        new, self.seen = types[self.seen :], len(types)
        return new

    def events(self, card: str) -> Any:
        return OutboxEvent.objects.filter(member_id=self.till.ids[card]).order_by("sequence")

    def check(self, *cards: str) -> None:
        """Look at every vendor: these members' events in order, once, and their profiles.

        While they are down: nothing got through, and nothing was given up.
        """
        if self.is_down:
            return self.check_nothing_lost(*cards)
        for case, sandbox, destination in self.vendors:
            stuck = Delivery.objects.filter(connection=destination).exclude(
                state__in=("delivered", "skipped")
            )
            assert list(stuck.values_list("type", "state", "last_error")) == [], case.name
            for card in cards:
                held, expected = self.held(case, sandbox, card), self.ids(card)
                assert self.hooked(card) == expected
                if case.name in NEWEST_ONLY:
                    held, expected = held[-1:], expected[-1:]
                assert held == expected, (case.name, card)
                assert self.profile_differs(case, sandbox, destination, card) == [], case.name

    def check_nothing_lost(self, *cards: str) -> None:
        """See that all events of these members wait: none got through, none was given up.

        One that nobody can be told of any more, as their email went, is not waited with.
        """
        for case, sandbox, destination in self.vendors:
            for card in cards:
                assert self.held(case, sandbox, card) == [], case.name
                mine = Delivery.objects.filter(
                    connection=destination, member_id=self.till.ids[card]
                )
                assert mine.count() == self.events(card).count(), case.name
                nobody = {"skipped"} if self.is_nameless(card) else set()
                assert set(mine.values_list("state", flat=True)) <= {"pending"} | nobody, case.name

    def is_nameless(self, card: str) -> bool:
        return not Identifier.objects.filter(member_id=self.till.ids[card], type="email").exists()

    def ids(self, card: str) -> list[str]:
        return [event_id(e.member_id, e.sequence) for e in self.events(card)]

    def hooked(self, card: str) -> list[str]:
        """Give the ids of the member's events as the webhook got them."""
        prefix = f"evt_{UUID(self.till.ids[card]).hex}_"
        return [one for one in self.receiver.event_ids if one.startswith(prefix)]

    def check_delivered(self, card: str) -> None:
        """Look at every vendor after a member's email went: one that knows people by nothing else
        cannot be told any more, says so, and holds exactly what it could be told.
        """
        if self.is_down:
            return self.check_nothing_lost(card)
        assert self.hooked(card) == self.ids(card)
        for case, sandbox, destination in self.vendors:
            deliveries = Delivery.objects.filter(
                connection=destination, member_id=self.till.ids[card]
            )
            states = dict(deliveries.values_list("sequence", "state"))
            assert set(states.values()) <= {"delivered", "skipped"}, case.name
            assert len(states) == self.events(card).count(), case.name
            told = [e for e in self.events(card) if states[e.sequence] == "delivered"]
            came_late = self.hours_down and case.name in MAKE_NOT_ALL
            assert told or case.prepare is not None or came_late, case.name
            expected = [event_id(e.member_id, e.sequence) for e in told]
            if case.name not in NEWEST_ONLY:
                assert self.held(case, sandbox, card) == expected, case.name

    def held(self, case: Case, sandbox: Any, card: str) -> list[str]:
        """Give the ids of the member's events that a vendor holds, however it spells them."""
        member = self.till.ids[card]
        names = {spelling: one for one in self.ids(card) for spelling in _spellings(one)}
        found = (str(one) for one in case.events_of(sandbox, member))
        return [names[one] for one in found if one in names]

    def fields(self, vendor: str, card: str) -> Mapping[str, Any]:
        """Give what a vendor shows of a member on its page."""
        (sandbox,) = [one for case, one, _ in self.vendors if case.name == vendor]
        member = self.till.ids[card]
        (found,) = [one.fields for one in sandbox.people() if member in one.fields.values()]
        return dict(found)

    def profile_differs(
        self, case: Case, sandbox: Any, destination: Connection, card: str
    ) -> list[Any]:
        member_id = UUID(self.till.ids[card])
        known = get_to_know_locally(destination, member_id)
        fields = fields_of(destination)
        draft = draft_profile(destination, known, fields)
        assert draft is not None
        adapter = adapter_of(destination)
        names = [one.name for one in compared_fields(fields)]
        if case.has is not None:
            there: Any = [case.has(sandbox, str(member_id))]
        else:
            assert isinstance(adapter, ReadsBack)
            with self.real_clock():
                Allowance.objects.filter(connection=destination).delete()  # as after a wait
                there = call(
                    destination, lambda target: adapter.read(target, [known.person], names)
                )
        assert isinstance(there, list), there
        return differences(draft.profile.fields, there[0], fields)


def _spellings(one: str) -> tuple[str, ...]:
    sent = Outgoing(event_id=one, body={}, correlation_id=uuid4())
    return (one, str(sent.event_uuid), sent.event_uuid.hex)
