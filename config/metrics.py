"""What Prometheus is told: how many requests of which view, how answered, and how long they took;
and how CRM connections are doing, read when it asks.

Two figures of requests and no more: each costs a till's request some microseconds, and a package
that counts templates, charsets and transports as well cost it 8 % of its CPU.
"""

import os
import time
from collections.abc import Callable
from functools import cache

import structlog
from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
    multiprocess,
)

from crm_sync.metrics import CrmCollector

log = structlog.get_logger(__name__)

REQUESTS = Counter("loyalty_requests", "Requests answered.", ["view", "method", "status"])
SECONDS = Histogram(
    "loyalty_request_seconds",
    "Seconds until the answer.",
    ["view", "method"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


class Metrics:
    """Counts and times each request, all other middleware included."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started = time.perf_counter()
        response = self.get_response(request)
        # Senders may invent methods, and each would be a series for ever.
        method = request.method if request.method in _METHODS else "other"
        count, seconds = _series(view_of(request), method or "other", response.status_code)
        count.inc()
        seconds.observe(time.perf_counter() - started)
        return response


@cache
def _series(view: str, method: str, status: int) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(view, method, str(status)), SECONDS.labels(view, method)


def view_of(request: HttpRequest) -> str:
    """Name the view that answered; `none` where no address was found."""
    match = request.resolver_match
    if match is None:
        return "none"
    view = getattr(match.func, "view_class", match.func)
    return str(getattr(view, "__name__", type(view).__name__))


def export(request: HttpRequest) -> HttpResponse:
    """GET /metrics: the sums over all processes of this node."""
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    text = generate_latest(registry) + _of_connections()
    return HttpResponse(text, content_type=CONTENT_TYPE_LATEST)


def _of_connections() -> bytes:
    """Tell how CRM connections are doing; nothing where the database is away."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(CrmCollector())
    try:
        return generate_latest(registry)
    except DatabaseError as error:
        log.warning("metrics of CRM connections are missing", error=str(error))
        return b""
