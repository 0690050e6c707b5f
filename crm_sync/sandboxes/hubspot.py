"""HubSpot, as far as an adapter sees it: contacts, their properties, custom events, limits, tokens.

Old and new versions of the API are answered alike. Where the documents are silent (which of two
writes wins, in which order a batch answers) it is done in the way that is worst for us.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final
from urllib.parse import parse_qs
from uuid import uuid4

from crm_sync.sandboxes.limits import Tokens, Window
from crm_sync.sandboxes.pages import Person
from crm_sync.sandboxes.server import Call, Reply, Sandbox

UNIQUE: Final = ("loyalty_member_id", "email")
_OWN = ("email", "phone", "firstname", "lastname", "hs_email_optout", "hs_additional_emails")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_PATH = re.compile(
    r"/(?:crm/(?:objects/[\d-]{7}|v3/objects)/(?P<objects>.+)"
    r"|crm/(?:properties/[\d-]{7}|v3/properties)/(?P<properties>.+)"
    r"|crm/(?:lists/[\d-]{7}|v3/lists)/(?P<lists>\d+)/memberships"
    r"|events/(?:[\d-]{7}|v3)/(?P<events>.+)|oauth/(?:[\d-]{7}|v1)/(?P<oauth>.+))"
)
_CHARACTERS = 65_536
_TOKEN_SECONDS: Final = 1800


@dataclass
class Contact:
    """A contact."""

    id: str
    properties: dict[str, str] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)


class Refused(Exception):
    """An error in HubSpot's words."""

    def __init__(self, status: int, category: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.error = {"status": "error", "category": category, "message": message, **more}
        self.status = status


class HubSpot(Sandbox):
    """One account.

    Attributes:
        tokens: Access tokens that are good; `refresh_token` gets another one, and changes.
        takes_events: Whether the plan has custom events.
        properties: Contact properties that somebody has made.
        lists: The records in each, by its number.
        window: How many calls are allowed.
    """

    title: ClassVar[str] = "HubSpot"

    def __init__(self, access_token: str = "pat-sandbox", port: int = 0) -> None:
        super().__init__(port)
        self.tokens = Tokens(self.clock)
        self.tokens.add(access_token)
        self.access_token = access_token
        self.refresh_token = "refresh-1"
        self.takes_events = True
        self.properties = {
            *_OWN,
            *(f"loyalty_{name}" for name in _LOYALTY),
        }
        self.contacts: dict[str, Contact] = {}
        self.lists: dict[str, list[str]] = {}
        self.window = Window(self.clock, most=190, seconds=10.0)
        self._clock = datetime(2026, 11, 1, tzinfo=UTC)

    def handle(self, call: Call) -> Reply:
        """Answer as HubSpot does: token, limit, then the work."""
        try:
            reply = self._work(call)
        except Refused as refused:
            reply = Reply(refused.status, {"correlationId": str(uuid4()), **refused.error})
        counted = {
            "x-hubspot-ratelimit-max": str(self.window.most),
            "x-hubspot-ratelimit-remaining": str(self.window.left),
            "x-hubspot-ratelimit-interval-milliseconds": "10000",
        }
        return Reply(reply.status, reply.body, {**counted, **reply.headers})

    def people(self) -> list[Person]:
        """List the contacts for the page."""
        return [
            Person(
                contact.properties.get("email") or contact.id,
                contact.properties,
                [f"{event['occurredAt']} {event['eventName']}" for event in contact.events],
            )
            for contact in self.contacts.values()
        ]

    def find(self, name: str, value: str) -> Contact | None:
        """Find a contact by a property."""
        return next((c for c in self.contacts.values() if c.properties.get(name) == value), None)

    def add(self, **properties: str) -> Contact:
        """Make a contact."""
        contact = Contact(str(51_000 + len(self.contacts)), dict(properties))
        self.contacts[contact.id] = contact
        self.touch(contact)
        return contact

    def touch(self, contact: Contact) -> None:
        """Note that a contact was changed."""
        self._clock += timedelta(seconds=1)
        contact.properties["lastmodifieddate"] = self._clock.isoformat().replace("+00:00", "Z")

    def _work(self, call: Call) -> Reply:
        found = _PATH.fullmatch(call.path)
        if found is None:
            raise Refused(404, "OBJECT_NOT_FOUND", f"There is no {call.path}.")
        if found["oauth"]:
            return self._grant(call)
        self._admit(call)
        if found["properties"]:
            return self._property(found["properties"].removeprefix("contacts/"))
        if found["lists"]:
            return self._memberships(found["lists"], call.query)
        if found["events"]:
            return self._record(call.body)
        work = {
            "contacts/batch/read": self._read,
            "contacts/batch/update": self._update,
            "contacts/batch/upsert": self._upsert,
            "contacts/search": self._search,
        }
        if call.method != "POST" or found["objects"] not in work:
            raise Refused(405, "VALIDATION_ERROR", f"{call.method} is not taken here.")
        return work[found["objects"]](call.body)

    def _admit(self, call: Call) -> None:
        token = call.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self.tokens:
            raise Refused(401, "EXPIRED_AUTHENTICATION", "The OAuth token used is not valid.")
        if not self.window.take():
            more = {"errorType": "RATE_LIMIT", "policyName": "TEN_SECONDLY_ROLLING"}
            raise Refused(429, "RATE_LIMITS", "You have reached your ten_secondly limit.", **more)
        if call.method == "POST" and not isinstance(call.body, dict):
            raise Refused(400, "VALIDATION_ERROR", "Invalid input JSON.")

    def _grant(self, call: Call) -> Reply:
        form = {name: values[0] for name, values in parse_qs(call.raw.decode()).items()}
        good = {"client_id": "client", "client_secret": "secret"}
        good |= {"grant_type": "refresh_token", "refresh_token": self.refresh_token}
        if form != good:
            raise Refused(400, "BAD_REFRESH_TOKEN", "missing or invalid refresh token")
        token = f"access-{uuid4().hex}"
        self.tokens.add(token, _TOKEN_SECONDS)
        self.refresh_token = f"refresh-{uuid4().hex}"
        body = {"access_token": token, "refresh_token": self.refresh_token}
        return Reply(200, {"token_type": "bearer", "expires_in": _TOKEN_SECONDS, **body})

    def _property(self, name: str) -> Reply:
        if name not in self.properties:
            raise Refused(404, "OBJECT_NOT_FOUND", f"Property {name} does not exist")
        return Reply(200, {"name": name, "hasUniqueValue": name in UNIQUE})

    def _memberships(self, number: str, query: Mapping[str, str]) -> Reply:
        if number not in self.lists:
            raise Refused(404, "OBJECT_NOT_FOUND", f"List with ID {number} does not exist.")
        first, limit = int(query.get("after") or 0), int(query.get("limit") or 100)
        if not 0 < limit <= 250:
            raise Refused(400, "VALIDATION_ERROR", "limit is between 1 and 250")
        chosen = self.lists[number][first : first + limit]
        at = "2026-11-01T00:00:00Z"
        body: dict[str, Any] = {
            "total": len(self.lists[number]),
            "results": [{"recordId": one, "membershipTimestamp": at} for one in chosen],
        }
        if len(self.lists[number]) > first + limit:
            body["paging"] = {"next": {"after": str(first + limit), "link": ""}}
        return Reply(200, body)

    def _record(self, body: Mapping[str, Any]) -> Reply:
        """Keep the first event of each uuid; one that names nobody who is there makes nobody."""
        if not self.takes_events:
            raise Refused(403, "MISSING_SCOPES", "This app hasn't been granted all scopes.")
        contact = self.contacts.get(body.get("objectId", "")) or self.find(
            "email", body.get("email", "")
        )
        if not re.fullmatch(r"pe\d+_[a-z_]+", body.get("eventName", "")) or contact is None:
            raise Refused(400, "VALIDATION_ERROR", "Unknown event or contact.")
        _check_text(body.get("properties") or {})
        if all(event["uuid"] != body["uuid"] for event in contact.events):
            contact.events.append(dict(body))
        return Reply(204)

    def _read(self, body: Mapping[str, Any]) -> Reply:
        by = body.get("idProperty")
        found, missing = [], []
        for one in _inputs(body):
            contact = self._by(by, one["id"]) if by else self.contacts.get(one["id"])
            if contact is None:
                missing.append(one["id"])
            elif contact not in found:
                found.append(contact)
        errors = []
        if missing:
            said = "Could not get some contact objects, they may be deleted or not exist."
            errors = [_error("OBJECT_NOT_FOUND", said, ids=missing)]
        results = [_shown(contact, body.get("properties") or []) for contact in found]
        return _batch(200, results[::-1], errors)

    def _by(self, name: str, value: str) -> Contact | None:
        if name not in UNIQUE:
            raise Refused(400, "VALIDATION_ERROR", f"{name} does not have unique values.")
        more = (c for c in self.contacts.values() if value in _emails(c)) if name == "email" else ()
        return self.find(name, value) or next(iter(more), None)

    def _update(self, body: Mapping[str, Any]) -> Reply:
        """Update those who are there; the others are errors of their own."""
        results, errors = [], []
        for one in self._valid(body):
            contact = self.contacts.get(one["id"])
            if contact is None:
                errors.append(_error("OBJECT_NOT_FOUND", "Object not found.", ids=[one["id"]]))
            else:
                self._write(contact, one["properties"])
                results.append({**_shown(contact, []), **_trace(one)})
        return _batch(200, results[::-1], errors)

    def _upsert(self, body: Mapping[str, Any]) -> Reply:
        results, errors = [], []
        for one in self._valid(body):
            properties = one["properties"]
            contact = self._by(one.get("idProperty") or "email", one["id"])
            other = self.find("email", properties.get("email") or "-")
            if other is not None and other is not contact:
                said = f"Contact already exists. Existing ID: {other.id}"
                errors.append(_error("CONFLICT", said, objectWriteTraceId=[*_trace(one).values()]))
                continue
            is_new = contact is None
            contact = contact or self.add(**{one.get("idProperty") or "email": one["id"]})
            self._write(contact, properties)
            results.append({**_shown(contact, []), "new": is_new, **_trace(one)})
        return _batch(200, results[::-1], errors)

    def _valid(self, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Refuse a whole batch because of one value, as HubSpot does."""
        inputs = _inputs(body)
        for properties in (one["properties"] for one in inputs):
            _check_text(properties)
            for name in properties:
                if name not in self.properties:
                    said = f'Property "{name}" does not exist'
                    detail = f'[{{"message":"{said}","error":"PROPERTY_DOESNT_EXIST"}}]'
                    said = f"Property values were not valid: {detail}"
                    raise Refused(400, "VALIDATION_ERROR", said)
            if properties.get("email") and not _EMAIL.fullmatch(properties["email"]):
                said = f"Email address {properties['email']} is invalid"
                raise Refused(400, "VALIDATION_ERROR", said)
        return inputs

    def _write(self, contact: Contact, properties: Mapping[str, str]) -> None:
        for name, value in properties.items():
            if value == "":
                contact.properties.pop(name, None)
            else:
                contact.properties[name] = value
            if name == "loyalty_last_event_id" and value:
                told = {"occurredAt": properties.get("loyalty_last_event_at", "")}
                told |= {"eventName": properties.get("loyalty_last_event", ""), "uuid": value}
                contact.events += [told] if all(e["uuid"] != value for e in contact.events) else []
        self.touch(contact)

    def _search(self, body: Mapping[str, Any]) -> Reply:
        (asked,) = body["filterGroups"][0]["filters"]
        name = asked["propertyName"]
        chosen = [c for c in self.contacts.values() if _fits(c.properties.get(name), asked)]
        chosen.sort(key=lambda contact: contact.properties["lastmodifieddate"])
        first, limit = int(body.get("after") or 0), int(body.get("limit") or 10)
        results = [_shown(c, body.get("properties") or []) for c in chosen[first : first + limit]]
        found: dict[str, Any] = {"total": len(chosen), "results": results}
        if len(chosen) > first + limit:
            found["paging"] = {"next": {"after": str(first + limit)}}
        return Reply(200, found)


_LOYALTY: Final = (
    *("member_id", "program", "status", "enrolled_at", "tier", "tier_since", "points_balance"),
    *("points_pending", "lifetime_points", "points_expiring", "points_expire_on"),
    *("last_redemption_at", "referral_code", "state_version", "last_event", "last_event_at"),
    *("last_event_points", "last_event_id"),
)


def _inputs(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    inputs = list(body.get("inputs") or [])
    if not 0 < len(inputs) <= 100:
        raise Refused(400, "VALIDATION_ERROR", "Between 1 and 100 inputs.")
    if len({one["id"] for one in inputs}) < len(inputs):
        raise Refused(400, "VALIDATION_ERROR", "Duplicate IDs found in batch input.")
    return inputs


def _check_text(properties: Mapping[str, Any]) -> None:
    for name, value in properties.items():
        if not isinstance(value, str) or len(value) > _CHARACTERS:
            raise Refused(400, "VALIDATION_ERROR", f"Invalid input JSON: {name} must be a string.")


def _emails(contact: Contact) -> list[str]:
    return contact.properties.get("hs_additional_emails", "").split(";")


def _fits(value: str | None, asked: Mapping[str, Any]) -> bool:
    if value is None:
        return False
    if asked["operator"] == "IN":
        return value in asked["values"]
    return datetime.fromisoformat(value).timestamp() * 1000 >= int(asked["value"])


def _shown(contact: Contact, names: list[str]) -> dict[str, Any]:
    at = contact.properties["lastmodifieddate"]
    properties: dict[str, Any] = {"hs_object_id": contact.id, "lastmodifieddate": at}
    properties |= {name: contact.properties.get(name) for name in names}
    common = {"createdAt": at, "updatedAt": at, "archived": False}
    return {"id": contact.id, "properties": properties, **common}


def _trace(one: Mapping[str, Any]) -> dict[str, str]:
    trace = one.get("objectWriteTraceId")
    return {"objectWriteTraceId": trace} if trace else {}


def _error(category: str, message: str, **context: list[str]) -> dict[str, Any]:
    return {"status": "error", "category": category, "message": message, "context": context}


def _batch(status: int, results: list[Any], errors: list[Any]) -> Reply:
    at = "2026-11-01T00:00:00Z"
    body = {"status": "COMPLETE", "startedAt": at, "completedAt": at, "results": results}
    if errors:
        return Reply(207, {**body, "numErrors": len(errors), "errors": errors})
    return Reply(status, body)
