"""Webhook endpoints over HTTP: the webhook connections of the key's program."""

import re
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import orjson
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from httpx import URL

from crm_sync.adapters.contract import ConfigRefused
from crm_sync.adapters.outcomes import Delivered
from crm_sync.models import Connection, Delivery
from crm_sync.schemas import (
    DeliveryPage,
    DeliveryQuery,
    EndpointChange,
    EndpointPage,
    EndpointRequest,
    NewEndpoint,
    Redelivered,
    RedeliverRequest,
    RemovedEndpoint,
    RotateRequest,
    Secret,
    TestResult,
)
from crm_sync.schemas import Endpoint as EndpointAnswer
from crm_sync.selectors import list_deliveries, list_health
from crm_sync.services import connections
from crm_sync.services.probe import probe
from crm_sync.services.redeliver import find_deliveries, redeliver, redeliver_dead
from crm_sync.signing import secret_of
from loyalty.errors import (
    EndpointNameTaken,
    EndpointNotFound,
    RequestInProgress,
    ValidationFailed,
)
from loyalty.events.rules import event_id
from loyalty.http.bodies import parse, read_body
from loyalty.http.once import OnceEndpoint
from loyalty.http.pagination import decode_cursor, encode_cursor
from loyalty.http.schema import operation
from loyalty.http.views import Endpoint, json_response

SCOPE: Final = ("config",)
TAG: Final = "Webhook endpoints"
ENDPOINT: Final = {"endpoint": "The endpoint's id, whe_…"}
_GENERATION: Final = "secret_generation"
"""In the answers that are kept, instead of the secret."""
_PUBLIC_ID = re.compile(r"whe_([0-9a-f]{32})\Z")


