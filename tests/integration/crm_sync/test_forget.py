"""What connections know of members who were erased goes, whatever state the connection is in."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.db.models import CharField, TextField
from django.db.models.functions import Now

from crm_sync.adapters.outcomes import Configuration, Permanent, Retryable
from crm_sync.models import (
    Attempt,
    BulkJob,
    Comparison,
    Connection,
    Contact,
    Delivery,
    OrderCursor,
    PollCursor,
    PolledSegment,
    Relay,
    Source,
)
from crm_sync.rules import SAID_LAST
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


@pytest.mark.parametrize("is_stopped", [False, True])
def test_what_was_said_of_many_at_once_is_forgotten_with_one_of_them(
    till: Till, connect_vendor: Callable[..., Connection], is_stopped: bool
) -> None:
    connection = connect_vendor(Vendor())
    gone, other = till.member(), till.member()
    drain()
    source = Source.objects.create(
        program=till.program, name="Shop", kind="shopify", connection=connection, secrets=""
    )
    jobs = [
        BulkJob.objects.create(
            connection=connection,
            job_id=card,
            items=[[till.ids[card], 1, "", 1]],
            ask_at=Now(),
            ended_at=Now(),
            last_error=WORD,
        )
        for card in (gone, other)
    ]
    rows = [
        Comparison.objects.create(connection=connection, last_error=WORD),
        PollCursor.objects.create(connection=connection, next_at=Now(), last_error=WORD),
        PolledSegment.objects.create(
            connection=connection, vendor_segment="7", segment="vip", last_error=WORD
        ),
        OrderCursor.objects.create(source=source, since=Now(), next_at=Now(), last_error=WORD),
    ]
    relay = Relay.objects.get(pk=connection.pk)
    Relay.objects.filter(pk=relay.pk).update(last_error=WORD)
    if is_stopped:
        disable_connection(connection_id=connection.pk, reason=f"Down.{SAID_LAST}{WORD}")
    erase(till, gone)
    drain()
    if is_stopped:
        forget_erased_everywhere()
    for row in (connection, relay, *rows, *jobs):
        row.refresh_from_db()
    assert [row.last_error for row in (relay, *rows, *jobs)] == [NOT_KEPT] * 6 + [WORD]
    if is_stopped:
        assert connection.disabled_reason == f"Down.{SAID_LAST}{NOT_KEPT}"


def test_every_column_that_may_hold_a_vendors_words_is_known() -> None:
    """A new one has to be forgotten too: see to it in crm_sync/services/forget.py first."""
    words = re.compile("error|reason|answer|note|content|here|there|notice")
    found = {
        f"{model.__name__}.{field.name}"
        for model in apps.get_app_config("crm_sync").get_models()
        for field in model._meta.fields
        if isinstance(field, CharField | TextField) and words.search(field.name)
    }
    assert found == {
        "Attempt.answer",
        "Attempt.error",
        "BulkJob.last_error",
        "Comparison.last_error",
        "Connection.disabled_reason",
        "Contact.last_error",
        "Delivery.last_error",
        "Drift.here",
        "Drift.there",
        "InboxMessage.content",
        "InboxMessage.note",  # in our words
        "LeftOutPerson.content",  # sealed
        "LeftOutPerson.note",  # in our words
        "OrderCursor.last_error",
        "PollCursor.last_error",
        "PolledSegment.last_error",
        "Relay.last_error",
        "Relay.notice",  # in our words
        "Vault.content",  # our secrets
    }
