"""Rewards that come by themselves: with a level, free by a level, and at a balance."""

from datetime import timedelta
from typing import Any

import pytest

from loyalty.ledger.audit import audit
from loyalty.nightly.services import run_night
from loyalty.rewards.pools import load_codes
from tests.factories import Clock, Till, balance_of, line, open_till, rows, unique
from tests.integration.http.caller import Caller, body_of, order_body
from tests.integration.http.wire import counted_wire
from tests.integration.rewards.catalogue import events, fulfil, reward, stock_left, types_of
from tests.integration.standing.test_assigned_levels import assign
from tests.people import merge

MUG = reward({"product": "mug"}, code="mug", cost=900, stock=2)
COFFEE = reward({"product": "coffee"}, code="coffee", cost=100)


def club(*rewards: dict[str, Any], **silver: Any) -> Till:
    """Open a till where silver, from 250.00, has benefits."""
    levels = [
        {"code": "bronze", "from": "0"},
        {"code": "silver", "from": "250.00", "benefits": silver},
        {"code": "gold", "from": "1000.00"},
    ]
    return open_till(tiers={"levels": levels, "on_return": "recalculate"}, rewards=list(rewards))


def proved(till: Till) -> None:
    ids = [row[0] for row in rows("SELECT member_id FROM loyalty_memberstate"
                                  " WHERE program_id = %s", till.program.pk)]  # fmt: skip
    assert [found for found in audit(members=ids) if found.rows] == []


def given(till: Till, card: str) -> list[tuple[str, str, int]]:
    """List a member's redemptions: reward, state and what it cost."""
    return rows("SELECT reward, state, captured FROM loyalty_redemption WHERE member_id = %s"
                " ORDER BY number", till.ids[card])  # fmt: skip


# With a level


def test_a_level_gives_its_reward_in_the_order_that_reaches_it():
    till = club(MUG, rewards=["mug"])
    anna, ref = till.member(), unique("o")
    assert "issued" not in till.earn(anna, unique("o"), "249.00").body
    award = till.earn(anna, ref, "1.00")
    [mug] = award.issued
    assert (mug["reward"], mug["points"], mug["state"], mug["given_for"], mug["order_ref"]) == (
        "mug", 0, "captured", "tier_entry", ref
    )  # fmt: skip
    assert (award.balance["available"], stock_left(till, "mug")) == (250, 1)
    assert types_of(till, anna)[-2:] == ["tier.upgraded", "reward.issued"]
    told = body_of(Caller(till.program.pk).get(f"/v1/members/card:{anna}/ledger"))["items"][0]
    assert (told["kind"], told["points"], told["facts"]["given_for"]) == ("redeem", 0, "tier_entry")
    assert till.reverse(mug["id"]).state == "reversed"
    assert (till.reverse(mug["id"]).code, stock_left(till, "mug")) == ("already_reversed", 2)
    proved(till)


def test_a_return_takes_the_level_and_leaves_the_gift_which_comes_once_a_year(clock: Clock):
    till = club(MUG, rewards=["mug"])
    anna, ref = till.member(), unique("o")
    assert len(till.earn(anna, ref, "250.00").issued) == 1
    till.take_back(ref, "r1")
    again = till.earn(anna, unique("o"), "250.00")
    assert (again.tier["code"], again.tier["changed"], "issued" in again.body) == (
        "silver", True, False
    )  # fmt: skip
    assert given(till, anna) == [("mug", "captured", 0)]
    till.take_back(ref=unique("r"), order=last_order(till, anna))
    clock.move(timedelta(days=366))
    assert len(till.earn(anna, unique("o"), "250.00").issued) == 1
    proved(till)


def last_order(till: Till, card: str) -> str:
    return rows("SELECT ref FROM loyalty_order WHERE member_id = %s ORDER BY number DESC LIMIT 1",
                till.ids[card])[0][0]  # fmt: skip


def test_the_last_gift_of_a_batch_goes_to_who_comes_first_and_the_others_are_told():
    till = club(MUG, rewards=["mug"])
    cards = [till.member() for _ in range(3)]
    replies = till.send(*(till.earning(card, unique("o"), "250.00") for card in cards))
    assert [len(reply.body.get("issued", [])) for reply in replies] == [1, 1, 0]
    [missed] = events(till, cards[2], "reward.missed")
    assert (missed["reward"], missed["level"], missed["reason"]) == ("mug", "silver", "sold_out")
    assert stock_left(till, "mug") == 0
    proved(till)


