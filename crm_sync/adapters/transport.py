"""HTTP to strangers: checked addresses, one hard deadline, no redirects, no proxies.

httpx's own time-outs are per read: a server that sends one byte every four seconds is never late.
Here every read, write and handshake gets what is left of the call's deadline.
"""

import math
import os
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import httpcore
import httpx

from crm_sync.adapters import addresses

_WITH_BODY = {"POST", "PUT", "PATCH"}  # even if it is empty
_AT_ONCE_BYTES = 64 * 1024  # of a request, gathered before it is sent
_KEEPALIVE_SECONDS = 2.0  # shorter than any server's, so that hardly one closes as we write
_MOMENT_SECONDS = 0.2  # who answers within it is quick
_deadline: ContextVar[float] = ContextVar("deadline")
_is_begun: ContextVar[bool] = ContextVar("is_begun")  # a part of the request may have been sent
_moment: ContextVar[float] = ContextVar("moment")  # when it ends that a call may take at no cost
_let_go: ContextVar[Callable[[], None] | None] = ContextVar("let_go", default=None)


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Let all network calls inside the block, in this thread, end within so many seconds.

    Inside another such block, whichever ends first holds.
    """
    token = _deadline.set(min(time.monotonic() + seconds, _deadline.get(math.inf)))
    try:
        yield
    finally:
        _deadline.reset(token)


@contextmanager
def letting_go(let_go: Callable[[], None]) -> Iterator[None]:
    """Let calls inside the block, in this thread, let go of what others may need meanwhile.

    Before a connection is made, and once an answer takes longer than a moment: not for each call
    of a destination that is quick, which would pay for nothing.

    Args:
        let_go: May be called several times.
    """
    token = _let_go.set(let_go)
    try:
        yield
    finally:
        _let_go.reset(token)


@dataclass(frozen=True, slots=True)
class Exchange:
    """What came back."""

    status: int
    headers: httpx.Headers
    content: bytes


@dataclass(frozen=True, slots=True)
class _Wire:
    """A URL as a request has it."""

    url: httpcore.URL
    host: tuple[bytes, bytes]


@lru_cache(maxsize=1000)
def _wire(text: str) -> _Wire:
    url = httpx.URL(text)
    parts = httpcore.URL(
        scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
    )
    return _Wire(parts, (b"host", url.netloc))


class Connections:
    """Connections to public addresses only, kept open between calls.

    httpcore's pool by itself, with a network backend of our own. What httpx's client does above it
    is not wanted here (redirects, proxies of the environment, and cookies: those that one
    destination sets must not go out with another connection's call), and costs as much again.
    """

    def __init__(self, *, allow_private: bool, connect_seconds: float) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=_tls(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")),
            max_connections=256,
            max_keepalive_connections=32,
            keepalive_expiry=_KEEPALIVE_SECONDS,
            network_backend=_Backend(allow_private, connect_seconds),
        )

    def exchange(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes, *, most_bytes: int
    ) -> Exchange:
        """Send a request inside a `deadline`, and read at most so many bytes of the answer.

        AddressRefused and NameNotResolved pass through as they are, and so does UnicodeEncodeError
        for a header that is not ASCII.

        Raises:
            httpx.HTTPError: There is no answer.
        """
        wire = _wire(url)
        lines = [wire.host, *((n.encode("ascii"), v.encode("ascii")) for n, v in headers.items())]
        if content or method in _WITH_BODY:
            lines.append((b"content-length", b"%d" % len(content)))
        call = httpcore.Request(method, wire.url, headers=lines, content=content)
        _is_begun.set(False)
        _moment.set(time.monotonic() + _MOMENT_SECONDS)
        with _as_httpx_errors():
            answer = self._pool.handle_request(call)
            try:
                content = _read(answer, most_bytes)
            finally:
                answer.close()
        return Exchange(answer.status, httpx.Headers(answer.headers), content)


def _read(answer: httpcore.Response, most_bytes: int) -> bytes:
    """Read at most so many bytes; whoever sends more has the connection closed."""
    received = bytearray()
    for chunk in answer.iter_stream():
        received += chunk
        if len(received) > most_bytes:
            break
    return bytes(received[:most_bytes])


@lru_cache(maxsize=4)
def _tls(_file: str | None, _folder: str | None) -> ssl.SSLContext:
    """Read the authorities that the environment names once for all adapters: it takes 20 ms."""
    return httpx.create_ssl_context()


class _Backend(httpcore.NetworkBackend):
    """Resolves names itself and connects to the address that was judged.

    TLS and the Host header keep the name: httpcore takes both from the request's URL.
    """

    def __init__(self, allow_private: bool, connect_seconds: float) -> None:
        self._allow_private = allow_private
        self._connect_seconds = connect_seconds
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        _wait_long()
        until = time.monotonic() + min(self._connect_seconds, _left())
        found = addresses.resolve(
            host, port, seconds=until - time.monotonic(), allow_private=self._allow_private
        )
        failure: Exception = httpcore.ConnectTimeout("no address answered")
        for address in found:
            try:
                seconds = max(until - time.monotonic(), 0.001)
                return _Stream(self._plain.connect_tcp(address, port, timeout=seconds))
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


class _Stream(httpcore.NetworkStream):
    """Sends head and body at once: httpcore writes them one after the other, then reads."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream
        self._unsent = b""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._unsent:
            # A server may have answered, and closed, before it had read all: as httpcore does.
            with suppress(httpcore.WriteError):
                self._flush()
        moment = _moment.get() - time.monotonic()
        if moment > 0 and _let_go.get():
            with suppress(httpcore.ReadTimeout):
                return self._stream.read(max_bytes, min(moment, _left()))
        _wait_long()
        return self._stream.read(max_bytes, _left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._unsent += buffer
        if len(self._unsent) >= _AT_ONCE_BYTES:
            _wait_long()  # they may read it as slowly as they like
            self._flush()

    def _flush(self) -> None:
        seconds = _left()
        _is_begun.set(True)
        unsent, self._unsent = self._unsent, b""
        self._stream.write(unsent, seconds)

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, _left()))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    def close(self) -> None:
        self._stream.close()


def _wait_long() -> None:
    if let_go := _let_go.get():
        let_go()


def _left() -> float:
    seconds = _deadline.get() - time.monotonic()
    if seconds > 0:
        return seconds
    # Whoever waits for an answer cannot know; whoever has sent nothing does.
    late = httpcore.ReadTimeout if _is_begun.get() else httpcore.ConnectTimeout
    raise late("the deadline has passed")


@contextmanager
def _as_httpx_errors() -> Iterator[None]:
    try:
        yield
    except httpcore.ConnectTimeout as error:
        raise httpx.ConnectTimeout(str(error)) from error
    except httpcore.ConnectError as error:
        raise httpx.ConnectError(str(error)) from error
    except httpcore.TimeoutException as error:
        raise httpx.TimeoutException(str(error)) from error
    except httpcore.NetworkError as error:
        raise httpx.NetworkError(str(error)) from error
    except httpcore.LocalProtocolError as error:
        raise httpx.LocalProtocolError(str(error)) from error
    except httpcore.ProtocolError as error:
        raise httpx.ProtocolError(str(error)) from error
