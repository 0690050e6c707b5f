"""Two members who are one person: what goes over, what leads where, and what comes back."""

from datetime import timedelta
from json import dumps

import pytest

from loyalty.ledger.audit import audit
from loyalty.members.identifiers import MemberRef
from loyalty.standing.schemas import AssignLevel, AssignRequest
from loyalty.standing.services import ASSIGN
from tests.factories import Clock, Till, balance_of, line, open_till, rows, unique
from tests.people import merge, unmerge

MUG = {"code": "mug", "name": "Mug", "cost": 10, "gives": {"product": "mug"}, "stock": 9,
       "per_member": {"times": 1, "per": "ever"}}  # fmt: skip


@pytest.fixture
def till(clock: Clock) -> Till:
    return open_till(rewards=[MUG])


def proved(till: Till) -> None:
    """Audit everybody of the program."""
    ids = [row[0] for row in rows("SELECT member_id FROM loyalty_memberstate"
                                  " WHERE program_id = %s", till.program.pk)]  # fmt: skip
    assert [found for found in audit(members=ids) if found.rows] == []


def events_of(member: str) -> list[str]:
    found = rows("SELECT type FROM loyalty_outboxevent WHERE member_id = %s ORDER BY sequence",
                 member)  # fmt: skip
    return [row[0] for row in found]


def available(till: Till, card: str) -> int:
    return int(balance_of(till.ids[card])["available"])


def test_points_go_over_with_their_expiry_and_pay_in_its_order(till: Till, clock: Clock):
    old, new = till.member(), till.member()
    till.adjust(old, 30, ends=clock.now + timedelta(days=5))
    till.adjust(new, 50, ends=clock.now + timedelta(days=9))
    merged = merge(till, old, new)
    assert (merged.status, merged.points, merged.identifiers) == (200, 30, 1)
    assert merged.balance["available"] == 80
    assert available(till, old) == 0
    till.redeem(new, points=35)  # the 30 that end first, and 5 of the others
    clock.move(timedelta(days=6))
    assert till.redeem(new, points=46).code == "insufficient_points"
    assert till.redeem(new, points=45).status == 201
    proved(till)


def test_every_name_of_the_merged_member_leads_to_the_survivor(till: Till):
    old, new = till.member(10), till.member()
    merged, survivor = till.ids[old], till.ids[new]
    merge(till, old, new)
    assert till.earn(old, unique("o"), "5.00").member == survivor
    assert till.redeem(old, points=15).status == 201
    again = merge(till, old, new)
    assert (again.status, again.code) == (409, "same_member")
    found = rows("SELECT status, merged_into::text FROM loyalty_memberstate WHERE member_id = %s",
                 merged)  # fmt: skip
    assert found == [("merged", survivor)]
    assert events_of(merged)[-1] == events_of(survivor)[1] == "member.merged"


def test_an_order_of_the_merged_member_is_returned_and_repeated_as_ever(till: Till, clock: Clock):
    old, new = till.member(), till.member()
    ref = unique("o")
    first = till.earn(old, ref, "12.00", at=clock.now)
    merge(till, old, new)
    again = till.earn(old, ref, "12.00", at=clock.now)
    assert (again.status, again.id) == (200, first.id)
    back = till.take_back(ref, "r1")
    assert (back.status, back.clawed_back, back.debt) == (201, 12, 0)
    assert (back.member, available(till, new)) == (till.ids[new], 0)
    proved(till)


def test_what_counts_for_tiers_goes_over(till: Till):
    old, new = till.member(), till.member()
    till.earn(old, unique("o"), "150.00")
    till.earn(new, unique("o"), "120.00")
    merged = merge(till, old, new)
    assert (merged.tier["code"], merged.tier["metric"]) == ("silver", "270.00")
    undone = unmerge(till, old)
    assert (undone.tier["code"], undone.tier["metric"]) == ("bronze", "150.00")
    seen = till.earn(new, unique("o"), "1.00").tier
    assert (seen["code"], seen["metric"]) == ("bronze", "121.00")


def test_an_order_of_which_a_line_came_back_meanwhile_still_counts(till: Till):
    old, new = till.member(), till.member()
    ref = unique("o")
    till.earn(old, ref, lines=[line("1", "8.00"), line("2", "5.00")])
    merge(till, old, new)
    till.take_back(ref, "r1", {"1": "1"})
    counted = "SELECT spend, points, orders FROM loyalty_activityday WHERE member_id = %s"
    assert rows(counted, till.ids[new]) == [(500, 5, 1)]
    unmerge(till, old)
    assert rows(counted, till.ids[old]) == [(500, 5, 1)]


def test_the_higher_level_stays(till: Till):
    old, new = till.member(), till.member()
    till.earn(old, unique("o"), "300.00")
    assert merge(till, old, new).tier["code"] == "silver"


