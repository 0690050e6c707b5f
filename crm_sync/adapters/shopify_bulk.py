"""Shopify's bulk form: one mutation over a file of customers, done when Shopify gets round to it.

Source: shopify.dev, "Bulk import data with the GraphQL Admin API".
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from uuid import uuid4

import orjson

from crm_sync.adapters.client import Answer, CallFailed, Request, classify
from crm_sync.adapters.contract import JobReport, Profile
from crm_sync.adapters.outcomes import Delivered, Outcome, Retryable
from crm_sync.adapters.shopify_documents import changes_of, refusal

Ask = Callable[[str, Mapping[str, Any], int], dict[str, Any]]
Call = Callable[[Request], Answer]

MUTATION_COST: Final = 10
_STATE_COST: Final = 1
_CLEARED_AT_ONCE: Final = 200  # of 250 that a list of Shopify's may have
_STAGE: Final = """
mutation Stage($input: [StagedUploadInput!]!) {
  stagedUploadsCreate(input: $input) {
    stagedTargets { url parameters { name value } }
    userErrors { message }
  }
}"""
_RUN: Final = """
mutation Run($mutation: String!, $path: String!) {
  bulkOperationRunMutation(mutation: $mutation, stagedUploadPath: $path) {
    bulkOperation { id }
    userErrors { code message }
  }
}"""
_STATE: Final = """
query State($id: ID!) {
  bulkOperation(id: $id) { status errorCode url partialDataUrl }
}"""
_CLEAR: Final = """
mutation Clear($metafields: [MetafieldIdentifierInput!]!) {
  metafieldsDelete(metafields: $metafields) { userErrors { message } }
}"""
EACH: Final = """
mutation Each($metafields: [MetafieldsSetInput!]!) {
  metafieldsSet(metafields: $metafields) { userErrors { code message } }
}"""
_UNDER_WAY: Final = frozenset({"CREATED", "RUNNING", "CANCELING"})


class Refused(Exception):
    """Shopify takes no bulk operation now; each customer can be written to by themselves."""


def submit(ask: Ask, call: Call, profiles: Sequence[Profile], namespace: str) -> str:
    """Start an operation that writes these customers' metafields; give its id.

    What is not known any more cannot be a part of it, and is deleted before.

    Raises:
        Refused: It is not started, and each may be written to by themselves.
        CallFailed: There was no answer, or it was none of Shopify's.
    """
    changes = [changes_of(one, one.person.vendor_id, namespace) for one in profiles]
    _clear(ask, [place for _, gone in changes for place in gone])
    path = _upload(ask, call, [{"metafields": wanted} for wanted, _ in changes])
    found = ask(_RUN, {"mutation": EACH, "path": path}, MUTATION_COST)["bulkOperationRunMutation"]
    if found["userErrors"] or not found["bulkOperation"]:
        raise Refused
    return str(found["bulkOperation"]["id"])


def report(ask: Ask, call: Call, operation: str, customers: int) -> JobReport:
    """Say how far an operation is; when it has ended, what became of each customer.

    Raises:
        CallFailed: There was no answer.
    """
    found = ask(_STATE, {"id": operation}, _STATE_COST)["bulkOperation"]
    if found is None:
        lost = Retryable(error="Shopify does not know the bulk operation any more.")
        return JobReport(is_done=True, outcomes=[lost] * customers)
    if found["status"] in _UNDER_WAY:
        return JobReport(is_done=False)
    url = found["url"] or found["partialDataUrl"]
    lines = _results(call, url) if url else {}
    why = found["errorCode"] or "no result of this customer"
    untold = Retryable(error=f"The bulk operation ended as {found['status']}: {why}.")
    outcomes = [_outcome(lines[place]) if place in lines else untold for place in range(customers)]
    return JobReport(is_done=True, outcomes=outcomes)


def _clear(ask: Ask, places: Sequence[Mapping[str, str]]) -> None:
    for first in range(0, len(places), _CLEARED_AT_ONCE):
        some = places[first : first + _CLEARED_AT_ONCE]
        if ask(_CLEAR, {"metafields": some}, MUTATION_COST)["metafieldsDelete"]["userErrors"]:
            raise Refused


def _upload(ask: Ask, call: Call, lines: Sequence[Mapping[str, Any]]) -> str:
    """Lay a file where Shopify says; give the path by which it finds it."""
    wanted = {
        "resource": "BULK_MUTATION_VARIABLES",
        "filename": "profiles",
        "mimeType": "text/jsonl",
        "httpMethod": "POST",
    }
    staged = ask(_STAGE, {"input": [wanted]}, MUTATION_COST)["stagedUploadsCreate"]
    if staged["userErrors"] or not staged["stagedTargets"]:
        raise Refused
    place = staged["stagedTargets"][0]
    parameters = {str(one["name"]): str(one["value"]) for one in place["parameters"]}
    content, kind = _form(parameters, b"\n".join(orjson.dumps(line) for line in lines) + b"\n")
    request = Request(
        method="POST", url=place["url"], headers={"content-type": kind}, content=content
    )
    answer = call(request)
    if not 200 <= answer.status < 300 or "key" not in parameters:
        raise Refused
    return parameters["key"]


def _form(parameters: Mapping[str, str], file: bytes) -> tuple[bytes, str]:
    """Write a form with a file, which comes last."""
    line = uuid4().hex
    parts = [
        f'--{line}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in parameters.items()
    ]
    head = 'content-disposition: form-data; name="file"; filename="profiles.jsonl"'
    parts.append(f"--{line}\r\n{head}\r\ncontent-type: text/jsonl\r\n\r\n".encode())
    return b"".join([*parts, file, f"\r\n--{line}--\r\n".encode()]), (
        f"multipart/form-data; boundary={line}"
    )


def _results(call: Call, url: str) -> dict[int, Mapping[str, Any]]:
    """Read the file of results: each line says which line of ours it answers."""
    answer = call(Request(method="GET", url=url, headers={"accept": "application/jsonl"}))
    outcome = classify(answer)
    if not isinstance(outcome, Delivered):
        # The address is good for a week; whoever asks again gets another one.
        raise CallFailed(Retryable(status_code=answer.status, error=outcome.error))
    found: dict[int, Mapping[str, Any]] = {}
    for line in answer.content.splitlines():
        try:
            said = orjson.loads(line)
            found[int(said["__lineNumber"])] = said
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            continue  # cut off, or not a result: whoever it was about is sent by themselves
    return found


def _outcome(line: Mapping[str, Any]) -> Outcome:
    told = (line.get("data") or {}).get("metafieldsSet")
    if not told:
        said = orjson.dumps(line.get("errors") or "nothing").decode()[:400]
        return Retryable(status_code=200, error=f"The bulk operation did not write it: {said}")
    if told["userErrors"]:
        return refusal(told["userErrors"])
    return Delivered(status_code=200)
