"""A shop on Shopify sells, refunds and cancels; members earn, and pay back."""

from collections.abc import Sequence
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest

from crm_sync.adapters.contract import ConfigRefused
from crm_sync.inbound.contract import Arrival
from crm_sync.inbound.receiving import keep
from crm_sync.inbound.sources import create_source
from crm_sync.inbound.vendors import KINDS
from crm_sync.inbound.working import work_inbox
from crm_sync.models import Contact, InboxMessage, KnownOrder
from loyalty.members.consent import list_consents
from loyalty.orders.models import Order
from tests.factories import Till, balance_of
from tests.integration.crm_sync.senders import Sender, name
from tests.integration.crm_sync.vendor import Vendor
from tests.integration.http.caller import code_of
from tests.people import erase
from tests.shopify_shop import CUSTOMER, SHOP, order, refund, signed

SECRET = "shpss_tests_only"
CONFIG = {"shop": SHOP, "external_prefix": "shopify-"}
FIRST, SECOND = 466157049, 518995019  # 3 × 10.00, and 1 × 25.00 less 5.00
Message = tuple[str, dict[str, Any]]


@pytest.fixture
def shop(till: Till) -> Sender:
    source, _ = create_source(
        program_id=till.program.pk, name="Shop", kind="shopify", config=CONFIG, secret=SECRET
    )
    return Sender(source, SECRET)


def send(shop: Sender, topic: str, body: Any, **more: str) -> Any:
    return shop.post(*signed(SECRET, topic, body, **more))


def buyer(till: Till) -> str:
    card = till.member()
    name(till, card, "external", f"shopify-{CUSTOMER['id']}")
    return till.ids[card]


def points(member: str) -> int:
    return balance_of(member)["available"]


def test_bought_refunded_and_cancelled(till: Till, shop: Sender) -> None:
    member = buyer(till)
    assert send(shop, "orders/create", order(1, financial_status="pending")).status_code == 200
    work_inbox(seconds=30)
    assert points(member) == 0
    send(shop, "orders/paid", order(1, minutes=1))
    work_inbox(seconds=30)
    assert points(member) == 50
    send(shop, "refunds/create", refund(7, 1, FIRST, 2))
    work_inbox(seconds=30)
    assert points(member) == 30
    both = [refund(7, 1, FIRST, 2)]
    status = "partially_refunded"
    send(shop, "orders/updated", order(1, minutes=3, refunds=both, financial_status=status))
    work_inbox(seconds=30)
    assert points(member) == 30
    cancelled = {"cancelled_at": "2026-11-22T09:00:00Z", "financial_status": "refunded"}
    send(shop, "orders/cancelled", order(1, minutes=4, refunds=both, **cancelled))
    work_inbox(seconds=30)
    assert points(member) == 0
    assert {(m.state, m.content) for m in shop.messages()} == {("done", "")}
    recorded = Order.objects.get(program_id=till.program.pk, ref="1")
    assert (recorded.state, recorded.channel) == ("cancelled", "shopify")


def test_whatever_arrives_first_the_end_is_the_same(till: Till, shop: Sender) -> None:
    tiers = till.document["tiers"]
    till.again(tiers={**tiers, "levels": tiers["levels"][:1]})  # or later orders would earn more
    member = buyer(till)
    for number, arrivals in enumerate(permutations(range(3)), start=100):
        one = refund(number * 10, number, FIRST, 1)
        told: Sequence[Message] = [
            ("orders/create", order(number)),
            ("refunds/create", refund(number * 10 + 1, number, SECOND, 1)),
            ("orders/updated", order(number, minutes=5, refunds=[one])),
        ]
        for arrival in arrivals:
            _leave(shop, *told[arrival])
    assert not InboxMessage.objects.filter(source=shop.source).exclude(state="done").exists()
    orders = Order.objects.filter(program_id=till.program.pk)
    assert {row.points - row.clawed_back for row in orders} == {20}
    assert points(member) == 6 * 20


def _leave(shop: Sender, topic: str, body: Any) -> None:
    """Put a message into the inbox without HTTP, and work on it: one at a time, in this order."""
    raw, headers = signed(SECRET, topic, body)
    lower = {name.lower(): value for name, value in headers.items()}
    arrival = Arrival(method="POST", url="", headers=lower, body=raw)
    keep(shop.source, KINDS["shopify"].split(arrival))
    work_inbox(seconds=60)


def test_only_this_shop_and_only_with_its_secret(till: Till, shop: Sender) -> None:
    raw, headers = signed(SECRET, "orders/create", order(1))
    for wrong in (
        signed("another", "orders/create", order(1)),
        (raw + b" ", headers),
        (raw, {**headers, "X-Shopify-Shop-Domain": "other.myshopify.com"}),
        (raw, {**headers, "X-Shopify-Hmac-SHA256": ""}),
    ):
        assert code_of(shop.post(*wrong)) == (401, "signature_invalid")
    for new in (1, 0):
        assert shop.post(raw, headers).json() == {"received": 1, "new": new}


