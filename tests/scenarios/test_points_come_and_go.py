"""Stories as a member lives them, with numbers that can be checked by hand."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.factories import Clock, Till, balance_of, line, open_till, rows, unique
from tests.integration.http.caller import Caller, body_of

MONTHLY = {"expiry": {"months": 1}}


def lots(till: Till, card: str) -> list[tuple[int, int, int]]:
    """Granted, available, redeemed of each lot, oldest first."""
    return rows(
        "SELECT granted, available, redeemed FROM loyalty_lot WHERE member_id = %s ORDER BY number",
        till.ids[card],
    )


def available(till: Till, card: str) -> int:
    return balance_of(till.ids[card])["available"]


def debt(till: Till, card: str) -> int:
    return balance_of(till.ids[card])["debt"]


def test_from_the_first_purchase_to_silver(clock: Clock):
    """249.99 is bronze; one more cent is silver, and silver doubles the next purchase."""
    till = open_till()
    anna = till.member()
    first = till.earn(anna, unique("o"), "249.99")
    assert (first.points, first.tier["code"]) == (249, "bronze")
    assert first.tier["next"] == {"code": "silver", "missing": "0.01"}
    second = till.earn(anna, unique("o"), "0.01")
    assert (second.points, second.tier["code"], second.tier["changed"]) == (0, "silver", True)
    third = till.earn(anna, unique("o"), "10.00")
    assert (third.points, third.balance["available"]) == (20, 269)
    told = [row[0] for row in rows(
        "SELECT type FROM loyalty_outboxevent WHERE member_id = %s ORDER BY sequence",
        till.ids[anna],
    )]  # fmt: skip
    assert told == [
        "member.enrolled", "points.earned", "order.recorded", "order.recorded", "tier.upgraded",
        "points.earned", "order.recorded",
    ]  # fmt: skip


def test_returned_produce_takes_back_exactly_what_it_earned():
    """10.00 of produce counts double, 5.00 of milk once: 25. The produce comes back: 20 go."""
    till = open_till()
    anna, order = till.member(), unique("o")
    basket = [line("1", "10.00", "4", category="PRODUCE"), line("2", "5.00")]
    assert till.earn(anna, order, lines=basket).points == 25
    back = [till.take_back(order, f"r{n}", {"1": "1"}).clawed_back for n in range(4)]
    assert (sum(back), available(till, anna)) == (20, 5)
    assert till.take_back(order, "r9", {"1": "1"}).code == "reversal_exceeds_original"


def test_partial_returns_never_exceed_the_sale():
    """Scenario 27: three thirds of 10 points are 10, in whatever order; a fourth is refused."""
    till = open_till()
    anna, order = till.member(), unique("o")
    till.earn(anna, order, lines=[line("1", "10.00", "3")])
    back = [till.take_back(order, f"r{n}", {"1": "1"}).clawed_back for n in range(3)]
    assert sum(back) == 10
    assert till.take_back(order, "r4", {"1": "0.0001"}).code == "reversal_exceeds_original"
    assert available(till, anna) == 0


class TestPointsSpentThenTheOrderReturned:
    """Scenario 25: 100 earned, 80 spent, everything comes back."""

    def returned(self, policy: str) -> tuple[Till, str]:
        till = open_till(points={"clawback": policy})
        anna, order = till.member(), unique("o")
        till.earn(anna, order, "100.00")
        till.redeem(anna, points=80)
        till.take_back(order, "r1")
        return till, anna

    def test_the_debt_is_repaid_by_the_next_earn(self):
        till, anna = self.returned("debt")
        assert (available(till, anna), debt(till, anna)) == (0, 80)
        assert till.redeem(anna, points=1).code == "insufficient_points"
        assert till.earn(anna, unique("o"), "50.00").balance["debt"] == 30
        last = till.earn(anna, unique("o"), "50.00").balance
        assert (last["available"], last["debt"]) == (20, 0)

    def test_it_is_written_off_where_the_program_says_so(self):
        till, anna = self.returned("write_off")
        assert (available(till, anna), debt(till, anna)) == (0, 0)
        assert till.earn(anna, unique("o"), "50.00").balance["available"] == 50

    def test_other_points_pay_within_the_balance(self):
        till = open_till(points={"clawback": "within_balance"})
        anna, order = till.member(), unique("o")
        till.earn(anna, order, "100.00")
        till.earn(anna, unique("o"), "70.00")
        till.redeem(anna, points=80)  # of the order's own, which are older
        till.take_back(order, "r1")
        assert lots(till, anna) == [(100, 0, 80), (70, 0, 0)]
        assert (available(till, anna), debt(till, anna)) == (0, 0)


def test_a_hold_that_lapsed(clock: Clock):
    """300 of 500 are held; the till is never heard of again; half an hour later all is back."""
    till = open_till()
    anna = till.member(500)
    hold = till.redeem(anna, points=300, capture=False)
    assert (hold.state, hold.balance["available"], hold.balance["held"]) == ("held", 200, 300)
    clock.move(timedelta(minutes=29, seconds=59))
    assert till.redeem(anna, points=300).code == "insufficient_points"
    clock.move(timedelta(seconds=1))
    assert till.capture(hold.id).code == "hold_expired"
    assert till.redeem(anna, points=300).balance["available"] == 200
    assert balance_of(till.ids[anna])["held"] == 0


def test_a_hold_captured_in_part_gives_the_rest_back():
    till = open_till()
    anna = till.member(500)
    hold = till.redeem(anna, points=300, capture=False)
    taken = till.capture(hold.id, 120)
    assert (taken.captured, taken.gives["amount_off"]) == (120, "1.20")
    assert (taken.balance["available"], taken.balance["held"]) == (380, 0)
    assert till.void(hold.id).code == "hold_not_open"


class TestARedemptionReversedAfterItsLotsExpired:
    """Scenario 29: 50 points that end tonight are spent; the redemption is reversed next week."""

    def reversed_late(self, clock: Clock, lapsed: str) -> tuple[Till, str]:
        till = open_till(points={"lapsed": lapsed, "lapsed_grace_days": 14})
        anna = till.member(50, ends=clock.now + timedelta(hours=10))
        redemption = till.redeem(anna, points=50)
        clock.move(timedelta(days=7))
        assert till.reverse(redemption.id).state == "reversed"
        return till, anna

    def told(self, till: Till, card: str) -> tuple[int, dict[str, int]]:
        """How the member's statement explains what came back."""
        path = f"/v1/members/card:{card}/ledger"
        [item] = [
            item
            for item in body_of(Caller(till.program.pk).get(path))["items"]
            if item["kind"] == "reinstate"
        ]
        assert item["reason"] == "changed their mind"
        known = ("expired_meanwhile", "given_grace")
        return item["points"], {name: n for name, n in item["facts"].items() if name in known}

    def test_they_come_back_for_two_weeks_of_grace(self, clock: Clock):
        till, anna = self.reversed_late(clock, "grace")
        assert available(till, anna) == 50
        clock.move(timedelta(days=13, hours=23))
        assert self.told(till, anna) == (50, {"given_grace": 50})
        assert till.redeem(anna, points=1).status == 201
        clock.move(timedelta(hours=1))
        assert till.redeem(anna, points=1).code == "insufficient_points"

    def test_or_they_expire_and_history_says_so(self, clock: Clock):
        till, anna = self.reversed_late(clock, "expire")
        assert available(till, anna) == 0
        found = rows("SELECT expired FROM loyalty_lot WHERE member_id = %s", till.ids[anna])
        assert found == [(50,)]
        assert self.told(till, anna) == (0, {"expired_meanwhile": 50})


