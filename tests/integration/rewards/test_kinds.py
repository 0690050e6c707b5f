"""Each kind of reward through the engine: what the till gets, and what comes back."""

from datetime import timedelta

import pytest

from loyalty.rewards.models import Redemption
from tests.factories import Clock, balance_of, open_till, rows
from tests.integration.rewards.catalogue import (
    events,
    fulfil,
    reward,
    stock_left,
    types_of,
)
from tests.people import erase


def test_amount_off():
    till = open_till(rewards=[reward({"amount_off": "5.00"})])
    took = till.redeem(till.member(100), reward="it")
    assert (took.status, took.gives, took.fulfilment) == (
        201, {"amount_off": "5.00", "currency": "USD"}, None
    )  # fmt: skip


def test_percent_off_of_the_order():
    till = open_till(rewards=[reward({"percent_off": "15", "max_amount": "4.00"})])
    anna = till.member(300)
    small = till.redeem(anna, reward="it", order_amount="10.00")
    large = till.redeem(anna, reward="it", order_amount="100.00")
    unsaid = till.redeem(anna, reward="it")
    assert (small.gives["amount_off"], large.gives["amount_off"]) == ("1.50", "4.00")
    assert unsaid.gives == {"percent_off": "15", "max_amount": "4.00", "currency": "USD"}


def test_an_amount_with_more_decimals_than_the_currency_is_refused():
    till = open_till(rewards=[reward({"percent_off": "15"})])
    anna = till.member(100)
    assert till.redeem(anna, reward="it", order_amount="1.005").code == "validation_failed"
    assert balance_of(till.ids[anna])["available"] == 100


def test_a_product_with_its_stock():
    till = open_till(rewards=[reward({"product": "mug"}, stock=3, stock_low=[2, 0])])
    anna = till.member(400)
    took = [till.redeem(anna, reward="it").status for _ in range(4)]
    assert (took, stock_left(till)) == ([201, 201, 201, 409], 0)
    low = [data["left"] for data in events(till, anna, "reward.stock_low")]
    assert low == [2, 0]


def test_store_credit_is_to_be_booked_by_somebody_else():
    till = open_till(rewards=[reward({"store_credit": "10.00"})])
    anna = till.member(100)
    took = till.redeem(anna, reward="it")
    assert (took.gives, took.fulfilment) == (
        {"store_credit": "10.00", "currency": "USD"}, "ordered"
    )  # fmt: skip
    assert fulfil(till, took.id, "delivered", "gift card 77").fulfilment == "delivered"


def test_what_others_deliver_goes_through_its_states():
    till = open_till(rewards=[reward({"custom": "massage-30"})])
    anna = till.member(100)
    took = till.redeem(anna, reward="it")
    assert took.fulfilment == "ordered"
    assert fulfil(till, took.id, "shipped", "parcel 17").fulfilment == "shipped"
    assert fulfil(till, took.id, "shipped").status == 200  # said twice, done once
    assert fulfil(till, took.id, "delivered").fulfilment == "delivered"
    late = fulfil(till, took.id, "cancelled")
    assert (late.code, late.fulfilment, late.possible) == ("fulfilment_conflict", "delivered", [])
    assert types_of(till, anna)[2:] == [
        "points.redeemed", "reward.issued", "reward.ordered", "reward.first_redemption",
        "reward.shipped", "reward.delivered",
    ]  # fmt: skip
    # For colleagues: kept when nothing more is said, told to nobody, gone with the member.
    notes = Redemption.objects.filter(member_id=till.ids[anna]).values_list("fulfilment_note")
    assert list(notes) == [("parcel 17",)]
    assert "parcel 17" not in str(events(till, anna, "reward.shipped"))
    assert erase(till, anna).status == 200
    assert list(notes.all()) == [("",)]


def test_a_cancelled_delivery_gives_points_stock_and_limit_back():
    limit = {"times": 1, "per": "ever"}
    till = open_till(rewards=[reward({"custom": "massage-30"}, stock=1, per_member=limit)])
    anna = till.member(100)
    took = till.redeem(anna, reward="it")
    gone = fulfil(till, took.id, "cancelled", "no therapist")
    assert (gone.state, gone.fulfilment, gone.reinstated) == ("reversed", "cancelled", 100)
    assert (stock_left(till), balance_of(till.ids[anna])["available"]) == (1, 100)
    assert till.reverse(took.id).code == "already_reversed"
    assert fulfil(till, took.id, "cancelled").status == 200
    assert stock_left(till) == 1
    assert types_of(till, anna)[-2:] == ["points.reinstated", "reward.cancelled"]
    assert till.redeem(anna, reward="it").status == 201


def test_a_reversal_cancels_the_delivery_too():
    till = open_till(rewards=[reward({"custom": "massage-30"})])
    took = till.redeem(till.member(100), reward="it")
    assert till.reverse(took.id, 40).fulfilment == "ordered"
    assert till.reverse(took.id).fulfilment == "cancelled"


def test_a_delivery_begins_when_the_hold_is_captured():
    till = open_till(rewards=[reward({"custom": "massage-30"})])
    hold = till.redeem(till.member(100), reward="it", capture=False)
    assert hold.fulfilment is None
    assert fulfil(till, hold.id, "shipped").code == "fulfilment_conflict"
    assert till.capture(hold.id).fulfilment == "ordered"


def test_only_what_others_deliver_has_a_delivery():
    till = open_till(rewards=[reward({"product": "mug"})])
    took = till.redeem(till.member(100), reward="it")
    assert fulfil(till, took.id, "shipped").code == "fulfilment_conflict"


