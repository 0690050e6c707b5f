"""Calls of adapters, for their tests: without a database, secrets and limits in memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from crm_sync.adapters.access import Limit, MustWait, SecretMissing, Target, Token
from crm_sync.adapters.contract import Environment, Outgoing
from crm_sync.adapters.outcomes import Outcome
from crm_sync.adapters.webhook import WebhookAdapter

SECRET = "whsec_" + "A" * 43 + "="
OLD_SECRET = "whsec_" + "B" * 43 + "="


@dataclass
class Secrets:
    """Secrets and a token, as long as a test runs."""

    given: dict[str, str] = field(default_factory=dict)
    access_token: str = ""

    def get(self, name: str) -> str:
        if name not in self.given:
            raise SecretMissing(f"The secret {name} is missing.")
        return self.given[name]

    def token(self, obtain: Callable[[], Token], *, refused: str = "") -> str:
        if not self.access_token or self.access_token == refused:
            token = obtain()
            self.given |= token.rotated
            self.access_token = token.access_token
        return self.access_token


@dataclass
class Limits:
    """Counts what is taken; `refuse` seconds make every call wait."""

    taken: list[str] = field(default_factory=list)
    held: dict[str, float] = field(default_factory=dict)
    refuse: float = 0.0

    def take(self, limit: Limit, units: int = 1) -> None:
        if self.refuse:
            raise MustWait(self.refuse)
        self.taken += [limit.name] * units

    def hold(self, limit: Limit, seconds: float) -> None:
        self.held[limit.name] = seconds


def environment(*, private: bool = True, total: float = 5.0) -> Environment:
    return Environment(
        home=Path("/nonexistent"),
        allow_private_addresses=private,
        connect_seconds=min(total, 5.0),
        total_seconds=total,
    )


def target(config: dict[str, Any], **secrets: str) -> Target:
    return Target(config=config, credentials=Secrets(secrets), throttle=Limits())


def connected(adapter: Any, config: dict[str, Any], **secrets: str) -> Target:
    """Give a connection with the settings that were filled in, and the defaults of all others."""
    return target(adapter.check(config), **secrets)


def signed(url: str, secrets: Sequence[str] = (SECRET,)) -> Target:
    return Target(
        config={"url": url},
        credentials=Secrets(),
        throttle=Limits(),
        signing_secrets=secrets,
    )


def adapter(*, private: bool = True, total: float = 5.0) -> WebhookAdapter:
    return WebhookAdapter(environment(private=private, total=total))


def outgoing(**body: Any) -> Outgoing:
    content = {"id": "evt_1", "type": "points.earned"} | body
    return Outgoing(event_id=str(content["id"]), body=content, correlation_id=uuid4())


def send(url: str, **options: Any) -> Outcome:
    return adapter(**options).send(signed(url), [outgoing()])[0]
