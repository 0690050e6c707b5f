"""The HubSpot adapter against our sandbox."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from crm_sync.adapters.access import Target
from crm_sync.adapters.contract import ConfigRefused, Match, Person, Profile
from crm_sync.adapters.hubspot import HubSpotAdapter
from crm_sync.adapters.outcomes import (
    Ambiguous,
    Configuration,
    Delivered,
    Outcome,
    Permanent,
    Retryable,
    Skipped,
)
from crm_sync.sandboxes.hubspot import HubSpot
from crm_sync.sandboxes.server import Fault, Reply
from tests.integration.crm_sync.calls import Limits, environment
from tests.integration.crm_sync.klaviyo_calls import ADA, MEMBER, event, profile
from tests.integration.crm_sync.vendor_cases import connect_hubspot


@pytest.fixture
def hubspot() -> Iterator[HubSpot]:
    with HubSpot() as running:
        running.clock.stop()
        yield running


@pytest.fixture(scope="module")
def adapter() -> HubSpotAdapter:
    return HubSpotAdapter(environment(total=2.0))


@pytest.fixture
def target(hubspot: HubSpot) -> Target:
    return connect_hubspot(hubspot)


def person(number: int, **more: str) -> Person:
    return Person(member_id=f"m{number}", email=f"p{number}@example.com", **more)


class TestEvents:
    def test_exactly_what_is_sent(
        self, hubspot: HubSpot, adapter: HubSpotAdapter, target: Target
    ) -> None:
        contact = hubspot.add(email="old@example.com")
        one = event(person=replace(ADA, vendor_id=contact.id))
        (sent,) = adapter.send(target, [one])
        assert isinstance(sent, Delivered)
        assert hubspot.calls[-1].body == {
            "eventName": "pe77_loyalty_points_earned",
            "objectId": contact.id,
            "occurredAt": "2026-11-22T19:06:53+00:00",
            "uuid": str(one.event_uuid),
            "properties": {
                "event_id": one.event_id,
                "order": "316",
                "rules": "base",
                "request_id": "till-4-77",
                "points_available": "3",
                "points": "3",
            },
        }

    def test_somebody_new_is_one_contact(
        self, hubspot: HubSpot, adapter: HubSpotAdapter, target: Target
    ) -> None:
        adapter.send(target, [event(1)])
        adapter.push(target, [profile()])
        adapter.send(target, [event(2)])
        (contact,) = hubspot.contacts.values()
        assert contact.properties["loyalty_member_id"] == MEMBER
        assert len(contact.events) == 2

    def test_a_plan_without_events_has_the_newest_one(
        self, hubspot: HubSpot, adapter: HubSpotAdapter, target: Target
    ) -> None:
        hubspot.takes_events = False
        (told,) = adapter.send(target, [event()])
        assert isinstance(told, Delivered)
        assert "no custom events" in told.notice
        contact = hubspot.find("loyalty_member_id", MEMBER)
        assert contact is not None
        assert contact.properties["loyalty_last_event"] == "points.earned"
        assert contact.properties["loyalty_last_event_points"] == "3"

    def test_it_is_not_asked_in_vain_where_a_person_has_said_so(
        self, hubspot: HubSpot, adapter: HubSpotAdapter
    ) -> None:
        quiet = connect_hubspot(hubspot, events="properties")
        (told,) = adapter.send(quiet, [event()])
        assert isinstance(told, Delivered)
        assert told.notice == ""
        assert not any("/events/" in call.path for call in hubspot.calls)
        none = connect_hubspot(hubspot, events="none")
        assert isinstance(adapter.send(none, [event()])[0], Skipped)

    def test_who_cannot_be_written_to_is_not_made(
        self, hubspot: HubSpot, adapter: HubSpotAdapter, target: Target
    ) -> None:
        nobody = Person(member_id=MEMBER)
        assert isinstance(adapter.send(target, [event(person=nobody)])[0], Skipped)
        assert isinstance(adapter.push(target, [profile(nobody)])[0], Skipped)
        assert hubspot.contacts == {}


class TestContacts:
    def test_exactly_what_is_sent(
        self, hubspot: HubSpot, adapter: HubSpotAdapter, target: Target
    ) -> None:
        made = profile(loyalty_tier=None, loyalty_status=True)
        (outcome,) = adapter.push(target, [made])
        assert isinstance(outcome, Delivered)
        assert hubspot.calls[-1].body["inputs"] == [
            {
                "id": MEMBER,
                "idProperty": "loyalty_member_id",
                "objectWriteTraceId": str(made.correlation_id),
                "properties": {
                    "loyalty_member_id": MEMBER,
                    "email": "ada@example.com",
                    "loyalty_points_balance": "3",
                    "loyalty_tier": "",
                    "loyalty_status": "true",
                },
            }
        ]

    def test_many_at_once_and_each_with_its_own_outcome(
        self, hubspot: HubSpot, adapter: HubSpotAdapter, target: Target
    ) -> None:
        there = hubspot.add(email="there@example.com")
        taken = hubspot.add(email="p3@example.com")
        people = [
            person(1),
            replace(person(2), vendor_id=there.id),
            person(3),
            replace(person(4), vendor_id="1"),
            replace(person(5), email="not an email"),
            Person(member_id="m6"),
            person(7),
        ]
        outcomes = adapter.push_bulk(target, [profile(one) for one in people])
        assert [type(one) for one in outcomes] == [
            *(Delivered, Delivered, Ambiguous, Permanent, Permanent, Skipped, Delivered)
        ]
        conflict = outcomes[2]
        assert isinstance(conflict, Ambiguous)
        assert conflict.candidates == (taken.id,)
        assert there.properties["loyalty_member_id"] == "m2"
        assert there.properties["email"] == "there@example.com"

    def test_one_bad_contact_of_a_hundred_costs_a_few_calls(
        self, hubspot: HubSpot, adapter: HubSpotAdapter, target: Target
    ) -> None:
        people = [person(number) for number in range(100)]
        people[37] = replace(people[37], email="not an email")
        outcomes = adapter.push_bulk(target, [profile(one) for one in people])
        bad = [place for place, one in enumerate(outcomes) if isinstance(one, Permanent)]
        assert bad == [37]
        assert sum(isinstance(one, Delivered) for one in outcomes) == 99
        assert len(hubspot.calls) <= 1 + 2 * 7 + 1  # a token, the whole, and seven halvings

    def test_a_property_that_nobody_made_is_for_a_person(
        self, hubspot: HubSpot, adapter: HubSpotAdapter, target: Target
    ) -> None:
        both = [profile(person(1), shoe_size="9"), profile(person(2))]
        outcomes = adapter.push(target, both)
        assert [type(one) for one in outcomes] == [Configuration] * 2
        assert "shoe_size" in outcomes[0].error
        assert len(hubspot.calls) == 2

    def test_what_an_answer_does_not_say_is_sent_again(
        self, hubspot: HubSpot, adapter: HubSpotAdapter, target: Target
    ) -> None:
        made: list[Profile] = [profile(person(number)) for number in (1, 2)]
        result = {"id": "9", "objectWriteTraceId": str(made[1].correlation_id)}
        hubspot.faults = [Fault(Reply(200, {"results": [result]}), path="/batch/upsert")]
        outcomes = adapter.push(target, made)
        assert [type(one) for one in outcomes] == [Retryable, Delivered]


class TestMatching:
    @pytest.mark.parametrize(
        ("there", "matched_by"),
        [
            ({"loyalty_member_id": MEMBER, "email": "else@example.com"}, "member_id"),
            ({"email": "ada@example.com"}, "email"),
            ({"email": "x@example.com", "hs_additional_emails": "ada@example.com"}, "email"),
            ({"phone": "+15550100"}, "phone"),
            ({"email": "bob@example.com"}, ""),
        ],
    )
    def test_in_this_order(
        self,
        hubspot: HubSpot,
        adapter: HubSpotAdapter,
        target: Target,
        there: dict[str, str],
        matched_by: str,
    ) -> None:
        contact = hubspot.add(**there)
        (match,) = adapter.match(target, [replace(ADA, phone="+15550100")])
        expected = (matched_by, contact.id if matched_by else "")
        assert (match.matched_by, match.vendor_id) == expected

    def test_two_or_another_members_are_never_taken(
        self, hubspot: HubSpot, adapter: HubSpotAdapter, target: Target
    ) -> None:
        other = hubspot.add(email="ada@example.com", loyalty_member_id="another")
        (match,) = adapter.match(target, [ADA])
        assert (match.vendor_id, match.candidates) == ("", (other.id,))
        two = [hubspot.add(phone="+15550100").id for _ in range(2)]
        (match,) = adapter.match(target, [Person(member_id=MEMBER, phone="+15550100")])
        assert set(match.candidates) == set(two)

    def test_a_number_that_many_have_hides_nobody_who_has_another(
        self, hubspot: HubSpot, adapter: HubSpotAdapter, target: Target
    ) -> None:
        first = hubspot.add(phone="+15550100").id
        for _ in range(200):
            hubspot.add(phone="+15550000")
        second = hubspot.add(phone="+15550100").id
        numbers = ("+15550000", "+15550100", "+15550101")
        found = adapter.match(target, [Person(member_id=MEMBER, phone=one) for one in numbers])
        assert (len(found[0].candidates), found[1].candidates) == (200, (first, second))
        assert found[2] == Match()


class TestRefusals:
    @pytest.mark.parametrize(
        ("reply", "kind", "says"),
        [
            (Reply(400, {"message": "Bad time."}), Permanent, "Bad time."),
            (Reply(409, {"message": "Contact already exists."}), Permanent, "already exists"),
            (Reply(502, b"<html>"), Retryable, "502"),
        ],
    )
    def test_each_has_its_meaning(
        self,
        hubspot: HubSpot,
        adapter: HubSpotAdapter,
        target: Target,
        reply: Reply,
        kind: type[Outcome],
        says: str,
    ) -> None:
        hubspot.faults = [Fault(reply, path="/contacts")]
        (outcome,) = adapter.push(target, [profile()])
        assert isinstance(outcome, kind)
        assert says in outcome.error

    def test_the_limit_of_a_day_is_not_asked_again_and_again(
        self, hubspot: HubSpot, adapter: HubSpotAdapter, target: Target
    ) -> None:
        hubspot.faults = [Fault(Reply(429, {"policyName": "DAILY"}), path="/contacts")]
        (outcome,) = adapter.push(target, [profile()])
        assert isinstance(outcome, Retryable)
        assert (outcome.retry_after, outcome.throttled) == (3600.0, True)

    def test_its_own_count_is_heeded(
        self, hubspot: HubSpot, adapter: HubSpotAdapter, target: Target
    ) -> None:
        limits = target.throttle
        assert isinstance(limits, Limits)
        hubspot.window.take(189)
        assert isinstance(adapter.push(target, [profile()])[0], Delivered)
        assert limits.held == {"calls": 10.0}
        (busy,) = adapter.push(target, [profile()])
        assert isinstance(busy, Retryable)
        assert busy.retry_after == 10.0

    def test_a_refresh_token_is_replaced_and_one_that_ended_is_for_a_person(
        self, hubspot: HubSpot, adapter: HubSpotAdapter, target: Target
    ) -> None:
        for _ in range(2):
            hubspot.tokens.clear()
            assert isinstance(adapter.push(target, [profile()])[0], Delivered)
        assert target.credentials.get("refresh_token") == hubspot.refresh_token
        hubspot.tokens.clear()
        hubspot.refresh_token = "revoked"
        (outcome,) = adapter.push(target, [profile()])
        assert isinstance(outcome, Configuration)
        assert "connect the app anew" in outcome.error

    def test_the_property_that_contacts_are_found_by_is_looked_for(
        self, hubspot: HubSpot, adapter: HubSpotAdapter, target: Target
    ) -> None:
        assert isinstance(adapter.probe(target, event()), Delivered)
        hubspot.properties.remove("loyalty_member_id")
        outcome = adapter.probe(target, event())
        assert isinstance(outcome, Configuration)
        assert "loyalty_member_id" in outcome.error

    def test_the_token_of_a_private_app(self, hubspot: HubSpot, adapter: HubSpotAdapter) -> None:
        target = connect_hubspot(hubspot, client_id="")
        target.credentials.given = {"access_token": hubspot.access_token}  # type: ignore[attr-defined]
        assert isinstance(adapter.probe(target, event()), Delivered)

    @pytest.mark.parametrize(
        "config",
        [
            {"events": "custom_events"},
            {"events": "some"},
            {"hub_id": "77", "api_version": "latest"},
            {"hub_id": "77", "address": "ftp://x"},
        ],
    )
    def test_a_bad_configuration(self, adapter: HubSpotAdapter, config: dict[str, str]) -> None:
        with pytest.raises(ConfigRefused):
            adapter.check(config)


def test_the_older_version_does_the_same(hubspot: HubSpot, adapter: HubSpotAdapter) -> None:
    target = connect_hubspot(hubspot, api_version="v3")
    adapter.match(target, [ADA])
    (made,) = adapter.push(target, [profile()])
    assert isinstance(made, Delivered)
    assert isinstance(adapter.send(target, [event()])[0], Delivered)
    assert isinstance(adapter.probe(target, event()), Delivered)
    paths = {call.path for call in hubspot.calls}
    assert paths >= {
        "/oauth/v1/token",
        "/crm/v3/objects/contacts/batch/upsert",
        "/events/v3/send",
        "/crm/v3/properties/contacts/loyalty_member_id",
    }


def test_changes_are_read_to_the_end_and_from_there_on(
    hubspot: HubSpot, adapter: HubSpotAdapter, target: Target
) -> None:
    people = [hubspot.add(email=f"p{n}@example.com") for n in range(120)]
    people[3].properties["hs_email_optout"] = "true"
    people[4].properties["hs_email_optout"] = "false"
    first = adapter.list_changes(target, "")
    second = adapter.list_changes(target, first.cursor)
    assert (len(first.changes), first.has_more) == (100, True)
    assert (len(second.changes), second.has_more) == (20, False)
    told = [[one.is_given for one in change.consents] for change in first.changes[3:6]]
    assert told == [[False], [True], []]
    hubspot.touch(people[5])
    later = adapter.list_changes(target, second.cursor)
    assert {change.vendor_id for change in later.changes} == {people[119].id, people[5].id}


def test_properties_of_hubspots_own_come_along(
    hubspot: HubSpot, adapter: HubSpotAdapter, target: Target
) -> None:
    hubspot.add(email="ada@example.com", shoe_size="38")
    (change,) = adapter.list_changes(target, "", ["shoe_size", "diet"]).changes
    assert change.fields == {"shoe_size": "38", "diet": None}


@pytest.mark.parametrize("version", ["2026-03", "v3"])
def test_a_list_is_read_to_its_end(hubspot: HubSpot, adapter: HubSpotAdapter, version: str) -> None:
    target = connect_hubspot(hubspot, api_version=version)
    people = [hubspot.add(email=f"p{n}@example.com") for n in range(119)]
    people[7].properties["loyalty_member_id"] = MEMBER
    hubspot.lists["12"] = [*(one.id for one in people), "1"]
    first = adapter.list_segment(target, "12", "")
    second = adapter.list_segment(target, "12", first.page)
    assert (len(first.people), len(second.people), second.page) == (100, 20, "")
    assert (first.people[7].member_id, first.people[7].email) == (MEMBER, "p7@example.com")
    # One of them is gone: HubSpot answers 207, and nobody else is lost for that.
    assert (second.people[-1].vendor_id, second.people[-1].email) == ("1", "")
    assert second.people[-2].email == "p118@example.com"


def test_a_list_that_cannot_be_read_says_why(
    hubspot: HubSpot, adapter: HubSpotAdapter, target: Target
) -> None:
    hubspot.lists["12"] = [hubspot.add(email="p@example.com").id]
    gone = adapter.list_segment(target, "13", "")
    assert isinstance(gone.outcome, Permanent)
    assert gone.outcome.error == "HubSpot has no list 13."
    for path, reply, kind in (
        ("/memberships", Reply(403, {"message": "MISSING_SCOPES"}), Configuration),
        ("/memberships", Reply(429, {}, {"retry-after": "8"}), Retryable),
        ("/batch/read", Reply(503, {}), Retryable),
    ):
        hubspot.faults = [Fault(reply, path=path)]
        found = adapter.list_segment(target, "12", "0")
        assert (type(found.outcome), found.page, found.people) == (kind, "0", ())
