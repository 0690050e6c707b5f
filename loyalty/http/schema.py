"""The contract: what each endpoint takes, answers and refuses, as OpenAPI 3.1.

Endpoints say it beside their code (`operation`), pydantic models give the shapes, and
drf-spectacular puts both together. Nothing here runs while a till waits.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from drf_spectacular.contrib.pydantic import PydanticExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from pydantic import BaseModel
from pydantic.json_schema import model_json_schema

from loyalty.errors import (
    CursorInvalid,
    DatabaseUnavailable,
    IdempotencyKeyInvalid,
    IdempotencyKeyMissing,
    IdempotencyKeyReused,
    Internal,
    LengthRequired,
    LoyaltyError,
    MalformedJson,
    Overloaded,
    PayloadTooLarge,
    RateLimited,
    RequestInProgress,
    ScopeMissing,
    Unauthenticated,
    UnsupportedMediaType,
    ValidationFailed,
)
from loyalty.http.problems import PROBLEM_JSON

View = TypeVar("View", bound=Callable[..., Any])
Errors = Sequence[type[LoyaltyError]]

SECURITY: Final[Any] = [{"apiKey": []}]
REFERENCES: Final = "#/components/schemas/{model}"

ALWAYS: Final[Errors] = (
    Unauthenticated,
    ScopeMissing,
    RateLimited,
    Internal,
    Overloaded,
    DatabaseUnavailable,
)
WITH_BODY: Final[Errors] = (
    MalformedJson,
    LengthRequired,
    PayloadTooLarge,
    UnsupportedMediaType,
    ValidationFailed,
)
WITH_KEY: Final[Errors] = (
    IdempotencyKeyMissing,
    IdempotencyKeyInvalid,
    IdempotencyKeyReused,
    RequestInProgress,
)


class ScopedSchema(AutoSchema):
    """Say of each call which keys may make it; that stands at the view, not in `operation`."""

    def get_description(self) -> str:  # type: ignore[override]
        """Name the scopes of which a key needs one."""
        view: Any = self.view
        *others, last = [f"`{scope}`" for scope in view.scopes[self.method]]
        scopes = f"{', '.join(others)} or {last}" if others else last
        return f"Needs a key with the scope {scopes}."


class PydanticModels(PydanticExtension):  # type: ignore[no-untyped-call]
    """Describe requests as they are read: a field with a default may be left out."""

    target_class = "pydantic.BaseModel"
    match_subclasses = True
    priority = 1

    def map_serializer(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        """Give the model's JSON schema, its parts as components of their own."""
        schema = model_json_schema(
            self.target,
            ref_template=REFERENCES,
            mode="validation" if direction == "request" else "serialization",
        )
        for name, part in schema.pop("$defs", {}).items():
            auto_schema.registry.register_on_missing(_component(name, part))
        return schema


def _component(name: str, schema: dict[str, Any]) -> Any:
    make: Any = ResolvedComponent
    return make(name=name, type=ResolvedComponent.SCHEMA, object=name, schema=schema)


def operation(
    name: str,
    summary: str,
    *,
    answers: Mapping[int, type[BaseModel]],
    tag: str,
    request: type[BaseModel] | None = None,
    example: dict[str, Any] | None = None,
    errors: Errors = (),
    query: type[BaseModel] | None = None,
    key: bool = False,
    path: Mapping[str, str] | None = None,
    etag: bool = False,
    match: bool = False,
) -> Callable[[View], View]:
    """Describe an endpoint's method.

    Args:
        name: What generated clients call it.
        answers: Model of the answer by status.
        example: A body that works.
        errors: What its domain refuses; what every endpoint refuses is added.
        key: Whether it runs under an idempotency key.
        path: What the variables of the path mean.
        etag: Whether the answer carries an entity tag.
        match: Whether the request may name the one that it is meant for.
    """
    refused = {*ALWAYS, *errors}
    refused |= set(WITH_BODY) if request else set()
    refused |= set(WITH_KEY) if key else set()
    refused |= {ValidationFailed} if query else set()
    refused |= {CursorInvalid} if query is not None and _has_cursor(query) else set()
    examples = [OpenApiExample("Example", value=example, request_only=True)]
    decorate: Callable[[View], View] = extend_schema(
        operation_id=name,
        summary=summary,
        tags=[tag],
        auth=SECURITY,
        request={"application/json": request} if request else None,
        examples=examples if example is not None else None,
        parameters=[
            *_path(path or {}),
            *_query(query),
            *_headers(key, answers),
            *_tags(etag, match),
        ],
        responses={**_answers(answers), **_problems(refused)},
    )
    return decorate


