"""Middleware that only the pages need: sessions, CSRF, logins and messages are not for the API.

The API knows its callers by their key and no cookie, so there is nothing to forge; going through
these costs a till's request 4 % of its CPU (docs/performance.md).
"""

from collections.abc import Callable
from typing import Any

from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.db import connection
from django.http import HttpRequest, HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware


def is_api(request: HttpRequest) -> bool:
    """Tell whether the API serves this address."""
    return request.path_info.startswith("/v1/")


def live_connection(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Make a middleware that gives pages a connection that lives.

    Threads keep theirs, and it is dead where PostgreSQL was restarted. The API finds that out by
    its first statement and connects anew; pages ask first, which costs them a round trip.
    """

    def respond(request: HttpRequest) -> HttpResponseBase:
        if connection.connection is not None and not is_api(request) and not connection.is_usable():
            connection.close()
        return get_response(request)

    return respond


class PagesOnly:
    """Mixin that lets requests of the API pass."""

    get_response: Any

    def __call__(self, request: HttpRequest) -> Any:
        """Skip the middleware for the API."""
        if is_api(request):
            return self.get_response(request)
        return super().__call__(request)  # type: ignore[misc]


class Sessions(PagesOnly, SessionMiddleware):
    """Sessions, for pages."""


class Csrf(PagesOnly, CsrfViewMiddleware):
    """Protection of forms, for pages."""

    def process_view(
        self, request: HttpRequest, callback: Any, callback_args: Any, callback_kwargs: Any
    ) -> Any:
        """Check forms only."""
        if is_api(request):
            return None
        return super().process_view(request, callback, callback_args, callback_kwargs)


class Authentication(PagesOnly, AuthenticationMiddleware):
    """Logins, for pages."""


class Messages(PagesOnly, MessageMiddleware):
    """Messages after a form was sent, for pages."""
