"""Whoever can be told what to send: our own documents, signed, or with a token of ours.

Standard Webhooks for those who can sign. A bearer token for those who can only send a header:
flows of Klaviyo, automations of Omnisend, callouts of Salesforce.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

import orjson

from crm_sync.adapters.contract import ConfigRefused, Consent, Setting
from crm_sync.adapters.outcomes import ID_CHARACTERS
from crm_sync.inbound.contract import Arrival, Item, OrderSaid, PersonSaid, Said, Unreadable, Who
from crm_sync.inbound.signatures import (
    content_id,
    key_of,
    require_fresh,
    require_match,
    sha256_base64,
)

_WHO: Final = frozenset({"id", "member", "external_ids", "email", "phone"})
_PERSON: Final = frozenset({"person", "consents", "segments", "joined", "left", "fields"})
_ORDER: Final = frozenset({"person", "ref", "revision", "order"})


class StandardSource:
    """Signed by the rules of Standard Webhooks, under a secret that we make."""

    title = "Your own system, signed (Standard Webhooks)"
    settings: Sequence[Setting] = ()
    makes_secret = True

    def check(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return {}: there is nothing to set."""
        return nothing_in(config)

    def verify(
        self, arrival: Arrival, secrets: Sequence[str], config: Mapping[str, Any], now: datetime
    ) -> None:
        """Check `webhook-signature`, of which there may be several, and `webhook-timestamp`."""
        seconds = arrival.header("webhook-timestamp")
        require_fresh(seconds, now)
        signed = f"{arrival.header('webhook-id')}.{seconds}.".encode() + arrival.body
        expected = [f"v1,{sha256_base64(key_of(secret), signed)}" for secret in secrets]
        require_match(expected, arrival.header("webhook-signature").split(" "))

    def split(self, arrival: Arrival) -> list[Item]:
        """Take the one message that there is, named by its header."""
        return [item_of(arrival, arrival.header("webhook-id"))]

    def read(self, topic: str, document: Any, config: Mapping[str, Any]) -> Said | None:
        """Read a document of ours."""
        return read_document(topic, document)


