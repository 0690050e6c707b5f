"""Calls over HTTP as every adapter makes them: leave taken before, tokens renewed, answers bounded.

`Client.call` gives whatever the vendor answered; where there is no answer it raises `CallFailed`
with the outcome that this is. `timed` turns a call into an outcome.
"""

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property, lru_cache, partial
from typing import Any, Final, TypeVar

import httpx
import orjson

from crm_sync.adapters import transport
from crm_sync.adapters.access import Limit, MustWait, Prepaid, SecretMissing, Target, Token
from crm_sync.adapters.addresses import AddressRefused, NameNotResolved, resolve
from crm_sync.adapters.contract import ConfigRefused, Environment, Match, Person, Setting
from crm_sync.adapters.outcomes import (
    ANSWER_CHARACTERS,
    Configuration,
    Delivered,
    Outcome,
    Permanent,
    Postponed,
    Retryable,
    Skipped,
)

ANSWER_BYTES: Final = 4 * 1024 * 1024
RETRY_AFTER_SECONDS_MAX: Final = 3600.0
BUSY: Final = frozenset({429, 502, 503, 504})
PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504, *range(520, 525)})
_URL_CHARACTERS = 2000
_ERRNO: Final = re.compile(r"\[Errno -?\d+\] ")
_HEADERS: Final = {"accept": "*/*", "user-agent": "loyalty/1"}
Delivery = TypeVar("Delivery")


class CallFailed(Exception):
    """There is no answer; the outcome says why."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.error)
        self.outcome = outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call.

    Attributes:
        limit: The vendor's limit that it counts against.
        units: How much of the limit it takes.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes = b""
    limit: Limit | None = None
    units: int = 1

    def with_header(self, name: str, value: str) -> "Request":
        """Give the same call with one more header."""
        return replace(self, headers={**self.headers, name: value})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a vendor answered, whatever the status."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def text(self) -> str:
        """Give the first characters, for people to read."""
        text = self.content[: 4 * ANSWER_CHARACTERS].decode("utf-8", "replace")
        return text.replace("\x00", "�")[:ANSWER_CHARACTERS]

    def json(self) -> Any:
        """Read the content.

        Raises:
            CallFailed: It is not JSON: something between us and the vendor has answered.
        """
        try:
            return orjson.loads(self.content)
        except orjson.JSONDecodeError:
            error = f"The answer {self.status} is not JSON."
            raise CallFailed(
                Retryable(
                    status_code=self.status, answer=self.text, error=error, may_have_arrived=True
                )
            ) from None


class Client:
    """Calls of one adapter; connections are kept open between calls."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment

    def call(self, target: Target, request: Request, *, most_bytes: int = ANSWER_BYTES) -> Answer:
        """Make one call.

        Raises:
            CallFailed: No answer, no leave to call, or an address that may not be called.
        """
        try:
            if request.limit is not None:
                target.throttle.take(request.limit, request.units)
            return self._exchange(request, most_bytes)
        except MustWait as wait:
            raise CallFailed(_postponed(wait)) from None
        except (ConfigRefused, AddressRefused) as error:
            raise CallFailed(Configuration(error=str(error))) from None
        except NameNotResolved as error:
            raise CallFailed(Retryable(error=str(error))) from None
        except (httpx.LocalProtocolError, UnicodeEncodeError):
            # What httpx says repeats the value, and the value may be a secret.
            said = (
                "A secret cannot be sent: it is empty, has a line break or a space at its end, or "
                "a character that is not ASCII."
            )
            raise CallFailed(Configuration(error=said)) from None
        except httpx.HTTPError as error:
            raise CallFailed(_no_answer(error)) from None

    def call_with_token(
        self,
        target: Target,
        request: Request,
        obtain: Callable[[], Token],
        *,
        header: str = "authorization",
        prefix: str = "Bearer ",
    ) -> Answer:
        """Make one call with an access token; one that is refused is renewed, once.

        Args:
            header: Where the vendor wants the token.
            prefix: What it wants before it.

        Raises:
            CallFailed: As `call`; or the token cannot be renewed.
        """
        try:
            token = target.credentials.token(obtain)
            answer = self.call(target, request.with_header(header, prefix + token))
            if answer.status == 401:
                token = target.credentials.token(obtain, refused=token)
                answer = self.call(target, request.with_header(header, prefix + token))
        except MustWait as wait:
            raise CallFailed(_postponed(wait)) from None
        except SecretMissing as error:
            raise CallFailed(Configuration(error=str(error))) from None
        return answer

    def _exchange(self, request: Request, most_bytes: int) -> Answer:
        # Judged again: the rules may have become stricter since the connection was made.
        parse_url(request.url, self.environment)
        # Nothing to unpack: no bomb to go off.
        headers = {**_HEADERS, **request.headers, "accept-encoding": "identity"}
        with transport.deadline(self.environment.total_seconds):
            found = self._connections.exchange(
                request.method, request.url, headers, request.content, most_bytes=most_bytes
            )
        return Answer(status=found.status, headers=found.headers, content=found.content)

    @cached_property
    def _connections(self) -> transport.Connections:
        return transport.Connections(
            allow_private=self.environment.allow_private_addresses,
            connect_seconds=self.environment.connect_seconds,
        )


def prepaid(target: Target, limit: Limit, units: int) -> Target:
    """Take leave for several calls at once: what begins will end, and what may not does not begin.

    Raises:
        CallFailed: Not yet.
    """
    try:
        target.throttle.take(limit, units)
    except MustWait as wait:
        raise CallFailed(_postponed(wait)) from None
    return replace(target, throttle=Prepaid(target.throttle, limit.name, units))


