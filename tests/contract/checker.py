"""Hold an answer against the contract: status, content type, shape and code must be described.

Stricter than a client should be: a field that the contract does not name is a finding too.
"""

import json
import re
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from loyalty.http.contract import contract_bytes


@cache
def contract() -> dict[str, Any]:
    """Return the contract, with its answers closed to further fields."""
    document: dict[str, Any] = json.loads(contract_bytes())
    for name, schema in document["components"]["schemas"].items():
        if name != "Problem" and "additionalProperties" not in schema:
            schema["additionalProperties"] = False
    for schema in list(document["components"]["schemas"].values()):
        _open_where_extended(document, schema)
    return document


def _open_where_extended(document: dict[str, Any], schema: dict[str, Any]) -> None:
    """A schema that others extend by allOf cannot be closed by itself."""
    for part in schema.get("allOf", []):
        name = part.get("$ref", "").rpartition("/")[2]
        if name:
            document["components"]["schemas"][name].pop("additionalProperties", None)


def operation(method: str, path: str) -> dict[str, Any]:
    """Find what the contract says about a call."""
    for template, operations in sorted(contract()["paths"].items(), key=_specific_first):
        pattern = re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(template))
        if re.fullmatch(pattern, path.partition("?")[0]) and method.lower() in operations:
            found: dict[str, Any] = operations[method.lower()]
            return found
    raise AssertionError(f"{method} {path} is not in the contract")


def _specific_first(item: tuple[str, Any]) -> tuple[int, str]:
    return item[0].count("{"), item[0]


def check(method: str, path: str, status: int, content_type: str, body: bytes) -> None:
    """Assert that the contract allows this answer."""
    described = operation(method, path)["responses"].get(str(status))
    where = f"{method} {path} answered {status}"
    assert described is not None, f"{where}, which the contract does not name: {body!r}"
    assert content_type in described["content"], f"{where} as {content_type}"
    schema = {
        **described["content"][content_type]["schema"],
        "components": contract()["components"],
    }
    checker = Draft202012Validator(schema, format_checker=FormatChecker())
    found = [
        f"{error.json_path}: {error.message}" for error in checker.iter_errors(json.loads(body))
    ]
    assert not found, f"{where}: {found[:5]}"