def test_codes_are_given_one_each_in_a_batch_and_shown_in_the_answer():
    cinema = reward({"code_from_pool": "cinema", "shown": "once"}, code="cinema", cost=10)
    till = club(cinema, rewards=["cinema"])
    for _ in load_codes(till.program.pk, "cinema", ["AAAA-1", "AAAA-2", "AAAA-3"]):
        pass
    cards = [till.member() for _ in range(4)]
    api = Caller(till.program.pk)
    sent = [
        {"idempotency_key": unique("k"),
         "earn": {"member": f"card:{card}", "order": order_body(lines=[line("1", "250.00")])}}
        for card in cards
    ]  # fmt: skip
    preview = body_of(api.post("/v1/earn/preview", sent[0]["earn"], key=None))
    assert preview["issued"][0]["gives"] == {"code_from_pool": "cinema"}
    results = body_of(api.post("/v1/batch", {"commands": sent}, key=None))["results"]
    codes = [one["gives"]["code"] for r in results for one in r["body"].get("issued", [])]
    assert sorted(codes) == ["AAAA-1", "AAAA-2", "AAAA-3"]
    again = body_of(api.post("/v1/batch", {"commands": sent}, key=None))["results"]
    assert [r["body"] for r in again] == [r["body"] for r in results]
    assert events(till, cards[3], "reward.missed")[0]["reason"] == "sold_out"


def test_a_level_by_hand_gives_too_and_who_is_frozen_misses_it():
    till = club(MUG, rewards=["mug"])
    anna, ben = till.member(), till.member()
    assert assign(till, anna, "silver").status == 200
    assert given(till, anna) == [("mug", "captured", 0)]
    till.freeze(ben)
    till.earn(ben, unique("o"), "250.00")
    assert given(till, ben) == []
    assert events(till, ben, "reward.missed")[0]["reason"] == "member_not_active"


def test_a_gift_that_is_switched_off_is_told_to_whom_it_was_due():
    till = club({**MUG, "active": False}, rewards=["mug"])
    anna = till.member()
    assert "issued" not in till.earn(anna, unique("o"), "250.00").body
    [missed] = events(till, anna, "reward.missed")
    assert (missed["reward"], missed["reason"]) == ("mug", "switched_off")
    assert missed["because"] == "It is switched off."
    ben, ref = till.member(), unique("o")
    till.again(rewards=[MUG])
    assert len(till.earn(ben, ref, "250.00").issued) == 1
    till.take_back(ref, "r1")
    till.again(rewards=[{**MUG, "active": False}])
    till.earn(ben, unique("o"), "250.00")
    assert events(till, ben, "reward.missed") == []  # they had it within a year


def test_a_gift_takes_no_turn_and_is_not_the_first_redemption():
    till = club({**MUG, "cost": 5, "stock": 9, "per_member": {"times": 1}}, rewards=["mug"])
    anna = till.member()
    till.earn(anna, unique("o"), "250.00")
    assert "reward.first_redemption" not in types_of(till, anna)
    assert till.redeem(anna, reward="mug").status == 201
    assert types_of(till, anna).count("reward.first_redemption") == 1
    assert till.redeem(anna, reward="mug").code == "reward_limit_reached"


def test_an_order_that_is_put_gives_too_and_only_where_a_level_is_reached(clock: Clock):
    till = club(MUG, rewards=["mug"])
    anna, ref, lines = till.member(), unique("o"), [line("1", "250.00")]
    till.put(anna, ref, 1, lines, state="open", at=clock.now)
    assert given(till, anna) == []
    assert len(till.put(anna, ref, 2, lines, at=clock.now).issued) == 1
    assert "issued" not in till.put(anna, ref, 3, lines, at=clock.now).body
    back = till.put(anna, ref, 4, [{**lines[0], "returned": {"quantity": "1"}}], at=clock.now)
    assert (back.tier["code"], "issued" in back.body) == ("bronze", False)


# Free by the level


def test_so_many_a_year_are_free_and_then_it_costs_points(clock: Clock):
    till = club(COFFEE, free_redemptions={"coffee": 2})
    anna = till.member()
    till.earn(anna, unique("o"), "250.00")
    api = Caller(till.program.pk)
    [listed] = body_of(api.get(f"/v1/members/card:{anna}/rewards"))["items"]
    assert (listed["cost"], listed["free"]) == (0, 2)
    took = [till.redeem(anna, reward="coffee") for _ in range(3)]
    assert [(one.points, one.given_for) for one in took] == [
        (0, "free_redemption"), (0, "free_redemption"), (100, None)
    ]  # fmt: skip
    assert till.reverse(took[0].id).state == "reversed"  # gives the turn back
    assert till.redeem(anna, reward="coffee").points == 0
    clock.set(clock.now.replace(year=clock.now.year + 1))
    till.earn(anna, unique("o"), "250.00")
    assert till.redeem(anna, reward="coffee").points == 0
    bronze = till.member(500)
    assert till.redeem(bronze, reward="coffee").points == 100
    proved(till)


@pytest.mark.parametrize("way", ["capture", "void", "lapse"])
def test_a_free_one_can_be_held(clock: Clock, way: str):
    till = club(COFFEE, free_redemptions={"coffee": 1})
    anna, other = till.member(), till.member()
    till.earn(anna, unique("o"), "250.00")
    hold = till.redeem(anna, reward="coffee", capture=False)
    assert (hold.points, hold.state) == (0, "held")
    assert till.redeem(anna, reward="coffee", capture=False).points == 100
    assert merge(till, anna, other).code == "member_has_holds"
    if way == "lapse":
        clock.move(timedelta(minutes=31))
    else:
        assert getattr(till, way)(hold.id).status == 200
    free_again = till.redeem(anna, reward="coffee").points == 0
    assert free_again == (way != "capture")
    proved(till)


