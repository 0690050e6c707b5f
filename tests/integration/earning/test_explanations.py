"""Why a member got their points stays true, whatever becomes of the rules; how late is too late."""

from datetime import timedelta

import pytest

from tests.factories import Clock, database_time, line, open_till, rows, unique
from tests.integration.http.caller import Caller, body_of, code_of
from tests.people import merge

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
        (timedelta(minutes=5), 201),
        (timedelta(minutes=5, seconds=1), 422),
        (timedelta(days=-30), 201),
        (timedelta(days=-30, seconds=-1), 422),
    ],
)
def test_scenario_21_an_order_from_the_future_or_the_far_past(
    clock: Clock, moved: timedelta, status: int
):
    till = open_till(points={"accept_late_days": 30})
    card, at = till.member(), clock.now + moved
    replies = [till.earn(card, "o1", at=at), till.put(card, "o2", 1, [line("1", "4.00")], at=at)]

    assert [reply.status for reply in replies] == [status, status]
    if status == 422:
        assert {reply.code for reply in replies} == {"occurred_at_out_of_range"}
    known = rows("SELECT count(*) FROM loyalty_order WHERE program_id = %s", till.program.pk)
    assert known == [(2 if status == 201 else 0,)]


def test_a_ledger_transaction_explains_itself_years_later_under_its_own_version(clock: Clock):
    till = open_till()
    api, anna = Caller(till.program.pk), till.member()
    award = till.earn(anna, unique("o"), lines=[line("1", "12.00", category="PRODUCE")])
    path = f"/v1/ledger-transactions/{award.id}"
    told = body_of(api.get(path))
    assert (told["points"], told["explanation"], told["not_applied"]) == (
        24, award.explanation, award.not_applied
    )  # fmt: skip
    assert (told["member"], told["program_version"], told["available_after"]) == (
        till.ids[anna], 1, 24
    )  # fmt: skip
    till.again(earning_rules=[{"code": "base", "points": 9, "per": "1.00"}])
    clock.move(timedelta(days=800))
    merge(till, anna, till.member())
    assert body_of(api.get(path)) == told
    again = till.earn(till.member(), unique("o"), "1.00")
    assert body_of(api.get(f"/v1/ledger-transactions/{again.id}"))["program_version"] == 2


@pytest.mark.parametrize("name", ["x", "txn_1", "rdm_{member}2", "txn_{member}999", "txn_%00"])
def test_what_is_no_ledger_transaction_is_404(name: str):
    till = open_till()
    anna = till.ids[till.member(5)]
    path = f"/v1/ledger-transactions/{name.format(member=anna.replace('-', ''))}"
    assert code_of(Caller(till.program.pk).get(path)) == (404, "transaction_not_found")