def test_a_redemption_reversed_in_time_keeps_the_original_end(clock: Clock):
    till = open_till()
    end = clock.now + timedelta(days=3)
    anna = till.member(50, ends=end)
    redemption = till.redeem(anna, points=50)
    till.reverse(redemption.id, 20)
    assert lots(till, anna) == [(50, 20, 30)]
    clock.set(end)
    assert till.redeem(anna, points=1).code == "insufficient_points"


def test_a_late_order_from_an_offline_till(clock: Clock):
    """Bought on 20 December, sent on 15 January: its points end on 20 January."""
    till = open_till(points=MONTHLY)
    anna = till.member()
    bought = datetime(2026, 12, 20, 18, 30, tzinfo=UTC)
    late = till.earn(anna, unique("o"), "40.00", at=bought)
    assert (late.points, late.body["status"]) == (40, "available")
    assert late.expires_at == "2027-01-21T05:00:00+00:00"  # the end of 20 January in New York
    times = rows("SELECT occurred_at, recorded_at FROM loyalty_outboxevent WHERE member_id = %s"
                 " AND type = 'points.earned'", till.ids[anna])  # fmt: skip
    assert times == [(bought, clock.now)]
    assert till.earn(anna, unique("o"), at=clock.now - timedelta(days=401)).status == 422
    assert till.earn(anna, unique("o"), at=clock.now + timedelta(minutes=6)).status == 422


