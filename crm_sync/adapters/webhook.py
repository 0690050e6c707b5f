"""Signed JSON to any public URL, as Standard Webhooks 1.0 asks for."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any, Final

import httpx
import orjson
from standardwebhooks import Webhook

from crm_sync.adapters import transport
from crm_sync.adapters.addresses import AddressRefused, NameNotResolved, resolve
from crm_sync.adapters.contract import (
    ANSWER_CHARACTERS,
    ConfigRefused,
    Configuration,
    Delivered,
    Environment,
    Outcome,
    Outgoing,
    Permanent,
    Retryable,
)

ANSWER_BYTES: Final = 64 * 1024
RETRY_AFTER_SECONDS_MAX: Final = 3600.0
_URL_CHARACTERS = 2000
# The destination read this event and will not have it. 400 is not among them: receivers answer it
# to a signature that they cannot verify, and a wrong secret must not cost a single event.
_REFUSED_EVENT = {413, 422}
_WRONG_SETUP = {401, 403, 404, 405, 410, 415}
_BUSY = {429, 502, 503, 504}


class WebhookAdapter:
    """POSTs one event in one request; 2xx is delivered, everything else is not."""

    batch_size = 1
    is_signed = True

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    def check(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return {"url": …}; refuse what is not HTTPS or leads to an address that is not public."""
        unknown = set(config) - {"url"}
        if unknown:
            raise ConfigRefused(f"A webhook has no setting named {sorted(unknown)[0]}.")
        url = self._parse(str(config.get("url") or ""))
        try:
            resolve(
                url.host,
                url.port or 443,
                seconds=self._environment.connect_seconds,
                allow_private=self._environment.allow_private_addresses,
            )
        except (AddressRefused, NameNotResolved) as error:
            raise ConfigRefused(str(error)) from None
        return {"url": str(url)}

    def send(
        self, *, config: Mapping[str, Any], secrets: Sequence[str], deliveries: Sequence[Outgoing]
    ) -> list[Outcome]:
        """POST each event; stop after the first that failed."""
        outcomes: list[Outcome] = []
        for delivery in deliveries:
            began = time.monotonic()
            outcome = self._send_one(str(config.get("url")), secrets, delivery)
            took_ms = round((time.monotonic() - began) * 1000)
            outcomes.append(replace(outcome, duration_ms=took_ms))
            if not isinstance(outcome, Delivered):
                break
        return outcomes

    def _send_one(self, url: str, secrets: Sequence[str], delivery: Outgoing) -> Outcome:
        body = orjson.dumps(delivery.body)
        try:
            # Parsed again: the rules may have become stricter since the connection was made.
            checked = self._parse(url)
            with (
                transport.deadline(self._environment.total_seconds),
                self._client.stream(
                    "POST", checked, content=body, headers=_headers(delivery, secrets, body)
                ) as answer,
            ):
                return outcome_of(answer.status_code, answer.headers, _read(answer))
        except (ConfigRefused, AddressRefused) as error:
            return Configuration(error=str(error))
        except NameNotResolved as error:
            return Retryable(error=str(error))
        except httpx.TimeoutException:
            return Retryable(error="The destination did not answer in time.")
        except httpx.NetworkError as error:
            return Retryable(error=f"The connection failed: {error}."[:500])
        except httpx.HTTPError as error:
            return Retryable(error=f"The answer is not HTTP: {error}."[:500])

    @cached_property
    def _client(self) -> httpx.Client:
        return transport.open_client(
            allow_private=self._environment.allow_private_addresses,
            connect_seconds=self._environment.connect_seconds,
        )

    def _parse(self, text: str) -> httpx.URL:
        try:
            url = httpx.URL(text)
        except (httpx.InvalidURL, ValueError) as error:
            raise ConfigRefused(f"This is not a URL: {error}.") from None
        schemes = {"https", "http"} if self._environment.allow_private_addresses else {"https"}
        if url.scheme not in schemes or not url.host:
            raise ConfigRefused("Write the whole URL, beginning with https://.")
        if not 1 <= (url.port or 443) <= 65_535:
            raise ConfigRefused(f"{url.port} is not a port.")
        if url.userinfo or url.fragment or len(text) > _URL_CHARACTERS:
            raise ConfigRefused("Leave out user name, password and #fragment; 2,000 characters.")
        return url


def outcome_of(status: int, headers: Mapping[str, str], answer: str) -> Outcome:
    """Say what an HTTP status means for the event and for the destination."""
    if 200 <= status < 300:
        return Delivered(status_code=status, answer=answer)
    error = f"The destination answered {status}."
    if 300 <= status < 400:
        error = f"The destination answered {status}; redirects are not followed: give its new URL."
        return Configuration(status_code=status, answer=answer, error=error)
    if status in _WRONG_SETUP:
        return Configuration(status_code=status, answer=answer, error=error, gone=status == 410)
    if status in _REFUSED_EVENT:
        return Permanent(status_code=status, answer=answer, error=error)
    return Retryable(
        status_code=status,
        answer=answer,
        error=error,
        retry_after=_retry_after(headers.get("retry-after", "")),
        throttled=status in _BUSY,
    )


def _headers(delivery: Outgoing, secrets: Sequence[str], body: bytes) -> dict[str, str]:
    now = datetime.now(UTC)
    text = body.decode()
    signatures = [Webhook(secret).sign(delivery.event_id, now, text) for secret in secrets]
    return {
        "content-type": "application/json",
        "accept-encoding": "identity",  # nothing to unpack: no bomb to go off
        "user-agent": "loyalty-webhook/1",
        "webhook-id": delivery.event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
        "x-correlation-id": delivery.correlation_id.hex,
    }


def _read(answer: httpx.Response) -> str:
    """Read at most ANSWER_BYTES; whoever sends more has the connection closed."""
    received = bytearray()
    for chunk in answer.iter_raw():
        received += chunk
        if len(received) > ANSWER_BYTES:
            break
    text = bytes(received[:ANSWER_BYTES]).decode("utf-8", "replace")
    return text.replace("\x00", "�")[:ANSWER_CHARACTERS]


def _retry_after(text: str) -> float | None:
    """Read seconds or an HTTP date; nonsense is None, and nobody waits longer than an hour."""
    try:
        seconds = float(int(text))
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return None
    return min(max(seconds, 0.0), RETRY_AFTER_SECONDS_MAX)
