"""The live stack that other tests rely on: it starts, survives its own kills, and heals."""

import httpx
import pytest
from django.db import connection

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
    with pytest.raises(httpx.ConnectError), live_stack.client() as client:
        client.get("/metrics")
    live_stack.heal()
    with live_stack.client() as client:
        assert client.get("/metrics").status_code == 200


def test_a_second_node_serves_the_same_database(live_stack: Stack):
    node = live_stack.add_web()
    with live_stack.client(node=node) as client:
        assert client.get("/metrics").status_code == 200


def test_postgres_may_be_killed_and_started_again(live_stack: Stack):
    if live_stack.postgres is None:
        pytest.skip("TEST_DATABASE_URL is not ours to kill")
    live_stack.postgres.kill()
    live_stack.postgres.start()
    assert live_stack.sql("SELECT count(*) FROM django_migrations")[0][0] > 10


def test_durable_postgres_is_durable(durable_postgres):
    import psycopg

    with psycopg.connect(durable_postgres.url()) as connection:
        for name in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums"):
            assert connection.execute(f"SHOW {name}").fetchone() == ("on",)
