"""The Shopify adapter against our sandbox, and both against Shopify's own schema."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

import pytest
from graphql import build_schema
from graphql.utilities import BreakingChangeType, find_breaking_changes

from crm_sync.adapters.access import Target
from crm_sync.adapters.contract import ConfigRefused, Person
from crm_sync.adapters.fields import Field
from crm_sync.adapters.outcomes import (
    Configuration,
    Delivered,
    Outcome,
    Permanent,
    Retryable,
    Skipped,
)
from crm_sync.adapters.shopify import ShopifyAdapter
from crm_sync.sandboxes.server import Fault, Reply
from crm_sync.sandboxes.shopify import Shopify
from crm_sync.sandboxes.shopify_schema import SCHEMA
from tests.integration.crm_sync.calls import Limits, environment
from tests.integration.crm_sync.klaviyo_calls import ADA, MEMBER, event, profile
from tests.integration.crm_sync.shopify_calls import reward
from tests.integration.crm_sync.shopify_spec import problems, shopifys_own
from tests.integration.crm_sync.vendor_cases import connect_shopify


@pytest.fixture
def shop() -> Iterator[Shopify]:
    with Shopify() as running:
        running.clock.stop()
        yield running


@pytest.fixture(scope="module")
def adapter() -> ShopifyAdapter:
    return ShopifyAdapter(environment(total=2.0))


@pytest.fixture
def target(shop: Shopify) -> Target:
    return connect_shopify(shop, store_credit="yes")


class TestCustomers:
    def test_exactly_what_is_sent(
        self, shop: Shopify, adapter: ShopifyAdapter, target: Target
    ) -> None:
        (made,) = adapter.push(target, [profile(tier="gold", tier_since=None, note="a\nb")])
        assert isinstance(made, Delivered)
        place = {"ownerId": made.vendor_id, "namespace": "$app:loyalty"}
        given = shop.calls[-1].body["variables"]
        assert given["d0"] == [{**place, "key": "tier_since"}]
        assert {one["key"]: (one["type"], one["value"]) for one in given["s0"]} == {
            "loyalty_member_id": ("single_line_text_field", MEMBER),
            "loyalty_points_balance": ("number_integer", "3"),
            "tier": ("single_line_text_field", "gold"),
            "note": ("single_line_text_field", "a b"),
        }
        assert shop.calls[-2].body["variables"] == {
            "i0": {"email": "ada@example.com"},
            "c0": {"email": "ada@example.com"},
        }

    def test_many_in_one_call_and_each_with_its_own_outcome(
        self, shop: Shopify, adapter: ShopifyAdapter, target: Target
    ) -> None:
        there = shop.add(email="there@example.com")
        gone = Person(member_id="g", vendor_id="gid://shopify/Customer/1")
        nobody = Person(member_id="n")
        known = Person(member_id="k", vendor_id=there.id, email="elsewhere@example.com")
        people = [ADA, gone, nobody, known]
        outcomes = adapter.push_bulk(target, [profile(one) for one in people])
        assert [type(one) for one in outcomes] == [Delivered, Permanent, Skipped, Delivered]
        assert "Owner does not exist" in outcomes[1].error
        assert there.told()["loyalty_member_id"] == "k"
        assert there.email == "there@example.com"
        assert len([call for call in shop.calls if "graphql" in call.path]) == 2

    def test_an_event_is_the_newest_one(
        self, shop: Shopify, adapter: ShopifyAdapter, target: Target
    ) -> None:
        there = shop.add(email="ada@example.com")
        adapter.send(target, [event(2)])
        newest = json.loads(there.told()["last_event"])
        assert (newest["type"], newest["points"], newest["points_available"]) == (
            *("points.earned", 3),
            3,
        )


class TestMatching:
    @pytest.mark.parametrize(
        ("person", "matched_by"),
        [
            ({"external_ids": ("7000",)}, "external_id"),
            ({"external_ids": ("gid://shopify/Customer/7000",)}, "external_id"),
            ({"email": "ada@example.com", "phone": "+15550100"}, "email"),
            ({"phone": "+15550101", "external_ids": ("not a number",)}, "phone"),
            ({"email": "bob@example.com"}, ""),
            ({}, ""),
        ],
    )
    def test_in_this_order(
        self,
        shop: Shopify,
        adapter: ShopifyAdapter,
        target: Target,
        person: dict[str, Any],
        matched_by: str,
    ) -> None:
        there = shop.add(email="ada@example.com", phone="+15550101")
        shop.add(phone="+15550100")
        (match,) = adapter.match(target, [Person(member_id=MEMBER, **person)])
        assert (match.matched_by, match.vendor_id) == (matched_by, there.id if matched_by else "")

    def test_another_members_customer_is_never_taken(
        self, shop: Shopify, adapter: ShopifyAdapter, target: Target
    ) -> None:
        there = shop.add(email="ada@example.com")
        there.metafields["$app:loyalty", "member_id"] = ("single_line_text_field", "another")
        (match,) = adapter.match(target, [ADA])
        assert (match.vendor_id, match.candidates) == ("", (there.id,))
        there.metafields["$app:loyalty", "member_id"] = ("single_line_text_field", MEMBER)
        (match,) = adapter.match(target, [ADA])
        assert (match.vendor_id, match.matched_by) == (there.id, "member_id")


class TestRefusals:
    @pytest.mark.parametrize(
        ("reply", "kind", "says"),
        [
            (Reply(402, {"errors": "Unavailable Shop"}), Configuration, "is the shop open"),
            (Reply(404, {"errors": "Not Found"}), Configuration, "API version"),
            (Reply(200, {"errors": [{"message": "No."}]}), Configuration, "API version right? No."),
            *(
                (Reply(200, {"errors": [{"message": "No.", "extensions": {"code": code}}]}), *rest)
                for code, *rest in (
                    ("ACCESS_DENIED", Configuration, "No."),
                    ("INTERNAL_SERVER_ERROR", Retryable, "No."),
                    ("MAX_COST_EXCEEDED", Permanent, "No."),
                )
            ),
            (Reply(200, {"hello": "world"}), Retryable, "no answer of Shopify's"),
        ],
    )
    def test_each_has_its_meaning(
        self,
        shop: Shopify,
        adapter: ShopifyAdapter,
        target: Target,
        reply: Reply,
        kind: type[Outcome],
        says: str,
    ) -> None:
        shop.faults = [Fault(reply, path="/graphql")]
        (outcome,) = adapter.push(target, [profile()])
        assert isinstance(outcome, kind), outcome
        assert says in outcome.error

    def test_a_field_that_is_of_another_type_there(
        self, shop: Shopify, adapter: ShopifyAdapter, target: Target
    ) -> None:
        there = shop.add(email="ada@example.com")
        there.metafields["$app:loyalty", "tier"] = ("number_integer", "3")
        (outcome,) = adapter.push(target, [profile(tier="gold")])
        assert isinstance(outcome, Permanent)
        assert "Type can't be changed" in outcome.error
        assert "loyalty_points_balance" not in there.told()

    def test_an_empty_bucket_is_given_time(
        self, shop: Shopify, adapter: ShopifyAdapter, target: Target
    ) -> None:
        limits = target.throttle
        assert isinstance(limits, Limits)
        shop.bucket.left, shop.bucket.rate = 120.0, 50.0
        adapter.push(target, [profile()])
        assert limits.held["points"] == 2.0  # 200 are left to others, 100 are there
        assert limits.taken.count("points") >= 20

    @pytest.mark.parametrize(
        "config",
        [
            {},
            {"address": "ftp://x"},
            {"address": "http://127.0.0.1", "api_version": "latest"},
            {"address": "http://127.0.0.1", "namespace": "a b"},
            {"address": "http://127.0.0.1", "points_per_second": "many"},
            {"address": "http://127.0.0.1", "store_credit": "perhaps"},
        ],
    )
    def test_a_bad_configuration(self, adapter: ShopifyAdapter, config: dict[str, str]) -> None:
        with pytest.raises(ConfigRefused):
            adapter.check(config)

    def test_only_shopify_is_given_a_shops_token(self) -> None:
        strict = ShopifyAdapter(environment(private=False))
        with pytest.raises(ConfigRefused, match="myshopify"):
            strict.check({"address": "https://93.184.216.34"})

    def test_scopes_that_are_missing_are_named(
        self, shop: Shopify, adapter: ShopifyAdapter, target: Target
    ) -> None:
        assert isinstance(adapter.probe(target, event()), Delivered)
        shop.scopes.remove("write_customers")
        outcome = adapter.probe(target, event())
        assert isinstance(outcome, Configuration)
        assert "write_customers" in outcome.error

    def test_a_version_that_is_not_there_any_more_is_told(
        self, shop: Shopify, adapter: ShopifyAdapter
    ) -> None:
        outcome = adapter.probe(connect_shopify(shop, api_version="2025-01"), event())
        assert isinstance(outcome, Configuration)
        assert "no version 2025-01; it has 2026-07, 2026-10." in outcome.error

    def test_a_token_of_a_custom_app(self, shop: Shopify, adapter: ShopifyAdapter) -> None:
        target = connect_shopify(shop, client_id="")
        target.credentials.given = {"access_token": shop.access_token}  # type: ignore[attr-defined]
        assert isinstance(adapter.probe(target, event()), Delivered)


def test_changes_are_read_to_the_end_and_from_there_on(
    shop: Shopify, adapter: ShopifyAdapter, target: Target
) -> None:
    people = [shop.add(email=f"p{n}@example.com") for n in range(120)]
    people[3].email_state = "SUBSCRIBED"
    first = adapter.list_changes(target, "")
    assert first.outcome is None, first.outcome
    second = adapter.list_changes(target, first.cursor)
    assert (len(first.changes), first.has_more) == (100, True)
    assert (len(second.changes), second.has_more) == (20, False)
    told = {change.email: change.consents for change in first.changes}
    assert [one.is_given for one in told["p3@example.com"]] == [True]
    assert [one.is_given for one in told["p4@example.com"]] == [False]
    people[5].updated, people[5].phone = shop.now(), "+15550100"
    later = adapter.list_changes(target, second.cursor)
    assert {change.vendor_id for change in later.changes} == {people[119].id, people[5].id}
    assert {one.channel for one in later.changes[1].consents} == {"email", "sms"}


def test_fields_of_the_shops_own_come_along(
    shop: Shopify, adapter: ShopifyAdapter, target: Target
) -> None:
    own = {"firstName": "Ada", "tags": ["vip", "runner"]}
    ada = shop.add(email="ada@example.com", own=own)
    ada.metafields["custom", "shoe_size"] = ("number_integer", "38")
    ada.metafields["custom", "likes"] = ("list.single_line_text_field", '["tea","rye"]')
    ada.metafields["$app:loyalty", "diet"] = ("single_line_text_field", "vegan")
    names = ["custom.shoe_size", "custom.likes", "diet", "custom.hat", "firstName", "tags"]
    (change,) = adapter.list_changes(target, "", names).changes
    assert list(change.fields.values()) == [38, "tea, rye", "vegan", None, "Ada", "vip, runner"]
    assert shop.calls[-1].body["variables"]["first"] == 55


@pytest.mark.parametrize(
    ("name", "owner", "is_good"),
    [
        ("custom.shoe_size", "vendor", True),
        ("tags", "vendor", True),
        ("custom.shoe_size", "loyalty", False),
        ("custom.shoe size", "vendor", False),
        ("shoe_size", "loyalty", True),
    ],
)
def test_only_the_shops_own_fields_may_lie_elsewhere(
    name: str, owner: Literal["loyalty", "vendor"], is_good: bool
) -> None:
    found = ShopifyAdapter.field_limits.refuse(Field("attribute.a", name, "text", owner))
    assert (found == "") is is_good


def test_a_segment_is_read_to_its_end(
    shop: Shopify, adapter: ShopifyAdapter, target: Target
) -> None:
    people = [shop.add(email=f"p{n}@example.com") for n in range(120)]
    people[7].metafields["$app:loyalty", "member_id"] = ("single_line_text_field", MEMBER)
    shop.segments["31"] = people[5:]
    first = adapter.list_segment(target, "gid://shopify/Segment/31", "")
    second = adapter.list_segment(target, "31", first.page)
    assert (len(first.people), len(second.people), second.page) == (100, 15, "")
    assert first.people[0].vendor_id == people[5].id
    assert (first.people[2].member_id, first.people[2].email) == (MEMBER, "p7@example.com")
    assert isinstance(adapter.list_segment(target, "32", "").outcome, Permanent)
    shop.bucket.left = 0
    busy = adapter.list_segment(target, "31", first.page)
    assert isinstance(busy.outcome, Retryable)
    assert busy.page == first.page


class TestContract:
    """Shopify's own schema."""

    def test_it_refuses_what_is_wrong(self) -> None:
        schema = shopifys_own()
        for text in ("{ shop { colour } }", "{ nodes { id } }", "mutation { customerSet { x } }"):
            assert problems(schema, text, {})
        text = "mutation M($m: [MetafieldsSetInput!]!) { metafieldsSet(metafields: $m) { %s } }"
        text %= "userErrors { code }"
        assert problems(schema, text, {"m": [{"ownerId": "1", "key": "k", "value": 3}]})
        assert not problems(schema, text, {"m": [{"ownerId": "1", "key": "k", "value": "3"}]})

    def test_the_sandbox_has_nothing_that_shopify_has_not(self) -> None:
        changes = find_breaking_changes(build_schema(SCHEMA), shopifys_own())
        built_in = BreakingChangeType.DIRECTIVE_LOCATION_REMOVED
        assert [one.description for one in changes if one.type is not built_in] == []

    def test_it_takes_every_request_of_ours(
        self, shop: Shopify, adapter: ShopifyAdapter, target: Target
    ) -> None:
        adapter.match(target, [replace(ADA, phone="+15550100", external_ids=("7",))])
        (pushed,) = adapter.push(target, [profile(tier=None)])
        assert isinstance(pushed, Delivered)
        known = replace(ADA, vendor_id=pushed.vendor_id)
        adapter.push_bulk(target, [profile(known), profile(Person(member_id="b", phone="+1555"))])
        cancelled = reward(2, type_="reward.cancelled")
        adapter.send(target, [reward(1), cancelled, event(3, person=known)])
        adapter.read(target, [known], ["tier"])
        cursor = adapter.list_changes(target, "").cursor
        adapter.list_changes(target, cursor, ["custom.shoe_size", "diet", "firstName", "tags"])
        shop.segments["7"] = [*shop.customers.values()]
        adapter.list_segment(target, "7", "")
        adapter.probe(target, event())
        calls = [call.body for call in shop.calls if "graphql" in call.path]
        names = {call["query"].split()[1].partition("(")[0] for call in calls}
        assert names >= {"Find", "Join", "Tell", "Book", "Announce", "Credit", "Debit", "Read"}
        assert names >= {"Changes", "Members"}
        for call in calls:
            assert problems(shopifys_own(), call["query"], call["variables"]) == []
