"""A till sends again where that may help, always under the same key, and gives up in words."""

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from loyalty.demo import till as tills
from loyalty.demo.till import ServerGone, Till

Answer = tuple[int, dict]


class Engine(ThreadingHTTPServer):
    """Gives the answers that it is told, one after another."""

    def __init__(self, answers: list[Answer]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = answers
        self.keys: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Engine

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.keys.append(self.headers["Idempotency-Key"])
        status, body = self.server.answers.pop(0)
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def engine(monkeypatch) -> Iterator[Callable[..., Engine]]:
    monkeypatch.setattr(tills, "PAUSE_SECONDS", 0.001)
    engines: list[Engine] = []

    def start(*answers: Answer) -> Engine:
        engines.append(Engine(list(answers)))
        Thread(target=engines[-1].serve_forever, daemon=True).start()
        return engines[-1]

    yield start
    for one in engines:
        one.shutdown()
        one.server_close()


def test_what_may_pass_is_sent_again_under_the_same_key(engine):
    busy = (503, {"code": "overloaded"})
    running = (409, {"code": "request_in_progress"})
    server = engine(busy, running, (201, {"points": 3}))
    till = Till(base_url=server.url, api_key="k")
    assert till.post("/v1/earn", {}, key="receipt-1").body == {"points": 3}
    assert server.keys == ["receipt-1"] * 3
    assert till.tally.retries == 2
    assert not till.tally.refused


def test_a_refusal_stands_and_is_counted_by_its_code(engine):
    till = Till(base_url=engine((409, {"code": "order_conflict"})).url, api_key="k")
    assert till.post("/v1/earn", {}, key="receipt-1").is_refusal
    assert till.tally.refused == {"order_conflict": 1}


def test_a_server_that_stays_away_ends_the_replay_in_words(engine, monkeypatch):
    monkeypatch.setattr(tills, "TRIES", 3)
    till = Till(base_url="http://127.0.0.1:1", api_key="k")
    with pytest.raises(ServerGone, match="run the same command again"):
        till.post("/v1/earn", {}, key="receipt-1")


def test_a_key_that_is_not_let_in_ends_the_replay(engine):
    till = Till(base_url=engine((401, {"detail": "Unknown key."})).url, api_key="k")
    with pytest.raises(ServerGone, match="Unknown key"):
        till.post("/v1/earn", {}, key="receipt-1")
