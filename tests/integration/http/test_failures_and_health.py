"""What happens when something is wrong on our side, and how operations see it (scenario 16)."""

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import psycopg_pool
import pytest
from django.db import OperationalError, connection, transaction
from django.test import Client, override_settings

from loyalty.http import auth, health, limits, reads
from loyalty.http.views import error_of
from loyalty.members import api as members_api
from tests.integration.http.caller import Caller, Shop, code_of


def broken(error: Exception) -> Any:
    """Return a function that raises."""

    def fail(*_: Any, **__: Any) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (psycopg.OperationalError("the server is gone"), 503, "database_unavailable"),
        (OperationalError("the server is gone"), 503, "database_unavailable"),
        (psycopg.InterfaceError("the connection is closed"), 503, "database_unavailable"),
        (psycopg.errors.DiskFull("no space left"), 503, "database_unavailable"),
        (psycopg_pool.PoolTimeout("none became free"), 503, "overloaded"),
        (psycopg.ProgrammingError("a mistake of ours"), 500, "internal"),
        (ZeroDivisionError("a mistake of ours"), 500, "internal"),
    ],
)
def test_what_breaks_is_a_problem_that_says_no_more_than_it_should(
    still_shop: Shop,
    still_api: Caller,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    status: int,
    code: str,
) -> None:
    if isinstance(error, OperationalError):
        error.__cause__ = psycopg.OperationalError("the server is gone")
    monkeypatch.setattr(members_api, "member_view", broken(error))
    response = still_api.get(f"/v1/members/{still_shop.member}")
    assert code_of(response) == (status, code)
    assert str(error).encode() not in response.content
    assert ("Retry-After" in response.headers) == (status == 503)
    assert json.loads(response.content)["retry"] == "same_key"


def test_a_pool_without_a_free_connection_is_told_apart_although_django_wraps_it() -> None:
    wrapped = OperationalError("…")
    wrapped.__cause__ = psycopg_pool.PoolTimeout("none became free")
    assert error_of(wrapped).code == "overloaded"


def test_a_connection_that_died_while_it_was_idle_is_replaced(still_api: Caller) -> None:
    auth._known.clear()
    connection.ensure_connection()
    connection.connection.close()
    assert still_api.get("/v1/events").status_code == 200


def test_an_idle_connection_that_the_server_ended_is_replaced(
    still_shop: Shop, still_api: Caller
) -> None:
    still_api.get("/v1/events")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        [pid] = cursor.fetchone()
    parameters = connection.get_connection_params()
    names = ("dbname", "user", "password", "host", "port")
    with psycopg.connect(**{n: parameters[n] for n in names}, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    auth._known.clear()
    assert still_api.get(f"/v1/members/{still_shop.member}/balance").status_code == 200


def test_what_died_in_a_pool_costs_nobody_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    pooled = connection.copy()
    options = {**pooled.settings_dict["OPTIONS"], "pool": {"min_size": 0, "max_size": 3}}
    pooled.settings_dict |= {"OPTIONS": options, "CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": False}
    others = [pooled, *(pooled.copy() for _ in range(2))]
    for other in others:
        other.inc_thread_sharing()
        other.ensure_connection()
    pids = [other.connection.info.backend_pid for other in others]
    for other in others:
        other.close()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid, 5000) FROM unnest(%s) AS pid", [pids])
    monkeypatch.setattr(reads, "connection", pooled)
    assert reads.fetch("SELECT 1") == [(1,)]
    pooled.close()
    pooled.close_pool()


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/members/", "/v1/earn/", "/v1/members/a/b/c"])
def test_an_address_that_does_not_exist_is_a_problem_too(path: str, debug: bool) -> None:
    with override_settings(DEBUG=debug):
        response = Client(raise_request_exception=False).get(path)
    assert code_of(response) == (404, "not_found")
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["X-Request-Id"]


def test_outside_the_api_a_404_is_a_problem_too() -> None:
    assert code_of(Client().get("/favicon.ico")) == (404, "not_found")


def test_a_host_that_is_not_ours_is_refused() -> None:
    response = Client(raise_request_exception=False).get("/v1/events", headers={"Host": "evil"})
    assert code_of(response) == (400, "request_refused")


# Health


def test_the_process_lives() -> None:
    assert Client().get("/healthz").status_code == 200


