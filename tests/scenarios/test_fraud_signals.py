"""Insiders: a clerk's card on strangers' receipts, a key that adjusts much."""

from datetime import timedelta
from typing import Any

import orjson
import pytest
from django.conf import settings

from loyalty.nightly.velocity import raise_signals
from tests.factories import Clock, Till, open_till, rows, unique
from tests.integration.http.caller import Caller, body_of

pytestmark = pytest.mark.usefixtures("others_closed")


def signals(till: Till) -> list[tuple[str, dict[str, Any]]]:
    """List the program's signals: of whom, and what they say."""
    found = rows("SELECT member_id::text, data::text FROM loyalty_outboxevent"
                 " WHERE program_id = %s AND type = 'fraud.signal' ORDER BY id",
                 till.program.pk)  # fmt: skip
    return [(member, orjson.loads(data)) for member, data in found]


def test_scenario_46_a_card_on_many_receipts_is_told_once_an_hour(clock: Clock):
    till = open_till(points={"fraud_signals": {"orders_per_hour": 3}})
    clerk, other = till.member(), till.member()
    for card in (clerk, clerk, clerk, other):
        till.earn(card, unique("o"), "5.00")
    raise_signals()
    assert signals(till) == []
    till.earn(clerk, unique("o"), "5.00")
    rung = settings.CELERY_BEAT_SCHEDULE["raise-signals"]
    assert (rung["task"], rung["schedule"]) == ("loyalty.raise_signals", timedelta(seconds=60))
    clock.move(timedelta(seconds=60))
    for _ in range(2):
        raise_signals()
    [(member, told)] = signals(till)
    assert member == till.ids[clerk]
    assert (told["pattern"], told["count"], told["most"]) == ("orders", 4, 3)
    assert till.earn(clerk, unique("o"), "5.00").status == 201  # it stops nobody
    clock.move(timedelta(hours=1))
    for _ in range(4):
        till.earn(clerk, unique("o"), "5.00")
    raise_signals()
    assert len(signals(till)) == 2


def test_scenario_46_a_burst_over_the_edge_of_an_hour_is_told(clock: Clock):
    """Sixty minutes are any sixty; each earn of a long one counts, and it is told once an hour."""
    till = open_till(points={"fraud_signals": {"orders_per_hour": 3}})
    clerk, slow = till.member(), till.member()
    clock.set(clock.now.replace(minute=40, second=0))
    for _ in range(4):  # at :40, :54, :08 and :22
        till.earn(clerk, unique("o"), "5.00")
        till.earn(slow, unique("o"), "5.00")
        clock.move(timedelta(minutes=14))
        raise_signals()
        slow = till.member()  # each time somebody else
    [(member, told)] = signals(till)
    assert (member, told["count"]) == (till.ids[clerk], 4)
    for _ in range(6):
        till.earn(clerk, unique("o"), "5.00")
        clock.move(timedelta(minutes=14))
        raise_signals()
    assert [told["count"] for _, told in signals(till)] == [4, 5]


def test_scenario_46_a_key_that_adjusts_many_is_named(clock: Clock):
    till = open_till(points={"fraud_signals": {"adjustments_per_hour": 2}})
    cards = [till.member() for _ in range(4)]
    clock.set(clock.now.replace(minute=59, second=30))
    for card in cards[:3]:
        till.adjust(card, 10)
        clock.move(timedelta(seconds=20))
    raise_signals()
    till.adjust(cards[3], 10)  # of another member, in the same hour
    clock.move(timedelta(minutes=1))
    raise_signals()
    [(member, told)] = signals(till)
    assert (member, told["actor"], told["count"]) == (till.ids[cards[2]], "till", 3)


@pytest.mark.parametrize("reason", [{}, {"reason": ""}, {"reason": "  "}])
def test_scenario_46_an_adjustment_needs_a_reason(reason: dict[str, str]):
    till = open_till()
    body = {"member": f"card:{till.member()}", "points": 5, **reason}
    refused = Caller(till.program.pk).post("/v1/adjustments", body)
    assert refused.status_code == 422
    assert [each["pointer"] for each in body_of(refused)["errors"]] == ["/reason"]


def test_a_program_that_asks_for_none_has_none(clock: Clock):
    till = open_till()
    card = till.member()
    for _ in range(20):
        till.earn(card, unique("o"), "5.00")
    raise_signals()
    assert signals(till) == []
