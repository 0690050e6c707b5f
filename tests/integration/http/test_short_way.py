"""The API's requests go past what only pages need, and get what pages get where it matters."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.core.signals import request_finished, request_started
from django.db import connections
from django.test import Client, RequestFactory

from config import short_way
from config.short_way import ApiFirst, Handler
from tests.integration.http.caller import Caller, Shop


class Served:
    """What the web server gets of one request."""

    def __init__(self, path: str, **headers: str) -> None:
        environ = RequestFactory().get(path, headers=headers).environ
        answer = Handler()(environ, self._start)
        self.body = b"".join(answer)
        close = getattr(answer, "close", None)
        if close is not None:
            close()

    def _start(self, status: str, headers: list[tuple[str, str]]) -> None:
        self.status, self.headers = int(status[:3]), dict(headers)


@pytest.fixture
def told() -> Iterator[list[Any]]:
    """Return what Django's signals told of requests, and let nobody else hear them."""
    heard: list[Any] = []

    def hear(signal: Any, **_: Any) -> None:
        heard.append(signal)

    kept = [(signal, signal.receivers) for signal in (request_started, request_finished)]
    for signal, _ in kept:
        signal.receivers = []
        signal.connect(hear)
    yield heard
    for signal, receivers in kept:
        signal.receivers = receivers


@pytest.fixture
def dropped(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return how often connections were given back, and leave the test its own."""
    calls: list[str] = []
    ours = connections["default"]
    monkeypatch.setattr(ours, "close_if_unusable_or_obsolete", lambda: calls.append("closed"))
    return calls


@pytest.mark.parametrize("path", ["/v1/program", "/v1/nothing", "/v1/members/nobody"])
def test_the_server_sends_what_a_test_sees(
    still_api: Caller, told: list[Any], dropped: list[str], path: str
) -> None:
    key = {"Authorization": f"Bearer {still_api.key}", "X-Request-Id": "one"}
    seen = Client().get(path, headers=key)
    told.clear()
    served = Served(path, **key)
    assert (served.status, served.body) == (seen.status_code, seen.content)
    assert served.headers == dict(seen.headers)
    assert served.headers["Content-Length"] == str(len(served.body))
    assert served.headers["X-Content-Type-Options"] == "nosniff"
    assert served.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert (told, dropped) == ([], ["closed"])


def test_a_stream_is_sent_to_its_end_and_then_told(
    still_shop: Shop, still_api: Caller, told: list[Any], dropped: list[str]
) -> None:
    path = f"/v1/members/{still_shop.member}/export"
    served = Served(path, Authorization=f"Bearer {still_api.key}")
    assert served.status == 200 and served.body.endswith(b"}")
    assert "Content-Length" not in served.headers
    assert (told, dropped) == ([request_finished], [])


def test_pages_go_the_long_way(told: list[Any], dropped: list[str]) -> None:
    served = Served("/healthz")
    assert served.status == 200
    assert (told, dropped) == ([request_started, request_finished], [])


def test_addresses_with_somebody_in_them_are_not_kept(still_shop: Shop, still_api: Caller) -> None:
    way = ApiFirst(lambda request: pytest.fail("the API is answered here"))
    for path in ("/v1/program", f"/v1/members/{still_shop.member}", "/v1/nothing", "/v1/program"):
        way(RequestFactory().get(path))
    assert list(way.addresses) == ["/v1/program"]


def test_only_some_hosts_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "ALLOWED_HOSTS", [".example"])
    monkeypatch.setattr(short_way, "HOSTS_MOST", 2)
    way = ApiFirst(lambda request: pytest.fail("the API is answered here"))
    for number in range(4):
        way(RequestFactory().get("/v1/program", headers={"Host": f"n{number}.example"}))
    assert len(way.hosts) == 2


@pytest.mark.parametrize("address", ["", "/ledger", "/tier", "/rewards"])
def test_what_is_read_after_the_database_was_restarted_is_answered(
    still_shop: Shop, still_api: Caller, address: str
) -> None:
    path, key = f"/v1/members/{still_shop.member}{address}", f"Bearer {still_api.key}"
    assert Served(path, Authorization=key).status == 200
    ours = connections["default"]
    other = ours.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [ours.connection.info.backend_pid])
    other.close()
    assert Served(path, Authorization=key).status == 200
