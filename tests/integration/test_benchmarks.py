"""What the benchmarks do besides HTTP: a change of the engine must not leave it behind unseen."""

import pytest

from benchmarks import tills
from benchmarks.engine.past import REDEEMED, buy
from benchmarks.engine.prepare import PROGRAM
from loyalty.orders.models import Order
from loyalty.programs.services import apply_document
from loyalty.rewards.models import Redemption
from tests.factories import committed, unique

__all__ = ["committed"]


@pytest.mark.usefixtures("committed")
def test_a_member_with_a_past_has_bought_redeemed_and_brought_back():
    program = apply_document({**PROGRAM, "program": unique("past")}, actor="benchmark")
    buy(tills.card(90_000_000), 7, program.code)
    orders = list(Order.objects.filter(program_id=program.pk).order_by("occurred_at"))
    assert [order.ref for order in orders] == [f"past-{number}" for number in range(7)]
    assert all(order.points >= tills.POINTS for order in orders)
    assert [order.clawed_back > 0 for order in orders] == [False] * 6 + [True]
    assert Redemption.objects.get(program_id=program.pk).captured == REDEEMED
