"""The same over real HTTP: two nodes, processes that are killed, a PostgreSQL that restarts.

LOYALTY_WEB_KILLS=300 pytest tests/concurrency/test_over_http.py -k random kills as often as it
takes to be sure.
"""

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.factories import line, program_document, unique
from tests.stack import Stack, WebNode
from tests.wire import Wire

KILLS = int(os.environ.get("LOYALTY_WEB_KILLS", "10"))


class Shop:
    """A program on the live stack, a key, and members with points."""

    def __init__(self, stack: Stack, **changes: Any) -> None:
        self.stack = stack
        self.document = program_document(**changes)
        stack.manage("program", "apply", "-", stdin=json.dumps(self.document))
        self.key = stack.api_key(self.document["program"])
        prefix = self.key.rpartition("_")[0]
        found = stack.sql("SELECT id, program_id FROM loyalty_apikey WHERE prefix = %s", prefix)
        self.client_id, self.program_id = found[0]
        self.clients: dict[str, httpx.Client] = {}

    def member(self, balance: int = 0) -> str:
        card = unique("c")
        self.post("/v1/members", {"identifiers": [{"type": "card", "value": card}]})
        if balance:
            body = {"member": f"card:{card}", "points": balance, "reason": "test"}
            assert self.post("/v1/adjustments", body).status_code == 201
        return card

    def order(self, card: str, ref: str, amount: str = "10.00") -> dict[str, Any]:
        return {
            "member": f"card:{card}",
            "order": {
                "ref": ref,
                "store": "309",
                "occurred_at": datetime.now(UTC).isoformat(),
                "currency": "USD",
                "lines": [line("1", amount)],
            },
        }

    def post(
        self, path: str, body: Any, *, key: str = "", node: WebNode | None = None
    ) -> httpx.Response:
        url = (node or self.stack.web).url
        if url not in self.clients:
            limits = httpx.Limits(max_connections=None)
            self.clients[url] = self.stack.client(self.key, node, limits=limits)
        headers = {"Idempotency-Key": key or unique("k")}
        return self.clients[url].post(path, json=body, headers=headers)

    def close(self) -> None:
        for client in self.clients.values():
            client.close()

    def orders(self) -> int:
        query = "SELECT count(*) FROM loyalty_order WHERE program_id = %s"
        return int(self.stack.sql(query, self.program_id)[0][0])

    def awards(self) -> int:
        query = "SELECT count(*) FROM loyalty_ledgertransaction WHERE program_id = %s AND kind = %s"
        return int(self.stack.sql(query, self.program_id, "earn")[0][0])

    def keys(self, key: str) -> list[tuple[Any, ...]]:
        query = "SELECT status FROM loyalty_idempotencykey WHERE client = %s AND key = %s"
        return self.stack.sql(query, self.client_id, key)

    def proved(self) -> None:
        self.stack.manage("audit_ledger")


@pytest.fixture
def shop(live_stack: Stack) -> Iterator[Shop]:
    shop = Shop(live_stack)
    yield shop
    shop.close()


def all_at_once(things: list[Callable[[], Any]], clients: int) -> list[Any]:
    with ThreadPoolExecutor(clients) as pool:
        return [future.result() for future in [pool.submit(thing) for thing in things]]


