"""Is the process alive, and may it be sent requests."""

from typing import Final

import redis
from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from loyalty.http.reads import fetch
from loyalty.http.views import error_of, json_response

# What must be on, or points that were acknowledged can be lost when the server loses power
# (measured: docs/decisions). `off` is the only bad value of each.
DURABILITY: Final = ("fsync", "synchronous_commit", "full_page_writes")

# What every connection asks for when it begins, and PgBouncer does not pass on. 0 is for ever.
TIME_LIMITS: Final = {
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "30s",
}

_SETTINGS: Final = "SELECT name, setting FROM pg_settings WHERE name = ANY($1)"

_migrated = False


@require_safe
def health(request: HttpRequest) -> HttpResponse:
    """GET /healthz: the process lives; asks nobody."""
    return json_response({"status": "ok"})


@require_safe
def ready(request: HttpRequest) -> HttpResponse:
    """GET /readyz: the database answers, is durable and is migrated.

    Redis is only told about: it is a doorbell, and without it deliveries are late, not lost.
    """
    reasons = reasons_against()
    document = {
        "status": "not_ready" if reasons else "ready",
        "reasons": reasons,
        "redis": "ok" if _redis_answers() else "unreachable",
    }
    return json_response(document, status=503 if reasons else 200)


def reasons_against() -> list[str]:
    """List in sentences what must be put right before requests are sent here."""
    try:
        return _not_durable() + _without_limit() + _not_migrated()
    except Exception as error:
        return [error_of(error).title]


def _not_durable() -> list[str]:
    return [
        f"PostgreSQL's {name} is off: points that were acknowledged can be lost in a crash. "
        f"Set {name} = on."
        for name, value in fetch(_SETTINGS, [list(DURABILITY)])
        if value == "off"
    ]


def _without_limit() -> list[str]:
    return [
        f"PostgreSQL's {name} is 0, so one request may hold up others for ever. Behind PgBouncer, "
        f"run ALTER ROLE … SET {name} = '{TIME_LIMITS[name]}' and reconnect."
        for name, value in fetch(_SETTINGS, [list(TIME_LIMITS)])
        if value == "0"
    ]


def _not_migrated() -> list[str]:
    """Compare the code's migrations with the database's; what is applied stays applied."""
    global _migrated
    if not _migrated:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if missing:
            first = missing[0][0]
            return [
                f"{len(missing)} migrations are not applied, the first is {first}: "
                "run manage.py migrate."
            ]
        _migrated = True
    return []


def _redis_answers() -> bool:
    try:
        client = redis.Redis.from_url(
            settings.REDIS_URL, socket_timeout=0.5, socket_connect_timeout=0.5
        )
        with client:
            return bool(client.ping())
    except (redis.RedisError, OSError):
        return False
