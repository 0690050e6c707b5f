"""What every endpoint does before and after its own few lines, and nothing more.

A till waits for each microsecond here. So an endpoint is a DRF view whose `dispatch` is our own:
no content negotiation, no parsers, renderers or throttles, bodies are bytes in and bytes out.
DRF keeps what it is good at, the description of the contract.
"""

import re
import secrets
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, TypeVar

import orjson
import psycopg
import structlog
from django.core.exceptions import SuspiciousOperation
from django.db import Error as DatabaseError
from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse
from pydantic import BaseModel, ConfigDict, ValidationError
from rest_framework.views import APIView

from loyalty.errors import (
    DatabaseUnavailable,
    Internal,
    LoyaltyError,
    MethodNotAllowed,
    NotFound,
    Overloaded,
    RequestRefused,
    ValidationFailed,
)
from loyalty.http.auth import Principal, authenticate, require_scope
from loyalty.http.limits import spend_one
from loyalty.http.problems import PROBLEM_JSON, from_validation, problem_bytes

log = structlog.get_logger(__name__)

Model = TypeVar("Model", bound=BaseModel)
Handler = Callable[..., HttpResponse]

_REQUEST_ID = re.compile(r"[!-~]{1,64}\Z")
_METHODS: Final = {name.upper(): name for name in ("get", "head", "post", "put", "patch", "delete")}


class NoQuery(BaseModel):
    """The query string of a call that takes none."""

    model_config = ConfigDict(extra="forbid")


class Endpoint(APIView):
    """Base of all endpoints: who asks, may they, and every error as a problem document.

    Attributes:
        scopes: By method, the scopes of which a key needs one.
        principal: Whose key this is.
        request_id: The caller's X-Request-Id, or one of ours.
    """

    scopes: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    principal: Principal
    request_id: str

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Answer one request; nothing escapes as an exception."""
        self.request_id = request_id_of(request)
        try:
            handler = self._handler(request)
            self.principal = authenticate(request.META.get("HTTP_AUTHORIZATION"))
            if self.principal.rate_limit is not None:
                spend_one(self.principal.key_id, self.principal.rate_limit)
            method = "GET" if request.method == "HEAD" else request.method or ""
            require_scope(self.principal, self.scopes[method])
            self.begin(request)
            response = handler(request, *args, **kwargs)
        except Exception as error:
            response = problem_response(error_of(error), self.request_id)
        response.headers["X-Request-Id"] = self.request_id
        return response

    def begin(self, request: HttpRequest) -> None:
        """Do what comes after the key is known to be good and before the method."""

    def _handler(self, request: HttpRequest) -> Handler:
        handler: Handler | None = getattr(self, _METHODS.get(request.method or "", ""), None)
        if handler is None:
            allowed = sorted(method for method, name in _METHODS.items() if hasattr(self, name))
            raise MethodNotAllowed(f"This address answers to {', '.join(allowed)}.", allow=allowed)
        return handler

    def no_query(self, request: HttpRequest) -> None:
        """Refuse parameters where the call takes none: a misspelt one would be ignored.

        Raises:
            ValidationFailed: naming them.
        """
        if request.META.get("QUERY_STRING"):
            self.query(request, NoQuery)

    def query(self, request: HttpRequest, model: type[Model]) -> Model:
        """Read the query string; parameters that the call does not know are refused.

        Raises:
            ValidationFailed: With the parameters' names as pointers.
        """
        sent = request.GET
        twice = [name for name in sent if len(sent.getlist(name)) > 1]
        if twice:
            raise ValidationFailed(errors=[{"pointer": f"/{twice[0]}", "message": "Sent twice."}])
        try:
            return model.model_validate_strings(sent.dict())
        except ValidationError as error:
            raise from_validation(error) from None


def json_response(document: Any, *, status: int = 200) -> HttpResponse:
    """Answer with JSON."""
    return HttpResponse(orjson.dumps(document), status=status, content_type="application/json")


def problem_response(error: LoyaltyError, request_id: str) -> HttpResponse:
    """Answer with a problem document and the headers that belong to the error."""
    response = HttpResponse(
        problem_bytes(error, request_id), status=error.status, content_type=PROBLEM_JSON
    )
    for name, value in error.headers.items():
        response.headers[name] = value
    if "allow" in error.facts:
        response.headers["Allow"] = ", ".join(error.facts["allow"])
    response.headers["X-Request-Id"] = request_id
    return response


def request_id_of(request: HttpRequest) -> str:
    """Take the caller's X-Request-Id if it can stand in a header and a log, else make one."""
    sent = request.META.get("HTTP_X_REQUEST_ID", "")
    return sent if _REQUEST_ID.match(sent) else secrets.token_hex(16)


def error_of(error: Exception) -> LoyaltyError:
    """Find the business error that an exception is to the caller.

    What we did not foresee is logged with its trace, and the caller learns nothing of it.
    """
    if isinstance(error, LoyaltyError):
        return error
    if isinstance(error, Http404):
        return NotFound()
    if isinstance(error, SuspiciousOperation):
        return RequestRefused()
    if isinstance(error, DatabaseError | psycopg.Error):
        return _database_error(error)
    log.error("request_failed", exc_info=error)
    return Internal()


def _database_error(error: Exception) -> LoyaltyError:
    """Tell a database that is away from one that is busy, and both from a mistake of ours."""
    cause = error.__cause__ if isinstance(error, DatabaseError) else error
    name = type(cause or error).__name__
    if name in ("PoolTimeout", "TooManyRequests", "TooManyConnections"):
        return Overloaded()
    if isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError):
        log.warning("database_unavailable", error=str(error))
        if connection.connection is not None and connection.connection.closed:
            connection.close()
        return DatabaseUnavailable()
    log.error("request_failed", exc_info=error)
    return Internal()