def eventually(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


@contextmanager
def held(stack: Stack, shop: Shop, card: str) -> Iterator[None]:
    """Hold a member's row, for which their commands wait."""
    query = """SELECT 1 FROM loyalty_memberstate AS s JOIN loyalty_identifier AS i USING (member_id)
        WHERE i.program_id = %s AND i.value = %s FOR NO KEY UPDATE OF s"""
    with stack.connect() as other, other.transaction():
        assert other.execute(query.encode(), [shop.program_id, card]).fetchone()
        yield


def test_one_receipt_at_two_nodes_is_one_award(shop: Shop, live_stack: Stack):
    """Scenario 1: 200 receipts × 2 nodes × 5 copies under one key each."""
    second = live_stack.add_web(WEB_WORKERS="1")
    card = shop.member()
    receipts = [(unique("k"), shop.order(card, unique("o"))) for _ in range(200)]
    things = [
        lambda key=key, body=body, node=node: shop.post("/v1/earn", body, key=key, node=node)
        for key, body in receipts
        for node in [live_stack.web, second] * 5
    ]
    answers = all_at_once(things, 12)
    assert Counter(answer.status_code for answer in answers) == {201: 2000}
    for at in range(0, 2000, 10):
        copies = answers[at : at + 10]
        assert len({copy.content for copy in copies}) == 1
        replayed = [copy.headers.get("Idempotent-Replayed") for copy in copies]
        assert sorted(replayed, key=str) == [None, *["true"] * 9]
    assert shop.orders() == shop.awards() == 200
    shop.proved()


def test_fifty_tills_at_once_never_exceed_a_budget(shop: Shop, live_stack: Stack):
    """Twenty get 50 points of the campaign, one the last 30, and the others none of it."""
    rules = [{"code": "plus", "bonus": 50}]
    days = {"from": "2017-03-01", "to": "2199-03-31"}
    campaign = {"code": "spring", **days, "budget_points": 1_030, "rules": rules}
    document = {**shop.document, "campaigns": [campaign]}
    live_stack.manage("program", "apply", "-", stdin=json.dumps(document))
    cards = [unique("c") for _ in range(50)]
    commands = [
        {"idempotency_key": card, "enrol": {"identifiers": [{"type": "card", "value": card}]}}
        for card in cards
    ]
    assert shop.post("/v1/batch", {"commands": commands}).status_code == 200
    orders = [shop.order(card, unique("o")) for card in cards]
    answers = all_at_once([lambda body=body: shop.post("/v1/earn", body) for body in orders], 50)
    assert Counter(answer.status_code for answer in answers) == {201: 50}
    given = Counter(answer.json()["points"] - 10 for answer in answers)
    assert given == {50: 20, 30: 1, 0: 29}
    query = "SELECT used FROM loyalty_campaignbudget WHERE program_id = %s"
    assert live_stack.sql(query, shop.program_id) == [(1_030,)]
    shop.proved()


def test_a_key_that_is_in_use_waits_and_then_says_so(shop: Shop, live_stack: Stack):
    """Scenario 4: after 2 seconds 409 request_in_progress; and nothing was done."""
    card, key = shop.member(), unique("k")
    body = shop.order(card, unique("o"))
    with live_stack.connect() as other, other.transaction(force_rollback=True):
        other.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, %s))", [key, shop.client_id]
        )
        started = time.monotonic()
        answer = shop.post("/v1/earn", body, key=key)
        waited = time.monotonic() - started
    assert (answer.status_code, answer.json()["code"]) == (409, "request_in_progress")
    assert answer.headers["Retry-After"]
    assert waited > 1.5
    assert shop.post("/v1/earn", body, key=key).status_code == 201


def test_a_key_that_is_in_use_for_a_moment_is_waited_for(shop: Shop, live_stack: Stack):
    """Scenario 4: the first waits half a second for its member, and eleven copies for the first."""
    card, key = shop.member(), unique("k")
    body = shop.order(card, unique("o"))
    with ThreadPoolExecutor(12) as pool:
        with held(live_stack, shop, card):
            sent = [pool.submit(shop.post, "/v1/earn", body, key=key) for _ in range(12)]
            time.sleep(0.5)
            assert not any(one.done() for one in sent)
        answers = [one.result() for one in sent]
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert [answer.headers.get("Idempotent-Replayed") for answer in answers].count("true") == 11


@pytest.fixture
def wired(live_stack: Stack) -> Iterator[tuple[Wire, WebNode]]:
    """A node whose way to PostgreSQL can be cut."""
    parts = urlsplit(live_stack.database_url)
    wire = Wire(parts.hostname or "127.0.0.1", parts.port or 5432)
    node = live_stack.add_web(DATABASE_URL=wire.url(live_stack.database_url), WEB_WORKERS="1")
    yield wire, node
    node.kill()
    wire.close()