def test_it_is_ready_where_the_database_is_durable_and_migrated(committed: None) -> None:
    durable = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
    response = Client().get("/readyz")
    found = json.loads(response.content)
    with connection.cursor() as cursor:
        cursor.execute(health._SETTINGS.replace("$1", "%s"), [list(durable)])
        off = [name for name, value in cursor.fetchall() if value == "off"]
    assert response.status_code == (503 if off else 200)
    assert len(found["reasons"]) == len(off)


@pytest.mark.parametrize("name", ["fsync", "synchronous_commit", "full_page_writes"])
def test_scenario_16_it_refuses_a_database_that_may_lose_what_it_acknowledged(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    settings = [(each, "off" if each == name else "on") for each in health.DURABILITY]
    monkeypatch.setattr(health, "fetch", lambda sql, parameters: settings)
    response = Client().get("/readyz")
    assert response.status_code == 503
    [reason] = json.loads(response.content)["reasons"]
    assert f"Set {name} = on." in reason


def test_scenario_16_the_settings_are_those_of_our_own_connection() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
        try:
            reasons = health.reasons_against()
        finally:
            cursor.execute("RESET synchronous_commit")
    assert any("synchronous_commit" in reason for reason in reasons)


@pytest.mark.parametrize("name", ["lock_timeout", "idle_in_transaction_session_timeout"])
def test_it_says_which_time_limit_was_lost_on_the_way_to_the_database(name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET {name} = 0")
        try:
            reasons = health.reasons_against()
        finally:
            cursor.execute(f"RESET {name}")
    assert [reason for reason in reasons if f"SET {name} = '" in reason]
    assert not [reason for reason in health.reasons_against() if name in reason]


def test_it_is_not_ready_before_it_is_migrated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_migrated", False)
    monkeypatch.setattr(health, "_not_durable", list)
    plan = [("0009_more", False)]
    monkeypatch.setattr(health.MigrationExecutor, "migration_plan", lambda *_: plan)
    assert "manage.py migrate" in health.reasons_against()[0]


def test_it_is_not_ready_without_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "fetch", broken(psycopg.OperationalError("secret host name")))
    response = Client().get("/readyz")
    assert response.status_code == 503
    assert b"secret" not in response.content


def test_a_dead_redis_is_told_and_does_not_matter(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setattr(health, "_not_durable", list)
    assert json.loads(Client().get("/readyz").content)["redis"] == "ok"
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    response = Client().get("/readyz")
    assert response.status_code == 200
    assert json.loads(response.content)["redis"] == "unreachable"


# Limits of keys


@pytest.fixture
def new_limits() -> Iterator[None]:
    """Forget the client of Redis, before and after."""
    limits._client.cache_clear()
    yield
    limits._client.cache_clear()


@pytest.mark.parametrize("redis_url", [None, "redis://127.0.0.1:1/0"])
def test_a_key_with_a_limit_is_slowed_down_with_and_without_redis(
    still_shop: Shop, settings: Any, new_limits: None, redis_url: str | None
) -> None:
    if redis_url:
        settings.REDIS_URL = redis_url
    caller = Caller(still_shop.program_id, rate_limit=3)
    answers = [caller.get("/v1/events") for _ in range(7)]  # two minutes at most
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused and answers[0].status_code == 200
    assert code_of(refused[0]) == (429, "rate_limited")
    assert 1 <= int(refused[0].headers["Retry-After"]) <= 60


def test_a_key_without_a_limit_asks_redis_nothing(
    still_api: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "_client", broken(AssertionError("asked")))
    assert still_api.get("/v1/events").status_code == 200


def test_rollbacks_of_others_do_not_end_the_engines_statements(shop: Shop, api: Caller) -> None:
    """psycopg ends all prepared statements after a rollback, if it has prepared one itself."""
    for _ in range(6):
        method, path, body = shop.call("preview_earn")
        assert api.call(method, path, body).status_code == 200
        auth._known.clear()
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            shop.till.program.refresh_from_db()
            raise ZeroDivisionError
        method, path, body = shop.call("earn")
        assert api.call(method, path, body).status_code == 201


def test_who_types_the_host_alone_gets_to_the_admin() -> None:
    answer = Client().get("/")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/")