def timed(make: Callable[[], Outcome]) -> Outcome:
    """Make a call, and give its outcome with the time that it took."""
    began = time.monotonic()
    try:
        outcome = make()
    except CallFailed as failed:
        outcome = failed.outcome
    except SecretMissing as error:
        outcome = Configuration(error=str(error))
    return replace(outcome, duration_ms=round((time.monotonic() - began) * 1000))


def in_order(deliveries: Iterable[Delivery], send: Callable[[Delivery], Outcome]) -> list[Outcome]:
    """Send one after the other; stop behind the first that neither arrived nor was skipped."""
    outcomes: list[Outcome] = []
    for delivery in deliveries:
        outcomes.append(timed(partial(send, delivery)))
        if not isinstance(outcomes[-1], Delivered | Skipped):
            break
    return outcomes


def match_each(people: Sequence[Person], find: Callable[[Person], Match]) -> list[Match]:
    """Ask for one person after the other; where a call fails, the others are not known either."""
    found: list[Match] = []
    for person in people:
        try:
            found.append(find(person))
        except CallFailed as failed:
            unknown = Match(outcome=failed.outcome)
            return [*found, *[unknown] * (len(people) - len(found))]
    return found


def read_each(
    people: Sequence[Person], read: Callable[[Person], Mapping[str, Any] | None]
) -> list[Mapping[str, Any] | None] | Outcome:
    """Read one person after the other, or give the outcome of the first call that fails."""
    try:
        return [read(person) for person in people]
    except CallFailed as failed:
        return failed.outcome


def read_settings(
    title: str, settings: Sequence[Setting], config: Mapping[str, Any], environment: Environment
) -> dict[str, str]:
    """Read a configuration of these settings; what is not filled in has its default.

    Raises:
        ConfigRefused: There is no such setting, one does not look as it has to, or its `address`
            may not be called.
    """
    told = {setting.name: setting.default for setting in settings if not setting.is_secret}
    for name in sorted(set(config) - set(told)):
        raise ConfigRefused(f"{title} has no setting named {name}.")
    values = {name: str(config.get(name) or default) for name, default in told.items()}
    for setting in settings:
        if setting.pattern and re.fullmatch(setting.pattern, values[setting.name]) is None:
            raise ConfigRefused(f"{setting.label} looks like {setting.default}.")
    if "address" in values:
        values["address"] = values["address"].rstrip("/")
        check_address(values["address"], environment)
    return values


def classify(answer: Answer, *, said: str = "", retry_after: float | None = None) -> Outcome:
    """Say what a status of a vendor's API means, where the vendor has no rules of its own.

    Args:
        said: The vendor's own words about what is wrong.
        retry_after: Where the vendor says it elsewhere than in the header.
    """
    if 200 <= answer.status < 300:
        return Delivered(status_code=answer.status, answer=answer.text)
    error = f"The vendor answered {answer.status}" + (f": {said}" if said else ".")
    if answer.status in PASSING:
        return Retryable(
            status_code=answer.status,
            answer=answer.text,
            error=error,
            retry_after=retry_after or read_retry_after(answer.headers.get("retry-after", "")),
            throttled=answer.status in BUSY,
            may_have_arrived=answer.status not in (408, 425, 429, 503),
        )
    kind = Configuration if answer.status in (401, 403) or answer.status < 400 else Permanent
    return kind(status_code=answer.status, answer=answer.text, error=error)


@lru_cache(maxsize=1000)
def parse_url(text: str, environment: Environment) -> httpx.URL:
    """Read an address to call.

    Raises:
        ConfigRefused: It is no URL, or not https where that is asked for.
    """
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError) as error:
        raise ConfigRefused(f"This is not a URL: {error}.") from None
    schemes = {"https", "http"} if environment.allow_private_addresses else {"https"}
    if url.scheme not in schemes or not url.host:
        raise ConfigRefused("Write the whole URL, beginning with https://.")
    if not 1 <= (url.port or 443) <= 65_535:
        raise ConfigRefused(f"{url.port} is not a port.")
    # What is asked for after ? may be long: a list of people, in a query of ours.
    if url.userinfo or url.fragment or len(text.partition("?")[0]) > _URL_CHARACTERS:
        raise ConfigRefused(
            "Leave out user name, password and #fragment; write at most 2,000 characters."
        )
    return url


def check_address(text: str, environment: Environment) -> str:
    """Read an address, and refuse one that leads to what is not public.

    Raises:
        ConfigRefused: It may not be called.
    """
    url = parse_url(text, environment)
    if len(text) > _URL_CHARACTERS:
        raise ConfigRefused("An address has at most 2,000 characters.")
    try:
        resolve(
            url.host,
            url.port or 443,
            seconds=environment.connect_seconds,
            allow_private=environment.allow_private_addresses,
        )
    except (AddressRefused, NameNotResolved) as error:
        raise ConfigRefused(str(error)) from None
    return str(url)


def read_retry_after(text: str) -> float | None:
    """Read seconds or an HTTP date; nonsense is None, and nobody waits longer than an hour."""
    try:
        seconds = float(int(text))
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return None
    return min(max(seconds, 0.0), RETRY_AFTER_SECONDS_MAX)


def _postponed(wait: MustWait) -> Postponed:
    return Postponed(seconds=wait.seconds, error="Postponed, to keep within the vendor's limits.")


def _no_answer(error: httpx.HTTPError) -> Retryable:
    arrived = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
    if isinstance(error, httpx.TimeoutException):
        sentence = "The destination did not answer in time."
    elif isinstance(error, httpx.NetworkError):
        sentence = f"The connection failed: {_ERRNO.sub('', str(error))}."
    else:
        # Behind a colon comes what was read: words of theirs, which may name somebody.
        sentence = f"The answer is not HTTP: {str(error).partition(':')[0]}."
    return Retryable(error=sentence[:500], may_have_arrived=arrived)
