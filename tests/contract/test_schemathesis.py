"""Generated calls against the real engine: no 5xx, and nothing outside the contract."""

import json
import re
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.factories import program_document
from tests.stack import Stack

SEED = 20261122
SECONDS = 40  # it goes on generating until then
# One worker: with two, compiling in threads fails now and then inside CPython 3.11 ("AST
# constructor recursion depth mismatch"), and the seed would not repeat a run.
# The checks stand here and not on the command line, which would outrank the exception below: a
# batch answers 200 and refuses each bad command in its own result.
CONFIG = """
[parameters]
"path.member" = "card:2261"
"path.redemption" = "{redemption}"
"path.code" = "mug"

[checks]
enabled = false
not_a_server_error.enabled = true
status_code_conformance.enabled = true
content_type_conformance.enabled = true
response_headers_conformance.enabled = true
response_schema_conformance.enabled = true
negative_data_rejection.enabled = true
missing_required_header.enabled = true
unsupported_method.enabled = true
allow_header_conformance.enabled = true
ignored_auth.enabled = true

[[operations]]
include-operation-id = "batch"
checks.negative_data_rejection.enabled = false
"""


def call(client: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = client.post(path, json=body, headers={"Idempotency-Key": secrets.token_hex(8)})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def open_shop(stack: Stack) -> tuple[str, str]:
    """Make a program with a rich member who holds a reward; return the key and the hold."""
    document = program_document(
        points={"name": "points", "unknown_member": "enrol", "accept_late_days": 3650}
    )
    stack.manage("program", "apply", "-", stdin=json.dumps(document))
    key = stack.api_key(document["program"])
    with stack.client(key) as client:
        named = {"identifiers": [{"type": "card", "value": "2261"}]}
        member: str = call(client, "/v1/members", named)["id"]
        adjust = {"member": member, "points": 900_000, "reason": "to have something to spend"}
        call(client, "/v1/adjustments", adjust)
        hold = {"member": member, "reward": "five-off", "capture": False}
        return key, call(client, "/v1/redeem", hold)["id"]


def test_no_generated_call_leaves_the_contract(live_stack: Stack, tmp_path: Path) -> None:
    key, hold = open_shop(live_stack)
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG.format(redemption=hold))
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config)),
        *("run", f"{live_stack.url}/v1/openapi.json"),
        *("--header", f"Authorization: Bearer {key}", "--seed", str(SEED)),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", "25", "--workers", "1"),
        *("--continue-on-failure", "--max-time", str(SECONDS)),
        *("--warnings", "off", "--no-shrink"),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    lines = [line[:300] for line in done.stdout.splitlines()]
    assert done.returncode == 0, "\n".join(lines[:200]) + done.stderr[-2000:]
    generated = re.search(r"(\d+) generated", done.stdout)
    assert generated is not None and int(generated[1]) > 300
    live_stack.manage("audit_ledger")


@pytest.mark.parametrize(
    "path", ["/healthz", "/readyz", "/v1/openapi.json", "/docs", "/docs/errors"]
)
def test_what_needs_no_key_is_there(live_stack: Stack, path: str) -> None:
    with live_stack.client() as client:
        answer = client.get(path)
    assert answer.status_code == 200
    hosts = re.findall(r"(?:(?:src|href)=[\"']?|url\([\"']?)(?:https?:)?//", answer.text)
    assert not hosts
