"""Attentive: who subscribed and who unsubscribed, one event each.

Source: Attentive's pages on webhooks (authentication, payloads). What an unsubscribe carries is not
shown there: it is read like a subscribe [K].
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from crm_sync.adapters.contract import Consent, Setting
from crm_sync.inbound.contract import (
    Arrival,
    Item,
    NotForUs,
    PersonSaid,
    Said,
    Unreadable,
    Who,
)
from crm_sync.inbound.signatures import content_id, require_match, sha256_hex
from crm_sync.inbound.vendors.generic import load_object, nothing_in

# By topic: the channel, whether consent is given, and what names the person in that channel.
_TOPICS: Final = {
    "sms.subscribed": ("sms", True, "phone"),
    "sms.unsubscribed": ("sms", False, "phone"),
    "email.subscribed": ("email", True, "email"),
    "email.unsubscribed": ("email", False, "email"),
}
_MARKETING: Final = "MARKETING"


class AttentiveSource:
    """Signed over the body under the webhook's signing key; no time is signed, and no id sent."""

    title = "Attentive"
    settings: Sequence[Setting] = ()
    makes_secret = False

    def check(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return {}: there is nothing to set."""
        return nothing_in(config)

    def verify(
        self, arrival: Arrival, secrets: Sequence[str], config: Mapping[str, Any], now: datetime
    ) -> None:
        """Check `x-attentive-hmac-sha256`. An old event sent again is an old word of consent."""
        expected = [sha256_hex(secret.encode(), arrival.body) for secret in secrets]
        require_match(expected, [arrival.header("x-attentive-hmac-sha256").lower()])

    def split(self, arrival: Arrival) -> list[Item]:
        """Take the one event that there is; a repeat is known by what it says."""
        topic = str(load_object(arrival.body).get("type") or "")
        content = arrival.body.decode()
        return [Item(message_id=content_id(arrival.body), topic=topic, content=content)]

    def read(self, topic: str, document: Any, config: Mapping[str, Any]) -> Said | None:
        """Read a subscription: only those to marketing are a consent."""
        if topic not in _TOPICS:
            return None
        channel, is_given, _ = _TOPICS[topic]
        kind = str((document.get("subscription") or {}).get("type") or _MARKETING)
        # Of a kind that nobody told of, only the withdrawal is safe to take.
        if kind == "TRANSACTIONAL" or (is_given and kind != _MARKETING):
            return NotForUs(reason=f"A subscription of the kind {kind} is no consent to marketing.")
        at = _moment(document)
        consent = Consent(channel=channel, is_given=is_given, changed_at=at, is_act=True)
        return PersonSaid(who=_who(topic, document), consents=(consent,))


def _who(topic: str, document: Mapping[str, Any]) -> Who:
    """Name the person by our id, or by the address that the consent is for.

    Attentive's own id leads to nobody: two people may share it there, once they were bridged.
    """
    subscriber = document.get("subscriber")
    if not isinstance(subscriber, dict):
        raise Unreadable("subscriber is an object.")
    known = (subscriber.get("external_identifiers") or {}).get("client_user_id") or ()
    ours = [str(one) for one in (known if isinstance(known, list) else [known])]
    address = str(subscriber.get(_TOPICS[topic][2]) or "")
    return Who(
        member_id=ours[0] if len(ours) == 1 else "",
        external_ids=tuple(ours),
        phone=address if _TOPICS[topic][2] == "phone" else "",
        email=address if _TOPICS[topic][2] == "email" else "",
    )


def _moment(document: Mapping[str, Any]) -> str:
    milliseconds = document.get("timestamp")
    if not isinstance(milliseconds, int):
        raise Unreadable("timestamp is a whole number of milliseconds.")
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat()
