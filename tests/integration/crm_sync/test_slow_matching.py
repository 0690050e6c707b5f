"""Vendors that take long: nobody sends under a lease that has run out, or waits for another.

Who went on would send what another worker has sent meanwhile, behind what came after it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db.models import DurationField, ExpressionWrapper, F, Func
from django.db.models.functions import Now

from crm_sync.adapters import transport
from crm_sync.adapters.access import Target
from crm_sync.adapters.contract import Match, Outgoing, Person, Profile
from crm_sync.adapters.outcomes import Delivered, Outcome, Retryable
from crm_sync.models import Connection, Contact, Lane
from crm_sync.services import backfill, lanes
from crm_sync.services.people import get_to_know, want_profiles
from crm_sync.services.relay import relay_events
from tests.factories import Till
from tests.integration.crm_sync.outbox import drain, pass_time
from tests.integration.crm_sync.vendor import BulkVendor


@dataclass
class SlowVendor(BulkVendor):
    """Says whom it knows only after `meanwhile`; `leases` are the seconds left at each call."""

    meanwhile: Callable[[], None] | None = None
    leases: list[float] = field(default_factory=list)
    deadlines: list[float] = field(default_factory=list)

    def match(self, target: Target, people: Sequence[Person]) -> list[Match]:
        self.deadlines.append(transport._deadline.get())
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile:
            meanwhile()
        return super().match(target, people)

    def send(self, target: Target, deliveries: Sequence[Outgoing]) -> list[Outcome]:
        self._look()
        return super().send(target, deliveries)

    def push(self, target: Target, profiles: Sequence[Profile]) -> list[Outcome]:
        self._look()
        return super().push(target, profiles)

    def push_bulk(self, target: Target, profiles: Sequence[Profile]) -> Any:
        self._look()
        return super().push_bulk(target, profiles)

    def _look(self) -> None:
        left = Func(
            F("lease_until") - Now(),
            function="extract",
            template="extract(epoch FROM %(expressions)s)",
        )
        self.leases += [
            float(one)
            for one in Lane.objects.exclude(lease_until=None).values_list(left, flat=True)
        ]


@dataclass
class Asked:
    """A member whom a vendor has not heard of, and what is to be sent."""

    vendor: SlowVendor
    destination: Connection
    member: UUID
    begin: Callable[[], Any]


@pytest.fixture(params=["event", "profile", "bulk"])
def asked(request: Any, till: Till, connect_vendor: Callable[..., Connection]) -> Asked:
    vendor = SlowVendor(bulk_size=10)
    destination = connect_vendor(vendor)
    member = UUID(till.ids[till.member(balance=5)])
    begin: Callable[[], Any] = drain
    if request.param == "profile":
        drain()
        Contact.objects.filter(connection=destination).delete()
        want_profiles(connection_id=destination.pk, member_ids=[member])
        lanes.open_lanes(connection_id=destination.pk, member_ids=[member])
    if request.param == "bulk":
        drain()
        Contact.objects.filter(connection=destination).delete()
        begun = backfill.start_backfill(connection_id=destination.pk)
        begin = lambda: backfill.step_backfill(backfill_id=begun.pk)  # noqa: E731
    vendor.log.clear()
    vendor.leases.clear()
    return Asked(vendor, destination, member, begin)


def test_whoever_was_overtaken_while_it_asked_sends_nothing(asked: Asked) -> None:
    def overtake() -> None:
        pass_time(asked.destination, "61 seconds")
        drain()

    asked.vendor.meanwhile = overtake
    asked.begin()
    told = asked.vendor.of(str(asked.member))
    assert told
    assert len(told) == len(set(told))
    assert not asked.vendor.jobs


def test_what_is_sent_after_a_long_question_is_sent_under_a_new_lease(asked: Asked) -> None:
    asked.vendor.meanwhile = lambda: pass_time(asked.destination, "50 seconds")
    asked.begin()
    assert asked.vendor.leases
    assert min(asked.vendor.leases) > 45


def test_however_often_a_vendor_is_asked_it_takes_no_longer_than_a_lease(
    till: Till, connect_vendor: Callable[..., Connection]
) -> None:
    vendor = SlowVendor()
    destination = connect_vendor(vendor)
    member = UUID(till.ids[till.member()])
    Contact.objects.create(
        connection=destination, member_id=member, matched_by="new", matched_on="another"
    )
    vendor.matches = {"": Match(vendor_id="v1", matched_by="member_id")}
    get_to_know(destination, [member])
    first, second = vendor.deadlines
    assert first == second


class InPartVendor(BulkVendor):
    """Takes a call of many, but one of them, who has to wait long; something happens meanwhile."""

    meanwhile: Callable[[], None]
    busy: str

    def push_bulk(self, target: Target, profiles: Sequence[Profile]) -> list[Outcome]:
        self.meanwhile()
        later = Retryable(error="Not this one yet.", retry_after=36_000)
        return [later if one.person.member_id == self.busy else Delivered() for one in profiles]


def test_nobody_waits_for_anothers_failure(
    till: Till, connect_vendor: Callable[..., Connection]
) -> None:
    vendor = InPartVendor(bulk_size=10)
    destination = connect_vendor(vendor)
    card, busy = till.member(), till.member()
    drain()
    Contact.objects.filter(connection=destination).update(fingerprint="")
    vendor.busy = till.ids[busy]

    def earn() -> None:
        till.adjust(card, 5)
        relay_events()

    vendor.meanwhile = earn
    begun = backfill.start_backfill(connection_id=destination.pk)
    backfill.step_backfill(backfill_id=begun.pk)
    waits = dict(
        Lane.objects.filter(connection=destination)
        .annotate(waits=ExpressionWrapper(F("next_at") - Now(), DurationField()))
        .values_list("member_id", "waits")
    )
    assert waits[UUID(till.ids[card])] < timedelta(0)
    assert waits[UUID(vendor.busy)] > timedelta(hours=9)
