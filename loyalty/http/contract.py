"""Serve the contract and its explorer; neither asks another host."""

from functools import lru_cache
from typing import Any, Final

import orjson
from django.http import HttpRequest, HttpResponse
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.settings import patched_settings
from drf_spectacular.views import SpectacularSwaggerSplitView

from loyalty.errors import LoyaltyError, MethodNotAllowed, all_errors
from loyalty.http.problems import PROBLEM_JSON, problem_bytes
from loyalty.http.views import problem_response, request_id_of

DESCRIPTION: Final = """Points, tiers, rewards and redemptions.

- **Key:** `Authorization: Bearer lyk_…`. Each call says which scope its key needs.
- **Retries:** whoever gets no answer sends the same again with the same `Idempotency-Key`. It
  takes effect once.
- **Values:** points are JSON integers, money is a decimal string with an ISO 4217 code, times are
  RFC 3339 with an offset. Unknown fields in a request are refused; unknown fields in an answer are
  to be ignored.
- **Errors** are problem documents (RFC 9457): branch on `code` only. [All codes](/docs/errors).
"""
# What a till needs comes first.
TAGS: Final = {
    "Orders": "Purchases and activities earn points; returns take them back.",
    "Redemptions": "Points are used: at once, or held and then captured.",
    "Members": "Who collects, by which cards and addresses.",
    "Points": "What a member has, and why.",
    "Tiers": "At which level a member stands.",
    "Segments": "Named sets of members, for whom rules and rewards are.",
    "Batch": "Many commands at once.",
    "Events": "All that happens, to read in order.",
    "Webhook endpoints": "The same events, sent to an address of yours.",
    "Configuration": "The program: a draft, which tills use once it is published.",
}
SETTINGS: Final = {
    "OAS_VERSION": "3.1.0",
    "TITLE": "Loyalty engine",
    "VERSION": "1",
    "DESCRIPTION": DESCRIPTION,
    "TAGS": [{"name": name, "description": meaning} for name, meaning in TAGS.items()],
    "SORT_OPERATIONS": False,
    "SCHEMA_PATH_PREFIX": "/v1",
    "POSTPROCESSING_HOOKS": [],
}
PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "description": "What went wrong (RFC 9457).",
    "required": ["type", "title", "status", "detail", "code", "retry", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "retry": {
            "type": "string",
            "enum": ["never", "same_key", "new_key"],
            "description": "Whether trying again can help, and with which idempotency key.",
        },
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "message"],
                "properties": {
                    "pointer": {"type": "string", "description": "JSON pointer (RFC 6901)."},
                    "message": {"type": "string"},
                },
            },
        },
    },
}


def contract(request: HttpRequest) -> HttpResponse:
    """GET /v1/openapi.json."""
    if request.method not in ("GET", "HEAD"):
        refused = MethodNotAllowed("This address answers to GET, HEAD.", allow=["GET", "HEAD"])
        return problem_response(refused, request_id_of(request))
    return HttpResponse(contract_bytes(), content_type="application/json")


@lru_cache(maxsize=1)
def contract_bytes() -> bytes:
    """Write the contract, once per process: it changes with the code only."""
    with patched_settings(SETTINGS):
        generator: Any = SchemaGenerator
        document = generator().get_schema(request=None, public=True)
    components = document.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = PROBLEM
    components["securitySchemes"] = {
        "apiKey": {"type": "http", "scheme": "bearer", "description": "A key: lyk_…"}
    }
    components["examples"] = {error.code: {"value": _example(error)} for error in all_errors()}
    document["servers"] = [{"url": "/"}]
    for operations in document["paths"].values():
        for described in operations.values():
            _complete(described)
    return orjson.dumps(document)


def _complete(described: dict[str, Any]) -> None:
    """Put the answers in order, and an example beside each code that may come."""
    described["description"] = described.get("description", "").strip()
    described["responses"] = dict(sorted(described["responses"].items()))
    for answer in described["responses"].values():
        problem = answer.get("content", {}).get(PROBLEM_JSON)
        if problem is not None:
            codes = problem["schema"]["allOf"][1]["properties"]["code"]["enum"]
            problem["examples"] = {
                code: {"$ref": f"#/components/examples/{code}"} for code in codes
            }


def _example(error: type[LoyaltyError]) -> Any:
    return orjson.loads(problem_bytes(error(), "f0a1c2"))


class Explorer(SpectacularSwaggerSplitView):
    """GET /docs: the contract to click through."""

    authentication_classes = ()
    url_name = "contract"
    title = "Loyalty engine"
