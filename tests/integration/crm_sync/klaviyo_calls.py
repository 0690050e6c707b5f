"""A member, events and profiles to send to Klaviyo, for its tests."""

from typing import Any
from uuid import UUID, uuid4

from crm_sync.adapters.contract import Outgoing, Person, Profile

MEMBER = str(UUID(int=7))
ADA = Person(member_id=MEMBER, email="ada@example.com", external_ids=("shop-77",))


def event(sequence: int = 1, person: Person = ADA, **more: Any) -> Outgoing:
    body = {
        "id": f"evt_{UUID(person.member_id).hex}_{sequence}",
        "type": "points.earned",
        "version": 1,
        "member": person.member_id,
        "sequence": sequence,
        "occurred_at": "2026-11-22T19:06:53+00:00",
        "recorded_at": "2026-11-22T19:06:54+00:00",
        "cause": {
            "kind": "earn",
            "order": "316",
            "rules": ["base"],
            "actor": "",
            "request_id": "till-4-77",
        },
        "balances": {"available": 3, "pending": 0, "held": 0, "debt": 0, "lifetime_earned": 3},
        "data": {"points": 3, "lots": [{"points": 3}], "tier": {"from": "bronze", "to": "silver"}},
    }
    return Outgoing(
        event_id=str(body["id"]), body=body, correlation_id=uuid4(), person=person, **more
    )


def profile(person: Person = ADA, **fields: Any) -> Profile:
    told = {"loyalty_member_id": person.member_id, "loyalty_points_balance": 3, **fields}
    return Profile(person=person, fields=told, version=1, correlation_id=uuid4())
