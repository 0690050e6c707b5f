"""What connections know of members who were erased goes, whatever state the connection is in."""

from collections.abc import Callable
from typing import Any

import pytest

from crm_sync.adapters.outcomes import Configuration, Permanent, Retryable
from crm_sync.models import Attempt, Connection, Contact, Delivery
from crm_sync.services.connections import disable_connection, enable_connection, remove_connection
from crm_sync.services.forget import NOT_KEPT, forget_erased_everywhere
from tests.factories import Till
from tests.integration.crm_sync.outbox import drain, pass_time
from tests.integration.crm_sync.vendor import Vendor
from tests.people import erase, merge

WORD = "Ada Quibbleworth is not known here"


@pytest.mark.parametrize("stop", [disable_connection, remove_connection])
def test_a_connection_that_is_stopped_forgets_at_night(
    till: Till, connect_vendor: Callable[..., Connection], stop: Callable[..., None]
) -> None:
    vendor = Vendor()
    connection = connect_vendor(vendor)
    old, card, other = till.member(), till.member(), till.member()
    vendor.outcomes = [Permanent(status_code=400, answer=WORD, error=WORD)] * 2
    drain()
    merge(till, old, card)
    stop(connection_id=connection.pk, reason="for now")
    erase(till, card)
    drain()
    assert Contact.objects.filter(connection=connection).count() == 3
    forget_erased_everywhere()
    (left,) = Contact.objects.filter(connection=connection)
    assert str(left.member_id) == till.ids[other]
    enable_connection(connection_id=connection.pk)
    drain()
    assert "member.erased" in vendor.of(till.ids[card])


def test_whoever_is_still_to_be_told_of_is_known_until_then(
    till: Till, connect_vendor: Callable[..., Connection]
) -> None:
    vendor = Vendor()
    connection = connect_vendor(vendor)
    card = till.member()
    drain()
    contact = Contact.objects.filter(connection=connection, member_id=till.ids[card])
    erase(till, card)
    vendor.outcomes = [Retryable(status_code=500, answer=WORD, error=WORD)]
    drain()
    forget_erased_everywhere()
    assert contact.get().vendor_id
    delivery = Delivery.objects.get(connection=connection, type="member.erased")
    assert (delivery.state, delivery.last_error) == ("pending", NOT_KEPT)
    pass_time(connection)
    drain()
    assert not contact.exists()
    assert not Attempt.objects.filter(answer=WORD).exists()


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        (Permanent(status_code=400, answer=WORD, error=WORD), NOT_KEPT),
        # What is wrong with the connection, or is said by us, names nobody.
        (Configuration(status_code=401, answer=WORD, error="A key."), "A key."),
        (Permanent(error="No event."), "No event."),
    ],
)
def test_what_was_said_before_and_after_is_forgotten_alike(
    till: Till, connect_vendor: Callable[..., Connection], outcome: Any, error: str
) -> None:
    vendor = Vendor()
    connection = connect_vendor(vendor)
    drain()
    card = till.member()
    vendor.outcomes = [outcome]
    drain()
    erase(till, card)
    enable_connection(connection_id=connection.pk)
    vendor.outcomes = [outcome]
    drain()
    kept = Attempt.objects.filter(delivery__connection=connection).exclude(outcome="delivered")
    assert {(one.answer, one.error) for one in kept} == {("", error)}
