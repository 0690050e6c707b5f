"""Bulk operations of the sandbox of Shopify: a file laid down, a mutation over it, results."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email import message_from_bytes
from typing import Any, Final
from uuid import uuid4

import orjson

from crm_sync.sandboxes.server import Call, Reply

AT_ONCE: Final = 5
UPLOADS: Final = "/staged-uploads"
RESULTS: Final = "/bulk-results/"

Execute = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]


@dataclass
class Operation:
    """One mutation over one file."""

    mutation: str
    lines: list[bytes]
    polls_left: int
    status: str = "CREATED"
    results: list[bytes] = field(default_factory=list)


class Bulk:
    """What Shopify keeps of bulk operations.

    Attributes:
        polls_until_done: How often an operation is asked for until it has ended.
        fails_after: How many lines are done of one that fails; None: it does not fail.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.operations: dict[str, Operation] = {}
        self.polls_until_done = 1
        self.fails_after: int | None = None

    def handle(self, call: Call) -> Reply | None:
        """Take a file, or show results; None if that is not what is asked."""
        if call.path == UPLOADS and call.method == "POST":
            return self._upload(call)
        if call.path.startswith(RESULTS) and call.method == "GET":
            name = call.path.removeprefix(RESULTS)
            operation = self.operations.get(f"gid://shopify/BulkOperation/{name}")
            if operation is None:
                return Reply(404)
            lines = b"\n".join(operation.results)
            return Reply(200, lines, {"content-type": "application/jsonl"})
        return None

    def roots(self, url: str, execute: Execute) -> dict[str, Callable[..., Any]]:
        """Give the fields of queries and mutations."""

        def stage(_: Any, input: list[dict[str, str]]) -> Any:
            targets = []
            for one in input:
                key = f"tmp/sandbox/bulk/{uuid4().hex}/{one['filename']}.jsonl"
                parameters = {"Content-Type": one["mimeType"], "acl": "private", "key": key}
                told = [{"name": name, "value": value} for name, value in parameters.items()]
                targets.append({"url": f"{url}{UPLOADS}", "parameters": told})
            return {"stagedTargets": targets, "userErrors": []}

        def run(_: Any, mutation: str, stagedUploadPath: str) -> Any:
            return self._run(mutation, stagedUploadPath)

        def state(_: Any, id: str) -> Any:
            return self._state(id, url, execute)

        return {
            "stagedUploadsCreate": stage,
            "bulkOperationRunMutation": run,
            "bulkOperation": state,
        }

    def _upload(self, call: Call) -> Reply:
        head = f"content-type: {call.headers.get('content-type')}\r\n\r\n".encode()
        form = message_from_bytes(head + call.raw)
        parts = {
            str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True)
            for part in form.walk()
            if not part.is_multipart()
        }
        if not {"key", "acl", "file"} <= parts.keys() or [*parts][-1] != "file":
            return Reply(403)
        self.files[bytes(parts["key"] or b"").decode()] = bytes(parts["file"] or b"")
        return Reply(201)

    def _run(self, mutation: str, path: str) -> Any:
        if path not in self.files:
            return _refused("NO_SUCH_FILE", "The JSONL file could not be found.")
        if sum(one.status == "CREATED" for one in self.operations.values()) >= AT_ONCE:
            return _refused("OPERATION_IN_PROGRESS", "A bulk mutation is already in progress.")
        id_ = f"gid://shopify/BulkOperation/{len(self.operations) + 1}"
        lines = self.files.pop(path).splitlines()
        self.operations[id_] = Operation(mutation, lines, self.polls_until_done)
        return {"bulkOperation": {"id": id_, "status": "CREATED"}, "userErrors": []}

    def _state(self, id_: str, url: str, execute: Execute) -> Any:
        operation = self.operations.get(id_)
        if operation is None:
            return None
        operation.polls_left -= 1
        if operation.polls_left <= 0 and operation.status == "CREATED":
            self._work(operation, execute)
        has_ended = operation.status != "CREATED"
        address = f"{url}{RESULTS}{id_.rpartition('/')[2]}"
        failed = operation.status == "FAILED"
        return {
            "id": id_,
            "status": operation.status,
            "errorCode": "TIMEOUT" if failed else None,
            "url": address if has_ended and not failed else None,
            "partialDataUrl": address if failed else None,
        }

    def _work(self, operation: Operation, execute: Execute) -> None:
        """Do each line; results come in another order than ours."""
        for number, line in enumerate(operation.lines[: self.fails_after]):
            found = execute(operation.mutation, orjson.loads(line))
            operation.results.insert(0, orjson.dumps({**found, "__lineNumber": number}))
        operation.status = "COMPLETED" if self.fails_after is None else "FAILED"


def _refused(code: str, message: str) -> dict[str, Any]:
    error = {"code": code, "message": message, "field": None}
    return {"bulkOperation": None, "userErrors": [error]}
