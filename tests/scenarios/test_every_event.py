"""Every type of event: one for each effect, in order without gaps, in its shape, about no person.

Two members' lives bring all of them about; `tests/unit/test_event_schemas.py` keeps the schemas in
docs/events up to date.
"""

import json
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from uuid import UUID

import orjson
from jsonschema import Draft202012Validator

from loyalty.events.catalogue import CATALOGUE, json_schema
from loyalty.events.models import OutboxEvent
from loyalty.events.rules import envelope
from loyalty.members import services as members
from loyalty.members.schemas import EnrolRequest
from loyalty.nightly.services import run_night, settle_referrals
from loyalty.nightly.velocity import raise_signals
from loyalty.orders import activities
from loyalty.orders.schemas import EarnRequest
from tests.factories import Clock, Till, line, open_till, unique
from tests.integration.referrals.friends import join, open_shop
from tests.integration.rewards.catalogue import fulfil
from tests.people import erase, merge, unmerge

NOON = datetime(2027, 1, 15, 17, 0, tzinfo=UTC)
RULES = [
    {"code": "base", "points": 1, "per": "1.00"},
    {"code": "review", "bonus": 20, "trigger": "activity", "activity": "review"},
    {"code": "cake", "bonus": 9, "trigger": "member.birthday"},
]
REWARDS = [
    {"code": "mug", "name": "Mug", "cost": 10, "gives": {"product": "mug"}, "stock": 5,
     "stock_low": [4]},
    {"code": "massage", "name": "Massage", "cost": 1, "gives": {"custom": "massage-30"}},
]  # fmt: skip
LEVELS = {
    "qualify_by": "spend",
    "window": {"rolling_months": 12},
    "levels": [{"code": "bronze", "from": "0"}, {"code": "silver", "from": "250.00"}],
    "downgrade": "one_level",
    "grace_days": 30,
}
POINTS = {"maturity_days": 3, "expiry": {"months": 1}, "expiring_notice_days": [7],
          "inactive_notice_days": [20]}  # fmt: skip
SECRETS = ("Lovelace", "ada@example.com", "+49301234567", "Countess", "card-of-ada")


def enrol(till: Till) -> str:
    """Enrol somebody with all that a person has."""
    card = unique("card-of-ada")
    ids = {"card": card, "email": "ada@example.com", "phone": "+49301234567"}
    body = {
        "identifiers": [{"type": type_, "value": value} for type_, value in ids.items()],
        "profile": {"first_name": "Countess", "last_name": "Lovelace", "birth_date": "1990-06-10"},
    }
    payload = EnrolRequest.model_validate_json(json.dumps(body))
    till.ids[card] = till.send(till.command(members.ENROL, payload, card))[0].id
    return card


def review(till: Till, card: str) -> None:
    activity = {"type": "review", "ref": unique("r"), "occurred_at": datetime.now(UTC).isoformat()}
    body = {"member": f"card:{card}", "activity": activity}
    payload = EarnRequest.model_validate_json(json.dumps(body))
    assert till.send(till.command(activities.EARN, payload, body))[0].status == 201


class Told:
    """Gives what was told since it was asked last, of all members of a program, in their order."""

    def __init__(self, till: Till) -> None:
        self.events = OutboxEvent.objects.filter(program_id=till.program.pk).order_by("id")
        self.seen = 0

    def types(self) -> list[str]:
        found = list(self.events.values_list("type", flat=True))
        new, self.seen = found[self.seen :], len(found)
        return new


def test_one_event_for_each_effect() -> None:
    till = open_till(earning_rules=RULES, rewards=REWARDS)
    told = Told(till)
    ada, bob = enrol(till), till.member()
    assert told.types() == ["member.enrolled", "member.enrolled"]
    till.freeze(ada)
    till.freeze(ada, "active")
    assert told.types() == ["member.updated", "member.updated"]
    first = unique("o")
    till.earn(ada, first, "100.00", key="the-key")
    till.earn(ada, first, "100.00", key="the-key")
    assert told.types() == ["points.earned", "order.recorded"]
    till.earn(ada, unique("o"), "0.50")
    assert told.types() == ["order.recorded"]
    till.earn(ada, unique("o"), "200.00")
    assert told.types() == ["points.earned", "order.recorded", "tier.upgraded"]
    review(till, ada)
    assert told.types() == ["points.earned"]
    till.redeem(ada, reward="mug")
    assert sorted(told.types()) == [
        *("points.redeemed", "reward.first_redemption", "reward.issued", "reward.stock_low"),
    ]
    till.redeem(ada, points=1000)
    assert told.types() == []
    hold = till.redeem(ada, points=5, capture=False)
    assert told.types() == ["points.held"]
    till.capture(hold.id, 3)
    assert told.types() == ["points.redeemed", "points.released"]
    till.void(till.redeem(ada, points=5, capture=False).id)
    assert told.types() == ["points.held", "points.released"]
    till.reverse(hold.id, 2)
    assert told.types() == ["points.reinstated"]
    sent, gone = (till.redeem(ada, reward="massage") for _ in range(2))
    assert told.types() == ["points.redeemed", "reward.issued", "reward.ordered"] * 2
    fulfil(till, sent.id, "shipped", "parcel 17")
    fulfil(till, sent.id, "delivered")
    fulfil(till, gone.id, "cancelled", "Countess Lovelace did not open")
    assert told.types() == [
        *("reward.shipped", "reward.delivered", "points.reinstated", "reward.cancelled"),
    ]
    till.take_back(first, unique("r"))
    assert told.types() == ["points.clawed_back", "order.returned"]
    basket = unique("o")
    till.put(ada, basket, 1, [line("1", "30.00")])
    till.put(ada, basket, 2, [line("1", "30.00")], state="cancelled")
    assert told.types() == [
        *("points.earned", "order.recorded", "points.clawed_back", "order.returned"),
    ]
    till.adjust(ada, 40)
    till.adjust(ada, -10)
    assert told.types() == ["points.adjusted", "points.adjusted"]
    merge(till, bob, ada)
    unmerge(till, bob)
    assert told.types() == ["member.merged"] * 2 + ["member.unmerged"] * 2
    erase(till, ada)
    assert told.types() == ["member.erased"]
    examine(told)


