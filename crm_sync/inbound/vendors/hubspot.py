"""HubSpot: what changed of contacts, in batches, one small change each.

Source: HubSpot's webhooks API, signatures of version 3; marked [K] where only known.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote

import orjson

from crm_sync.adapters.contract import ConfigRefused, Consent, Setting
from crm_sync.inbound.contract import (
    Arrival,
    AsksPerson,
    Item,
    NotForUs,
    PersonSaid,
    Said,
    Unreadable,
    Who,
)
from crm_sync.inbound.signatures import content_id, require_fresh, require_match, sha256_base64

OPTED_OUT: Final = "hs_email_optout"  # from all email [K]
MEMBER_ID: Final = "loyalty_member_id"
_NO_MORE: Final = ("creation", "deletion", "restore", "associationChange")


class HubSpotSource:
    """Signed with the app's client secret over method, address, body and time."""

    title = "HubSpot"
    settings: Sequence[Setting] = (
        Setting(
            name="address",
            label="Address as HubSpot knows it",
            help="https://…/inbound/…: it is part of the signature. Leave it empty unless a proxy "
            "shows us another one.",
        ),
        Setting(
            name="portal",
            label="Account",
            help="The number of the HubSpot account: an app's secret signs for all accounts.",
            is_required=True,
        ),
    )
    makes_secret = False

    def check(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return {"address": …, "portal": …}."""
        address, portal = str(config.get("address") or ""), str(config.get("portal") or "")
        if address and not address.startswith("https://"):
            raise ConfigRefused("The address begins with https://, or is left empty.")
        if not (portal.isascii() and portal.isdigit()):
            raise ConfigRefused("The account is a number, as in the addresses of HubSpot's pages.")
        return {"address": address, "portal": portal}

    def check_account(self, config: Mapping[str, Any], connection: Mapping[str, Any]) -> None:
        """Compare the account's number with the connection's, where that has one."""
        number = str(connection.get("hub_id") or config["portal"])
        if number != config["portal"]:
            raise ConfigRefused(
                f"The connection is of account {number}, and this source of {config['portal']}."
            )

    def verify(
        self, arrival: Arrival, secrets: Sequence[str], config: Mapping[str, Any], now: datetime
    ) -> None:
        """Check `X-HubSpot-Signature-v3` and `X-HubSpot-Request-Timestamp`."""
        milliseconds = arrival.header("x-hubspot-request-timestamp")
        require_fresh(milliseconds, now, per_second=1000)
        signed = f"{arrival.method}{unquote(arrival.url)}".encode() + arrival.body
        signed += milliseconds.encode()
        expected = [sha256_base64(secret.encode(), signed) for secret in secrets]
        require_match(expected, [arrival.header("x-hubspot-signature-v3")])

    def split(self, arrival: Arrival) -> list[Item]:
        """Take the batch apart. HubSpot's `eventId` alone is not unique."""
        try:
            batch = orjson.loads(arrival.body)
        except orjson.JSONDecodeError as error:
            raise Unreadable(f"The body is not JSON: {error}.") from None
        if not isinstance(batch, list) or not all(isinstance(one, dict) for one in batch):
            raise Unreadable("The body is a list of objects.")
        return [_item(one) for one in batch]

    def read(self, topic: str, document: Any, config: Mapping[str, Any]) -> Said | None:
        """Read one change of a contact."""
        subject, _, what = topic.partition(".")
        if str(document.get("portalId", config["portal"])) != config["portal"]:
            return NotForUs(reason="It is of another HubSpot account.")
        if subject not in ("contact", "object") or document.get("objectTypeId", "0-1") != "0-1":
            return None
        who = Who(vendor_id=str(document["objectId"]))
        if what == "propertyChange":
            return _changed(who, document)
        if what == "privacyDeletion":
            reason = "HubSpot deleted this contact for privacy: erase the member, then settle this."
            return AsksPerson(who=who, reason=reason)
        if what == "merge":
            who = Who(vendor_id=str(document.get("primaryObjectId") or document["objectId"]))
            reason = "HubSpot merged contacts: if several are members, merge them here too."
            return AsksPerson(who=who, reason=reason)
        return NotForUs(reason="Nothing that HubSpot owns changed.") if what in _NO_MORE else None


def _item(one: Mapping[str, Any]) -> Item:
    told = {name: value for name, value in one.items() if name != "attemptNumber"}
    content = orjson.dumps(told, option=orjson.OPT_SORT_KEYS)
    return Item(
        message_id=f"{one.get('eventId', '')}:{content_id(content)}",
        topic=str(one.get("subscriptionType") or ""),
        content=content.decode(),
    )


def _changed(who: Who, document: Mapping[str, Any]) -> PersonSaid:
    name, value = str(document["propertyName"]), document.get("propertyValue")
    at = datetime.fromtimestamp(int(document["occurredAt"]) / 1000, UTC).isoformat()
    if name == OPTED_OUT:
        given = str(value).lower() != "true"
        return PersonSaid(
            who=who, consents=(Consent(channel="email", is_given=given, changed_at=at),)
        )
    member_id = str(value) if name == MEMBER_ID else ""
    return PersonSaid(who=Who(vendor_id=who.vendor_id, member_id=member_id), fields={name: value})
