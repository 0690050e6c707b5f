"""What an adapter is given of a connection: settings, secrets, tokens, and leave to call."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


class MustWait(Exception):
    """The call may not be made yet: the vendor's limit, or somebody is renewing the token."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"{seconds:.1f} s")
        self.seconds = seconds


class SecretMissing(Exception):
    """A secret was never given, or cannot be read with the keys that are configured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What an authorisation server gave.

    Attributes:
        seconds: How long it is good for.
        rotated: Secrets that it replaced, by name, such as a refresh token; stored with the token
            in one step, so that neither is ever without the other.
    """

    access_token: str
    seconds: float
    rotated: Mapping[str, str] = field(default_factory=dict)


class Credentials(Protocol):
    """The connection's secrets, decrypted when they are needed."""

    def get(self, name: str) -> str:
        """Give a secret that a person filled in.

        Raises:
            SecretMissing: There is none.
        """
        ...

    def token(self, obtain: Callable[[], Token], *, refused: str = "") -> str:
        """Give an access token that is good for a while, obtaining one where there is none.

        One worker obtains it, the others wait: a refresh token that rotates is used only once.

        Args:
            obtain: Asks the vendor; raises what its calls raise. It reads the refresh token with
                `get` itself, so that it has the newest one.
            refused: The token that the vendor has just refused: not that one again.

        Raises:
            MustWait: Somebody else is obtaining one right now.
        """
        ...


@dataclass(frozen=True, slots=True)
class Limit:
    """So many calls in so many seconds, evenly; after a rest `burst` may come at once.

    Both add up: in any such stretch of time it may be `calls + burst - 1`.

    Attributes:
        name: Calls under one name share the limit; all workers of the connection do.
    """

    name: str
    calls: int
    seconds: float
    burst: int = 1


class Throttle(Protocol):
    """Keeps all workers together within the vendor's limits."""

    def take(self, limit: Limit, units: int = 1) -> None:
        """Take leave for a call that costs so much, when there is as much.

        Raises:
            MustWait: Not yet.
        """
        ...

    def hold(self, limit: Limit, seconds: float) -> None:
        """Let nobody call for so long: the vendor's own headers say that nothing is left."""
        ...


@dataclass(slots=True)
class Prepaid:
    """Leave for several calls that was taken at once, so that the last need not wait."""

    throttle: Throttle
    name: str
    units: int

    def take(self, limit: Limit, units: int = 1) -> None:
        """Use what was taken; what it does not cover is taken now.

        Raises:
            MustWait: It does not, and not yet.
        """
        if limit.name == self.name and units <= self.units:
            self.units -= units
        else:
            self.throttle.take(limit, units)

    def hold(self, limit: Limit, seconds: float) -> None:
        """Let nobody else call for so long."""
        self.throttle.hold(limit, seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One connection, as its adapter sees it.

    Attributes:
        signing_secrets: Valid secrets for our signatures, the current one first.
    """

    config: Mapping[str, Any]
    credentials: Credentials
    throttle: Throttle
    signing_secrets: Sequence[str] = ()
