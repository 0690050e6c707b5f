"""The API's short way through Django: past all that only pages need.

A till waits for each microsecond of it. The API knows its callers by their key and no cookie, so
there are no sessions, no logins, and nothing to forge; it has no static files; most of its calls go
to a few addresses, which need not be looked for each time. The long way was a sixth of an earn's
CPU in this process (docs/performance.md).
"""

from collections.abc import Callable
from typing import Any, Final

from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.db import DEFAULT_DB_ALIAS, connections
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import ResolverMatch, resolve

PREFIX: Final = "/v1/"
HOSTS_MOST: Final = 1_000


class Handler(WSGIHandler):
    """Django's handler, but that the API's requests do not set off its signals.

    They tell whoever listens that a request began and ended. Of these listeners the API needs one:
    what gives a connection back to its pool, or drops it if it is broken.
    """

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Answer one request."""
        if not environ.get("PATH_INFO", "").startswith(PREFIX):
            return super().__call__(environ, start_response)
        response: HttpResponseBase = self.get_response(WSGIRequest(environ))
        status = f"{response.status_code} {response.reason_phrase}"
        start_response(status, list(response.items()))
        if not isinstance(response, HttpResponse):
            return response  # a stream: its end is told when all of it was sent
        connections[DEFAULT_DB_ALIAS].close_if_unusable_or_obsolete()
        return [response.content]


class ApiFirst:
    """Middleware that answers the API itself, and hands all other requests on."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_page = get_response
        self.addresses: dict[str, ResolverMatch] = {}
        self.hosts: set[str] = set()

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer one request."""
        if not request.path_info.startswith(PREFIX):
            return self.get_page(request)
        self._check_host(request)
        match = request.resolver_match = self._address(request.path_info)
        response: HttpResponseBase = match.func(request, *match.args, **match.kwargs)
        if isinstance(response, HttpResponse):
            response.headers["Content-Length"] = str(len(response.content))
        return response

    def _check_host(self, request: HttpRequest) -> None:
        """Refuse a host that is not ours, as Django does; one that is ours is known again."""
        host = request.META.get("HTTP_HOST", "")
        if host not in self.hosts:
            request.get_host()
            if len(self.hosts) < HOSTS_MOST:
                self.hosts.add(host)

    def _address(self, path: str) -> ResolverMatch:
        """Find the view; an address that has nothing of the caller's in it is known again."""
        match = self.addresses.get(path)
        if match is None:
            match = resolve(path)
            if not match.kwargs:
                self.addresses[path] = match
        return match
