"""docs/api.md is right: its calls are made in their order, and its answers are what comes."""

import json
import re
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from loyalty.events.services import stamp_events
from loyalty.programs import files
from loyalty.programs.services import apply_document
from tests.factories import Clock, unique
from tests.integration.http.caller import Caller, body_of

PAGE = (Path(__file__).parents[3] / "docs" / "api.md").read_text()
BLOCK = re.compile(r"```(http|json|yaml)\n(.*?)```", re.DOTALL)
LINE = re.compile(r"(GET|POST|PUT|PATCH|DELETE) (\S+)\n(?:Idempotency-Key: (\S+)\n)?")


def shortened(answer: Any, shown: Any) -> Any:
    """Leave out of an answer what the page leaves out."""
    if shown == "…" and answer is not None:
        return "…"
    if isinstance(shown, dict) and isinstance(answer, dict):
        return {name: shortened(value, shown.get(name)) for name, value in answer.items()}
    if isinstance(shown, list) and isinstance(answer, list) and len(shown) == len(answer):
        return [shortened(one, other) for one, other in zip(answer, shown, strict=True)]
    return answer


def pretty(document: Any) -> list[str]:
    """Write it so that a difference can be seen."""
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False).splitlines()


def test_the_calls_of_the_page_answer_what_it_shows(clock: Clock) -> None:
    clock.set(datetime(2026, 3, 5, 12, 0, tzinfo=UTC))  # the orders of the page would grow too old
    while stamp_events():
        pass  # other tests' events, which no relay of this database has stamped
    blocks = BLOCK.findall(PAGE)
    [program] = [text for kind, text in blocks if kind == "yaml"]
    document = files.read(program.replace("program: page", f"program: {unique()}"))
    caller = Caller(apply_document(document, actor="tests").pk)
    answer: Any = None
    redemption = ""
    checked = 0
    for (kind, text), (following, _) in pairwise([*blocks, ("", "")]):
        if kind == "http":
            method, path, key = LINE.match(text).groups()  # type: ignore[union-attr]
            body = text[LINE.match(text).end() :].strip()  # type: ignore[union-attr]
            answer = caller.call(
                method,
                path.replace("{id}", redemption),
                json.loads(body) if body else None,
                key=key,
            )
            assert following == "json" or answer.status_code < 300, (path, answer.content)
            if path == "/v1/redeem" and answer.status_code == 201:
                redemption = body_of(answer)["id"]
        elif kind == "json":
            status, _, shown = text.partition("\n")
            assert answer.status_code == int(status)
            wanted = json.loads(shown)
            assert pretty(shortened(body_of(answer), wanted)) == pretty(wanted)
            checked += 1
    assert checked >= 10