def test_a_batch_gives_no_more_for_nothing_than_there_is():
    till = club(COFFEE, free_redemptions={"coffee": 1})
    anna = till.member()
    till.earn(anna, unique("o"), "250.00")
    replies = till.send(*(till.redeeming(anna, reward="coffee") for _ in range(2)))
    assert [reply.points for reply in replies] == [0, 100]


# At a balance


def test_a_reward_is_redeemed_by_itself_as_often_as_the_points_suffice():
    stamp = {**COFFEE, "cost": 10, "auto_redeem": True}
    till = open_till(rewards=[stamp])
    anna = till.member()
    assert "issued" not in till.earn(anna, unique("o"), "9.00").body
    award = till.earn(anna, unique("o"), "12.00")
    assert [(one["points"], one["given_for"]) for one in award.issued] == [
        (10, "auto_redeem"), (10, "auto_redeem")
    ]  # fmt: skip
    assert award.balance["available"] == 1
    assert types_of(till, anna)[-5:] == [
        "points.redeemed", "reward.issued", "reward.first_redemption",
        "points.redeemed", "reward.issued",
    ]  # fmt: skip
    proved(till)


def test_it_keeps_to_limits_stock_and_a_most_in_one_order():
    limited = {**COFFEE, "cost": 10, "auto_redeem": True, "per_member": {"times": 1, "per": "day"}}
    scarce = reward({"product": "cup"}, code="cup", cost=20, stock=1, auto_redeem=True)
    till = open_till(rewards=[limited, scarce])
    award = till.earn(till.member(), unique("o"), "100.00")
    assert [one["reward"] for one in award.issued] == ["coffee", "cup"]
    assert award.balance["available"] == 70
    plenty = open_till(rewards=[{**COFFEE, "cost": 1, "auto_redeem": True}])
    assert len(plenty.earn(plenty.member(), unique("o"), "30.00").issued) == 10


def test_the_night_redeems_what_was_given_or_matured_since(clock: Clock):
    till = open_till(
        rewards=[{**COFFEE, "cost": 10, "auto_redeem": True}], points={"maturity_days": 2}
    )
    anna, ben = till.member(25), till.member()
    assert given(till, anna) == []
    till.earn(ben, unique("o"), "10.00")
    run_night(till.program.pk, today=clock.now.date())
    assert (given(till, anna), given(till, ben)) == ([("coffee", "captured", 10)] * 2, [])
    clock.move(timedelta(days=3))
    run_night(till.program.pk, today=clock.now.date())
    assert given(till, ben) == [("coffee", "captured", 10)]
    assert balance_of(till.ids[anna])["available"] == 5
    proved(till)


@pytest.mark.parametrize("way", ["reversed", "cancelled"])
def test_what_was_given_back_stays_so_until_points_are_collected_again(clock: Clock, way: str):
    massage = reward({"custom": "massage-30"}, code="massage", cost=10, auto_redeem=True)
    till = open_till(rewards=[massage])
    anna, ref = till.member(), unique("o")
    first, _ = till.earn(anna, ref, "20.00").issued
    clock.move(timedelta(minutes=1))
    if way == "reversed":
        assert till.reverse(first["id"]).state == "reversed"
    else:
        assert fulfil(till, first["id"], "cancelled").state == "reversed"
    for _ in range(2):
        clock.move(timedelta(days=1))
        run_night(till.program.pk, today=clock.now.date())
        assert balance_of(till.ids[anna])["available"] == 10
    assert len(till.earn(anna, unique("o"), "1.00").issued) == 1
    till.adjust(anna, 9)
    clock.move(timedelta(days=1))
    run_night(till.program.pk, today=clock.now.date())
    assert balance_of(till.ids[anna])["available"] == 0
    proved(till)


def test_no_points_are_taken_by_themselves_for_what_is_still_free():
    till = club({**COFFEE, "cost": 10, "auto_redeem": True}, free_redemptions={"coffee": 1})
    anna = till.member()
    assert "issued" not in till.earn(anna, unique("o"), "250.00").body
    assert till.redeem(anna, reward="coffee").points == 0  # asked for, when it is wanted
    award = till.earn(anna, unique("o"), "9.00")
    assert [one["points"] for one in award.issued] == [10] * 10
    proved(till)


def test_an_earn_waits_once_more_only_where_something_comes_by_itself():
    till = club(MUG, {**COFFEE, "auto_redeem": True}, rewards=["mug"])
    api = Caller(till.program.pk)
    anna = till.member()

    with counted_wire() as counted:

        def waits(amount: str) -> int:
            body = {"member": f"card:{anna}", "order": order_body(lines=[line("1", amount)])}
            before = counted.round_trips
            assert api.post("/v1/earn", body).status_code == 201
            return counted.round_trips - before

        assert min(waits("1.00") for _ in range(4)) == 2
        assert waits("246.00") == 3
    assert given(till, anna) == [("mug", "captured", 0), *[("coffee", "captured", 100)] * 2]
