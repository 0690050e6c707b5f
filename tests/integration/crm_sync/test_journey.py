"""One member's life, and what every vendor holds of it after each step.

All vendors of vendor_cases.py, and a webhook, are connected to one program, each to its sandbox.
After each step each holds exactly the member's events, in their order, and the profile as it is; a
vendor that is added to the table is in the story. So it is afterwards where all of them were down
for more than a day meanwhile.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from crm_sync.models import Contact
from crm_sync.services.connections import create_connection
from tests.factories import Clock, clock, open_till
from tests.integration.crm_sync.outbox import forget
from tests.integration.crm_sync.receivers import Receiver
from tests.integration.crm_sync.story import Story
from tests.integration.crm_sync.vendor_cases import CASES
from tests.people import erase, merge

__all__ = ["clock"]

# What three vendors call what is to be right, as their pages in docs/crm say.
_WORDS = ("tier", "points_balance", "points_expiring", "points_expire_on")
_OURS = ("tier", "points", "ends", "on")
STANDING = {
    "klaviyo": {ours: f"loyalty_{name}" for ours, name in zip(_OURS, _WORDS, strict=True)},
    "hubspot": {ours: f"loyalty_{name}" for ours, name in zip(_OURS, _WORDS, strict=True)},
    "salesforce": {
        "tier": "Loyalty_Tier__c",
        "points": "Loyalty_Points_Balance__c",
        "ends": "Loyalty_Points_Expiring__c",
        "on": "Loyalty_Points_Expire_On__c",
    },
}
NOON = datetime(2027, 1, 15, 17, 0, tzinfo=UTC)
ADA, BOB = "ada@example.com", "bob@example.com"


@pytest.fixture
def story(db: None, clock: Clock, receiver: Receiver, settings: Any) -> Iterator[Story]:
    settings.CRM_ALLOW_PRIVATE_ADDRESSES = True
    clock.set(NOON)
    points = {"expiry": {"months": 3}, "expiring_notice_days": [30], "inactive_notice_days": [60]}
    told = Story(open_till(points=points), clock, receiver)
    program_id = told.till.program.pk
    create_connection(
        program_id=program_id, name="hook", adapter="webhook", config={"url": receiver.url}
    )
    with ExitStack() as running:
        for case in CASES:
            sandbox = running.enter_context(case.sandbox())  # type: ignore[arg-type]
            if case.prepare is not None:
                case.prepare(sandbox)
            account = case.connect(sandbox)
            destination = create_connection(
                program_id=program_id,
                name=case.name,
                adapter=case.name,
                config=account.config,
                secrets=account.credentials.given,  # type: ignore[attr-defined]
            )
            told.vendors.append((case, sandbox, destination))
        yield told
        forget(told.till.program)


@pytest.mark.parametrize("down_until", ["never", "merged", "erased"])
def test_a_members_life_as_every_vendor_sees_it(story: Story, down_until: str) -> None:
    """Scenario 9 too: who was down for a day holds all of it afterwards, in its order."""
    if down_until != "never":
        story.go_down()
    ada = story.enrol(ADA)
    story.tell()
    assert story.happened(ada) == ["member.enrolled"]
    story.check(ada)
    buy_and_spend(story, ada)
    fall_silent(story, ada)
    bob = become_one(story, ada)
    if down_until == "merged":
        get_well(story)
        story.check(ada)
        story.check_delivered(bob)
        check_merged(story, ada, bob)
    assert erase(story.till, ada).status == 200
    story.tell()
    assert story.happened(ada) == ["member.erased"]
    if down_until == "erased":
        story.check_nothing_lost(ada, bob)
        get_well(story)
        sent = [call.raw for _, sandbox, _ in story.vendors for call in sandbox.calls]
        assert not any(word.encode() in raw for word in (ADA, BOB, "Lovelace") for raw in sent)
    check_forgotten(story, ada, bob)


def check_forgotten(story: Story, *cards: str) -> None:
    """See that who was erased, or merged into them, is told of as erased, and not known any more.

    What the vendor has of them is theirs to delete; nothing of it is written anew.
    """
    for case, _, destination in story.vendors:
        for card in cards:
            known = Contact.objects.filter(connection=destination, member_id=story.till.ids[card])
            assert not known.exists(), (case.name, card)
    for card in cards:
        story.check_delivered(card)


def get_well(story: Story) -> None:
    assert story.hours_down >= 24
    story.be_well()
    story.tell()


def buy_and_spend(story: Story, ada: str) -> None:
    till = story.till
    till.earn(ada, "first", "100.00")
    story.tell()
    assert story.happened(ada) == ["points.earned", "order.recorded"]
    story.check(ada)
    check_standing(story, ada, "bronze", 100, 100)

    till.earn(ada, "second", "200.00")
    story.tell()
    assert story.happened(ada) == ["points.earned", "order.recorded", "tier.upgraded"]
    story.check(ada)
    check_standing(story, ada, "silver", 300, 300)

    assert till.redeem(ada, reward="five-off").status == 201
    story.tell()
    assert story.happened(ada) == [
        "points.redeemed",
        "reward.issued",
        "reward.first_redemption",
    ]
    story.check(ada)
    check_standing(story, ada, "silver", 250, 250)

    till.take_back("first", "return-1")
    story.tell()
    assert story.happened(ada) == ["points.clawed_back", "order.returned"]
    story.check(ada)
    # 50 of the 100 were spent: they are owed, and taken from what is earned next.
    check_standing(story, ada, "silver", 200, 200)


def check_standing(
    story: Story, card: str, tier: str, points: int, ends: int, on: str = "2027-04-15"
) -> None:
    """Compare what three vendors hold with words of our own, not with what we meant to send."""
    if story.is_down:
        return
    expected = {"tier": tier, "points": str(points), "ends": str(ends), "on": on}
    for vendor, names in STANDING.items():
        has = story.fields(vendor, card)
        said = {ours: str(has.get(name) or "") for ours, name in names.items()}
        assert said == expected, vendor


def fall_silent(story: Story, ada: str) -> None:
    story.night(timedelta(days=60))  # the points end in a month, and nothing was bought since
    story.tell()
    assert story.happened(ada) == ["tier.downgrade_warning", "points.expiring", "member.inactive"]
    story.check(ada)


def become_one(story: Story, ada: str) -> str:
    """Merge another member into her, and give the card of who is merged away."""
    bob = story.enrol(BOB)
    story.till.adjust(bob, 40)
    story.tell()
    assert merge(story.till, bob, ada).status == 200
    story.tell()
    assert story.happened(ada)[-1] == "member.merged"
    story.check(ada)
    story.check_delivered(bob)
    check_merged(story, ada, bob)
    return bob


def check_merged(story: Story, ada: str, bob: str) -> None:
    if story.is_down:
        return
    check_standing(story, ada, "silver", 240, 200)  # what a colleague gave him does not end soon
    has = story.fields("klaviyo", bob)
    assert (has["loyalty_status"], has["loyalty_points_balance"]) == ("merged", 0)
