"""Middleware for pages only; the API's requests do not come here (config/short_way.py)."""

from collections.abc import Callable

from django.core.exceptions import BadRequest
from django.db import connection
from django.http import HttpRequest, HttpResponseBase


def readable_address(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Make a middleware that refuses addresses with a character that PostgreSQL takes in no text.

    A filter in a list's address would hand it on, and the page would fail.
    """

    def respond(request: HttpRequest) -> HttpResponseBase:
        if "%00" in request.META["QUERY_STRING"]:
            raise BadRequest("The address has a NUL character.")
        return get_response(request)

    return respond


def live_connection(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Make a middleware that gives pages a connection that lives.

    Threads keep theirs, and it is dead where PostgreSQL was restarted. The API finds that out by
    its first statement and connects anew; pages ask first, which costs them a round trip.
    """

    def respond(request: HttpRequest) -> HttpResponseBase:
        if connection.connection is not None and not connection.is_usable():
            connection.close()
        return get_response(request)

    return respond