class BearerSource:
    """With a token that we make, for those who can send a header and cannot sign."""

    title = "Your own system, or a vendor's flow, with a token"
    settings = (
        Setting(
            name="header",
            label="Header with the token",
            help="Authorization carries it as Bearer …; any other header carries it alone.",
            default="Authorization",
        ),
    )
    makes_secret = True

    def check(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return {"header": …}."""
        header = str(config.get("header") or "Authorization")
        if not header.replace("-", "").isalnum() or not header.isascii() or len(header) > 60:
            raise ConfigRefused("A header's name has letters, digits and hyphens.")
        return {"header": header}

    def verify(
        self, arrival: Arrival, secrets: Sequence[str], config: Mapping[str, Any], now: datetime
    ) -> None:
        """Compare the token."""
        name = str(config.get("header") or "Authorization").lower()
        token = arrival.header(name)
        if name == "authorization":
            scheme, _, token = token.partition(" ")
            token = token.strip() if scheme.lower() == "bearer" else ""
        require_match(secrets, [token])

    def split(self, arrival: Arrival) -> list[Item]:
        """Take the one message that there is, named by its header or its own `id`.

        One without is always a new one: a flow says the same in the same words whenever somebody
        opts out, and the second time counts as the first did.
        """
        name = arrival.header("webhook-id")
        return [item_of(arrival, name, otherwise=f"unnamed:{uuid4().hex}")]

    def read(self, topic: str, document: Any, config: Mapping[str, Any]) -> Said | None:
        """Read a document of ours."""
        return read_document(topic, document)


def nothing_in(config: Mapping[str, Any]) -> dict[str, Any]:
    """Refuse settings where there are none.

    Raises:
        ConfigRefused: naming the first.
    """
    for name in config:
        raise ConfigRefused(f"This kind of source has no setting named {name}.")
    return {}


def item_of(arrival: Arrival, message_id: str, *, otherwise: str = "") -> Item:
    """Make one message of a body, named by its header, else its own id, else its content.

    Args:
        otherwise: Its name instead of a hash of its content.

    Raises:
        Unreadable: It is no JSON object.
    """
    document = load_object(arrival.body)
    own = document.get("id")
    named = message_id or (str(own) if isinstance(own, str | int) else "")
    return Item(
        message_id=named or otherwise or content_id(arrival.body),
        said_hash="" if named else content_id(arrival.body),
        topic=str(document.get("type") or ""),
        content=arrival.body.decode(),
    )


def load_object(body: bytes) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        Unreadable: It is none.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Unreadable(f"The body is not JSON: {error}.") from None
    if not isinstance(document, dict):
        raise Unreadable("The body is a JSON object.")
    return document


def read_document(topic: str, document: Any) -> Said | None:
    """Read `{"id": …, "type": "person" | "order", "data": {…}}`."""
    if topic not in ("person", "order"):
        return None
    data = document.get("data")
    if not isinstance(data, dict):
        raise Unreadable("data is an object.")
    return _person(data) if topic == "person" else _order(data)


def _person(data: Mapping[str, Any]) -> PersonSaid:
    _only(data, _PERSON, "data")
    segments = data.get("segments")
    fields = data.get("fields") or {}
    if not isinstance(fields, dict):
        raise Unreadable("fields is an object.")
    return PersonSaid(
        who=_who(data),
        consents=tuple(_consent(item) for item in _list(data, "consents")),
        segments=None if segments is None else _texts(data, "segments"),
        joined=_texts(data, "joined"),
        left=_texts(data, "left"),
        fields=fields,
    )


def _order(data: Mapping[str, Any]) -> OrderSaid:
    _only(data, _ORDER, "data")
    revision, order = data.get("revision"), data.get("order")
    if not isinstance(revision, int) or isinstance(revision, bool) or revision < 0:
        raise Unreadable("revision is a whole number that grows with every change.")
    if not isinstance(order, dict):
        raise Unreadable("order is an object, as PUT /v1/orders/{ref} takes it.")
    return OrderSaid(who=_who(data), ref=str(data.get("ref") or ""), revision=revision, order=order)


def _who(data: Mapping[str, Any]) -> Who:
    person = data.get("person")
    if not isinstance(person, dict) or not any(person.values()):
        raise Unreadable("person says who is meant: id, member, external_ids, email or phone.")
    _only(person, _WHO, "person")
    if len(str(person.get("id") or "")) > ID_CHARACTERS:
        raise Unreadable(f"person.id has at most {ID_CHARACTERS} characters.")
    return Who(
        vendor_id=str(person.get("id") or ""),
        member_id=str(person.get("member") or ""),
        external_ids=_texts(person, "external_ids"),
        email=str(person.get("email") or ""),
        phone=str(person.get("phone") or ""),
    )


def _consent(item: Any) -> Consent:
    if not isinstance(item, dict) or not isinstance(item.get("given"), bool):
        raise Unreadable("A consent has channel, given (true or false) and at.")
    _only(item, {"channel", "given", "at"}, "consents")
    return Consent(
        channel=str(item.get("channel") or ""),
        is_given=item["given"],
        changed_at=str(item.get("at") or ""),
        is_act=True,
    )


def _only(found: Mapping[str, Any], known: frozenset[str] | set[str], where: str) -> None:
    unknown = sorted(set(found) - known)
    if unknown:
        raise Unreadable(f"{where} has no field {unknown[0]}; it has {', '.join(sorted(known))}.")


def _list(data: Mapping[str, Any], name: str) -> list[Any]:
    found = data.get(name) or []
    if not isinstance(found, list):
        raise Unreadable(f"{name} is a list.")
    return found


def _texts(data: Mapping[str, Any], name: str) -> tuple[str, ...]:
    found = _list(data, name)
    if not all(isinstance(item, str) for item in found):
        raise Unreadable(f"{name} is a list of texts.")
    return tuple(found)
