"""Turn any error into an RFC 9457 problem document: the only place that knows how."""

from collections.abc import Sequence
from typing import Any

import orjson
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from loyalty.errors import LoyaltyError, MalformedJson, ValidationFailed
from loyalty.http.fields import SENTENCES

PROBLEM_JSON = "application/problem+json"

# A body of unknown keys would otherwise cost more to complain about than to read.
MAX_ERRORS_READ = 500
MAX_ERRORS_SHOWN = 20

_SENTENCES = {
    "extra_forbidden": "This call knows no such field.",
    "unexpected_keyword_argument": "This call knows no such field.",
    "missing": "This field is required.",
    "int_type": "This is a JSON integer: no fraction, exponent, quotes, true or false.",
    "string_type": 'This is text in quotes, and so are decimals, such as "3.86".',
    "too_short": "There have to be at least {min_length} of these.",
    "too_long": "There may be {max_length} of these at most.",
}


def problem_bytes(error: LoyaltyError, request_id: str) -> bytes:
    """Write the problem document of an error: the stored answer, byte for byte."""
    document: dict[str, Any] = {
        **error.facts,
        "type": f"/docs/errors#{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
        "retry": error.retry,
        "request_id": request_id,
    }
    if error.errors:
        document["errors"] = error.errors
    return orjson.dumps(document, default=str)


def from_validation(error: ValidationError) -> LoyaltyError:
    """Say in our words what pydantic found, with a JSON pointer for each finding."""
    if error.error_count() > MAX_ERRORS_READ:
        return ValidationFailed(f"{error.error_count()} fields are wrong.")
    found = error.errors(include_url=False, include_input=False)
    if found and found[0]["type"] == "json_invalid":
        return MalformedJson(found[0]["msg"])
    errors = [
        {"pointer": json_pointer(item["loc"]), "message": in_words(item)}
        for item in found[:MAX_ERRORS_SHOWN]
    ]
    more = len(found) - MAX_ERRORS_SHOWN
    return ValidationFailed(
        f"{len(found)} fields are wrong, the first {MAX_ERRORS_SHOWN} are shown."
        if more > 0
        else "",
        errors=errors,
    )


def in_words(found: ErrorDetails) -> str:
    """Say in a sentence of ours what pydantic has found."""
    context = found.get("ctx", {})
    if found["type"] in _SENTENCES:
        return _SENTENCES[found["type"]].format_map(context)
    if found["type"] == "value_error":
        return sentence(str(context["error"]))
    return SENTENCES.get(context.get("pattern", "")) or found["msg"]


def sentence(text: str) -> str:
    """Make a sentence of what an exception says: it may stand alone now."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '…')) else '.'}"


def json_pointer(path: Sequence[str | int]) -> str:
    """Write a path as an RFC 6901 pointer; the whole document is the empty string."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)
