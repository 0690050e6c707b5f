"""Klaviyo: system webhooks, which only its Advanced KDP plan and app partners have; else polls.

Source: Klaviyo's guide to system webhooks. What is signed (body, then time) is documented by others
only; the topics' names follow from those of the metrics [K].
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from crm_sync.adapters.contract import Consent, Setting
from crm_sync.inbound.contract import Arrival, Item, NotForUs, PersonSaid, Said, Unreadable, Who
from crm_sync.inbound.signatures import (
    content_id,
    require_fresh,
    require_match,
    seconds_of,
    sha256_hex,
)
from crm_sync.inbound.vendors.generic import load_object, nothing_in

_PREFIX: Final = "event:klaviyo."
_CHANNELS: Final = {"email_marketing": "email", "sms_marketing": "sms", "list": ""}


class KlaviyoSource:
    """Signed over the body and the time under the webhook's own secret; many events each."""

    title = "Klaviyo (system webhooks)"
    settings: Sequence[Setting] = ()
    makes_secret = False

    def check(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return {}: there is nothing to set."""
        return nothing_in(config)

    def verify(
        self, arrival: Arrival, secrets: Sequence[str], config: Mapping[str, Any], now: datetime
    ) -> None:
        """Check `Klaviyo-Signature` and `Klaviyo-Timestamp`."""
        sent_at = arrival.header("klaviyo-timestamp")
        seconds = seconds_of(sent_at)
        require_fresh(seconds, now, per_second=1000 if len(seconds) > 11 else 1)
        signed = arrival.body + sent_at.encode()
        expected = [sha256_hex(secret.encode(), signed) for secret in secrets]
        require_match(expected, [arrival.header("klaviyo-signature").lower()])

    def split(self, arrival: Arrival) -> list[Item]:
        """Take the batch apart."""
        batch = load_object(arrival.body).get("data")
        if not isinstance(batch, list) or not all(isinstance(one, dict) for one in batch):
            raise Unreadable("data is a list of objects.")
        return [_item(one) for one in batch]

    def read(self, topic: str, document: Any, config: Mapping[str, Any]) -> Said | None:
        """Read an event: only those of consent say something."""
        what = topic.removeprefix(_PREFIX)
        for verb, given in (("subscribed_to_", True), ("unsubscribed_from_", False)):
            channel = _CHANNELS.get(what.removeprefix(verb)) if what.startswith(verb) else None
            if channel:
                return _consent(document["payload"], channel, given)
            if channel == "":
                return NotForUs(reason="A list is no consent of its own.")
        return None


def _item(one: Mapping[str, Any]) -> Item:
    content = orjson.dumps(one)
    message_id = str(one.get("external_id") or "") or content_id(content)
    return Item(
        message_id=message_id,
        topic=str(one.get("topic") or ""),
        content=content.decode(),
    )


def _consent(payload: Mapping[str, Any], channel: str, given: bool) -> PersonSaid:
    """Read an event as `GET /api/events/{id}` shows it."""
    event = payload.get("data") or payload
    profile = event["relationships"]["profile"]["data"]
    attributes = event["attributes"]
    at = str(attributes.get("datetime") or attributes.get("timestamp") or "")
    if at.isdigit():
        at = datetime.fromtimestamp(int(at), UTC).isoformat()
    consent = Consent(channel=channel, is_given=given, changed_at=at, is_act=True)
    return PersonSaid(who=Who(vendor_id=str(profile["id"])), consents=(consent,))