class EndpointsView(OnceEndpoint):
    """GET and POST /v1/webhook-endpoints."""

    scopes = {"GET": SCOPE, "POST": SCOPE}

    @operation(
        "list_webhook_endpoints",
        "List webhook endpoints",
        tag=TAG,
        answers={200: EndpointPage},
        errors=[ValidationFailed],
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        self.no_query(request)
        rows = list(connections.webhooks_of(self.principal.program_id).order_by("name"))
        return json_response({"items": _shown(rows)})

    @operation(
        "create_webhook_endpoint",
        "Send events to an address; answers its signing secret, this once",
        tag=TAG,
        request=EndpointRequest,
        example={"url": "https://shop.example.com/hooks/loyalty", "event_types": ["points.*"]},
        answers={201: NewEndpoint},
        errors=[EndpointNameTaken],
        key=True,
    )
    def post(self, request: HttpRequest) -> HttpResponse:
        body, canonical = parse(EndpointRequest, read_body(request))
        config = _checked(body.url)
        response = self.once(request, canonical, lambda: (201, self._create(body, config)))
        return _with_secret(response)

    def _create(self, body: EndpointRequest, config: dict[str, Any]) -> dict[str, Any]:
        name = body.name or URL(config["url"]).host[:100]
        _refuse_taken(self.principal.program_id, name)
        connection = Connection(
            program_id=self.principal.program_id,
            name=name,
            adapter="webhook",
            config=config,
            event_types=body.event_types,
        )
        connections.add_connection(connection, secrets={}, from_beginning=body.from_beginning)
        return {**_shown([connection])[0], _GENERATION: connection.secret_generation}


class EndpointView(Endpoint):
    """GET, PATCH and DELETE /v1/webhook-endpoints/{endpoint}."""

    scopes = {"GET": SCOPE, "PATCH": SCOPE, "DELETE": SCOPE}

    @operation(
        "get_webhook_endpoint",
        "Read a webhook endpoint and how it is doing",
        tag=TAG,
        path=ENDPOINT,
        answers={200: EndpointAnswer},
        errors=[EndpointNotFound, ValidationFailed],
    )
    def get(self, request: HttpRequest, endpoint: str) -> HttpResponse:
        self.no_query(request)
        return json_response(_shown([_find(self, endpoint)])[0])

    @operation(
        "change_webhook_endpoint",
        "Change a webhook endpoint, pause it, let it continue",
        tag=TAG,
        path=ENDPOINT,
        request=EndpointChange,
        example={"enabled": False},
        answers={200: EndpointAnswer},
        errors=[EndpointNotFound, EndpointNameTaken],
    )
    def patch(self, request: HttpRequest, endpoint: str) -> HttpResponse:
        body, _ = parse(EndpointChange, read_body(request))
        connection = _find(self, endpoint)
        if body.name is not None and body.name != connection.name:
            _refuse_taken(self.principal.program_id, body.name)
            connection.name = body.name
        if body.url is not None:
            connection.config = _checked(body.url)
        if body.event_types is not None:
            connection.event_types = body.event_types
        connection.save(update_fields=["name", "config", "event_types"])
        self._switch(connection, body.enabled)
        return json_response(_shown([_find(self, endpoint)])[0])

    @operation(
        "remove_webhook_endpoint",
        "Remove a webhook endpoint; what it was sent stays on record",
        tag=TAG,
        path=ENDPOINT,
        answers={200: RemovedEndpoint},
        errors=[EndpointNotFound, ValidationFailed],
    )
    def delete(self, request: HttpRequest, endpoint: str) -> HttpResponse:
        self.no_query(request)
        connection = _find(self, endpoint)
        reason = f"Removed by the API key {self.principal.name}."
        connections.remove_connection(connection_id=connection.pk, reason=reason)
        return json_response({"id": endpoint, "removed": True})

    def _switch(self, connection: Connection, enabled: bool | None) -> None:
        if enabled is True and not connection.is_enabled:
            connections.enable_connection(connection_id=connection.pk)
        if enabled is False and connection.is_enabled:
            reason = f"Disabled by the API key {self.principal.name}."
            connections.disable_connection(connection_id=connection.pk, reason=reason)


class EndpointTestView(Endpoint):
    """POST /v1/webhook-endpoints/{endpoint}/test."""

    scopes = {"POST": SCOPE}

    @operation(
        "test_webhook_endpoint",
        "Send a test event, now, and tell what came of it",
        tag=TAG,
        path=ENDPOINT,
        answers={200: TestResult},
        errors=[EndpointNotFound, ValidationFailed],
    )
    def post(self, request: HttpRequest, endpoint: str) -> HttpResponse:
        self.no_query(request)
        outcome = probe(_find(self, endpoint))
        return json_response(
            {
                "delivered": isinstance(outcome, Delivered),
                "status_code": outcome.status_code,
                "answer": outcome.answer,
                "error": outcome.error,
                "duration_ms": outcome.duration_ms,
            }
        )


class EndpointSecretView(OnceEndpoint):
    """POST /v1/webhook-endpoints/{endpoint}/rotate-secret."""

    scopes = {"POST": SCOPE}

    @operation(
        "rotate_webhook_secret",
        "Begin a new signing secret; the old one signs too for a while",
        tag=TAG,
        path=ENDPOINT,
        request=RotateRequest,
        example={},
        answers={200: Secret},
        errors=[EndpointNotFound],
        key=True,
    )
    def post(self, request: HttpRequest, endpoint: str) -> HttpResponse:
        _, canonical = parse(RotateRequest, read_body(request))
        connection = _find(self, endpoint)
        return _with_secret(self.once(request, canonical, lambda: (200, self._rotate(connection))))

    def _rotate(self, connection: Connection) -> dict[str, Any]:
        rotated = connections.rotate_secret(connection_id=connection.pk)
        assert rotated.rotated_at is not None
        until = rotated.rotated_at + timedelta(hours=settings.CRM_SECRET_OVERLAP_HOURS)
        kept = {"id": _public_id(rotated), _GENERATION: rotated.secret_generation}
        return {**kept, "old_valid_until": until.isoformat()}


class EndpointDeliveriesView(Endpoint):
    """GET /v1/webhook-endpoints/{endpoint}/deliveries."""

    scopes = {"GET": SCOPE}

    @operation(
        "list_webhook_deliveries",
        "List what was sent to an endpoint, newest first, with what came of it",
        tag=TAG,
        path=ENDPOINT,
        query=DeliveryQuery,
        answers={200: DeliveryPage},
        errors=[EndpointNotFound],
    )
    def get(self, request: HttpRequest, endpoint: str) -> HttpResponse:
        query = self.query(request, DeliveryQuery)
        connection = _find(self, endpoint)
        scope = f"{connection.pk} deliveries {query.state}"
        before = decode_cursor(scope, query.cursor)[0] if query.cursor else None
        found = list_deliveries(
            connection_id=connection.pk,
            state=query.state,
            before_position=before,
            limit=query.limit + 1,
        )
        shown = found[: query.limit]
        more = len(found) > query.limit
        return json_response(
            {
                "items": [_delivery(delivery) for delivery in shown],
                "next_cursor": encode_cursor(scope, [shown[-1].position]) if more else None,
            }
        )


class EndpointRedeliverView(OnceEndpoint):
    """POST /v1/webhook-endpoints/{endpoint}/redeliver."""

    scopes = {"POST": SCOPE}

    @operation(
        "redeliver_to_webhook",
        "Send events again, with the ids that they had",
        tag=TAG,
        path=ENDPOINT,
        request=RedeliverRequest,
        example={"all_dead": True},
        answers={200: Redelivered},
        errors=[EndpointNotFound],
        key=True,
    )
    def post(self, request: HttpRequest, endpoint: str) -> HttpResponse:
        body, canonical = parse(RedeliverRequest, read_body(request))
        connection = _find(self, endpoint)
        return self.once(
            request, canonical, lambda: (200, {"redelivered": _redeliver(connection, body)})
        )


def _find(view: Endpoint, public_id: str) -> Connection:
    found = _PUBLIC_ID.match(public_id)
    rows = connections.webhooks_of(view.principal.program_id)
    connection = rows.filter(key_id=UUID(found[1])).first() if found else None
    if connection is None:
        raise EndpointNotFound()
    return connection


def _checked(url: str) -> dict[str, Any]:
    try:
        return connections.check_config(adapter="webhook", config={"url": url})
    except ConfigRefused as error:
        errors = [{"pointer": "/url", "message": str(error)}]
        raise ValidationFailed(str(error), errors=errors) from None


def _refuse_taken(program_id: int, name: str) -> None:
    if connections.is_name_taken(program_id=program_id, name=name):
        raise EndpointNameTaken(f"There is a connection named {name} already.")


def _with_secret(response: HttpResponse) -> HttpResponse:
    """Add the secret to a success: it is derived, and not in the answer that is kept."""
    if response.status_code >= 300:
        return response
    body = orjson.loads(response.content)
    found = _PUBLIC_ID.match(body["id"])
    connection = Connection.objects.filter(key_id=UUID(found[1])).first() if found else None
    if connection is None:
        raise RequestInProgress()
    if "url" not in body:
        body.pop("id")
    secret = secret_of(connection, body.pop(_GENERATION))
    response.content = orjson.dumps({**body, "secret": secret})
    return response


def _public_id(connection: Connection) -> str:
    return f"whe_{connection.key_id.hex}"


def _shown(rows: list[Connection]) -> list[dict[str, Any]]:
    health = list_health(rows)
    return [
        {
            "id": _public_id(row),
            "name": row.name,
            "url": row.config["url"],
            "event_types": row.event_types,
            "enabled": row.is_enabled,
            "state": health[row.pk].state,
            "reason": row.disabled_reason,
            "pending": health[row.pk].pending,
            "dead": health[row.pk].dead,
            "oldest_pending_at": health[row.pk].oldest_pending_at,
            "created_at": row.created_at,
        }
        for row in rows
    ]


def _delivery(delivery: Delivery) -> dict[str, Any]:
    last = delivery.attempt_log.first()
    return {
        "event": event_id(delivery.member_id, delivery.sequence),
        "type": delivery.type,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "created_at": delivery.created_at,
        "settled_at": delivery.settled_at,
        "last_attempt": last
        and {
            "at": last.at,
            "outcome": last.outcome,
            "status_code": last.status_code,
            "error": last.error,
            "duration_ms": last.duration_ms,
            "correlation_id": last.correlation_id,
        },
    }


def _redeliver(connection: Connection, body: RedeliverRequest) -> int:
    if body.all_dead:
        return redeliver_dead(connection_id=connection.pk)
    wanted = [event.removeprefix("evt_").split("_") for event in body.events]
    keys = [(UUID(member), int(sequence)) for member, sequence in wanted]
    return redeliver(delivery_ids=find_deliveries(connection_id=connection.pk, keys=keys))