def test_points_pay_a_share_of_the_order():
    till = open_till(points={"pay": {"min": 100, "step": 50, "max_share": "50"}})
    anna = till.member(1000)
    assert till.redeem(anna, points=300, order_amount="6.00").gives["amount_off"] == "3.00"
    refused = till.redeem(anna, points=350, order_amount="6.00")
    assert (refused.status, refused.code, refused.max) == (422, "payment_not_allowed", 300)
    unsaid = till.redeem(anna, points=300)
    assert (unsaid.code, unsaid.errors[0]["pointer"]) == ("validation_failed", "/order_amount")


def test_gold_pays_less():
    tiers = {"levels": [{"code": "bronze", "from": "0"}, {"code": "gold", "from": "100.00"}]}
    it = reward({"product": "mug"}, cost={"default": 100, "gold": 80})
    till = open_till(rewards=[it], tiers=tiers)
    anna, ben = till.member(100), till.member(100)
    till.earn(ben, "o1", "100.00")
    assert till.redeem(anna, reward="it").points == 100
    assert till.redeem(ben, reward="it").points == 80


@pytest.mark.parametrize(
    ("per", "just_before", "then"),
    [
        ("day", timedelta(hours=16, minutes=59), timedelta(hours=17)),
        ("week", timedelta(days=2, hours=16, minutes=59), timedelta(days=2, hours=17)),
        ("month", timedelta(days=16, hours=16, minutes=59), timedelta(days=16, hours=17)),
        ("year", timedelta(days=350, hours=16, minutes=59), timedelta(days=350, hours=17)),
    ],
)
def test_a_limit_begins_anew_with_its_period(
    clock: Clock, per: str, just_before: timedelta, then: timedelta
):
    """From Friday 15 January 2027, 07:00 in New York: to midnight, Monday, February, New Year."""
    till = open_till(rewards=[reward({"product": "mug"}, per_member={"times": 1, "per": per})])
    anna = till.member(1000)
    start = clock.now
    assert till.redeem(anna, reward="it").status == 201
    clock.set(start + just_before)
    assert till.redeem(anna, reward="it").code == "reward_limit_reached"
    clock.set(start + then)
    assert till.redeem(anna, reward="it").status == 201


def test_a_limit_for_ever_never_begins_anew(clock: Clock):
    till = open_till(rewards=[reward({"product": "mug"}, per_member={"times": 1})])
    anna = till.member(1000)
    till.redeem(anna, reward="it")
    clock.move(timedelta(days=3000))
    assert till.redeem(anna, reward="it").code == "reward_limit_reached"


def test_what_an_own_lapsed_hold_gives_back_can_be_taken_at_once(clock: Clock):
    """The hold took the last one and the only time; when it has lapsed, both are free again."""
    limit = {"times": 1, "per": "ever"}
    till = open_till(rewards=[reward({"product": "mug"}, stock=1, per_member=limit)])
    anna = till.member(100)
    till.redeem(anna, reward="it", capture=False)
    clock.move(timedelta(minutes=30))
    assert till.redeem(anna, reward="it").status == 201
    assert stock_left(till) == 0


def test_a_limit_holds_however_a_batch_names_the_member():
    till = open_till(rewards=[reward({"product": "mug"}, per_member={"times": 1})])
    anna = till.member(200)
    by_card = till.redeeming(anna, reward="it")
    by_id = till.redeeming(anna, reward="it")
    by_id.payload.member = ("id", till.ids[anna])
    assert [reply.status for reply in till.send(by_card, by_id)] == [201, 409]


def test_the_first_redemption_is_told_once_in_a_batch():
    till = open_till()
    anna = till.member(200)
    till.send(till.redeeming(anna, reward="mug"), till.redeeming(anna, reward="five-off"))
    assert types_of(till, anna).count("reward.first_redemption") == 1


def test_voided_holds_put_every_stock_back():
    rewards = [reward({"product": f"p{n}"}, code=f"r{n}", cost=1, stock=1) for n in range(4)]
    till = open_till(rewards=rewards)
    anna = till.member(10)
    holds = [till.redeem(anna, reward=f"r{n}", capture=False).id for n in (2, 0, 3, 1)]
    till.send(*(till.voiding(hold) for hold in holds))
    left = rows("SELECT reward, remaining FROM loyalty_rewardstock WHERE program_id = %s"
                " ORDER BY reward", till.program.pk)  # fmt: skip
    assert left == [(f"r{n}", 1) for n in range(4)]


def test_what_took_no_stock_puts_none_back(clock: Clock):
    """The reward has had a stock only since; a hold that lapses and a reversal know it."""
    plain, counted = reward({"product": "mug"}), reward({"product": "mug"}, stock=3)
    till = open_till(rewards=[plain])
    anna = till.member(400)
    taken = [till.redeem(anna, reward="it").id, till.redeem(anna, reward="it", capture=False).id]
    till.redeem(anna, reward="it", capture=False)  # lapses
    till.again(rewards=[counted])
    till.reverse(taken[0])
    till.void(taken[1])
    clock.move(timedelta(minutes=31))
    assert till.redeem(anna, reward="it").status == 201
    assert stock_left(till) == 2


def test_what_took_stock_puts_it_back_where_none_is_kept_any_more(clock: Clock):
    plain, counted = reward({"product": "mug"}), reward({"product": "mug"}, stock=3)
    till = open_till(rewards=[counted])
    anna = till.member(400)
    took = till.redeem(anna, reward="it")
    till.again(rewards=[plain])
    till.reverse(took.id)
    assert stock_left(till) == 3