def test_who_bought(till: Till, shop: Sender) -> None:
    card = till.member()
    name(till, card, "email", CUSTOMER["email"])
    name(till, card, "phone", CUSTOMER["phone"])
    unverified = {**CUSTOMER, "id": 1, "verified_email": False}
    send(shop, "orders/paid", order(1, customer=unverified))
    send(shop, "orders/paid", order(2, customer=None))
    send(shop, "orders/paid", order(3, test=True))
    send(shop, "orders/paid", order(4))
    work_inbox(seconds=30)
    states = [message.state for message in shop.messages()]
    assert states == ["ignored", "ignored", "ignored", "done"]
    assert [row.ref for row in KnownOrder.objects.filter(source=shop.source)] == ["4"]
    assert points(till.ids[card]) == 50
    assert erase(till, card).status == 200


def test_whoever_the_connection_knows_is_known_here(
    till: Till, shop: Sender, connect_vendor: Any
) -> None:
    shop.source.connection = connect_vendor(Vendor())
    shop.source.save()
    card = till.member()
    Contact.objects.create(
        connection=shop.source.connection,
        member_id=till.ids[card],
        vendor_id=f"gid://shopify/Customer/{CUSTOMER['id']}",
        matched_by="email",
    )
    send(shop, "orders/paid", order(1))
    assert shop.only().state == "done"
    assert points(till.ids[card]) == 50


@pytest.mark.parametrize(
    ("topic", "number", "channel"),
    [
        ("customers_email_marketing_consent/update", "customer_id", "email"),
        ("customers_marketing_consent/update", "id", "sms"),
    ],
)
def test_consent_of_whom_only_the_connection_knows_comes_in(
    till: Till, shop: Sender, connect_vendor: Any, topic: str, number: str, channel: str
) -> None:
    """Of whom the shop has sent nothing else: an opt-out was nobody's, and was thrown away."""
    shop.source.connection = connect_vendor(Vendor())
    shop.source.save()
    member = till.ids[till.member()]
    Contact.objects.create(
        connection=shop.source.connection,
        member_id=member,
        vendor_id=f"gid://shopify/Customer/{CUSTOMER['id']}",
        matched_by="new",
    )
    said = {"state": "unsubscribed", "consent_updated_at": "2026-11-21T09:00:00Z"}
    send(shop, topic, {number: CUSTOMER["id"], f"{channel}_marketing_consent": said})
    work_inbox(seconds=30)
    assert shop.only().state == "done"
    found = [(row.channel, row.is_given) for row in list_consents([UUID(member)])]
    assert found == [(channel, False)]


def test_what_only_a_person_may_decide_waits_for_one(till: Till, shop: Sender) -> None:
    """A request to erase is never lost, and never done by a machine that may be fooled."""
    member = buyer(till)
    asked = {"shop_domain": SHOP, "customer": {"id": CUSTOMER["id"], "email": "x@example.com"}}
    send(shop, "customers/redact", asked)
    send(shop, "app/uninstalled", {"id": 1})
    send(shop, "orders/edited", {"order_edit": {"id": 1}})
    send(shop, "orders/paid", {"id": 5})
    work_inbox(seconds=30)
    redact, unknown, edited, broken = shop.messages()
    assert (redact.state, str(redact.member_id)) == ("parked", member)
    assert redact.note.startswith("The shop asks to erase")
    assert [m.state for m in (unknown, edited, broken)] == ["kept", "ignored", "dead"]
    assert broken.note == "It is not what its topic promises (KeyError)."


def test_a_customers_consent_comes_in(till: Till, shop: Sender) -> None:
    member = buyer(till)
    send(shop, "customers/update", CUSTOMER)
    asked = {"state": "unsubscribed", "consent_updated_at": "2026-11-21T09:00:00Z"}
    told = {"customer_id": CUSTOMER["id"], "email_address": "b@x.example.com"}
    send(
        shop, "customers_email_marketing_consent/update", {**told, "email_marketing_consent": asked}
    )
    work_inbox(seconds=30)
    assert {message.state for message in shop.messages()} == {"done"}
    found = {(row.channel, row.is_given, row.at.year) for row in list_consents([UUID(member)])}
    assert found == {("email", False, 2004), ("sms", True, 2026), ("email", False, 2026)}


def test_it_is_set_up_with_the_shops_own_secret(till: Till) -> None:
    def create(secret: str = "s", **config: str) -> None:
        create_source(
            program_id=till.program.pk, name="X", kind="shopify", config=config, secret=secret
        )

    with pytest.raises(ConfigRefused, match=r"example\.myshopify\.com"):
        create(shop="corner")
    with pytest.raises(ConfigRefused, match="yes or no"):
        create(shop=SHOP, phones="perhaps")
    with pytest.raises(ConfigRefused, match="Enter the secret"):
        create("", shop=SHOP)
    create(shop=f"https://{SHOP}/")