def test_a_limit_counts_what_either_of_them_had(till: Till):
    old, new = till.member(50), till.member(50)
    assert till.redeem(old, reward="mug").status == 201
    merge(till, old, new)
    assert till.redeem(new, reward="mug").code == "reward_limit_reached"


def test_a_hold_stands_in_the_way(till: Till):
    old, new = till.member(50), till.member()
    hold = till.redeem(old, points=20, capture=False)
    refused = merge(till, old, new)
    assert (refused.status, refused.code) == (409, "member_has_holds")
    assert available(till, old) == 30
    till.void(hold.id)
    assert merge(till, old, new).points == 50


def test_the_survivors_hold_does_not(till: Till):
    old, new = till.member(50), till.member(30)
    hold = till.redeem(new, points=20, capture=False)
    assert merge(till, old, new).balance["held"] == 20
    assert till.capture(hold.id).balance["available"] == 60


def test_a_redemption_from_before_is_reversed_to_the_survivor(till: Till, clock: Clock):
    old, new = till.member(), till.member()
    till.adjust(old, 50, ends=clock.now + timedelta(days=5))
    taken = till.redeem(old, points=20)
    merge(till, old, new)
    back = till.reverse(taken.id)
    assert (back.status, back.reinstated, back.balance["available"]) == (200, 20, 50)
    proved(till)
    ends = rows("SELECT DISTINCT expires_at FROM loyalty_lot WHERE member_id = %s", till.ids[new])
    assert ends == [(clock.now + timedelta(days=5),)]
    assert till.reverse(taken.id).code == "already_reversed"


def test_a_debt_goes_over_and_the_next_earn_repays_it(till: Till):
    old, new = till.member(), till.member(5)
    ref = unique("o")
    till.earn(old, ref, "30.00")
    till.redeem(old, points=30)
    assert till.take_back(ref, "r1").debt == 30
    merged = merge(till, old, new)
    assert (merged.debt, merged.balance["debt"], merged.balance["available"]) == (30, 30, 5)
    assert balance_of(till.ids[old])["debt"] == 0
    assert till.earn(new, unique("o"), "20.00").balance["debt"] == 10
    proved(till)
    assert unmerge(till, old).debt == 10
    proved(till)


def test_pending_points_mature_at_the_survivor(clock: Clock):
    till = open_till(points={"maturity_days": 3})
    old, new = till.member(), till.member()
    till.earn(old, unique("o"), "10.00")
    assert merge(till, old, new).pending == 10
    clock.move(timedelta(days=4))
    assert till.redeem(new, points=10).status == 201
    proved(till)


def test_a_merge_is_taken_back(till: Till, clock: Clock):
    old, new = till.member(), till.member(100)
    ref = unique("o")
    till.earn(old, ref, lines=[line("1", "30.00"), line("2", "20.00")])
    merge(till, old, new)
    assert till.take_back(ref, "r1", {"2": "1"}).clawed_back == 20
    later = unique("o")
    assert till.earn(old, later, "7.00").balance["available"] == 137
    by_card = unmerge(till, old, by="card")  # which leads to the survivor by now
    assert by_card.code == "not_merged" and "merged by their id" in by_card.detail
    undone = unmerge(till, old)
    assert (undone.status, undone.points, undone.orders, undone.identifiers) == (200, 30, 1, 1)
    assert (available(till, old), available(till, new)) == (30, 107)  # what came later stays
    assert till.earn(old, unique("o"), "1.00").member == till.ids[old]
    back = till.take_back(ref, "r2", {"1": "1"})
    assert (back.member, back.clawed_back, back.debt) == (till.ids[old], 30, 0)
    assert events_of(till.ids[new])[-1] == "member.unmerged"
    assert unmerge(till, old).code == "not_merged"
    proved(till)
    assert merge(till, old, new).status == 200  # and again
    proved(till)


def test_a_level_that_was_assigned_before_a_merge_is_assigned_after_it(clock: Clock):
    levels = [{"code": f"l{place}", "from": f"{place}00"} for place in range(3)]
    till = open_till(tiers={"qualify_by": "spend", "levels": levels})
    old, new = till.member(), till.member()
    kept = {"level": "l1", "until": "2027-03-31", "reason": "a friend of the house"}
    payload = AssignLevel(MemberRef("card", new), AssignRequest.model_validate_json(dumps(kept)))
    assigned = till.send(till.command(ASSIGN, payload, kept))[0]
    assert till.earn(old, unique("o"), "200.00").tier["code"] == "l2"
    merged = merge(till, old, new).tier
    assert (merged["code"], merged["assigned"], merged["valid_until"]) == ("l2", False, None)
    unmerge(till, old)
    after = till.earn(new, unique("o"), "1.00").tier
    names = ("code", "assigned", "valid_until")
    assert [after[name] for name in names] == [assigned.body[name] for name in names]


