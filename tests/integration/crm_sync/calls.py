"""Calls of the webhook adapter, for its tests."""

from pathlib import Path
from typing import Any
from uuid import uuid4

from crm_sync.adapters.contract import Environment, Outcome, Outgoing
from crm_sync.adapters.webhook import WebhookAdapter

SECRET = "whsec_" + "A" * 43 + "="
OLD_SECRET = "whsec_" + "B" * 43 + "="


def adapter(*, private: bool = True, total: float = 5.0) -> WebhookAdapter:
    return WebhookAdapter(
        Environment(
            home=Path("/nonexistent"),
            allow_private_addresses=private,
            connect_seconds=min(total, 5.0),
            total_seconds=total,
        )
    )


def outgoing(**body: Any) -> Outgoing:
    content = {"id": "evt_1", "type": "points.earned"} | body
    return Outgoing(event_id=str(content["id"]), body=content, correlation_id=uuid4())


def send(url: str, **options: Any) -> Outcome:
    sender = adapter(**options)
    return sender.send(config={"url": url}, secrets=[SECRET], deliveries=[outgoing()])[0]
