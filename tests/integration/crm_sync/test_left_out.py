"""What is kept of people who were left out, where a vendor tells of them in parts."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from crm_sync.adapters.contract import Change, Consent
from crm_sync.inbound import left_out, polling
from crm_sync.inbound.polling import take_page, try_again
from crm_sync.models import Connection, Contact
from loyalty.members.consent import present_consents
from loyalty.members.models import SegmentMember
from tests.factories import Till
from tests.integration.crm_sync.vendor import Vendor

MONDAY = datetime(2026, 11, 16, 9, tzinfo=UTC)


class Doubt:
    """Somebody at a vendor who may be two members, until a person takes one of them away."""

    def __init__(self, till: Till, connection: Connection) -> None:
        self.connection = connection
        one, self.meant = (till.ids[till.member()] for _ in range(2))
        self.contact = Contact.objects.create(
            connection=connection, member_id=one, vendor_id="v1", matched_by="new"
        )

    def tell(self, **said: Any) -> bool:
        """Tell of them what a page of changes does; say whether it was taken in."""
        given = {"vendor_id": "v1", "member_id": self.meant, "fields": {}, **said}
        return take_page(self.connection, [Change(**given)])

    def is_given(self) -> dict[str, bool]:
        """Say which consents are known of the member."""
        found = present_consents([UUID(self.meant)])
        return {channel: word.is_given for channel, word in found.items()}


@pytest.fixture
def doubt(till: Till, connect_vendor: Callable[..., Connection]) -> Doubt:
    return Doubt(till, connect_vendor(Vendor()))


def word(channel: str, given: bool, hour: int = 9) -> Consent:
    at = MONDAY.replace(hour=hour).isoformat()
    return Consent(channel=channel, is_given=given, changed_at=at)


@pytest.mark.parametrize("is_asked_by_a_person", [False, True])
def test_what_is_told_later_adds_to_what_was_told_before(
    doubt: Doubt, is_asked_by_a_person: bool
) -> None:
    """Salesforce tells of campaigns by themselves: what it said of consent before still counts."""
    assert not doubt.tell(consents=(word("sms", True), word("email", True)))
    assert not doubt.tell(consents=(word("email", False, 10),))
    assert not doubt.tell(segments=("Gold",))
    doubt.contact.delete()
    if is_asked_by_a_person:
        (left,) = doubt.connection.left_out.all()
        assert try_again(left_out_ids=[left.pk]) == 1
    else:
        assert doubt.tell()
    assert doubt.is_given() == {"sms": True, "email": False}
    assert SegmentMember.objects.get(member_id=doubt.meant).segment == "vendor.gold"
    assert not doubt.connection.left_out.exists()


def test_what_is_told_while_somebody_is_taken_in_stays(doubt: Doubt) -> None:
    doubt.tell(consents=(word("sms", True),))
    known = left_out.list_left_out(doubt.connection, [Change(vendor_id="v1", fields={})])
    doubt.tell(consents=(word("sms", False, 10),))
    left_out.settle(known.values())
    doubt.contact.delete()
    assert doubt.tell()
    assert doubt.is_given() == {"sms": False}


def test_what_is_told_while_a_person_tries_again_stays(
    doubt: Doubt, monkeypatch: pytest.MonkeyPatch
) -> None:
    doubt.tell(consents=(word("sms", True),))
    find = polling._find

    def find_meanwhile(connection: Connection, changes: Any) -> Any:
        monkeypatch.setattr(polling, "_find", find)
        doubt.tell(consents=(word("sms", False, 10),))
        return find(connection, changes)

    monkeypatch.setattr(polling, "_find", find_meanwhile)
    (left,) = doubt.connection.left_out.all()
    assert try_again(left_out_ids=[left.pk]) == 0
    doubt.contact.delete()
    assert doubt.tell()
    assert doubt.is_given() == {"sms": False}


@pytest.mark.parametrize("is_clear", [False, True])
def test_a_page_may_tell_of_somebody_twice(doubt: Doubt, is_clear: bool) -> None:
    doubt.tell(consents=(word("sms", True), word("email", True)), segments=("Silver",))
    told: dict[str, Any] = {"vendor_id": "v1", "member_id": doubt.meant, "fields": {}}
    newer = Change(**told, consents=(word("sms", False, 10),), segments=("Gold",))
    page = [newer, Change(**told, consents=(word("email", False, 10),))]
    if is_clear:
        doubt.contact.delete()
    assert take_page(doubt.connection, page) == is_clear
    if not is_clear:
        doubt.contact.delete()
        assert doubt.tell()
    assert doubt.is_given() == {"sms": False, "email": False}
    assert SegmentMember.objects.get(member_id=doubt.meant).segment == "vendor.gold"


def test_what_nobody_can_read_any_more_holds_up_nobody(doubt: Doubt, settings: Any) -> None:
    doubt.tell(consents=(word("email", True),))
    doubt.connection.left_out.update(content="sealed under a key that is lost")
    doubt.contact.delete()
    assert doubt.tell(consents=(word("sms", True),))
    assert doubt.is_given() == {"sms": True}