def test_what_the_survivor_spent_does_not_come_back(till: Till, clock: Clock):
    old, new = till.member(), till.member(100)
    till.adjust(old, 40, ends=clock.now + timedelta(days=9))
    merge(till, old, new)
    till.redeem(new, points=25)
    assert unmerge(till, old).points == 15
    assert (available(till, old), available(till, new)) == (15, 100)


def test_merges_in_a_row_lead_to_the_last_and_come_back_in_turn(till: Till):
    one, two, three = till.member(1), till.member(2), till.member(4)
    ids = till.ids
    merge(till, one, two)
    merge(till, two, three)
    assert till.earn(one, unique("o"), "1.00").member == ids[three]
    early = unmerge(till, one)
    assert (early.status, early.code) == (409, "merge_not_reversible")
    assert unmerge(till, two).points == 3
    assert till.earn(one, unique("o"), "1.00").member == ids[two]
    assert unmerge(till, one).points == 1
    proved(till)


def test_after_30_days_it_stays(till: Till, clock: Clock):
    old, new = till.member(1), till.member()
    merge(till, old, new)
    clock.move(timedelta(days=30))
    assert unmerge(till, old).code == "merge_not_reversible"


def test_who_is_frozen_does_not_get_free_by_a_merge(till: Till):
    old, new = till.member(10), till.member()
    till.freeze(old)
    merge(till, old, new)
    assert till.redeem(new, points=5).code == "member_frozen"
    unmerge(till, old)
    assert till.redeem(old, points=5).code == "member_frozen"


def test_a_refusal_changes_nothing(till: Till):
    old = till.member(10)
    assert merge(till, old, unique("c")).code == "member_not_found"
    assert merge(till, old, old).code == "same_member"
    assert unmerge(till, old).code == "not_merged"
    assert events_of(till.ids[old]) == ["member.enrolled", "points.adjusted"]


def test_a_limited_rule_counts_what_either_of_them_had():
    rule = {"code": "once", "bonus": 50, "limit": {"times": 1, "per": "year"}}
    till = open_till(earning_rules=[{"code": "base", "points": 1, "per": "1.00"}, rule])
    old, new = till.member(), till.member()
    assert till.earn(old, unique("o"), "1.00").points == 51
    merge(till, old, new)
    assert till.earn(new, unique("o"), "1.00").points == 1
    unmerge(till, old)
    assert till.earn(new, unique("o"), "1.00").points == 51
    assert till.earn(old, unique("o"), "1.00").points == 1


def test_what_a_return_gave_back_of_a_limit_meanwhile_goes_to_whose_order_it_was(clock: Clock):
    rule = {"code": "once", "bonus": 50, "limit": {"times": 1, "per": "year"}}
    till = open_till(earning_rules=[{"code": "base", "points": 1, "per": "1.00"}, rule])
    old, new, ref = till.member(), till.member(), unique("o")
    assert till.earn(old, ref, "1.00").points == 51
    assert till.earn(new, unique("o"), "1.00").points == 51
    clock.move(timedelta(minutes=1))
    merge(till, old, new)
    clock.move(timedelta(minutes=1))
    till.take_back(ref, "r1")
    unmerge(till, old)
    assert till.earn(old, unique("o"), "1.00").points == 51
    assert till.earn(new, unique("o"), "1.00").points == 1


def test_what_a_change_took_of_a_limit_meanwhile_goes_to_whose_order_it_was(clock: Clock):
    rule = {"code": "once", "bonus": 50, "limit": {"times": 1, "per": "year"}}
    till = open_till(earning_rules=[{"code": "base", "points": 1, "per": "1.00"}, rule])
    old, new, other, ref = till.member(), till.member(), till.member(), unique("o")
    assert till.put(old, ref, 1, [line("1", "1.00")], at=clock.now).points == 51
    assert till.earn(new, unique("o"), "1.00").points == 51
    merge(till, old, new)
    assert till.put(new, ref, 2, [line("1", "2.00")], at=clock.now).points == 2
    unmerge(till, old)
    assert till.earn(new, unique("o"), "1.00").points == 1
    assert till.put(old, ref, 3, [line("1", "3.00")], at=clock.now).points == 53

    merge(till, old, other)
    last_year = clock.now - timedelta(days=30)
    assert till.put(other, ref, 4, [line("1", "4.00")], at=last_year).points == 54
    unmerge(till, old)
    assert till.earn(old, unique("o"), "1.00", at=last_year).points == 1
    assert till.earn(old, unique("o"), "1.00").points == 51
    assert till.earn(other, unique("o"), "1.00", at=last_year).points == 51
