"""Signed JSON to any public URL, as Standard Webhooks 1.0 asks for."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from standardwebhooks import Webhook

from crm_sync.adapters.access import Target
from crm_sync.adapters.client import (
    BUSY,
    Answer,
    Client,
    Request,
    check_address,
    read_retry_after,
    timed,
)
from crm_sync.adapters.contract import ConfigRefused, Environment, Outgoing, Setting
from crm_sync.adapters.outcomes import Configuration, Delivered, Outcome, Permanent, Retryable

ANSWER_BYTES: Final = 64 * 1024
# The destination read this event and will not have it. 400 is not among them: receivers answer it
# to a signature that they cannot verify, and a wrong secret must not cost a single event.
_REFUSED_EVENT = {413, 422}
_WRONG_SETUP = {401, 403, 404, 405, 410, 415}


class WebhookAdapter:
    """POSTs one event in one request; 2xx is delivered, everything else is not."""

    title = "Webhook: signed JSON to an address of yours"
    settings = (
        Setting(
            name="url",
            label="Address",
            help="https://… on the public internet.",
            is_required=True,
        ),
    )
    batch_size = 1
    is_signed = True

    def __init__(self, environment: Environment) -> None:
        self._client = Client(environment)

    def check(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return {"url": …}; refuse what is not HTTPS or leads to an address that is not public."""
        unknown = set(config) - {"url"}
        if unknown:
            raise ConfigRefused(f"A webhook has no setting named {sorted(unknown)[0]}.")
        return {"url": check_address(str(config.get("url") or ""), self._client.environment)}

    def send(self, target: Target, deliveries: Sequence[Outgoing]) -> list[Outcome]:
        """POST each event; stop after the first that failed."""
        outcomes: list[Outcome] = []
        for delivery in deliveries:
            outcomes.append(self.probe(target, delivery))
            if not isinstance(outcomes[-1], Delivered):
                break
        return outcomes

    def probe(self, target: Target, event: Outgoing) -> Outcome:
        """POST an event."""
        return timed(lambda: self._post(target, event))

    def _post(self, target: Target, delivery: Outgoing) -> Outcome:
        body = orjson.dumps(delivery.body)
        request = Request(
            method="POST",
            url=str(target.config.get("url")),
            headers=_headers(delivery, target.signing_secrets, body),
            content=body,
        )
        return outcome_of(self._client.call(target, request, most_bytes=ANSWER_BYTES))


def outcome_of(answer: Answer) -> Outcome:
    """Say what an HTTP status means for the event and for the destination."""
    status, text = answer.status, answer.text
    if 200 <= status < 300:
        return Delivered(status_code=status, answer=text)
    error = f"The destination answered {status}."
    if 300 <= status < 400:
        error = f"The destination answered {status}; redirects are not followed: give its new URL."
        return Configuration(status_code=status, answer=text, error=error)
    if status in _WRONG_SETUP:
        return Configuration(status_code=status, answer=text, error=error, gone=status == 410)
    if status in _REFUSED_EVENT:
        return Permanent(status_code=status, answer=text, error=error)
    return Retryable(
        status_code=status,
        answer=text,
        error=error,
        retry_after=read_retry_after(answer.headers.get("retry-after", "")),
        throttled=status in BUSY,
    )


def _headers(delivery: Outgoing, secrets: Sequence[str], body: bytes) -> dict[str, str]:
    now = datetime.now(UTC)
    text = body.decode()
    signatures = [Webhook(secret).sign(delivery.event_id, now, text) for secret in secrets]
    return {
        "content-type": "application/json",
        "user-agent": "loyalty-webhook/1",
        "webhook-id": delivery.event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
        "x-correlation-id": delivery.correlation_id.hex,
        **_request_of(delivery.body),
    }


def _request_of(body: Mapping[str, Any]) -> dict[str, str]:
    """Name the request that a till or checkout made, so that both logs have the same id."""
    request_id = body.get("cause", {}).get("request_id")
    return {"x-request-id": request_id} if request_id else {}
