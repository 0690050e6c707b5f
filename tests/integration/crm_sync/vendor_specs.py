"""What vendors' own contracts say of requests."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from openapi_schema_validator import OAS30Validator

from crm_sync.sandboxes.server import Call


class OpenApi:
    """An OpenAPI 3.0 document that requests are held against, more strictly than it says itself.

    A name that it does not have is refused, wherever it lists names at all: an API that ignores
    unknown names loses what is in them.
    """

    def __init__(self, path: Path) -> None:
        self.document = json.loads(path.read_text())

    def problems(self, call: Call) -> list[str]:
        """Say what is wrong with a request; empty if nothing is."""
        path = self._path(call.path)
        operation = self.document["paths"].get(path, {}).get(call.method.lower())
        if operation is None:
            return [f"there is no {call.method} {call.path}"]
        parameters = [self._plain(one) for one in operation.get("parameters", [])]
        return [
            *self._parameter_problems(call, parameters),
            *self._body_problems(call, operation.get("requestBody")),
        ]

    def _path(self, path: str) -> str:
        for template in self.document["paths"]:
            steps, given = template.split("/"), path.split("/")
            if len(steps) == len(given) and all(
                step == one or step.startswith("{") for step, one in zip(steps, given, strict=True)
            ):
                return str(template)
        return path

    def _parameter_problems(self, call: Call, parameters: list[dict[str, Any]]) -> list[str]:
        names = {one["name"] for one in parameters if one["in"] == "query"}
        problems = [f"unknown parameter {name}" for name in call.query if name not in names]
        for one in parameters:
            present = {"query": call.query, "header": call.headers}.get(one["in"], {})
            if one.get("required") and one["in"] != "path" and one["name"].lower() not in present:
                problems.append(f"missing {one['in']} {one['name']}")
        return problems

    def _body_problems(self, call: Call, body: dict[str, Any] | None) -> list[str]:
        if body is None:
            return ["a body where none is taken"] if call.raw else []
        content = body["content"].get(call.headers.get("content-type", ""))
        if content is None:
            return [f"content type {call.headers.get('content-type')}"]
        schema = self._strict(content["schema"])
        found = OAS30Validator(schema).iter_errors(call.body)
        return [f"{'/'.join(map(str, error.path))}: {error.message}" for error in found]

    def _plain(self, node: dict[str, Any]) -> dict[str, Any]:
        reference = node.get("$ref")
        if reference is None:
            return node
        found: Any = self.document
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
        return self._plain(found)

    def _strict(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self._strict(one) for one in node]
        if not isinstance(node, dict):
            return node
        schema = {name: self._strict(value) for name, value in self._plain(node).items()}
        if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
            schema.setdefault("additionalProperties", False)
        return schema


@lru_cache(maxsize=4)
def open_api(path: Path) -> OpenApi:
    return OpenApi(path)
