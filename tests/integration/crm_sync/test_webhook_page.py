"""docs/crm/webhook.md is right: its receiver runs, and headers and answers are what it says."""

import json
import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from http.server import HTTPServer
from pathlib import Path
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator

from crm_sync.adapters.client import Answer
from crm_sync.adapters.outcomes import Configuration, Delivered, Outcome, Permanent, Retryable
from crm_sync.adapters.webhook import outcome_of
from loyalty.members.answers import Balance
from tests.integration.crm_sync.calls import OLD_SECRET, SECRET, adapter, outgoing, signed
from tests.integration.crm_sync.receivers import Receiver

PAGES: Final = Path(__file__).parents[3] / "docs"
PAGE: Final = (PAGES / "crm" / "webhook.md").read_text()
RECEIVER, SIGNATURE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
EVENT: Final = json.loads(re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)[0])
MEANS: Final = {
    "delivered": Delivered,
    "dead": Permanent,
    "tried again": Retryable,
    "waits": Configuration,
}


class PageReceiver:
    """The receiver of the page, in this thread, one call at a time."""

    def __init__(self, server: HTTPServer) -> None:
        self.server = server
        server.timeout = 10

    def take(self, event: dict[str, Any], secret: str = SECRET) -> Outcome:
        destination = signed(f"http://127.0.0.1:{self.server.server_port}/", [secret])
        with ThreadPoolExecutor(1) as pool:
            sent = pool.submit(adapter(total=30).send, destination, [outgoing(**event)])
            self.server.handle_request()
            return sent.result()[0]


@pytest.fixture
def page_receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    started: list[HTTPServer] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("PORT", "0")
    with monkeypatch.context() as patched:
        patched.setattr(HTTPServer, "serve_forever", lambda server: started.append(server))
        variables: dict[str, Any] = {}
        exec(RECEIVER, variables)
    yield PageReceiver(started[0])
    started[0].server_close()
    variables["db"].close()


def test_the_event_of_the_page_has_all_that_one_has() -> None:
    schema = json.loads((PAGES / "events" / f"{EVENT['type']}.v1.json").read_text())
    Draft202012Validator(schema).validate(EVENT)
    assert set(EVENT["balances"]) == set(Balance.model_fields)


def kept(query: str) -> list[Any]:
    db = sqlite3.connect("events.db")
    try:
        return db.execute(query).fetchall()
    finally:
        db.close()


def test_its_receiver_keeps_each_event_once_and_the_newest_balance(
    page_receiver: PageReceiver,
) -> None:
    older = EVENT | {"id": "evt_1", "sequence": 6, "balances": {"available": 117}}
    outcomes = [page_receiver.take(event) for event in (EVENT, EVENT, older)]
    assert [type(outcome) for outcome in outcomes] == [Delivered] * 3
    assert sorted(kept("SELECT id FROM event")) == sorted([(EVENT["id"],), ("evt_1",)])
    assert kept("SELECT sequence, available FROM balance") == [(7, 120)]


def test_its_receiver_refuses_what_is_not_ours(page_receiver: PageReceiver) -> None:
    assert page_receiver.take(EVENT, OLD_SECRET).status_code == 401
    assert kept("SELECT id FROM event") == []


def test_its_headers_come_and_its_signature_is_ours(receiver: Receiver) -> None:
    adapter().send(signed(receiver.url, [SECRET, OLD_SECRET]), [outgoing(**EVENT)])
    call = receiver.calls[0]
    found = {name for name in call.headers if name.startswith(("webhook-", "x-"))}
    assert found == set(re.findall(r"^\| `((?:webhook-|x-)[a-z-]+)` \|", PAGE, re.MULTILINE))
    variables: dict[str, Any] = {}
    exec(SIGNATURE, variables)
    id_, at = call.headers["webhook-id"], call.headers["webhook-timestamp"]
    made = [variables["signature"](one, id_, at, call.body) for one in (SECRET, OLD_SECRET)]
    assert call.headers["webhook-signature"].split() == made


def test_answers_mean_what_it_says() -> None:
    rows = re.findall(r"^\| ((?:\d{3}|2xx).*?) \| (.*?)(?::.*?)? \| ", PAGE, re.MULTILINE)
    told = [
        (int(status), MEANS[means])
        for statuses, means in rows
        for status in re.findall(r"\b\d{3}\b", statuses)
    ]
    assert len(told) > 15
    for status, means in [*told, (204, Delivered), (302, Configuration), (500, Retryable)]:
        assert isinstance(outcome_of(Answer(status=status, headers={}, content=b"")), means), status
