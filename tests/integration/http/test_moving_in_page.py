"""docs/moving_in.md is right: its program moves members in, once, and names the lines it cannot."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any, Final
from urllib.request import Request

import pytest

from loyalty.members.models import Member
from tests.factories import Till
from tests.integration.http.caller import Caller

PAGE: Final = (Path(__file__).parents[3] / "docs" / "moving_in.md").read_text()
(PROGRAM,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
(FILE,) = re.findall(r"```csv\n(.*?)```", PAGE, re.DOTALL)
(SAID,) = re.findall(r"```\n(line .*?)\n```", PAGE, re.DOTALL)


def test_its_file_moves_in_once_and_what_is_refused_is_named(
    till: Till, api: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("URL", "http://engine")
    monkeypatch.setenv("KEY", api.key)
    program: dict[str, Any] = {"__name__": "move_in"}
    exec(PROGRAM, program)

    def answer(request: Request, timeout: float) -> io.BytesIO:
        path = request.full_url.removeprefix("http://engine")
        assert isinstance(request.data, bytes)
        return io.BytesIO(api.post(path, json.loads(request.data), key=None).content)

    program["urlopen"] = answer

    def move(file: str) -> list[str]:
        return list(program["move_in"](csv.DictReader(io.StringIO(file))))

    def level(card: int) -> tuple[str, str | None, bool]:
        tier = json.loads(api.get(f"/v1/members/card:{card}/tier").content)
        return tier["code"], tier["valid_until"], tier["assigned"]

    assert move(FILE) == move(FILE) == SAID.splitlines()
    assert Member.objects.filter(program=till.program).count() == 6
    balance = json.loads(api.get("/v1/members/card:4711/balance").content)
    assert (balance["available"], balance["expiring"][0]["points"]) == (1250, 1250)
    assert level(4711) == ("silver", "2099-12-31", True)
    mended = FILE.replace("4713,ada@", "4713,grace@").replace(",many,", ",7,").replace("1250", "9")
    mended = mended.replace("platinum", "silver").replace("31.12.2099", "").replace("2019", "2098")
    assert [line[:37] for line in move(mended)] == ["line 2: This Idempotency-Key was used"]
    levels = [level(card) for card in (4712, 4715, 4716, 4717)]
    assert levels == [
        ("bronze", None, False),
        ("silver", "2099-12-31", True),
        ("silver", None, True),
        ("silver", "2098-12-31", True),
    ]
    cards = ("4711", "4712", "4713", "4714")
    found = [json.loads(api.get(f"/v1/members/card:{card}/balance").content) for card in cards]
    assert [one["available"] for one in found] == [1250, 0, 80, 7]
