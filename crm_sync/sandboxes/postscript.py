"""Postscript, as far as an adapter sees it: subscribers who came by themselves, and events.

Its published Partner API (v2) says nothing of repeats: here a repeat is a second event.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from uuid import uuid4

from crm_sync.sandboxes.server import Call, Person, Reply, Sandbox

PAGE = 100


@dataclass
class Subscriber:
    """Somebody who has subscribed."""

    id: str
    email: str = ""
    phone: str = ""
    shop_customer: str = ""
    can_send: bool = True
    properties: dict[str, Any] = field(default_factory=dict)
    updated: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    events: list[dict[str, Any]] = field(default_factory=list)


class Postscript(Sandbox):
    """One shop.

    Attributes:
        calls_left: How many calls are allowed until the limit is hit; None: no limit.
    """

    title: ClassVar[str] = "Postscript"

    def __init__(self, api_key: str = "sk_sandbox", port: int = 0) -> None:
        super().__init__(port)
        self.api_key = api_key
        self.subscribers: dict[str, Subscriber] = {}
        self.calls_left: int | None = None
        self._clock = datetime(2026, 11, 1, tzinfo=UTC)

    def handle(self, call: Call) -> Reply:
        """Answer as Postscript does: key, limit, then the work."""
        if call.headers.get("authorization") != f"Bearer {self.api_key}":
            return Reply(401, {"error_code": 1001, "message": "Unauthorized."})
        if self.calls_left is not None:
            self.calls_left -= 1
            if self.calls_left < 0:
                return Reply(429, {"error_code": 3002, "message": "Rate limit exceeded."})
        steps = call.path.removeprefix("/api/v2/").split("/")
        if call.method == "GET" and steps == ["subscribers"]:
            return self._list(call)
        if (call.method, steps) == ("POST", ["events"]):
            return self._record(call.body or {})
        found = self.subscribers.get(steps[-1]) if steps[0] == "subscribers" else None
        if found is None:
            return Reply(404, {"error_code": 2001, "message": "Not found."})
        return Reply(200, _shown(found)) if call.method == "GET" else self._change(found, call.body)

    def people(self) -> list[Person]:
        """List the subscribers for the page."""
        return [
            Person(
                one.email or one.phone,
                one.properties,
                [f"{event['occurred_at']} {event['type']}" for event in one.events],
            )
            for one in self.subscribers.values()
        ]

    def subscribe(self, email: str = "", phone: str = "", shop_customer: str = "") -> Subscriber:
        """Let a person subscribe: nothing else makes a subscriber."""
        one = Subscriber(f"s_{uuid4().hex[:16]}", email.lower(), phone, shop_customer)
        one.updated = self._now()
        self.subscribers[one.id] = one
        return one

    def stop(self, subscriber: Subscriber) -> None:
        """Let a person answer STOP."""
        subscriber.can_send = False
        subscriber.updated = self._now()

    def _now(self) -> datetime:
        self._clock += timedelta(seconds=1)
        return self._clock

    def _change(self, subscriber: Subscriber, body: dict[str, Any]) -> Reply:
        unknown = set(body) - {"email", "tags", "properties"}
        given = body.get("properties") or {}
        merged = {**subscriber.properties, **given}
        if unknown or len(merged) > 50:
            return Reply(400, {"message": f"{sorted(unknown) or 'More than 50 properties'}."})
        if any(isinstance(value, dict | float) for value in given.values()):
            return Reply(400, {"message": "Strings, integers, string arrays or dates."})
        subscriber.properties = {n: v for n, v in merged.items() if v is not None}
        subscriber.updated = self._now()
        return Reply(200, _shown(subscriber))

    def _record(self, body: dict[str, Any]) -> Reply:
        if re.fullmatch(r"[A-Za-z0-9_]+", str(body.get("type") or "")) is None:
            return Reply(400, {"message": "type has letters, digits and underscores."})
        try:
            at = str(body.get("occurred_at"))
            datetime.strptime(at, "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)
        except ValueError:
            return Reply(400, {"message": "occurred_at is %Y-%m-%d %H:%M:%S.%f"})
        one = self.subscribers.get(str(body.get("subscriber_id")))
        if one is None:
            return Reply(400, {"message": "No such subscriber."})
        one.events.append(body)
        return Reply(202, {"event_ids": [uuid4().hex]})

    def _list(self, call: Call) -> Reply:
        chosen = list(self.subscribers.values())
        for query, value in call.query.items():
            if query == "email__eq":
                chosen = [one for one in chosen if one.email == value.lower()]
            elif query == "phone_number__eq":
                chosen = [one for one in chosen if one.phone == value]
            elif query == "shopify_customer_id__eq":
                chosen = [one for one in chosen if one.shop_customer == value]
            elif query == "updated_at__gte":
                since = datetime.fromisoformat(value)
                chosen = [one for one in chosen if one.updated >= since]
        chosen.sort(key=lambda one: one.updated)
        page, pages = int(call.query.get("page", 1)), max(1, -(-len(chosen) // PAGE))
        shown = [_shown(one) for one in chosen[(page - 1) * PAGE : page * PAGE]]
        info = {"page": page, "total_pages": pages}
        return Reply(body={"page_info": info, "subscribers": shown})


def _shown(one: Subscriber) -> dict[str, Any]:
    return {
        "id": one.id,
        "email": one.email or None,
        "phone_number": one.phone,
        "shopify_customer_id": int(one.shop_customer) if one.shop_customer else None,
        "properties": one.properties,
        "subscriptions": {"promotional": {"can_send": one.can_send}},
        "tags": [],
        "created_at": one.updated.isoformat(),
        "updated_at": one.updated.isoformat(),
    }
