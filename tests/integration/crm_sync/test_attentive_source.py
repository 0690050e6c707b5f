"""Attentive tells who subscribed and who unsubscribed; the signature is made as its page shows."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from crm_sync.adapters.contract import ConfigRefused
from crm_sync.inbound.sources import create_source
from crm_sync.inbound.working import work_inbox
from loyalty.members.consent import list_consents, present_consents
from tests.factories import Till
from tests.integration.crm_sync.senders import Sender, hmac_hex, name
from tests.integration.http.caller import code_of

SIGNING_KEY = "tests-only-4f0c"
NOON = 1_763_812_800_000  # in milliseconds
PHONE = "+15555550123"


@pytest.fixture
def sender(till: Till) -> Sender:
    made, _ = create_source(
        program_id=till.program.pk, name="Attentive", kind="attentive", secret=SIGNING_KEY
    )
    return Sender(made, SIGNING_KEY)


def event(type_: str, at: int = 0, **subscriber: Any) -> dict[str, Any]:
    kind = subscriber.pop("kind", "MARKETING")
    return {
        "type": type_,
        "timestamp": NOON + at,
        "company": {"display_name": "Hudson & Ivy", "company_id": "MDc6Q29tcGFueTU"},
        "subscriber": {"external_id": 16467358, **subscriber},
        "creative": {"name": "Text to Join", "type": "TEXT_TO_JOIN", "subtype": "CODE"},
        "subscription": {"type": kind},
    }


def post(sender: Sender, body: Any, secret: str = SIGNING_KEY) -> Any:
    raw = json.dumps(body).encode()
    return sender.post(raw, {"x-attentive-hmac-sha256": hmac_hex(secret, raw)})


def ours(*ids: str) -> dict[str, Any]:
    return {"external_identifiers": {"client_user_id": list(ids)}}


def test_consent_comes_in_once_and_the_newest_word_counts(till: Till, sender: Sender) -> None:
    card = till.member()
    member = UUID(till.ids[card])
    name(till, card, "phone", PHONE)
    name(till, card, "email", "ada@example.com")
    events = [
        event("sms.unsubscribed", 9, phone=PHONE),
        event("sms.subscribed", 5, phone=PHONE),  # in any order
        event("email.subscribed", 6, **ours(str(member))),
        event("email.unsubscribed", 7, email="Ada@example.com"),
    ]
    for one in [*events, events[0]]:
        assert post(sender, one).status_code == 200
    work_inbox(seconds=30)
    assert [message.state for message in sender.messages()] == ["done"] * 4
    assert len(list_consents([member])) == 4
    words = present_consents([member])
    assert {channel: word.is_given for channel, word in words.items()} == {
        "sms": False,
        "email": False,
    }
    assert words["sms"].at == datetime.fromtimestamp((NOON + 9) / 1000, UTC)


def test_what_is_no_consent_to_marketing_or_nobodys_is_not_taken(
    till: Till, sender: Sender
) -> None:
    card, other = till.member(), till.member()
    name(till, card, "phone", PHONE)
    name(till, other, "email", "bob@example.com")
    told = [
        (event("sms.subscribed", 1, phone=PHONE, kind="TRANSACTIONAL"), "ignored"),
        (event("sms.unsubscribed", 2, phone=PHONE, kind="TRANSACTIONAL"), "ignored"),
        (event("sms.subscribed", 3, phone=PHONE, kind="CHECKOUT_ABANDONED"), "ignored"),
        # The email says nothing of whose phone it is.
        (event("sms.subscribed", 4, phone="+15555550199", email="bob@example.com"), "ignored"),
        (event("sms.subscribed", 5, **ours(str(uuid4()))), "ignored"),
        (event("sms.sent", 6, phone=PHONE), "kept"),
        ({"type": "sms.subscribed", "timestamp": "noon"}, "dead"),
        ({**event("sms.subscribed"), "subscriber": [PHONE]}, "dead"),
        (event("sms.unsubscribed", 8, phone=PHONE, kind="CHECKOUT_ABANDONED"), "done"),
    ]
    for body, _ in told:
        post(sender, body)
    work_inbox(seconds=30)
    assert [message.state for message in sender.messages()] == [state for _, state in told]
    people = [UUID(till.ids[one]) for one in (card, other)]
    assert [word.is_given for word in list_consents(people)] == [False]


def test_signatures(till: Till, sender: Sender) -> None:
    body = event("sms.subscribed", phone=PHONE)
    raw = json.dumps(body).encode()
    for refused in (
        post(sender, body, "another"),
        sender.post(raw),
        sender.post(raw + b" ", {"x-attentive-hmac-sha256": hmac_hex(SIGNING_KEY, raw)}),
    ):
        assert code_of(refused) == (401, "signature_invalid")
    assert code_of(post(sender, [body])) == (400, "malformed_json")
    with pytest.raises(ConfigRefused):
        create_source(program_id=till.program.pk, name="x", kind="attentive")