def _has_cursor(query: type[BaseModel]) -> bool:
    return bool({"cursor", "after"} & set(query.model_fields))


def _answers(answers: Mapping[int, type[BaseModel]]) -> dict[Any, Any]:
    """Describe what comes back; where it may be new or not, how to tell which."""
    which = {201: "New. ", 200: "It was there already. "} if len(answers) > 1 else {}
    return {
        (status, "application/json"): OpenApiResponse(
            model, which.get(status, "") + (model.__doc__ or "").split("\n")[0]
        )
        for status, model in answers.items()
    }


def _problems(errors: Iterable[type[LoyaltyError]]) -> dict[Any, Any]:
    """Describe the refusals of each status, with the codes that are possible there."""
    by_status: dict[int, list[type[LoyaltyError]]] = {}
    for error in sorted(errors, key=lambda error: error.code):
        by_status.setdefault(error.status, []).append(error)
    return {
        (status, PROBLEM_JSON): OpenApiResponse(
            problem_schema(found), "; ".join(f"`{error.code}`" for error in found)
        )
        for status, found in by_status.items()
    }


def problem_schema(errors: Errors) -> dict[str, Any]:
    """Describe a problem document with one of these codes."""
    codes = {"code": {"type": "string", "enum": [error.code for error in errors]}}
    return {
        "allOf": [
            {"$ref": REFERENCES.format(model="Problem")},
            {"type": "object", "properties": codes},
        ]
    }


def _path(variables: Mapping[str, str]) -> list[OpenApiParameter]:
    return [
        OpenApiParameter(
            name,
            {"type": "string", "minLength": 1},
            OpenApiParameter.PATH,
            required=True,
            description=meaning,
        )
        for name, meaning in variables.items()
    ]


def _query(model: type[BaseModel] | None) -> list[OpenApiParameter]:
    if model is None:
        return []
    properties = model_json_schema(model, mode="validation")["properties"]
    return [
        OpenApiParameter(
            name, _plain(schema), required=False, description=schema.get("description", "")
        )
        for name, schema in properties.items()
    ]


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """Leave out the null of an optional parameter: a query has no null, it is left out."""
    options = [option for option in schema.get("anyOf", []) if option.get("type") != "null"]
    plain = options[0] if options else schema
    return {name: value for name, value in plain.items() if name not in ("title", "description")}


def _tags(etag: bool, match: bool) -> list[OpenApiParameter]:
    """Describe the entity tag that answers carry, and its use against lost updates."""
    text = {"type": "string"}
    tag = OpenApiParameter(
        "ETag", text, OpenApiParameter.HEADER, response=[200], description="Of what is answered."
    )
    wanted = OpenApiParameter(
        "If-Match",
        text,
        OpenApiParameter.HEADER,
        required=False,
        description="The ETag that was read; where it is another by now, nothing is changed: 412.",
    )
    return [tag] * etag + [wanted] * match


def _headers(key: bool, answers: Mapping[int, Any]) -> list[OpenApiParameter]:
    text = {"type": "string"}
    ours = OpenApiParameter(
        "X-Request-Id",
        text,
        OpenApiParameter.HEADER,
        response=True,
        description="The caller's, or one of ours; it is in our log.",
    )
    wait = OpenApiParameter(
        "Retry-After",
        {"type": "integer"},
        OpenApiParameter.HEADER,
        response=[409, 429, 503],
        description="Seconds to wait, where waiting helps.",
    )
    if not key:
        return [ours, wait]
    sent = OpenApiParameter(
        "Idempotency-Key",
        {"type": "string", "pattern": "^[!-~]{1,255}$"},
        OpenApiParameter.HEADER,
        required=True,
        description="Made and stored by the client before it sends; a UUID is a good one. "
        "The same key and body always get the first answer. Kept 30 days.",
    )
    replayed = OpenApiParameter(
        "Idempotent-Replayed",
        {"type": "string", "enum": ["true"]},
        OpenApiParameter.HEADER,
        response=sorted({*answers, 409, 422}),
        description="The first answer again.",
    )
    return [ours, wait, sent, replayed]