def killed_while_cut(shop: Shop, wire: Wire, node: WebNode, body: Any, key: str) -> None:
    """Send a request whose COMMIT is cut, and kill -9 the node while it waits."""
    sending = threading.Thread(target=lambda: _ignore(shop, node, body, key))
    sending.start()
    assert wire.was_cut.wait(20)
    node.kill()
    sending.join(20)


def _ignore(shop: Shop, node: WebNode, body: Any, key: str) -> None:
    try:
        answer = shop.post("/v1/earn", body, key=key, node=node)
        raise AssertionError(f"answered {answer.status_code}")
    except httpx.HTTPError:
        pass  # nobody answers any more: that is the point


def test_killed_after_the_commit_the_retry_gets_the_stored_answer(
    shop: Shop, wired: tuple[Wire, WebNode]
):
    """Scenario 5: the server commits, the node dies before it knows."""
    wire, node = wired
    card, key, ref = shop.member(), unique("k"), unique("o")
    body = shop.order(card, ref)
    wire.cut_after = lambda chunk: b"COMMIT" in chunk
    killed_while_cut(shop, wire, node, body, key)
    eventually(lambda: shop.keys(key) == [(201,)])
    again = shop.post("/v1/earn", body, key=key)
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert again.json()["points"] == 10
    assert shop.orders() == 1
    shop.proved()


def test_killed_before_the_commit_nothing_is_stored(shop: Shop, wired: tuple[Wire, WebNode]):
    """Scenario 6: the retry does it; no key is stuck."""
    wire, node = wired
    card, key, ref = shop.member(), unique("k"), unique("o")
    body = shop.order(card, ref)
    wire.cut_before = lambda chunk: b"COMMIT" in chunk
    killed_while_cut(shop, wire, node, body, key)
    assert shop.keys(key) == []
    again = shop.post("/v1/earn", body, key=key)
    assert (again.status_code, again.headers.get("Idempotent-Replayed")) == (201, None)
    assert shop.orders() == 1
    shop.proved()


def test_workers_killed_at_random_double_nothing(shop: Shop, live_stack: Stack):
    """Scenarios 5 and 6, at random points: effects are the distinct keys, and none is stuck."""
    card, sales = shop.member(), KILLS * 12
    answers: list[httpx.Response] = []

    def sell(number: int) -> None:
        if number % 12 == 6:
            live_stack.web.kill_one_worker()  # while the other tills are being served
        answers.append(until_answered(shop, unique("k"), shop.order(card, unique("o"))))

    all_at_once([lambda n=n: sell(n) for n in range(sales)], 6)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == sales
    assert shop.orders() == shop.awards() == sales
    shop.proved()


def until_answered(shop: Shop, key: str, body: Any) -> httpx.Response:
    """As a till does: the same key again until somebody answers for good."""
    end = time.monotonic() + 40
    while time.monotonic() < end:
        try:
            answer = shop.post("/v1/earn", body, key=key)
        except httpx.HTTPError:
            time.sleep(0.05)
            continue
        if answer.status_code not in (503, 500):
            return answer
        assert answer.status_code == 503, answer.text
        time.sleep(0.05)
    raise AssertionError("nobody answered for 40 seconds")


