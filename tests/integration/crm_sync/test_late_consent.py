"""A word of consent that comes late, or again, never overrides an opt-out that came after it."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from crm_sync.inbound.sources import create_source
from crm_sync.inbound.working import work_inbox
from crm_sync.models import InboxMessage
from loyalty.members.consent import list_consents, present_consents
from tests.factories import Till
from tests.integration.crm_sync.senders import Sender, standard

MONDAY = datetime(2026, 11, 16, 9, tzinfo=UTC)


class Flow(Sender):
    """A vendor's flow: it has a token, and names neither its messages nor times."""

    def __init__(self, till: Till) -> None:
        super().__init__(*create_source(program_id=till.program.pk, name="Flow", kind="bearer"))
        self.member = till.ids[till.member()]

    def says(self, given: bool, name: str = "", **more: Any) -> str:
        """Say that consent was given or withdrawn; give what became of the message."""
        word = {"channel": "email", "given": given, **more}
        data = {"person": {"member": self.member}, "consents": [word]}
        headers: Mapping[str, str] = {"authorization": f"Bearer {self.secret}"}
        headers = {**headers, **({"webhook-id": name} if name else {})}
        body = json.dumps({"type": "person", "data": data}).encode()
        assert self.post(body, headers).status_code == 200
        work_inbox(seconds=30)
        return self.messages()[-1].note

    @property
    def may_be_written_to(self) -> bool:
        return present_consents([UUID(self.member)])["email"].is_given


@pytest.fixture
def flow(till: Till) -> Flow:
    return Flow(till)


@pytest.mark.parametrize(
    ("words", "counts"),
    [
        # Nobody can tell the third word from a repeat of the first, so the opt-out counts.
        ([(True, ""), (False, ""), (True, "")], False),
        ([(False, ""), (True, ""), (False, "")], False),
        ([(True, ""), (False, ""), (True, "msg_3")], True),
        ([(True, "msg_1"), (False, "msg_2"), (True, "msg_1")], False),
        ([(True, ""), (False, "")], False),
        ([(False, "")], False),
    ],
)
def test_the_same_words_again_may_be_a_repeat(
    flow: Flow, words: list[tuple[bool, str]], counts: bool
) -> None:
    for given, name in words:
        flow.says(given, name)
    assert flow.may_be_written_to == counts


@pytest.mark.parametrize("at", ["2026-11-16T09:00:00+23:59", "0001-01-01T00:00:00+10:00"])
def test_no_time_of_a_vendor_keeps_an_opt_out_out(flow: Flow, at: str) -> None:
    """PostgreSQL reads no such offset, and nobody a time before all calendars."""
    assert flow.says(False, at=at).startswith("1 new in the history of consent.")


def test_the_message_says_why_it_was_not_believed(flow: Flow) -> None:
    assert flow.says(True) == "1 new in the history of consent."
    flow.says(False)
    assert "may be a repeat" in flow.says(True)
    assert len(list_consents([UUID(flow.member)])) == 2
    at = (timezone.now() + timedelta(seconds=1)).isoformat()
    assert flow.says(True, at=at) == "1 new in the history of consent."
    assert flow.may_be_written_to


def test_an_opt_out_counts_though_its_source_never_said_anything_else(
    till: Till, flow: Flow
) -> None:
    shop = standard(till)
    given = {"channel": "email", "given": True, "at": MONDAY.isoformat()}
    shop.send("person", {"person": {"member": flow.member}, "consents": [given]})
    work_inbox(seconds=30)
    assert flow.may_be_written_to
    flow.says(False)
    assert not flow.may_be_written_to


def test_a_message_that_had_to_wait_counts_from_when_it_came(till: Till, flow: Flow) -> None:
    """The engine was busy, so the first one is worked on after the second."""
    shop = standard(till)
    person = {"member": flow.member}
    shop.send("person", {"person": person, "consents": [{"channel": "email", "given": True}]})
    first = InboxMessage.objects.filter(source=shop.source)
    first.update(next_at=timezone.now() + timedelta(hours=1))
    shop.send("person", {"person": person, "consents": [{"channel": "email", "given": False}]})
    work_inbox(seconds=30)
    InboxMessage.objects.filter(source=shop.source, state="pending").update(next_at=Now())
    work_inbox(seconds=30)
    assert {message.state for message in shop.messages()} == {"done"}
    assert len(list_consents([UUID(flow.member)])) == 2
    assert not flow.may_be_written_to
