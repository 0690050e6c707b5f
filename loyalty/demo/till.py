"""A till: sends requests over one kept connection, and sends them again where that may help."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from loyalty.demo.tally import Tally

TRIES = 8
PAUSE_SECONDS, PAUSE_MAX = 0.2, 5.0
TRY_AGAIN = frozenset({429, 500, 502, 503, 504})


class ServerGone(Exception):
    """Nobody answers, or nobody who may let us in; its sentence says what to do."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a till was answered."""

    status: int
    body: dict[str, Any]

    @property
    def is_refusal(self) -> bool:
        """Tell whether it is a problem document."""
        return self.status >= 400

    @property
    def code(self) -> str:
        """Give the code of a refusal."""
        return str(self.body.get("code", self.status))


class Till:
    """One connection to the engine, and the count of what happened on it."""

    def __init__(self, *, base_url: str, api_key: str) -> None:
        self.tally = Tally()
        self._client = httpx.Client(
            base_url=base_url,
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=30,
            trust_env=False,
        )

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def get(self, path: str, **query: Any) -> Reply:
        """Read something."""
        return self._send("GET", path, params=query)

    def post(self, path: str, body: Mapping[str, Any], *, key: str, **query: str) -> Reply:
        """Change something, under a key that makes it safe to ask again."""
        reply = self._send("POST", path, json=body, params=query, headers={"Idempotency-Key": key})
        if reply.is_refusal:
            self.tally.refused[reply.code] += 1
        return reply

    def _send(self, method: str, path: str, **request: Any) -> Reply:
        """Ask until there is an answer that stands.

        Raises:
            ServerGone: There is none after some seconds, or the key is not let in.
        """
        trouble = ""
        for attempt in range(TRIES):
            if attempt:
                self.tally.retries += 1
                time.sleep(min(PAUSE_SECONDS * 2**attempt, PAUSE_MAX))
            began = time.perf_counter()
            try:
                response = self._client.request(method, path, **request)
            except httpx.TransportError as error:
                trouble = str(error) or type(error).__name__
                continue
            self.tally.milliseconds.append((time.perf_counter() - began) * 1000)
            reply = _read(response)
            if reply.status in TRY_AGAIN or reply.code == "request_in_progress":
                trouble = f"{reply.status} {reply.code}"
                continue
            if reply.status in (301, 302, 308):
                raise ServerGone(f"Use {response.headers.get('Location')} as the base URL.")
            if reply.status in (401, 403):
                raise ServerGone(reply.body.get("detail", "The API key is not let in."))
            return reply
        raise ServerGone(
            f"{self._client.base_url} does not answer ({trouble}): see that the engine runs there,"
            " then run the same command again; what is done stays done."
        )


def _read(response: httpx.Response) -> Reply:
    try:
        body = response.json()
    except ValueError:
        body = {}
    return Reply(response.status_code, body if isinstance(body, dict) else {})
