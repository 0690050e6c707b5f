"""Birthdays and anniversaries: once each, on 29 February too, and caught up after days."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from loyalty.members import services as members
from loyalty.members.schemas import EnrolRequest
from loyalty.nightly.services import run_night
from tests.factories import Clock, Till, balance_of, open_till, rows, unique

RULES = [
    {"code": "base", "points": 1, "per": "1.00"},
    {"code": "happy", "bonus": 30, "trigger": "member.birthday"},
    {"code": "loyal", "bonus": 7, "trigger": "member.anniversary"},
]


def noon(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, 17, 0, tzinfo=UTC)


def enrol(till: Till, born: str | None = None) -> str:
    card = unique("c")
    body: dict[str, Any] = {"identifiers": [{"type": "card", "value": card}]}
    if born:
        body["profile"] = {"birth_date": born}
    payload = EnrolRequest.model_validate_json(json.dumps(body))
    till.ids[card] = till.send(till.command(members.ENROL, payload, card))[0].id
    return card


def night(till: Till, clock: Clock, at: datetime) -> None:
    clock.set(at)
    run_night(till.program.pk, today=at.date())


def told(till: Till, card: str, type_: str) -> list[str]:
    found = rows(
        "SELECT data->>'on' FROM loyalty_outboxevent WHERE member_id = %s AND type = %s"
        " ORDER BY sequence",
        till.ids[card],
        type_,
    )
    return [row[0] for row in found]


@pytest.mark.parametrize(
    ("born", "today", "told_on"),
    [
        ("1990-06-10", noon(2027, 6, 9), []),
        ("1990-06-10", noon(2027, 6, 10), ["2027-06-10"]),
        ("1984-02-29", noon(2027, 2, 28), ["2027-02-28"]),
        ("1984-02-29", noon(2028, 2, 28), []),
        ("1984-02-29", noon(2028, 2, 29), ["2028-02-29"]),
        ("1984-02-28", noon(2027, 2, 28), ["2027-02-28"]),
        ("1990-12-31", noon(2027, 12, 31), ["2027-12-31"]),
        (None, noon(2027, 6, 10), []),
    ],
)
def test_a_birthday_is_told_and_rewarded_on_its_day(
    clock: Clock, born: str | None, today: datetime, told_on: list[str]
):
    clock.set(noon(2027, 1, 15))
    till = open_till(earning_rules=RULES)
    anna = enrol(till, born)
    night(till, clock, today)
    night(till, clock, today + timedelta(hours=1))
    assert told(till, anna, "member.birthday") == told_on
    assert balance_of(till.ids[anna])["available"] == 30 * len(told_on)


def test_an_anniversary_comes_each_year_and_not_on_the_day_of_joining(clock: Clock):
    clock.set(noon(2028, 2, 29))
    till = open_till(earning_rules=RULES)
    anna = enrol(till)
    for at in (noon(2028, 2, 29), noon(2029, 2, 28), noon(2029, 3, 1), noon(2030, 2, 28)):
        night(till, clock, at)
    assert told(till, anna, "member.anniversary") == ["2029-02-28", "2030-02-28"]
    assert balance_of(till.ids[anna])["available"] == 14


def test_birthdays_of_a_campaign_share_its_budget(clock: Clock):
    clock.set(noon(2027, 1, 15))
    june = {
        "code": "june",
        "from": "2027-06-01",
        "to": "2027-06-30",
        "budget_points": 70,
        "rules": [{"code": "party", "bonus": 30, "trigger": "member.birthday"}],
    }
    till = open_till(earning_rules=RULES[:1], campaigns=[june])
    born = ["1990-06-10", "1984-06-10", "1977-06-10", "1984-06-11", "1990-07-01"]
    cards = [enrol(till, each) for each in born]
    for at in (noon(2027, 6, 10), noon(2027, 6, 10), noon(2027, 6, 11), noon(2027, 7, 1)):
        night(till, clock, at)
    given = [balance_of(till.ids[card])["available"] for card in cards]
    assert sorted(given[:3]) == [10, 30, 30]
    assert given[3:] == [0, 0]
    assert [told(till, card, "member.birthday") for card in cards[3:]] == [
        ["2027-06-11"],
        ["2027-07-01"],
    ]


def test_days_without_a_night_are_caught_up(clock: Clock):
    clock.set(noon(2027, 1, 15))
    till = open_till(earning_rules=RULES)
    anna = enrol(till, "1990-06-10")
    night(till, clock, noon(2027, 6, 7))
    night(till, clock, noon(2027, 6, 14))
    night(till, clock, noon(2027, 6, 15))
    assert told(till, anna, "member.birthday") == ["2027-06-10"]


def test_the_award_says_why(clock: Clock):
    clock.set(noon(2027, 6, 9))
    till = open_till(earning_rules=RULES)
    anna = enrol(till, "1990-06-10")
    night(till, clock, noon(2027, 6, 10))
    found = rows(
        "SELECT kind, source, explanation->'applied'->0->>'rule' FROM loyalty_ledgertransaction"
        " WHERE member_id = %s",
        till.ids[anna],
    )
    assert found == [("earn", "nightly", "happy")]


def test_a_rule_for_a_level_gives_to_that_level_only(clock: Clock):
    clock.set(noon(2027, 6, 9))
    happy = {
        "code": "happy",
        "bonus": 30,
        "trigger": "member.birthday",
        "when": {"tier": ["silver"]},
    }
    till = open_till(earning_rules=[RULES[0], happy])
    anna, ben = enrol(till, "1990-06-10"), enrol(till, "1990-06-10")
    till.earn(anna, unique("o"), "250.00")
    night(till, clock, noon(2027, 6, 10))
    assert balance_of(till.ids[anna])["available"] == 280
    assert balance_of(till.ids[ben])["available"] == 0
    assert told(till, ben, "member.birthday") == ["2027-06-10"]
