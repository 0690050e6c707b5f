"""The address of a source: whoever has its secret may leave something in the inbox.

No API key and no contract of ours: vendors send what they send, and sign as they sign. It is
verified, written down and acknowledged; nothing is decided while the vendor waits.
"""

from uuid import UUID

import structlog
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.views.decorators.csrf import csrf_exempt

from crm_sync.inbound.contract import Arrival, SignatureRefused, Unreadable
from crm_sync.inbound.models import Source
from crm_sync.inbound.receiving import find_source, receive
from loyalty.errors import (
    LengthRequired,
    MalformedJson,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    SignatureInvalid,
    UnsupportedMediaType,
)
from loyalty.http.views import error_of, json_response, problem_response, request_id_of

log = structlog.get_logger(__name__)


@csrf_exempt
def receive_view(request: HttpRequest, source: UUID) -> HttpResponse:
    """POST /inbound/{source}."""
    request_id = request_id_of(request)
    try:
        response = _receive(request, source)
    except Exception as error:
        return problem_response(error_of(error), request_id)
    response.headers["X-Request-Id"] = request_id
    return response


def _receive(request: HttpRequest, key_id: UUID) -> HttpResponse:
    if request.method != "POST":
        raise MethodNotAllowed("This address answers to POST.", allow=["POST"])
    source = find_source(key_id)
    if source is None:
        raise NotFound("Nothing comes in at this address; was its source removed?")
    try:
        received, new = receive(source, _arrival(request, source))
    except SignatureRefused as refused:
        log.warning("signature refused", source=source.pk, reason=str(refused))
        raise SignatureInvalid(str(refused)) from None
    except Unreadable as unreadable:
        raise MalformedJson(str(unreadable)) from None
    return json_response({"received": received, "new": new})


def _arrival(request: HttpRequest, source: Source) -> Arrival:
    return Arrival(
        method=request.method or "",
        url=str(source.config.get("address") or request.build_absolute_uri()),
        headers={name.lower(): value for name, value in request.headers.items()},
        body=_body(request),
    )


def _body(request: HttpRequest) -> bytes:
    """Read the raw body, refusing by its headers what is too large; its type may be anything."""
    most = settings.CRM_INBOX_BODY_KB * 1024
    if request.META.get("HTTP_CONTENT_ENCODING", "identity") != "identity":
        raise UnsupportedMediaType("Send the body uncompressed.")
    if request.META.get("HTTP_TRANSFER_ENCODING"):
        raise LengthRequired()
    length = int(request.META.get("CONTENT_LENGTH") or 0)
    if length > most:
        raise PayloadTooLarge(f"The body has {length} bytes; this address takes {most}.", most=most)
    try:
        return request.body
    except RequestDataTooBig as error:
        raise PayloadTooLarge() from error
    except UnreadablePostError as error:
        raise MalformedJson("The body ended before its Content-Length.") from error
