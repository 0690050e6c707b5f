"""Omnisend, as far as an adapter sees it: contacts, events, batches, limits and errors.

What Omnisend's published reference (version 2026-03-15) says is done as it says. Where it says that
a repeat of an event starts automations again, the sandbox shows both.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID, uuid4

from crm_sync.sandboxes.server import Call, Person, Reply, Sandbox

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_PLAIN = ("firstName", "lastName", "birthdate", "gender", "city", "state")


@dataclass
class Contact:
    """A contact."""

    id: str
    email: str = ""
    phones: list[str] = field(default_factory=list)
    plain: dict[str, Any] = field(default_factory=dict)
    custom: dict[str, Any] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    segments: list[str] = field(default_factory=list)
    statuses: dict[str, tuple[str, str]] = field(default_factory=dict)
    updated: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    events: list[dict[str, Any]] = field(default_factory=list)


class Refused(Exception):
    """A problem in Omnisend's words."""

    def __init__(self, status: int, detail: str, **more: Any) -> None:
        super().__init__(detail)
        kind = "https://problems.omnisend.com/problem"
        body = {"type": kind, "title": "Problem", "status": status, "detail": detail, **more}
        self.reply = Reply(status, body)


class Omnisend(Sandbox):
    """One brand.

    Attributes:
        automations: Properties of each event, repeats too: what messages would start from.
        polls_until_done: How often a batch is asked for until it is done.
        calls_left: By path, how many calls are allowed until a limit is hit.
    """

    title: ClassVar[str] = "Omnisend"

    def __init__(self, api_key: str = "omni_sandbox", port: int = 0) -> None:
        super().__init__(port)
        self.api_key = api_key
        self.contacts: dict[str, Contact] = {}
        self.automations: list[dict[str, Any]] = []
        self.batches: dict[str, dict[str, Any]] = {}
        self.polls_until_done = 1
        self.calls_left: dict[str, int] = {}
        self._clock = datetime(2026, 11, 1, tzinfo=UTC)

    def handle(self, call: Call) -> Reply:
        """Answer as Omnisend does: key, version, limit, then the work."""
        try:
            self._admit(call)
            steps = call.path.strip("/").split("/")
            if call.method == "GET":
                return self._read(steps, call)
            return self._write(call.method, steps, call.body or {})
        except Refused as refused:
            return refused.reply

    def people(self) -> list[Person]:
        """List the contacts for the page."""
        return [
            Person(
                one.email or ", ".join(one.phones) or one.id,
                {**one.plain, **one.custom},
                [f"{event['time']} {event['name']}" for event in one.events],
            )
            for one in self.contacts.values()
        ]

    def find(self, kind: str, value: str) -> Contact | None:
        """Find a contact by id, email or phone."""
        return next((one for one in self.contacts.values() if _has(one, kind, value)), None)

    def add(self, email: str = "", phone: str = "", **custom: Any) -> Contact:
        """Make a contact that was there before us."""
        one = Contact(uuid4().hex[:24], email.lower(), [phone] if phone else [], custom=custom)
        one.updated = self._now()
        self.contacts[one.id] = one
        return one

    def consent(self, contact: Contact, channel: str, status: str) -> None:
        """Let a person subscribe or unsubscribe at Omnisend."""
        contact.updated = self._now()
        contact.statuses[channel] = (status, contact.updated.isoformat())

    def _now(self) -> datetime:
        self._clock += timedelta(seconds=1)
        return self._clock

    def _admit(self, call: Call) -> None:
        if call.headers.get("authorization") != f"Omnisend-API-Key {self.api_key}":
            raise Refused(401, "Authentication is missing or invalid.")
        if re.fullmatch(r"\d{4}-\d\d-\d\d", call.headers.get("omnisend-version", "")) is None:
            raise Refused(400, "The header Omnisend-Version is missing.")
        left = self.calls_left.get(call.path)
        if left is not None:
            self.calls_left[call.path] = left - 1
            if left <= 0:
                raise Refused(429, "Rate limit exceeded.", retryAfter=60)

    def _write(self, method: str, steps: list[str], body: dict[str, Any]) -> Reply:
        if (method, steps) == ("POST", ["contacts"]):
            one, is_new = self._upsert(body)
            return Reply(201 if is_new else 200, _shown(one))
        if method == "PATCH" and steps[0] == "contacts" and len(steps) == 2:
            found = self.contacts.get(steps[1])
            if found is None:
                raise Refused(404, "Contact not found.")
            self._change(found, body)
            return Reply(200, _shown(found))
        if (method, steps) == ("POST", ["events"]):
            self._record(body)
            return Reply(202)
        if (method, steps) == ("POST", ["batches"]):
            return Reply(201, self._submit(body))
        raise Refused(404, "There is no such endpoint.")

    def _read(self, steps: list[str], call: Call) -> Reply:
        if steps == ["contacts"]:
            return Reply(body=self._list(call))
        if steps[0] == "contacts" and steps[1] in self.contacts:
            return Reply(body=_shown(self.contacts[steps[1]]))
        if steps[0] == "batches" and steps[1] in self.batches:
            batch = self.batches[steps[1]]
            if steps[2:] == ["items"]:
                return Reply(body={**batch["shown"], "errors": batch["errors"]})
            return Reply(body=self._work(batch))
        raise Refused(404, "Not found.")

    def _upsert(self, body: dict[str, Any]) -> tuple[Contact, bool]:
        """Create, or update by email; a phone number alone finds nobody."""
        given = {one["type"]: one["id"] for one in body.get("identifiers") or []}
        if not given:
            raise _invalid("identifiers", "At least one identifier is required.")
        if "email" in given and _EMAIL.fullmatch(given["email"]) is None:
            raise _invalid("identifiers.0.id", "Must be a valid email address.")
        found = self.find("email", given["email"]) if "email" in given else None
        one = found or self.add(given.get("email", ""))
        phone = given.get("phone", "")
        if phone and phone not in one.phones:
            one.phones.append(phone)
        self._change(one, body)
        return one, found is None

    def _change(self, contact: Contact, body: dict[str, Any]) -> None:
        for kind in body.get("identifiers") or []:
            if "channels" in kind:
                self.consent(contact, kind["type"], kind["channels"][kind["type"]]["status"])
        contact.plain |= {name: body[name] for name in _PLAIN if name in body}
        for name, value in (body.get("customProperties") or {}).items():
            if value is None:
                contact.custom.pop(name, None)
            else:
                contact.custom[name] = value
        contact.tags += [tag for tag in body.get("tags") or [] if tag not in contact.tags]
        contact.updated = self._now()

    def _record(self, body: dict[str, Any]) -> None:
        """Keep an event once in the history; automations see every call."""
        if not body.get("eventName"):
            raise _invalid("eventName", "This field is required.")
        try:
            event_id = str(UUID(body["eventID"])) if "eventID" in body else str(uuid4())
        except ValueError:
            raise _invalid("eventID", "Must be a UUID.") from None
        one = self._whom(body.get("contact") or {})
        self.automations.append(body.get("properties") or {})
        seen = {(event["id"], event["time"]) for event in one.events}
        if (event_id, body.get("eventTime")) not in seen:
            one.events.append(
                {
                    "id": event_id,
                    "name": body["eventName"],
                    "time": body.get("eventTime"),
                    "properties": body.get("properties") or {},
                }
            )

    def _whom(self, given: dict[str, Any]) -> Contact:
        for kind in ("id", "email", "phone"):
            if given.get(kind) and (found := self.find(kind, given[kind])):
                return found
        if given.get("id") or not (given.get("email") or given.get("phone")):
            raise _invalid("contact", "No contact can be told by this.")
        return self.add(given.get("email", ""), given.get("phone", ""))

    def _submit(self, body: dict[str, Any]) -> dict[str, Any]:
        items = body["items"]
        if body["endpoint"] != "contacts" or not 0 < len(items) <= 100:
            raise _invalid("items", "Between 1 and 100 contacts.")
        batch_id = uuid4().hex[:24]
        self.batches[batch_id] = {
            "items": items,
            "errors": [],
            "left": self.polls_until_done,
            "shown": {
                **{"batchID": batch_id, "endpoint": "contacts", "method": body["method"]},
                **{"status": "pending", "totalCount": len(items)},
                **{"finishedCount": 0, "errorsCount": 0},
            },
        }
        return {"batchID": batch_id, "totalCount": len(items)}

    def _work(self, batch: dict[str, Any]) -> dict[str, Any]:
        shown: dict[str, Any] = batch["shown"]
        batch["left"] -= 1
        if batch["left"] > 0 or shown["status"] == "finished":
            return shown
        for item in batch["items"]:
            try:
                self._upsert(item)
                shown["finishedCount"] += 1
            except Refused as refused:
                shown["errorsCount"] += 1
                batch["errors"].append(
                    {
                        "itemID": uuid4().hex[:24],
                        "status": "finished",
                        "request": item,
                        "response": refused.reply.body,
                        "responseCode": refused.reply.status,
                    }
                )
        shown["status"] = "finished"
        return shown

    def _list(self, call: Call) -> dict[str, Any]:
        chosen = list(self.contacts.values())
        if since := call.query.get("updatedAtFrom"):
            chosen = [one for one in chosen if one.updated >= datetime.fromisoformat(since)]
        for kind in ("email", "phone"):
            if value := call.query.get(kind):
                chosen = [one for one in chosen if _has(one, kind, value)]
        chosen.sort(key=lambda one: one.updated)
        size, first = int(call.query.get("limit", 100)), int(call.query.get("after", 0))
        more = len(chosen) > first + size
        after = str(first + size) if more else None
        return {
            "contacts": [_shown(one) for one in chosen[first : first + size]],
            "paging": {"limit": size, "hasMore": more, "cursors": {"after": after}},
        }


def _has(contact: Contact, kind: str, value: str) -> bool:
    if kind == "phone":
        return value in contact.phones
    return bool(value) and (contact.id if kind == "id" else contact.email) == value.lower()


def _invalid(field_name: str, message: str) -> Refused:
    errors = [{"field": field_name, "code": "invalid", "message": message}]
    return Refused(400, "Request contains invalid or missing fields.", errors=errors)


def _shown(contact: Contact) -> dict[str, Any]:
    ids = [{"type": "email", "id": contact.email}] if contact.email else []
    ids += [{"type": "phone", "id": phone} for phone in contact.phones]
    return {
        "id": contact.id,
        "email": contact.email or None,
        "phone": contact.phones,
        "identifiers": ids,
        "statuses": [
            {"channel": channel, "status": status, "statusChangedAt": at}
            for channel, (status, at) in contact.statuses.items()
        ],
        "segments": contact.segments,
        "tags": contact.tags,
        "customProperties": contact.custom,
        "updatedAt": contact.updated.isoformat(),
        "createdAt": contact.updated.isoformat(),
        **contact.plain,
    }