def test_an_order_so_late_that_its_points_have_ended(clock: Clock):
    till = open_till(points=MONTHLY)
    anna = till.member()
    late = till.earn(anna, unique("o"), "40.00", at=clock.now - timedelta(days=90))
    assert (late.points, late.body["status"]) == (40, "expired")
    assert (late.balance["available"], late.balance["lifetime_earned"]) == (0, 40)


def test_a_refusal_stays_a_refusal_under_its_key():
    """Scenario 7: points arrive, the same key is still refused, a new key succeeds."""
    till = open_till()
    anna = till.member(10)
    first = till.redeem(anna, points=50, key="till-7")
    assert (first.status, first.code) == (409, "insufficient_points")
    till.adjust(anna, 100)
    again = till.redeem(anna, points=50, key="till-7")
    assert again.replayed
    assert again.raw == first.raw
    assert till.redeem(anna, points=50).status == 201


def test_a_key_with_other_words_is_refused():
    """Scenario 3: and nothing happens."""
    till = open_till()
    anna = till.member(10)
    till.adjust(anna, 5, key="till-8")
    assert till.adjust(anna, 500, key="till-8").code == "idempotency_key_reused"
    assert available(till, anna) == 15


def test_a_marketer_changes_a_cost_and_the_next_request_uses_it():
    till = open_till()
    anna = till.member(100)
    assert till.redeem(anna, reward="five-off").points == 50
    dearer = [{**reward} for reward in till.document["rewards"]]
    dearer[0]["cost"] = 51
    till.again(rewards=dearer)
    assert till.redeem(anna, reward="five-off").code == "insufficient_points"
    till.adjust(anna, 1)
    assert till.redeem(anna, reward="five-off").points == 51
    versions = rows("SELECT kind, program_version FROM loyalty_ledgertransaction"
                    " WHERE member_id = %s ORDER BY number", till.ids[anna])  # fmt: skip
    assert versions == [("adjust", 1), ("redeem", 1), ("adjust", 2), ("redeem", 2)]


@pytest.mark.parametrize("state", ["open", "cancelled"])
def test_an_order_that_is_paid_later_earns_then(state: str):
    """A webshop sends it as it is: not paid yet, paid, in part returned, cancelled."""
    till = open_till()
    anna, ref = till.member(), unique("o")
    basket = [line("1", "10.00"), line("2", "30.00", "3")]
    assert till.put(anna, ref, 1, basket, state=state).balance["available"] == 0
    assert till.put(anna, ref, 2, basket).balance["available"] == 40
    part = [basket[0], {**basket[1], "returned": {"quantity": "1"}}]
    assert till.put(anna, ref, 3, part).balance["available"] == 30
    assert till.put(anna, ref, 2, basket).balance["available"] == 30
    assert till.put(anna, ref, 4, part, state="cancelled").balance["available"] == 0
    assert till.put(anna, ref, 5, part).balance["available"] == 30


def test_an_order_that_comes_with_everything_returned_lifts_nobody():
    till = open_till()
    anna = till.member()
    gone = [{**line("1", "300.00"), "returned": {"quantity": "1"}}]
    answer = till.put(anna, unique("o"), 1, gone)
    assert (answer.points, answer.tier["code"]) == (0, "bronze")


def test_a_return_of_an_order_that_is_open_again_takes_nothing_twice():
    till = open_till()
    anna, ref = till.member(), unique("o")
    till.put(anna, ref, 1, [line("1", "20.00")])
    till.put(anna, ref, 2, [line("1", "20.00")], state="open")
    assert till.take_back(ref, "r1").clawed_back == 0
    assert (available(till, anna), debt(till, anna)) == (0, 0)


def test_a_frozen_member_earns_and_cannot_redeem():
    till = open_till()
    anna = till.member(100)
    till.freeze(anna)
    assert till.redeem(anna, points=5).code == "member_frozen"
    assert till.earn(anna, unique("o"), "10.00").status == 201
    till.freeze(anna, "active")
    assert till.redeem(anna, points=5).status == 201
