"""The Klaviyo adapter against our sandbox."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from crm_sync.adapters.access import Target
from crm_sync.adapters.contract import ConfigRefused, Person, Submitted
from crm_sync.adapters.klaviyo import EVENTS, REVISION, KlaviyoAdapter
from crm_sync.adapters.outcomes import (
    Ambiguous,
    Configuration,
    Delivered,
    Outcome,
    Permanent,
    Postponed,
    Retryable,
)
from crm_sync.mapping import problems_of
from crm_sync.sandboxes.klaviyo import Klaviyo
from crm_sync.sandboxes.server import Fault, Reply
from tests.integration.crm_sync.calls import Limits, target
from tests.integration.crm_sync.klaviyo_calls import ADA, MEMBER, event, profile


class TestEvents:
    def test_a_repeat_is_one_event(
        self, klaviyo: Klaviyo, adapter: KlaviyoAdapter, account: Target
    ) -> None:
        klaviyo.faults = [Fault(hangs_up=True)]
        (lost,) = adapter.send(account, [event()])
        assert isinstance(lost, Retryable)
        assert lost.may_have_arrived
        assert isinstance(adapter.send(account, [event()])[0], Delivered)
        known = klaviyo.find("external_id", MEMBER)
        assert known is not None
        assert [one["metric"] for one in known.events] == ["Loyalty Points Earned"]

    def test_two_of_the_same_second_are_two(
        self, klaviyo: Klaviyo, adapter: KlaviyoAdapter, account: Target
    ) -> None:
        adapter.send(account, [event(1), event(2)])
        known = klaviyo.find("external_id", MEMBER)
        assert known is not None
        assert len(known.events) == 2

    def test_exactly_what_is_sent(
        self, klaviyo: Klaviyo, adapter: KlaviyoAdapter, account: Target
    ) -> None:
        adapter.send(account, [event(is_backfill=True)])
        event_id = f"evt_{UUID(int=7).hex}_1"
        attributes = klaviyo.calls[0].body["data"]["attributes"]
        assert attributes == {
            "time": "2026-11-22T19:06:53+00:00",
            "unique_id": event_id,
            "backfill": True,
            "metric": {"data": {"type": "metric", "attributes": {"name": "Loyalty Points Earned"}}},
            "profile": {
                "data": {
                    "type": "profile",
                    "attributes": {"external_id": MEMBER, "email": "ada@example.com"},
                }
            },
            "properties": {
                "event_id": event_id,
                "sequence": 1,
                "order": "316",
                "cause": "earn",
                "rules": "base",
                "request_id": "till-4-77",
                "points_available": 3,
                "points_pending": 0,
                "points_held": 0,
                "points_debt": 0,
                "points_lifetime_earned": 3,
                "points": 3,
                "lots_count": 1,
                "tier_from": "bronze",
                "tier_to": "silver",
            },
        }

    def test_one_whom_klaviyo_knows_is_named_by_its_id(
        self, klaviyo: Klaviyo, adapter: KlaviyoAdapter, account: Target
    ) -> None:
        known = klaviyo.add(email="old@example.com")
        adapter.send(account, [event(person=replace(ADA, vendor_id=known.id))])
        assert len(known.events) == 1
        assert known.get("email") == "old@example.com"


class TestProfiles:
    def test_created_then_updated_and_cleared(
        self, klaviyo: Klaviyo, adapter: KlaviyoAdapter, account: Target
    ) -> None:
        (created,) = adapter.push(account, [profile(loyalty_tier="gold", first_name="Ada")])
        assert isinstance(created, Delivered)
        again = replace(ADA, vendor_id=created.vendor_id)
        adapter.push(account, [profile(again, loyalty_tier=None, loyalty_points_balance=5)])
        known = klaviyo.profiles[created.vendor_id]
        assert known.properties == {"loyalty_member_id": MEMBER, "loyalty_points_balance": 5}
        assert known.attributes["first_name"] == "Ada"
        assert len(klaviyo.profiles) == 1

    def test_consent_is_never_sent(self, klaviyo: Klaviyo, adapter: KlaviyoAdapter) -> None:
        names = {field.name for field in adapter.default_fields}
        assert not names & adapter.field_limits.reserved
        assert problems_of(adapter.default_fields, adapter.field_limits) == []

    def test_a_bulk_job_tells_of_each(
        self, klaviyo: Klaviyo, adapter: KlaviyoAdapter, account: Target
    ) -> None:
        bad = Person(member_id=str(UUID(int=8)), email="not an email")
        klaviyo.polls_until_done = 2
        submitted = adapter.push_bulk(account, [profile(), profile(bad)])
        assert isinstance(submitted, Submitted)
        assert not adapter.poll_job(account, submitted.job_id, [MEMBER, bad.member_id]).is_done
        report = adapter.poll_job(account, submitted.job_id, [MEMBER, bad.member_id])
        assert [type(one) for one in report.outcomes] == [Delivered, Permanent]
        assert "Invalid email address." in report.outcomes[1].error

    def test_a_job_that_is_gone_is_to_be_sent_again(
        self, adapter: KlaviyoAdapter, account: Target
    ) -> None:
        report = adapter.poll_job(account, "unknown", [MEMBER] * 2)
        assert report.is_done
        assert [type(one) for one in report.outcomes] == [Retryable] * 2

    def test_read_back_gives_what_is_there(
        self, klaviyo: Klaviyo, adapter: KlaviyoAdapter, account: Target
    ) -> None:
        known = klaviyo.add(first_name="Ada", properties={"loyalty_tier": "gold"})
        people = [replace(ADA, vendor_id=known.id), ADA]
        found = adapter.read(account, people, ["first_name", "loyalty_tier", "loyalty_x"])
        assert found == [{"first_name": "Ada", "loyalty_tier": "gold", "loyalty_x": None}, None]


class TestMatching:
    @pytest.mark.parametrize(
        ("there", "matched_by"),
        [
            ({"external_id": MEMBER}, "member_id"),
            ({"external_id": "shop-77"}, "external_id"),
            ({"email": "ada@example.com"}, "email"),
            ({"email": "ada@example.com", "external_id": "shop-88"}, "email"),
        ],
    )
    def test_in_this_order(
        self,
        klaviyo: Klaviyo,
        adapter: KlaviyoAdapter,
        account: Target,
        there: dict[str, str],
        matched_by: str,
    ) -> None:
        known = klaviyo.add(**there)
        klaviyo.add(phone_number="+15550100")
        (match,) = adapter.match(account, [replace(ADA, phone="+15550100")])
        assert (match.vendor_id, match.matched_by) == (known.id, matched_by)

    @pytest.mark.parametrize(
        "there",
        [
            {"email": "ada@example.com", "properties": {"loyalty_member_id": str(UUID(int=9))}},
            {"email": "ada@example.com", "external_id": str(UUID(int=9))},
        ],
    )
    def test_another_members_profile_is_never_taken(
        self, klaviyo: Klaviyo, adapter: KlaviyoAdapter, account: Target, there: dict[str, Any]
    ) -> None:
        known = klaviyo.add(**there)
        (match,) = adapter.match(account, [ADA])
        assert (match.vendor_id, match.candidates) == ("", (known.id,))

    def test_nobody_is_nobody_and_two_people_are_two(
        self, klaviyo: Klaviyo, adapter: KlaviyoAdapter, account: Target
    ) -> None:
        klaviyo.add(email="bob@example.com")
        bob = Person(member_id=str(UUID(int=8)), email="Bob@example.com")
        matches = adapter.match(account, [ADA, replace(bob, email="bob@example.com")])
        assert [match.matched_by for match in matches] == ["", "email"]

    def test_many_at_once(self, klaviyo: Klaviyo, adapter: KlaviyoAdapter, account: Target) -> None:
        people = [
            Person(member_id=str(UUID(int=n)), email=f"somebody.{n}@example.com")
            for n in range(120)
        ]
        for one in people:
            klaviyo.add(email=one.email)
        matches = adapter.match(account, people)
        assert {match.matched_by for match in matches} == {"email"}

    def test_a_conflict_that_only_klaviyo_sees_is_parked(
        self, klaviyo: Klaviyo, adapter: KlaviyoAdapter, account: Target
    ) -> None:
        klaviyo.add(external_id=MEMBER)
        other = klaviyo.add(email="ada@example.com")
        (outcome,) = adapter.push(account, [profile()])
        assert isinstance(outcome, Ambiguous)
        assert outcome.candidates == (other.id,)


class TestRefusals:
    @pytest.mark.parametrize(
        ("reply", "kind", "says"),
        [
            (Reply(400, {"errors": [{"detail": "Bad time."}]}), Permanent, "Bad time."),
            (Reply(403, {"errors": [{"detail": "Scope."}]}), Configuration, "Scope."),
            (Reply(410, {"errors": [{"detail": "Old."}]}), Configuration, "newer one. Old."),
            (Reply(500, b"<html>"), Retryable, "500"),
            (Reply(200, b"<html>hotel wifi"), Delivered, ""),
        ],
    )
    def test_each_has_its_meaning(
        self,
        klaviyo: Klaviyo,
        adapter: KlaviyoAdapter,
        account: Target,
        reply: Reply,
        kind: type[Outcome],
        says: str,
    ) -> None:
        klaviyo.faults = [Fault(reply)]
        (outcome,) = adapter.send(account, [event()])
        assert isinstance(outcome, kind)
        assert says in outcome.error

    def test_a_page_instead_of_a_profile_is_no_success(
        self, klaviyo: Klaviyo, adapter: KlaviyoAdapter, account: Target
    ) -> None:
        klaviyo.faults = [Fault(Reply(200, b"<html>hotel wifi"))]
        (outcome,) = adapter.push(account, [profile()])
        assert isinstance(outcome, Retryable)
        assert "not JSON" in outcome.error

    def test_a_wrong_key_and_a_missing_one(self, klaviyo: Klaviyo, adapter: KlaviyoAdapter) -> None:
        config = {"revision": REVISION, "address": klaviyo.url}
        wrong = adapter.probe(target(config, api_key="pk_old"), event())
        missing = adapter.probe(target(config), event())
        assert isinstance(wrong, Configuration)
        assert isinstance(missing, Configuration)
        assert "api_key is missing" in missing.error

    def test_limits_are_kept_before_and_after(
        self, klaviyo: Klaviyo, adapter: KlaviyoAdapter, account: Target
    ) -> None:
        limits = account.throttle
        assert isinstance(limits, Limits)
        klaviyo.calls_left["/api/events"] = 1
        assert isinstance(adapter.send(account, [event(1)])[0], Delivered)
        (busy,) = adapter.send(account, [event(2)])
        assert isinstance(busy, Retryable)
        assert (busy.retry_after, busy.throttled) == (7.0, True)
        assert limits.held == {EVENTS.name: 7.0}
        limits.refuse = 2.5
        (postponed,) = adapter.send(account, [event(2)])
        assert isinstance(postponed, Postponed)
        assert len(klaviyo.calls) == 2

    @pytest.mark.parametrize(
        "config", [{"revision": "latest"}, {"address": "ftp://x"}, {"api_key": "pk"}]
    )
    def test_a_bad_configuration(self, adapter: KlaviyoAdapter, config: dict[str, str]) -> None:
        with pytest.raises(ConfigRefused):
            adapter.check(config)


def test_changes_are_read_to_the_end_and_from_there_on(
    klaviyo: Klaviyo, adapter: KlaviyoAdapter, account: Target
) -> None:
    people = [klaviyo.add(email=f"p{n}@example.com") for n in range(120)]
    klaviyo.consent(people[3], "email", "UNSUBSCRIBED")
    first = adapter.list_changes(account, "")
    second = adapter.list_changes(account, first.cursor)
    assert (len(first.changes), first.has_more, len(second.changes), second.has_more) == (
        *(100, True),
        *(20, False),
    )
    klaviyo.consent(people[5], "sms", "SUBSCRIBED")
    later = adapter.list_changes(account, second.cursor)
    assert people[5].id in {change.vendor_id for change in later.changes}
    assert len(later.changes) <= 2
    (change,) = [one for one in later.changes if one.vendor_id == people[5].id]
    assert [(c.channel, c.is_given) for c in change.consents] == [("sms", True)]


@pytest.mark.parametrize("name", ["Y6nRLr", "list:Y6nRLr"])
def test_a_segment_is_read_to_its_end(
    klaviyo: Klaviyo, adapter: KlaviyoAdapter, account: Target, name: str
) -> None:
    people = [klaviyo.add(email=f"p{n}@example.com") for n in range(120)]
    people[7].properties["loyalty_member_id"] = MEMBER
    klaviyo.segments[name] = people[5:]
    first = adapter.list_segment(account, name, "")
    second = adapter.list_segment(account, name, first.page)
    assert (len(first.people), len(second.people), second.page) == (100, 15, "")
    assert first.people[0].vendor_id == people[5].id
    assert (first.people[2].member_id, first.people[2].email) == (MEMBER, "p7@example.com")
    assert isinstance(adapter.list_segment(account, "Other", "").outcome, Permanent)
    kind = "lists" if ":" in name else "segments"
    klaviyo.calls_left[f"/api/{kind}/Y6nRLr/profiles"] = 0
    busy = adapter.list_segment(account, name, first.page)
    assert isinstance(busy.outcome, Retryable)
    assert (busy.outcome.retry_after, busy.page) == (7.0, first.page)
