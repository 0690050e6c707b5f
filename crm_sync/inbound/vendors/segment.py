"""Segment: the webhooks destination sends each call of a source on; who people are, and audiences.

Source: Segment's HTTP tracking API and webhooks destination; signature and audiences are [K].
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from crm_sync.adapters.contract import Setting
from crm_sync.inbound.contract import Arrival, Item, NotForUs, PersonSaid, Said, Who
from crm_sync.inbound.signatures import content_id, require_match, sha1_hex
from crm_sync.inbound.vendors.generic import load_object, nothing_in

_ENTERED: Final = {"Audience Entered": True, "Audience Exited": False}


class SegmentSource:
    """Signed over the body under the destination's shared secret."""

    title = "Segment"
    settings: Sequence[Setting] = ()
    makes_secret = False

    def check(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return {}: there is nothing to set."""
        return nothing_in(config)

    def verify(
        self, arrival: Arrival, secrets: Sequence[str], config: Mapping[str, Any], now: datetime
    ) -> None:
        """Check `X-Signature`; it has no time, so a repeat is known by its id only."""
        expected = [sha1_hex(secret.encode(), arrival.body) for secret in secrets]
        require_match(expected, [arrival.header("x-signature").lower()])

    def split(self, arrival: Arrival) -> list[Item]:
        """Take the one call that there is."""
        document = load_object(arrival.body)
        message_id = str(document.get("messageId") or "") or content_id(arrival.body)
        topic = str(document.get("type") or "")
        if topic == "track":
            topic = f"track {document.get('event')}"
        return [Item(message_id=message_id, topic=topic, content=arrival.body.decode())]

    def read(self, topic: str, document: Any, config: Mapping[str, Any]) -> Said | None:
        """Read an identify call, or that somebody came into an audience or left it."""
        user = str(document.get("userId") or "")
        if topic != "identify" and topic.removeprefix("track ") not in _ENTERED:
            return None
        if not user:
            return NotForUs(reason="It is about somebody anonymous.")
        who = Who(vendor_id=user[:200], member_id=user, external_ids=(user,))
        if topic == "identify":
            traits = document.get("traits") or {}
            return _identified(who, traits, (document.get("context") or {}).get("personas") or {})
        audience = str((document.get("properties") or {}).get("audience_key") or "")
        return _audience(who, audience, _ENTERED[topic.removeprefix("track ")])


def _identified(who: Who, traits: Mapping[str, Any], personas: Mapping[str, Any]) -> PersonSaid:
    """Take traits for fields; where an audience was computed, its trait says who is in it."""
    if personas.get("computation_class") == "audience":
        key = str(personas["computation_key"])
        return _audience(who, key, traits.get(key) is True)
    return PersonSaid(who=who, fields=traits)


def _audience(who: Who, audience: str, is_in: bool) -> PersonSaid:
    names = (audience,) if audience else ()
    return PersonSaid(who=who, joined=names if is_in else (), left=() if is_in else names)
