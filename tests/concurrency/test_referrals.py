"""A friend's first order at many tills at once: one conversion, one award on each side."""

from loyalty.nightly.services import settle_referrals
from tests.concurrency.tills import at_once, deadlocks, statuses
from tests.factories import unique
from tests.integration.referrals.friends import join, open_shop, points_of, told


def test_twenty_first_orders_and_five_jobs_at_once_give_one_award():
    till = open_shop()
    ada = join(till)
    ben = join(till, ada.referral_code)
    before = deadlocks()
    things = [lambda: till.earn(ben.card, unique("o"), "20.00") for _ in range(20)]

    replies = at_once(things, tills=10)
    at_once([settle_referrals] * 5)

    assert statuses(replies) == {201: 20}
    assert sum("referral" in reply.body for reply in replies) == 1
    assert points_of(till, ben.card) == sum(reply.points for reply in replies) + 100
    assert points_of(till, ada.card) == 200
    assert told(till, ada.card) == [("referral.created", None), ("referral.converted", 200)]
    assert deadlocks() == before


def test_a_return_and_the_referrers_own_earns_meet_the_job():
    till = open_shop()
    ada = join(till)
    ben = join(till, ada.referral_code)
    till.earn(ben.card, "first", "20.00")
    things = [
        settle_referrals,
        *(lambda: till.earn(ada.card, unique("o"), "1.00") for _ in range(6)),
        lambda: till.take_back("first", "r1"),
        settle_referrals,
    ]

    at_once(things)
    settle_referrals()

    assert (points_of(till, ada.card), points_of(till, ben.card)) == (6, 0)
    assert told(till, ada.card) == [
        ("referral.created", None),
        ("referral.converted", 200),
        ("referral.reversed", 200),
    ]
