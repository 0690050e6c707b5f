"""Let one member have bought for a year: `python -m benchmarks.engine.past CARD ORDERS`.

All their orders come in now, through the engine; whoever copies the member sets the clock of the
copies back (benchmarks/copies.py).
"""

import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import django

from benchmarks import tills

DAYS = 360
REDEEMED = 100


def buy(card: str, orders: int, code: str = "grocer") -> None:
    """Enrol a member and send their orders; of more than one, redeem points and return a line."""
    from loyalty.engine.commands import Command
    from loyalty.engine.run import run
    from loyalty.http.auth import SCOPES, Principal
    from loyalty.members.schemas import EnrolRequest
    from loyalty.members.services import ENROL
    from loyalty.programs.selectors import get_program

    program = get_program(code)
    principal = Principal(1, program.pk, "benchmark", frozenset(SCOPES))
    known = {"identifiers": [{"type": "card", "value": card}]}
    said = [(ENROL, EnrolRequest.model_validate(known)), *_orders(card, orders)]
    if orders > 1:
        said += _afterwards(card, f"past-{orders - 1}")
    for number, (kind, payload) in enumerate(said):
        # An order's key is its ref, as tills have it.
        key = payload.order.ref if kind.name == "earn" else f"{card}-{number}"
        command = Command(kind, payload, key=key, request_hash=key.encode())
        [answer] = run([command], principal=principal)
        if answer.status != 201:
            raise SystemExit(f"{kind.name} failed: {answer.body.decode()}")


def _orders(card: str, orders: int) -> Iterator[tuple[Any, Any]]:
    from loyalty.orders.schemas import EarnRequest
    from loyalty.orders.services import EARN

    for number in range(orders):
        body = tills.earn_body(card, f"past-{number}")
        days = DAYS * (orders - number - 1) // orders + 1
        at = datetime.now(UTC) - timedelta(days=days)
        body["order"]["occurred_at"] = at.isoformat(timespec="seconds")
        yield EARN, EarnRequest.model_validate_json(json.dumps(body))


def _afterwards(card: str, last: str) -> Iterator[tuple[Any, Any]]:
    from loyalty.orders.returns import RETURN
    from loyalty.orders.schemas import ReturnOrder, ReturnRequest
    from loyalty.rewards.schemas import RedeemRequest
    from loyalty.rewards.services import REDEEM

    body = {"member": f"card:{card}", "points": REDEEMED}
    yield REDEEM, RedeemRequest.model_validate(body)
    back = {
        "ref": "back-1",
        "occurred_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "lines": [{"line": "2", "quantity": "1"}],
    }
    yield RETURN, ReturnOrder(last, "309", ReturnRequest.model_validate_json(json.dumps(back)))


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    buy(sys.argv[1], int(sys.argv[2]))
