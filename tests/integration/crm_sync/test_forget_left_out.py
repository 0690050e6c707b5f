"""What was said of somebody who could not be taken in goes with them, however they were found."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from crm_sync.adapters.contract import Change, Consent
from crm_sync.inbound import polling
from crm_sync.inbound.following import follow_feed
from crm_sync.inbound.left_out import FAILED, leave_out
from crm_sync.models import Connection, Contact
from crm_sync.services.forget import forget_erased_everywhere
from tests.factories import Till
from tests.integration.crm_sync.outbox import drain
from tests.integration.crm_sync.vendor import Vendor
from tests.integration.http.caller import Caller
from tests.people import erase


def by_their_id(connection: Connection, member: str) -> None:
    contact = {"member_id": UUID(member), "vendor_id": "v1", "matched_by": "new"}
    Contact.objects.create(connection=connection, **contact)


def by_email(connection: Connection, member: str) -> None:
    Connection.objects.filter(pk=connection.pk).update(shares_email=True)
    connection.refresh_from_db()
    api = Caller(connection.program_id)
    email = {"type": "email", "value": "p@example.com", "verified": True}
    api.post(f"/v1/members/{member}/identifiers", email)
    api.row.delete()


@pytest.mark.parametrize("known", [by_their_id, by_email])
def test_it_goes_with_the_erased(
    till: Till,
    connect_vendor: Callable[..., Connection],
    monkeypatch: pytest.MonkeyPatch,
    known: Callable[[Connection, str], None],
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ValueError("a value that nobody thought of")

    connection = connect_vendor(Vendor())
    card = till.member()
    known(connection, till.ids[card])
    monkeypatch.setattr(polling, "record_consents", fail)
    consent = Consent(channel="sms", is_given=False)
    told = Change(vendor_id="v1", email="p@example.com", consents=(consent,), fields={})
    assert not polling._take_safely(connection, [told])
    (left,) = connection.left_out.all()
    assert (left.members, left.note) == ([till.ids[card]], FAILED)
    erase(till, card)
    drain()
    follow_feed()
    assert not connection.left_out.exists()


def test_what_is_kept_just_after_its_member_was_erased_goes_at_night(
    till: Till, connect_vendor: Callable[..., Connection]
) -> None:
    connection = connect_vendor(Vendor())
    card = till.member()
    erase(till, card)
    drain()
    follow_feed()
    told = Change(vendor_id="v1", fields={})
    leave_out(connection, told, FAILED, [UUID(till.ids[card])])
    forget_erased_everywhere()
    assert not connection.left_out.exists()
