"""Vendors that send to us, over HTTP, with signatures that are not made by our own code."""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.http import HttpResponse
from django.test import Client
from standardwebhooks import Webhook

from crm_sync import tasks
from crm_sync.addresses import hash_addresses
from crm_sync.inbound.sources import create_source
from crm_sync.inbound.working import work_inbox
from crm_sync.models import Connection, Contact, FeedCursor, InboxMessage, Source
from loyalty.events.selectors import last_position
from loyalty.events.services import stamp_events
from loyalty.members.identifiers import MemberRef
from loyalty.members.models import Identifier
from loyalty.members.naming import ADD_IDENTIFIER, REMOVE_IDENTIFIER
from loyalty.members.schemas import AddIdentifier, IdentifierInput, RemoveIdentifier
from tests.factories import Till, line, unique
from tests.shopify_shop import CUSTOMER, SHOP

NOW = datetime.now(UTC).replace(microsecond=0)


@dataclass
class Sender:
    """Somebody who has a source's secret."""

    source: Source
    secret: str

    @property
    def path(self) -> str:
        return f"/inbound/{self.source.key_id}"

    def post(self, body: Any, headers: Mapping[str, str] | None = None) -> HttpResponse:
        """Send a body as it is, with these headers."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return Client().post(
            self.path, raw, content_type="application/json", headers=dict(headers or {})
        )

    def messages(self) -> list[InboxMessage]:
        return list(InboxMessage.objects.filter(source=self.source).order_by("pk"))

    def only(self) -> InboxMessage:
        """Give the one message that there is, worked on."""
        work_inbox(seconds=30)
        (message,) = self.messages()
        return message


class StandardSender(Sender):
    """Signs with the library of Standard Webhooks."""

    def send(self, type_: str, data: Any, *, id_: str = "", at: datetime | None = None) -> Any:
        id_ = id_ or f"msg_{secrets.token_hex(8)}"
        raw = json.dumps({"id": id_, "type": type_, "data": data}).encode()
        return self.post(raw, self.headers(raw, id_, at))

    def headers(self, raw: bytes, id_: str, at: datetime | None = None) -> dict[str, str]:
        at = at or datetime.now(UTC)
        return {
            "webhook-id": id_,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(self.secret).sign(id_, at, raw.decode()),
        }


def standard(till: Till, **more: Any) -> StandardSender:
    source, secret = create_source(program_id=till.program.pk, name="Ours", kind="standard", **more)
    return StandardSender(source, secret)


def hmac_base64(secret: str, message: bytes) -> str:
    return base64.b64encode(hmac.digest(secret.encode(), message, "sha256")).decode()


def hmac_hex(secret: str, message: bytes, how: str = "sha256") -> str:
    return hmac.new(secret.encode(), message, getattr(hashlib, how)).hexdigest()


def order(amount: str = "12.00", **more: Any) -> dict[str, Any]:
    return {
        "channel": "web",
        "occurred_at": (NOW - timedelta(hours=1)).isoformat(),
        "currency": "USD",
        "lines": [line("1", amount)],
        **more,
    }


def said(till: Till, card: str, ref: str, revision: int = 1, **more: Any) -> dict[str, Any]:
    person = {"member": till.ids[card]}
    return {"person": person, "ref": ref, "revision": revision, "order": order(**more)}


def name(till: Till, card: str, type_: str, value: str, *, verified: bool = True) -> None:
    named = {"type": type_, "value": value, "verified": verified}
    body = IdentifierInput.model_validate(named)
    payload = AddIdentifier(("card", card), body)  # type: ignore[arg-type]
    assert till.send(till.command(ADD_IDENTIFIER, payload, value))[0].status == 201


def verify(till: Till, card: str, value: str, type_: str = "email") -> None:
    """Say of what the member has already that it is theirs."""
    named = {"type": type_, "value": value, "verified": True}
    body = IdentifierInput.model_validate(named)
    payload = AddIdentifier(("card", card), body)  # type: ignore[arg-type]
    command = till.command(ADD_IDENTIFIER, payload, value, key=unique("k"))
    assert till.send(command)[0].status == 200


def remove(till: Till, card: str, type_: str) -> None:
    """Take the only identifier of a type away from a member."""
    number = Identifier.objects.get(member_id=till.ids[card], type=type_).number
    payload = RemoveIdentifier(MemberRef("card", card), number)
    command = till.command(REMOVE_IDENTIFIER, payload, card, key=unique("k"))
    assert till.send(command)[0].status == 200


def begin_to_follow() -> None:
    """Pass over what happened in other tests."""
    stamp_all()
    FeedCursor.objects.update_or_create(id=1, defaults={"position": last_position()})


def stamp_all() -> None:
    while stamp_events():
        pass


def pass_a_second() -> None:
    """Do what beat rings for: events get their positions, and the inbox is worked on."""
    stamp_all()
    tasks.inbox()


def shop_of_whom_we_made(till: Till, card: str, connection: Connection, **config: str) -> Sender:
    """Give a shop, of which the connection made a customer with an email nobody has verified."""
    name(till, card, "email", CUSTOMER["email"], verified=False)
    given = {"program_id": till.program.pk, "name": "Shop", "kind": "shopify"}
    told = {"shop": SHOP, "external_prefix": "", **config}
    source, _ = create_source(**given, config=told, secret="shpss")
    Source.objects.filter(pk=source.pk).update(connection=connection)
    Contact.objects.create(
        connection=connection,
        member_id=till.ids[card],
        vendor_id=f"gid://shopify/Customer/{CUSTOMER['id']}",
        matched_by="new",
        addresses=hash_addresses({"email": CUSTOMER["email"]}),
    )
    return Sender(source, "shpss")
