"""README.md is right: its calls are made against the real engine, its answers are what comes."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.stack import Stack

ROOT = Path(__file__).parents[2]
CALL_AND_ANSWER = re.compile(r"```sh\n(curl .*?)```.*?```json\n(.*?)```", re.DOTALL)
PROGRAM = ("program: grocer", "program: readme")  # other tests have a grocer as well


def run(call: str, stack: Stack, key: str) -> bytes:
    script = f"NOW=$(date -u +%Y-%m-%dT%H:%M:%SZ)\n{call}"
    script = script.replace("http://127.0.0.1:8000", stack.url)
    done = subprocess.run(["bash", "-c", script], env={"KEY": key}, capture_output=True, check=True)
    return done.stdout


def shortened(answer: Any, shown: Any) -> Any:
    """Leave out of an answer what the page leaves out."""
    if shown == "…" and answer:
        return "…"
    if isinstance(shown, dict) and isinstance(answer, dict):
        return {name: shortened(value, shown.get(name)) for name, value in answer.items()}
    if isinstance(shown, list) and isinstance(answer, list) and len(shown) == len(answer):
        return [shortened(one, other) for one, other in zip(answer, shown, strict=True)]
    return answer


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_calls_answer_what_the_page_shows(live_stack: Stack):
    program = (ROOT / "loyalty" / "demo" / "grocer.yaml").read_text().replace(*PROGRAM)
    live_stack.manage("program", "apply", "-", stdin=program)
    key = live_stack.api_key("readme")
    shown = CALL_AND_ANSWER.findall((ROOT / "README.md").read_text())
    assert len(shown) == 2
    for call, answer in shown:
        expected = json.loads(answer)
        found = json.loads(run(call, live_stack, key))
        assert shortened(found, expected) == expected
