"""Where a member stands, as CRMs are told it."""

from uuid import UUID

from loyalty.members.selectors import Standing, list_standings
from tests.factories import Till, open_till, unique


def standing(till: Till, card: str) -> Standing:
    member = UUID(till.ids[card])
    return list_standings([member])[member]


def test_the_level_at_which_a_member_begins_is_theirs_since_they_joined():
    till = open_till()
    anna = till.member()
    begun = standing(till, anna)
    assert (begun.tier, begun.tier_since) == ("bronze", begun.enrolled_at)
    since = till.earn(anna, unique("o"), "10.00").tier["since"]
    assert since == begun.enrolled_at.isoformat()
    till.earn(anna, unique("o"), "300.00")
    risen = standing(till, anna)
    assert risen.tier == "silver"
    assert risen.tier_since is not None
    assert risen.tier_since > risen.enrolled_at


def test_without_tiers_there_is_nothing_since_when():
    bare = open_till(rewards=[], tiers=None)
    found = standing(bare, bare.member())
    assert (found.tier, found.tier_since) == ("", None)
