"""Why a member got their points stays true, whatever becomes of the rules; how late is too late."""

from datetime import timedelta

import pytest

from tests.factories import database_time, open_till, rows
from tests.integration.http.caller import Caller

BASE = {"code": "base", "points": 1, "per": "1.00"}


def test_an_award_is_explained_by_the_version_that_decided_it():
    today = str(database_time().date() - timedelta(days=1))
    campaign = {"code": "spring", "from": today, "to": "2199-12-31", "rules": [
        {"code": "plus", "bonus": 50, "limit": {"times": 1, "per": "week"}}
    ]}  # fmt: skip
    till = open_till(earning_rules=[BASE], campaigns=[campaign])
    card = till.member()
    said = till.earn(card, "o1")
    till.again(earning_rules=[{**BASE, "points": 9}], campaigns=[])
    assert till.earn(card, "o2").points == 90

    answer = Caller(till.program.pk).call("GET", f"/v1/members/card:{card}/ledger").json()

    first = answer["items"][-1]
    assert first["explanation"] == said.explanation
    assert first["explanation"][1] == {
        "rule": "plus", "points": 50, "because": "50 points for an order", "campaign": "spring"
    }  # fmt: skip
    query = (
        "SELECT program_version FROM loyalty_ledgertransaction WHERE program_id = %s"
        " AND kind = 'earn' ORDER BY number"
    )
    assert rows(query, till.program.pk) == [(1,), (2,)]


@pytest.mark.parametrize(
    ("moved", "status"),
    [
        (timedelta(minutes=4), 201),
        (timedelta(minutes=6), 422),
        (timedelta(days=-30, hours=1), 201),
        (timedelta(days=-30, hours=-1), 422),
    ],
)
def test_scenario_21_an_order_from_the_future_or_the_far_past(moved: timedelta, status: int):
    till = open_till(points={"accept_late_days": 30})
    card = till.member()

    reply = till.earn(card, "o1", at=database_time() + moved)

    assert reply.status == status
    if status == 422:
        assert reply.code == "occurred_at_out_of_range"
