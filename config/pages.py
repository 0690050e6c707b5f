"""Middleware that only the pages need: sessions, CSRF, logins and messages are not for the API.

The API knows its callers by their key and no cookie, so there is nothing to forge; going through
these costs a till's request 4 % of its CPU (docs/performance.md).
"""

from typing import Any

from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest
from django.middleware.csrf import CsrfViewMiddleware


def is_api(request: HttpRequest) -> bool:
    """Tell whether the API serves this address."""
    return request.path_info.startswith("/v1/")


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
