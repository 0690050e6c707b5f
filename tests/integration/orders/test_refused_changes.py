"""A change of an order that is refused for its points leaves nothing to the rest of its batch."""

from typing import Any

import pytest

from loyalty.ledger import rules as ledger
from tests.factories import Till, balance_of, database_time, line, open_till, rows, unique

PLUS = {
    "code": "plus",
    "bonus": 50,
    "when": {"category": ["DAIRY"]},
    "limit": {"times": 1, "per": "ever"},
}
SPRING = {
    "code": "spring",
    "from": "2017-03-01",
    "to": "2199-03-31",
    "budget_points": 50,
    "rules": [{"code": "plus", "bonus": 50, "when": {"category": ["DAIRY"]}}],
}
MILK = [line("1", "10.00", category="DAIRY")]
TOO_MUCH = [line("1", "900.00", category="GROCERY")]


@pytest.fixture(autouse=True)
def small(committed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "POINTS_MAX", 500)


def till_with(**more: Any) -> Till:
    return open_till(earning_rules=[{"code": "base", "points": 1, "per": "1.00"}], **more)


@pytest.mark.parametrize("state", ["paid", "open"])
@pytest.mark.parametrize("first_in_batch", [True, False])
def test_the_order_is_what_it_was(state: str, first_in_batch: bool) -> None:
    till = till_with()
    card, ref, at = till.member(), unique("o"), database_time()
    first = till.putting(card, ref, 1, MILK, state=state, at=at)
    more = till.putting(card, ref, 2, TOO_MUCH, at=at)
    again = till.putting(card, ref, 2, MILK, at=at)
    if first_in_batch:
        _, refused, after = till.send(first, more, again)
    else:
        till.send(first)
        refused, after = till.send(more, again)
    assert (refused.status, refused.code) == (409, "balance_too_large")
    assert (after.status, after.body["revision"], after.body["net_amount"]) == (200, 2, "10.00")
    assert after.body["points_changed"] == (0 if state == "paid" else 10)
    assert balance_of(till.ids[card])["available"] == 10


def test_its_limit_is_not_free_for_the_next_order() -> None:
    till = till_with()
    till.again(earning_rules=[*till.document["earning_rules"], PLUS])
    card, ref, at = till.member(), unique("o"), database_time()
    assert till.put(card, ref, 1, MILK, at=at).body["points"] == 60
    refused, other = till.send(
        till.putting(card, ref, 2, TOO_MUCH, at=at), till.earning(card, unique("o"), lines=MILK)
    )
    assert (refused.code, other.points) == ("balance_too_large", 10)
    used = "SELECT times, points FROM loyalty_ruleuse WHERE member_id = %s"
    assert rows(used, till.ids[card]) == [(1, 50)]


def test_its_budget_is_not_free_for_another_member() -> None:
    till = till_with(campaigns=[SPRING])
    card, other, ref, at = till.member(), till.member(), unique("o"), database_time()
    assert till.put(card, ref, 1, MILK, at=at).body["points"] == 60
    refused, earned = till.send(
        till.putting(card, ref, 2, TOO_MUCH, at=at), till.earning(other, unique("o"), lines=MILK)
    )
    assert (refused.code, earned.points) == ("balance_too_large", 10)
    used = "SELECT used FROM loyalty_campaignbudget WHERE program_id = %s"
    assert rows(used, till.program.pk) == [(50,)]
