"""Every vendor with its sandbox, in one table: what differs between them, for what must not.

A new vendor is one more case here, and has all tests of test_vendors.py. The names of fields are
the vendor's own, so that the test sees that nothing else is needed to compare them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from crm_sync.adapters.access import Target
from crm_sync.adapters.attentive import AttentiveAdapter
from crm_sync.adapters.contract import Environment, Person
from crm_sync.adapters.hubspot import HubSpotAdapter
from crm_sync.adapters.klaviyo import REVISION, KlaviyoAdapter
from crm_sync.adapters.marketing_cloud import MarketingCloudAdapter
from crm_sync.adapters.omnisend import VERSION, OmnisendAdapter
from crm_sync.adapters.postscript import PostscriptAdapter
from crm_sync.adapters.salesforce import SalesforceAdapter
from crm_sync.adapters.segment import SegmentAdapter
from crm_sync.adapters.shopify import ShopifyAdapter
from crm_sync.sandboxes.attentive import Attentive
from crm_sync.sandboxes.hubspot import HubSpot
from crm_sync.sandboxes.klaviyo import Klaviyo
from crm_sync.sandboxes.marketing_cloud import MarketingCloud
from crm_sync.sandboxes.omnisend import Omnisend
from crm_sync.sandboxes.postscript import Postscript
from crm_sync.sandboxes.salesforce import Salesforce
from crm_sync.sandboxes.segment import Segment
from crm_sync.sandboxes.server import Reply, Sandbox
from crm_sync.sandboxes.shopify import Shopify
from tests.integration.crm_sync import marketing_cloud_calls, salesforce_calls
from tests.integration.crm_sync.calls import connected, environment, target

UNAUTHORISED = Reply(401, {})


@dataclass(frozen=True, kw_only=True)
class Case:
    """One vendor.

    Attributes:
        connect: Gives the connection to a running sandbox.
        events_of: The ids of our events that the sandbox holds of a member, in their order.
        told: Fields to push, by the vendor's names.
        versions: Another version for each setting that has one, each of its own.
        events_at: What the path of a call with an event has in it.
        profiles_at: The same of a call with a profile.
        busy: How the vendor says that it is too much, and how long to wait.
        sees_repeats: Whether it keeps the first of two events with one id.
        refused: A person whom the vendor refuses, in its bulk form; None where it refuses nobody.
        expire: Lets the access token end; None where keys are good for ever.
        prepare: Lets people be there who are never made by us.
        takes_old_events: Whether events of a backfill are sent.
        has: Fields that the sandbox has of a member, where the adapter cannot ask for them.
        harmless: What looks like consent in a body, and is not.
    """

    name: str
    sandbox: Callable[[], Sandbox]
    adapter: Callable[[Environment], Any]
    connect: Callable[[Any], Target]
    events_of: Callable[[Any, str], Sequence[str]]
    told: Mapping[str, Any]
    versions: Mapping[str, str]
    forms: Mapping[str, Any] = field(default_factory=dict)
    events_at: str
    profiles_at: str
    busy: Reply
    busy_seconds: float | None
    unauthorised: Reply = UNAUTHORISED
    sees_repeats: bool = True
    refused: Person | None = None
    expire: Callable[[Any], None] | None = None
    prepare: Callable[[Any], object] | None = None
    takes_old_events: bool = True
    has: Callable[[Any, str], Mapping[str, Any]] | None = None
    harmless: bytes = b""


def _klaviyo_events(sandbox: Klaviyo, member_id: str) -> list[str]:
    known = sandbox.find("external_id", member_id)
    return [one["unique_id"] for one in known.events] if known else []


def connect_hubspot(hubspot: HubSpot, **more: str) -> Target:
    config = {"address": hubspot.url, "hub_id": "77", "client_id": "client", **more}
    secrets = {"client_secret": "secret", "refresh_token": hubspot.refresh_token}
    return target(HubSpotAdapter(environment()).check(config), **secrets)


def _hubspot_events(hubspot: HubSpot, member_id: str) -> list[str]:
    contact = hubspot.find("loyalty_member_id", member_id)
    told = contact.events if contact else []
    return [one["properties"]["event_id"] for one in told]


def connect_segment(segment: Segment, **more: str) -> Target:
    given = {"address": segment.url, "profiles_address": segment.url, "space_id": segment.space_id}
    config = SegmentAdapter(environment()).check({**given, **more})
    secrets = {"write_key": segment.write_key, "profiles_token": segment.profiles_token}
    return target(config, **secrets)


def _segment_events(segment: Segment, member_id: str) -> list[str]:
    user = segment.users.get(member_id)
    return [one["messageId"] for one in user.tracks] if user else []


def connect_shopify(shop: Shopify, **more: str) -> Target:
    adapter = ShopifyAdapter(environment())
    config = {"address": shop.url, "client_id": "client", **more}
    return target(adapter.check(config), client_secret="secret")


def _shopify_events(shop: Shopify, member_id: str) -> list[str]:
    known = shop.find(email="ada@example.com")
    return [str(one["id"]) for one in known.timeline] if known else []


_THROTTLED = {
    "errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}],
    "extensions": {
        "cost": {
            "requestedQueryCost": 100,
            "throttleStatus": {"currentlyAvailable": 40, "restoreRate": 50.0},
        }
    },
}
CASES = [
    Case(
        name="klaviyo",
        sandbox=Klaviyo,
        adapter=KlaviyoAdapter,
        connect=lambda klaviyo: target(
            {"revision": REVISION, "address": klaviyo.url}, api_key=klaviyo.api_key
        ),
        events_of=_klaviyo_events,
        told={"loyalty_member_id": str(UUID(int=7)), "loyalty_points_balance": 3},
        versions={"revision": "2027-01-15"},
        events_at="/events",
        profiles_at="/profile-import",
        busy=Reply(429, {"errors": []}, {"retry-after": "7"}),
        busy_seconds=7.0,
        refused=Person(member_id=str(UUID(int=8)), email="not an email"),
    ),
    Case(
        name="omnisend",
        sandbox=Omnisend,
        adapter=OmnisendAdapter,
        connect=lambda omnisend: target(
            {"version": VERSION, "address": omnisend.url}, api_key=omnisend.api_key
        ),
        events_of=lambda omnisend, member_id: [one["event_id"] for one in omnisend.automations],
        told={"loyaltyMemberId": str(UUID(int=7)), "loyaltyPointsBalance": 3},
        versions={"version": "2027-01-15"},
        events_at="/events",
        profiles_at="/contacts",
        busy=Reply(429, {"retryAfter": 60}),
        busy_seconds=60.0,
        sees_repeats=False,
        refused=Person(member_id=str(UUID(int=8)), email="not an email"),
        takes_old_events=False,
    ),
    Case(
        name="postscript",
        sandbox=Postscript,
        adapter=PostscriptAdapter,
        connect=lambda postscript: connected(
            PostscriptAdapter(environment()),
            {"address": postscript.url},
            api_key=postscript.api_key,
        ),
        events_of=lambda postscript, member_id: [
            event["external_id"] for one in postscript.subscribers.values() for event in one.events
        ],
        told={"loyalty_member_id": str(UUID(int=7)), "loyalty_points_balance": 3},
        versions={"api_version": "v9"},
        events_at="/events",
        profiles_at="/subscribers",
        busy=Reply(429, {"error_code": 3002}),
        busy_seconds=None,
        sees_repeats=False,
        prepare=lambda postscript: postscript.subscribe("ada@example.com"),
        takes_old_events=False,
        harmless=b"subscriber_id",
    ),
    Case(
        name="attentive",
        sandbox=Attentive,
        adapter=AttentiveAdapter,
        connect=lambda attentive: connected(
            AttentiveAdapter(environment()),
            {"address": attentive.url},
            api_key=attentive.api_key,
        ),
        events_of=lambda attentive, member_id: [
            event["properties"]["event_id"] for user in attentive.users for event in user.events
        ],
        told={"Loyalty tier": "gold", "Loyalty points balance": 3},
        versions={"events_version": "v8", "attributes_version": "v9"},
        events_at="/events",
        profiles_at="/attributes",
        busy=Reply(429, {}),
        busy_seconds=None,
        sees_repeats=False,
        refused=Person(member_id=str(UUID(int=8)), email="not an email"),
        takes_old_events=False,
        has=lambda attentive, member_id: attentive.find({"clientUserId": member_id}).attributes,
    ),
    Case(
        name="hubspot",
        sandbox=HubSpot,
        adapter=HubSpotAdapter,
        connect=connect_hubspot,
        events_of=_hubspot_events,
        told={"loyalty_member_id": str(UUID(int=7)), "loyalty_points_balance": "3"},
        versions={"api_version": "2026-09"},
        events_at="/events",
        profiles_at="/contacts",
        busy=Reply(429, {"policyName": "TEN_SECONDLY_ROLLING"}),
        busy_seconds=10.0,
        refused=Person(member_id=str(UUID(int=8)), email="not an email"),
        expire=lambda hubspot: hubspot.clock.wait(1_800),
        takes_old_events=False,
    ),
    Case(
        name="segment",
        sandbox=Segment,
        adapter=SegmentAdapter,
        connect=connect_segment,
        events_of=_segment_events,
        told={"loyalty_member_id": str(UUID(int=7)), "loyalty_points_balance": 3},
        versions={"api_version": "v8", "profiles_version": "v9"},
        events_at="/batch",
        profiles_at="/batch",
        busy=Reply(429, {}, {"x-ratelimit-reset": "9"}),
        busy_seconds=9.0,
    ),
    Case(
        name="shopify",
        sandbox=Shopify,
        adapter=ShopifyAdapter,
        connect=connect_shopify,
        events_of=_shopify_events,
        told={
            "member_id": str(UUID(int=7)),
            "tier": "gold",
            "points_balance": 3,
            "enrolled_at": "2026-11-22T19:06:53Z",
            "points_expire_on": "2027-01-31",
        },
        versions={"api_version": "2027-01"},
        events_at="/graphql",
        profiles_at="/graphql",
        busy=Reply(200, _THROTTLED),
        busy_seconds=1.2,
        refused=Person(member_id=str(UUID(int=8)), email="not an email"),
        expire=lambda shop: shop.clock.wait(86_400),
    ),
    Case(
        name="salesforce",
        sandbox=Salesforce,
        adapter=SalesforceAdapter,
        connect=salesforce_calls.connect,
        events_of=salesforce_calls.event_ids,
        told={
            "Loyalty_Member_Id__c": str(UUID(int=7)),
            "Loyalty_Tier__c": "gold",
            "Loyalty_Tier_Since__c": "2026-11-22T19:06:53Z",
            "Loyalty_Points_Balance__c": 3,
            "Loyalty_Points_Expire_On__c": None,
        },
        versions={"api_version": "v65.0"},
        events_at="/Loyalty_Event__c/",
        profiles_at="/composite/sobjects",
        busy=Reply(403, [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests"}]),
        busy_seconds=900.0,
        unauthorised=Reply(401, [{"errorCode": "INVALID_SESSION_ID", "message": "expired"}]),
        refused=Person(member_id=str(UUID(int=8)), email="not an email"),
        expire=Salesforce.expire,
    ),
    Case(
        name="marketing_cloud",
        sandbox=MarketingCloud,
        adapter=MarketingCloudAdapter,
        connect=marketing_cloud_calls.connect,
        events_of=lambda cloud, member_id: [
            event["Event_Id"]
            for event in cloud.events.rows.values()
            if event["Member_Id"] == member_id
        ],
        told={"Loyalty_Tier": "gold", "Loyalty_Points_Expire_On": "2026-12-31"},
        versions={"api_version": "v8", "login_version": "v9"},
        events_at="/key:Loyalty_Events/",
        profiles_at="/key:Loyalty_Members/",
        busy=Reply(429, {"message": "Rate limit exceeded", "errorcode": 50100, "retryAfter": 5}),
        busy_seconds=5.0,
        refused=Person(member_id=str(UUID(int=8)), email="not an email"),
        expire=lambda cloud: cloud.clock.wait(1_080),
    ),
]
