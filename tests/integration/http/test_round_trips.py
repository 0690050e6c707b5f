"""How often a call waits for PostgreSQL and Redis, on a warm process: counted on the wire."""

from collections.abc import Callable
from typing import Any

import pytest
import redis
from django.http import HttpResponse

from tests.factories import Till, line
from tests.integration.http.caller import Caller, Shop, order_body
from tests.integration.http.wire import counted_wire

MOST = {
    "get_balance": 1,
    "get_member": 1,
    "list_ledger": 1,
    "get_ledger_transaction": 1,
    "list_lots": 1,
    "list_referrals": 1,
    "get_tier": 1,
    "list_tier_history": 1,
    "assign_tier": 2,
    "list_rewards": 1,
    "list_redemptions": 1,
    "get_redemption": 1,
    "earn": 2,
    "preview_earn": 2,
    "redeem": 2,
    "adjust": 2,
    "put_order": 2,
    "enrol": 2,
    "batch": 2,
}


def least(call: Callable[[], HttpResponse], times: int = 4) -> int:
    """Call several times, so that all is warm, and return the fewest waits."""
    with counted_wire() as counted:
        waits = []
        for _ in range(times):
            before = counted.round_trips
            assert call().status_code in (200, 201)
            waits.append(counted.round_trips - before)
    return min(waits)


@pytest.mark.parametrize("name", MOST)
def test_a_call_waits_for_the_database_so_often_at_most(shop: Shop, name: str) -> None:
    caller = Caller(shop.program_id)
    shop.till.adjust(shop.card, 10_000)

    bodies = [shop.call(name) for _ in range(4)]

    def call() -> HttpResponse:
        return caller.call(*bodies.pop())

    assert least(call) <= MOST[name]


@pytest.mark.parametrize("lines", [1, 200])
def test_neither_the_basket_nor_the_history_makes_an_earn_wait_more(till: Till, lines: int) -> None:
    card = till.member()
    caller = Caller(till.program.pk)
    for number in range(20):
        till.earn(card, f"o{number}", "5.00")
    basket = [line(str(n), "1.00", category="PRODUCE") for n in range(lines)]

    orders = [order_body(lines=basket) for _ in range(4)]

    def earn() -> HttpResponse:
        return caller.post("/v1/earn", {"member": f"card:{card}", "order": orders.pop()})

    assert least(earn) <= 2


def test_settling_waits_no_more_than_redeeming(shop: Shop) -> None:
    caller = Caller(shop.program_id)
    holds = [shop.new_hold() for _ in range(4)]

    def capture() -> HttpResponse:
        return caller.post(f"/v1/redemptions/{holds.pop()}/capture", {})

    assert least(capture) <= 2


def test_no_call_waits_for_redis(shop: Shop, api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("Redis was asked")

    monkeypatch.setattr(redis.connection.AbstractConnection, "send_packed_command", refuse)
    monkeypatch.setattr(redis.connection.AbstractConnection, "connect", refuse)
    for name in ("earn", "redeem", "get_balance", "adjust"):
        method, path, body = shop.call(name)
        assert api.call(method, path, body).status_code in (200, 201)