class Traffic:
    """Tills that sell until they are told to stop, and remember what was acknowledged."""

    def __init__(self, shop: Shop, tills: int) -> None:
        self.shop = shop
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.acknowledged: set[str] = set()
        self.done = threading.Event()
        cards = [shop.member() for _ in range(tills)]
        self.tills = [threading.Thread(target=self.sell, args=[card]) for card in cards]
        for till in self.tills:
            till.start()

    def sell(self, card: str) -> None:
        while not self.done.is_set():
            key, body = unique("k"), self.shop.order(card, unique("o"))
            self.sent.append((key, body))
            try:
                answer = self.shop.post("/v1/earn", body, key=key)
            except httpx.HTTPError:
                continue
            assert answer.status_code in (201, 503), answer.text
            if answer.status_code == 201:
                self.acknowledged.add(key)
            else:
                assert answer.headers["Retry-After"]
                time.sleep(0.02)

    def goes_on(self) -> None:
        before = len(self.acknowledged)
        eventually(lambda: len(self.acknowledged) > before + 40)

    def stop(self) -> None:
        self.done.set()
        for till in self.tills:
            till.join(30)


def test_what_was_acknowledged_survives_a_crash_of_postgresql(shop: Shop, live_stack: Stack):
    """Scenario 15: kill -9 in mid-traffic; acknowledged is present, retries add nothing."""
    if live_stack.postgres is None:
        pytest.skip("TEST_DATABASE_URL is not ours to kill")
    traffic = Traffic(shop, tills=4)
    try:
        traffic.goes_on()
        live_stack.postgres.kill()
        live_stack.postgres.start()
        before = len(traffic.acknowledged)
        eventually(lambda: len(traffic.acknowledged) > before, seconds=10)
        traffic.goes_on()
    finally:
        traffic.stop()
    lost = [key for key in traffic.acknowledged if shop.keys(key) != [(201,)]]
    assert lost == []
    for key, body in traffic.sent:
        if key not in traffic.acknowledged:
            assert until_answered(shop, key, body).status_code == 201
    assert shop.orders() == len(traffic.sent)
    shop.proved()


def test_tills_go_on_while_valkey_is_away(shop: Shop, live_stack: Stack):
    """Scenario 12: for what happens at a till nobody asks it anything."""
    if live_stack.valkey is None:
        pytest.skip("TEST_REDIS_URL is not ours to stop")
    card = shop.member(100)
    live_stack.valkey.stop()
    try:
        redeem = {"member": f"card:{card}", "points": 40}
        answers = [
            shop.post("/v1/earn", shop.order(card, unique("o"))),
            shop.post("/v1/redeem", redeem),
            shop.post("/v1/redeem", {**redeem, "capture": False}),
        ]
        ready = httpx.get(f"{live_stack.web.url}/readyz")
    finally:
        live_stack.valkey.start()
    assert [answer.status_code for answer in answers] == [201, 201, 201]
    assert answers[-1].json()["balance"]["available"] == 100 + 10 - 80
    assert (ready.status_code, ready.json()["redis"]) == (200, "unreachable")
    assert max(answer.elapsed for answer in answers) < timedelta(seconds=2)
    shop.proved()


def test_an_exhausted_pool_says_overloaded_and_lets_nobody_hang(shop: Shop, live_stack: Stack):
    """Scenario 18: 200 clients, two connections, both held up: nobody hangs."""
    node = live_stack.add_web(WEB_WORKERS="1", WEB_THREADS="32", DB_POOL_MAX="2")
    card = shop.member()
    shop.post("/v1/earn", shop.order(card, unique("o")), node=node)

    def ask() -> httpx.Response:
        return shop.post("/v1/earn", shop.order(card, unique("o")), node=node)

    with ThreadPoolExecutor(200) as pool:
        with held(live_stack, shop, card):
            futures = [pool.submit(ask) for _ in range(200)]
            eventually(lambda: any(future.done() for future in futures))
        answers = [future.result() for future in futures]
    found = Counter(answer.status_code for answer in answers)
    assert set(found) <= {201, 503}, found
    assert found[503] > 0
    refused = [answer for answer in answers if answer.status_code == 503]
    assert {answer.json()["code"] for answer in refused} == {"overloaded"}
    assert all(answer.headers["Retry-After"] for answer in refused)
    assert max(answer.elapsed for answer in answers) < timedelta(seconds=10)
    assert shop.post("/v1/earn", shop.order(card, unique("o")), node=node).status_code == 201
    shop.proved()
