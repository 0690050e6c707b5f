"""One member's life, and what every vendor holds of it after each step.

All vendors of vendor_cases.py, and a webhook, are connected to one program, each to its sandbox.
After each step each holds exactly the member's events, in their order, and the profile as it is; a
vendor that is added to the table is in the story.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from crm_sync.adapters.contract import Outgoing, ReadsBack
from crm_sync.comparing import compared_fields, differences
from crm_sync.models import Allowance, Connection, Contact, Delivery, Lane
from crm_sync.services.calls import adapter_of, call
from crm_sync.services.connections import create_connection
from crm_sync.services.people import get_to_know_locally
from crm_sync.services.profiles import draft_profile, fields_of
from loyalty.events.models import OutboxEvent
from loyalty.events.rules import event_id
from loyalty.members import services as members
from loyalty.members.schemas import EnrolRequest
from loyalty.nightly.services import run_night
from tests.factories import Clock, Till, clock, open_till, rows, unique
from tests.integration.crm_sync.outbox import drain, forget, pass_time
from tests.integration.crm_sync.receivers import Receiver
from tests.integration.crm_sync.vendor_cases import CASES, Case
from tests.people import erase, merge

__all__ = ["clock"]

NOON = datetime(2027, 1, 15, 17, 0, tzinfo=UTC)
ADA, BOB = "ada@example.com", "bob@example.com"
NEWEST_ONLY = {"shopify"}  # it has no events of its own: a customer's fields show the newest one


@dataclass
class Story:
    """A till, and all vendors connected to its program."""

    till: Till
    clock: Clock
    receiver: Receiver
    vendors: list[tuple[Case, Any, Connection]] = field(default_factory=list)
    seen: int = 0

    def enrol(self, email: str) -> str:
        card = unique("c")
        ids = [{"type": "card", "value": card}, {"type": "email", "value": email}]
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
        connections = [destination for _, _, destination in self.vendors]
        with self.real_clock():
            for _ in range(20):
                drain()
                if not Lane.objects.filter(connection__in=connections).exists():
                    break
                Allowance.objects.filter(connection__in=connections).delete()
                for destination in connections:
                    pass_time(destination, "1 hour")

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
        """Look at every vendor: these members' events in order, once, and their profiles."""
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
        assert self.hooked(card) == self.ids(card)
        for case, sandbox, destination in self.vendors:
            deliveries = Delivery.objects.filter(
                connection=destination, member_id=self.till.ids[card]
            )
            states = dict(deliveries.values_list("sequence", "state"))
            assert set(states.values()) <= {"delivered", "skipped"}, case.name
            assert len(states) == self.events(card).count(), case.name
            told = [e for e in self.events(card) if states[e.sequence] == "delivered"]
            assert told or case.prepare is not None, case.name
            expected = [event_id(e.member_id, e.sequence) for e in told]
            if case.name not in NEWEST_ONLY:
                assert self.held(case, sandbox, card) == expected, case.name

    def held(self, case: Case, sandbox: Any, card: str) -> list[str]:
        """Give the ids of the member's events that a vendor holds, however it spells them."""
        member = self.till.ids[card]
        names = {spelling: one for one in self.ids(card) for spelling in _spellings(one)}
        found = (str(one) for one in case.events_of(sandbox, member))
        return [names[one] for one in found if one in names]

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
                there = call(
                    destination, lambda target: adapter.read(target, [known.person], names)
                )
        assert isinstance(there, list), there
        return differences(draft.profile.fields, there[0], fields)


def _spellings(one: str) -> tuple[str, ...]:
    sent = Outgoing(event_id=one, body={}, correlation_id=uuid4())
    return (one, str(sent.event_uuid), sent.event_uuid.hex)


@pytest.fixture
def story(db: None, clock: Clock, receiver: Receiver, settings: Any) -> Iterator[Story]:
    settings.CRM_ALLOW_PRIVATE_ADDRESSES = True
    clock.set(NOON)
    points = {"expiry": {"months": 3}, "expiring_notice_days": [30], "inactive_notice_days": [60]}
    told = Story(open_till(points=points), clock, receiver)
    program_id = told.till.program.pk
    create_connection(
        program_id=program_id, name="hook", adapter="webhook", config={"url": receiver.url}
    )
    with ExitStack() as running:
        for case in CASES:
            sandbox = running.enter_context(case.sandbox())  # type: ignore[arg-type]
            if case.prepare is not None:
                case.prepare(sandbox)
            account = case.connect(sandbox)
            destination = create_connection(
                program_id=program_id,
                name=case.name,
                adapter=case.name,
                config=account.config,
                secrets=account.credentials.given,  # type: ignore[attr-defined]
            )
            told.vendors.append((case, sandbox, destination))
        yield told
        forget(told.till.program)


def test_a_members_life_as_every_vendor_sees_it(story: Story) -> None:
    till = story.till
    ada = story.enrol(ADA)
    story.tell()
    assert story.happened(ada) == ["member.enrolled"]
    story.check(ada)

    till.earn(ada, "first", "100.00")
    story.tell()
    assert story.happened(ada) == ["points.earned", "order.recorded"]
    story.check(ada)

    till.earn(ada, "second", "200.00")
    story.tell()
    assert story.happened(ada) == ["points.earned", "order.recorded", "tier.upgraded"]
    story.check(ada)

    assert till.redeem(ada, reward="five-off").status == 201
    story.tell()
    assert story.happened(ada) == [
        "points.redeemed",
        "reward.issued",
        "reward.first_redemption",
    ]
    story.check(ada)

    till.take_back("first", "return-1")
    story.tell()
    assert story.happened(ada) == ["points.clawed_back", "order.returned"]
    story.check(ada)

    story.night(timedelta(days=60))  # the points end in a month, and nothing was bought since
    story.tell()
    assert story.happened(ada) == ["tier.downgrade_warning", "points.expiring", "member.inactive"]
    story.check(ada)

    bob = story.enrol(BOB)
    till.adjust(bob, 40)
    story.tell()
    assert merge(till, bob, ada).status == 200
    story.tell()
    assert story.happened(ada)[-1] == "member.merged"
    story.check(ada)
    story.check_delivered(bob)

    assert erase(till, ada).status == 200
    story.tell()
    assert story.happened(ada) == ["member.erased"]
    for case, _, destination in story.vendors:
        assert not Contact.objects.filter(
            connection=destination, member_id=till.ids[ada]
        ).exists(), case.name
    story.check_delivered(ada)
