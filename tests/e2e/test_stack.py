"""The live stack that other tests rely on: it starts, survives its own kills, and heals."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from django.db import connection

from config.processes import wait_until
from tests.factories import program_document, unique
from tests.stack import Stack


@pytest.mark.django_db
def test_database_of_tests_is_postgresql_of_our_own():
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version_num')::int")
        assert cursor.fetchone()[0] >= 150000


def test_web_answers_and_the_database_is_migrated(live_stack: Stack):
    with live_stack.client() as client:
        assert client.get("/metrics").status_code == 200
    assert live_stack.sql("SELECT count(*) FROM django_migrations")[0][0] > 10


def test_heal_starts_again_whatever_was_killed(live_stack: Stack):
    live_stack.web.kill()
    live_stack.worker.kill()
    with pytest.raises(httpx.NetworkError), live_stack.client() as client:
        client.get("/metrics")
    live_stack.heal()
    with live_stack.client() as client:
        assert client.get("/metrics").status_code == 200


def test_a_second_node_serves_the_same_database_and_breaks_no_call_when_it_leaves(
    live_stack: Stack,
):
    """It stays a while for a connection that is kept; meanwhile others are answered or refused."""
    node = live_stack.add_web()
    found: list[int | str] = []
    with live_stack.client(node=node) as client:
        assert client.get("/metrics").status_code == 200
        node.process.terminate()
        while node.running:
            try:
                found.append(httpx.get(f"{node.url}/healthz", timeout=10).status_code)
            except httpx.ConnectError:
                found.append("refused")
                time.sleep(0.05)
    assert set(found) <= {200, "refused"}
    assert found[-1] == "refused"


def test_metrics_are_those_of_all_processes_of_a_node(live_stack: Stack):
    """Each request on a connection of its own, so that both processes have some of them."""
    wanted = 'loyalty_requests_total{method="GET",status="200",view="health"}'

    def asked(address: str) -> str:
        return httpx.get(f"{live_stack.url}{address}", timeout=10).text

    def counted() -> float:
        lines = [line for line in asked("/metrics").splitlines() if line.startswith(wanted)]
        return float(lines[0].rpartition(" ")[2]) if lines else 0.0

    before = counted()
    for _ in range(20):
        asked("/healthz")
    assert {counted() for _ in range(10)} == {before + 20}


def test_postgres_may_be_killed_and_started_again(live_stack: Stack):
    if live_stack.postgres is None:
        pytest.skip("TEST_DATABASE_URL is not ours to kill")
    live_stack.postgres.kill()
    live_stack.postgres.start()
    assert live_stack.sql("SELECT count(*) FROM django_migrations")[0][0] > 10


def test_pages_and_calls_go_on_when_postgresql_was_restarted(live_stack: Stack):
    """Each thread's connection is dead then: no page, and no call, may answer 500."""
    if live_stack.postgres is None:
        pytest.skip("TEST_DATABASE_URL is not ours to kill")
    name, document = unique("sam"), program_document()
    named = ("--username", name, "--email", "sam@example.com")
    live_stack.manage("createsuperuser", "--noinput", *named, DJANGO_SUPERUSER_PASSWORD="pw-sam")
    live_stack.manage("program", "apply", "-", stdin=json.dumps(document))
    calls = ("/v1/program", "/v1/members/card:nobody", "/v1/events", "/v1/webhook-endpoints")
    with (
        live_stack.client() as pages,
        live_stack.client(live_stack.api_key(document["program"])) as api,
    ):
        pages.get("/admin/login/")
        form = {"username": name, "password": "pw-sam", "next": "/admin/"}
        form["csrfmiddlewaretoken"] = pages.cookies["csrftoken"]
        assert pages.post("/admin/login/", data=form).status_code == 302

        def statuses(client: httpx.Client, *paths: str) -> set[int]:
            with ThreadPoolExecutor(16) as threads:
                return {answer.status_code for answer in threads.map(client.get, paths * 16)}

        assert statuses(pages, "/admin/") == {200}
        # A test before this one may have restarted it, too.
        assert wait_until(lambda: statuses(api, *calls) == {200, 404}, 20)
        for client, paths, allowed in (
            (pages, ("/admin/",), {200}),
            (api, calls, {200, 404, 503}),
        ):
            live_stack.postgres.kill()
            live_stack.postgres.start()
            assert statuses(client, *paths) <= allowed


def test_durable_postgres_is_durable(durable_postgres):
    import psycopg

    with psycopg.connect(durable_postgres.url()) as connection:
        for name in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums"):
            assert connection.execute(f"SHOW {name}").fetchone() == ("on",)
