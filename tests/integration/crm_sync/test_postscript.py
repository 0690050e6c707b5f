"""The Postscript adapter against our sandbox: what is Postscript's own."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from crm_sync.adapters.access import Target
from crm_sync.adapters.contract import Person, Profile
from crm_sync.adapters.outcomes import Delivered, Retryable, Skipped
from crm_sync.adapters.postscript import PostscriptAdapter
from crm_sync.sandboxes.postscript import Postscript
from tests.integration.crm_sync.calls import connected, environment
from tests.integration.crm_sync.klaviyo_calls import ADA, MEMBER, event


@pytest.fixture
def postscript() -> Iterator[Postscript]:
    with Postscript() as running:
        yield running


@pytest.fixture
def adapter() -> PostscriptAdapter:
    return PostscriptAdapter(environment(total=2.0))


@pytest.fixture
def account(postscript: Postscript, adapter: PostscriptAdapter) -> Target:
    return connected(adapter, {"address": postscript.url}, api_key=postscript.api_key)


def profile(person: Person = ADA, **fields: Any) -> Profile:
    told = {"loyalty_member_id": person.member_id, "loyalty_points_balance": 3, **fields}
    return Profile(person=person, fields=told, version=1, correlation_id=uuid4())


def test_nobody_is_made_there_and_whoever_subscribes_later_is_found(
    postscript: Postscript, adapter: PostscriptAdapter, account: Target
) -> None:
    assert isinstance(adapter.push(account, [profile()])[0], Skipped)
    assert isinstance(adapter.send(account, [event()])[0], Skipped)
    assert {call.method for call in postscript.calls} == {"GET"}
    one = postscript.subscribe("ada@example.com")
    (pushed,) = adapter.push(account, [profile()])
    assert isinstance(pushed, Delivered)
    assert pushed.vendor_id == one.id
    assert isinstance(adapter.send(account, [event()])[0], Delivered)


def test_exactly_what_is_sent(
    postscript: Postscript, adapter: PostscriptAdapter, account: Target
) -> None:
    one = postscript.subscribe("ada@example.com")
    known = replace(ADA, vendor_id=one.id)
    adapter.push(account, [profile(known, loyalty_tier="gold")])
    adapter.send(account, [event(person=known)])
    pushed, sent = postscript.calls
    assert pushed.body == {
        "properties": {
            "loyalty_member_id": MEMBER,
            "loyalty_points_balance": 3,
            "loyalty_tier": "gold",
        }
    }
    assert sent.body["type"] == "loyalty_points_earned"
    assert sent.body["occurred_at"] == "2026-11-22 19:06:53.000000"
    assert sent.body["external_id"] == f"evt_{UUID(int=7).hex}_1"
    assert sent.body["subscriber_id"] == one.id
    assert "x-postscript-shop-token" not in sent.headers


def test_a_partner_says_for_which_shop(postscript: Postscript, adapter: PostscriptAdapter) -> None:
    config = {"address": postscript.url}
    account = connected(adapter, config, api_key="sk_sandbox", shop_token="shop-9")
    assert isinstance(adapter.probe(account, event()), Delivered)
    assert postscript.calls[0].headers["x-postscript-shop-token"] == "shop-9"


@pytest.mark.parametrize(
    ("there", "matched_by"),
    [
        ({"shop_customer": "77"}, "external_id"),
        ({"email": "ada@example.com"}, "email"),
        ({"phone": "+15550100"}, "phone"),
    ],
)
def test_matching_in_this_order(
    postscript: Postscript,
    adapter: PostscriptAdapter,
    account: Target,
    there: dict[str, str],
    matched_by: str,
) -> None:
    known = postscript.subscribe(**there)
    person = replace(ADA, phone="+15550100", external_ids=("shop-77", "77"))
    (match,) = adapter.match(account, [person])
    assert (match.vendor_id, match.matched_by) == (known.id, matched_by)
    known.properties["loyalty_member_id"] = str(UUID(int=9))
    (match,) = adapter.match(account, [person])
    assert (match.vendor_id, match.candidates) == ("", (known.id,))


def test_consent_is_read_to_the_end_and_from_there_on(
    postscript: Postscript, adapter: PostscriptAdapter, account: Target
) -> None:
    people = [postscript.subscribe(f"p{n}@example.com") for n in range(120)]
    first = adapter.list_changes(account, "")
    second = adapter.list_changes(account, first.cursor)
    assert (len(first.changes), first.has_more) == (100, True)
    assert (len(second.changes), second.has_more) == (20, False)
    postscript.stop(people[5])
    later = adapter.list_changes(account, second.cursor)
    (change,) = [one for one in later.changes if one.vendor_id == people[5].id]
    assert [(one.channel, one.is_given) for one in change.consents] == [("sms", False)]
    assert len(later.changes) <= 2


def test_a_limit_without_a_header_spares_the_whole_connection(
    postscript: Postscript, adapter: PostscriptAdapter, account: Target
) -> None:
    postscript.subscribe("ada@example.com")
    postscript.calls_left = 1
    (busy,) = adapter.push(account, [profile()])
    assert isinstance(busy, Retryable)
    assert (busy.throttled, busy.retry_after) == (True, None)
    assert "Rate limit exceeded." in busy.error