def test_what_friends_bring_is_told() -> None:
    till = open_shop()
    told = Told(till)
    ada = join(till)
    ben = join(till, ada.referral_code, email="ada2@example.com", phone="+49301234567")
    settle_referrals()
    till.earn(ben.card, "first", "20.00")
    settle_referrals()
    till.take_back("first", "r1")
    settle_referrals()
    assert told.types() == [
        *("member.enrolled", "member.enrolled", "referral.created"),
        *("points.earned", "order.recorded", "points.earned"),
        *("referral.converted", "points.earned"),
        *("points.clawed_back", "points.clawed_back", "order.returned"),
        *("referral.reversed", "points.clawed_back"),
    ]
    examine(told)


def test_what_the_nights_tell(clock: Clock) -> None:
    clock.set(NOON)
    till = open_till(points=POINTS, tiers=LEVELS, earning_rules=RULES)
    told, ada = Told(till), enrol(till)
    order = unique("o")
    till.earn(ada, order, "300.00")
    assert told.types() == ["member.enrolled", "points.pending", "order.recorded", "tier.upgraded"]
    found: list[str] = []
    for days in (3, 20, 25, 40):
        clock.set(NOON + timedelta(days=days))
        run_night(till.program.pk, today=clock.now.date())
        found += told.types()
    assert found == ["points.matured", "member.inactive", "points.expiring", "points.expired"]
    clock.set(datetime(2027, 6, 10, 17, tzinfo=UTC))
    run_night(till.program.pk, today=clock.now.date())
    assert told.types()[:2] == ["member.birthday", "points.earned"]
    clock.set(datetime(2028, 1, 14, 17, tzinfo=UTC))
    run_night(till.program.pk, today=clock.now.date())
    told.types()
    for days in (1, 2, 40):  # the purchase has left the window
        clock.set(datetime(2028, 1, 14, 17, tzinfo=UTC) + timedelta(days=days))
        run_night(till.program.pk, today=clock.now.date())
    assert told.types() == ["tier.downgrade_warning", "member.anniversary", "tier.downgraded"]
    examine(told)


def test_a_level_that_is_kept_is_told(clock: Clock) -> None:
    clock.set(NOON)
    till = open_till(tiers={**LEVELS, "validity": {"months": 12}})
    told, ada = Told(till), enrol(till)
    till.earn(ada, unique("o"), "300.00")
    clock.set(datetime(2028, 1, 10, 17, tzinfo=UTC))
    till.earn(ada, unique("o"), "300.00")
    for day in (16, 17):
        clock.set(datetime(2028, 1, day, 17, tzinfo=UTC))
        run_night(till.program.pk, today=clock.now.date())
    assert "tier.renewed" in told.types()
    examine(told)


def test_a_gift_of_a_level_that_cannot_be_given_is_told() -> None:
    rewards = [{"code": "mug", "name": "Mug", "gives": {"product": "mug"}, "cost": 10, "stock": 1}]
    silver = {"code": "silver", "from": "250.00", "benefits": {"rewards": ["mug"]}}
    levels = [{"code": "bronze", "from": "0"}, silver]
    till = open_till(rewards=rewards, tiers={**LEVELS, "levels": levels}, earning_rules=RULES)
    told, ada, bob = Told(till), enrol(till), till.member()
    till.earn(ada, unique("o"), "300.00")
    till.earn(bob, unique("o"), "300.00")
    types = [type_ for type_ in told.types() if type_ in ("reward.issued", "reward.missed")]
    assert types == ["reward.issued", "reward.missed"]
    examine(told)


def test_what_is_too_many_for_an_hour_is_told(clock: Clock, others_closed: None) -> None:
    clock.set(NOON)
    till = open_till(points={"fraud_signals": {"adjustments_per_hour": 1}})
    told, ada = Told(till), till.member()
    till.adjust(ada, 5)
    till.adjust(ada, 5)
    raise_signals()
    assert told.types()[-1] == "fraud.signal"
    examine(told)


def test_all_types_are_among_them() -> None:
    """Whoever adds a type adds it to the stories above."""
    source = Path(__file__).read_text(encoding="utf-8")
    assert [type_ for type_ in CATALOGUE if f'"{type_}"' not in source] == []


@cache
def validator(type_: str) -> Draft202012Validator:
    return Draft202012Validator(json_schema(type_))


def examine(told: Told) -> None:
    """Hold every event to its schema; count each member's; look for what names a person."""
    counts: dict[UUID, int] = {}
    for event in told.events:
        shown = orjson.loads(orjson.dumps(envelope(event)))
        CATALOGUE[event.type].model_validate(event.data)  # nothing more than it says
        assert [error.message for error in validator(event.type).iter_errors(shown)] == []
        counts[event.member_id] = counts.get(event.member_id, 0) + 1
        assert event.sequence == counts[event.member_id]
        text = orjson.dumps(shown).decode()
        assert [word for word in SECRETS if word in text] == [], event.type
