"""What every adapter promises: deliveries in, one outcome for each out, and no database.

An adapter never raises for what a destination does; it says what it means:

- Delivered: the destination has it.
- Retryable: it may work later (no answer, busy, an error of theirs).
- Permanent: this event will never be taken; others may.
- Configuration: nothing will be taken until a person changes something.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

ANSWER_CHARACTERS = 2048


class ConfigRefused(ValueError):
    """A connection cannot be set up like this; the message says why, to the person who tries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What adapters know of the installation.

    Attributes:
        home: Folder below which the console adapter may write a file.
        allow_private_addresses: Development only: http and addresses inside the network.
        connect_seconds: Longest wait for a connection.
        total_seconds: Hard limit for one call, from resolving the name to the last byte.
    """

    home: Path
    allow_private_addresses: bool = False
    connect_seconds: float = 5.0
    total_seconds: float = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One event on its way: `event_id` is the same at every attempt, `correlation_id` is not."""

    event_id: str
    body: Mapping[str, Any]
    correlation_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a destination did with one delivery.

    Attributes:
        answer: What it said, at most ANSWER_CHARACTERS.
        error: One sentence for the person who looks at the delivery; empty if it was delivered.
    """

    status_code: int | None = None
    answer: str = ""
    error: str = ""
    duration_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered(Outcome):
    """The destination has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retryable(Outcome):
    """It may work later.

    Attributes:
        retry_after: Seconds that the destination asked for.
        throttled: The destination is too busy: spare it as a whole, not only this lane.
    """

    retry_after: float | None = None
    throttled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Permanent(Outcome):
    """This event will never be taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration(Outcome):
    """Nothing will be taken until a person changes something; `gone`: stop at once."""

    gone: bool = False


class Adapter(Protocol):
    """One kind of destination.

    Attributes:
        batch_size: How many deliveries of one lane it wants in one call.
        is_signed: Whether it uses the connection's signing secrets.
    """

    batch_size: int
    is_signed: bool

    def check(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the configuration as it is to be stored.

        Raises:
            ConfigRefused: If a connection cannot be set up like this.
        """
        ...

    def send(
        self,
        *,
        config: Mapping[str, Any],
        secrets: Sequence[str],
        deliveries: Sequence[Outgoing],
    ) -> list[Outcome]:
        """Send in order and return one outcome for each, or stop after the first that failed.

        Args:
            secrets: Valid signing secrets, the current one first.
        """
        ...
