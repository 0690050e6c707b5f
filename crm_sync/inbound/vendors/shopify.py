"""Shopify: orders with their refunds and cancellations, customers with their consent.

An order's message says the order as it is now, refunds included; a refund's says only the refund.
What both say is put together by whoever keeps what is known of an order.

Source: Shopify's webhooks, REST-shaped payloads of the Admin API; marked [K] where only known.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlsplit

from crm_sync.adapters.contract import ConfigRefused, Consent, Setting
from crm_sync.inbound.contract import (
    Arrival,
    AsksPerson,
    Item,
    NotForUs,
    PersonSaid,
    PurchaseSaid,
    RefundSaid,
    Said,
    SignatureRefused,
    Who,
)
from crm_sync.inbound.signatures import content_id, require_match, sha256_base64
from crm_sync.inbound.vendors.generic import load_object

CHANNEL: Final = "shopify"
_SHOPS: Final = ".myshopify.com"
_GID: Final = "gid://shopify/Customer/"
_ORDERS: Final = ("create", "updated", "paid", "cancelled", "fulfilled", "partially_fulfilled")
_PAID: Final = ("paid", "partially_refunded")
_GONE: Final = ("refunded", "voided")
# What Shopify's law desk asks of every app, and what two customers in one need: a person decides.
_FOR_PEOPLE: Final = {
    "customers/redact": "The shop asks to erase this customer: erase the member, then settle this.",
    "customers/data_request": "The shop asks for all data of this customer: export the member.",
    "shop/redact": "The shop asks to delete all that it sent: it has uninstalled the app.",
    "customers/merge": "The shop merged two customers: if both are members, merge them here too.",
}
_TELL_NOTHING: Final = {
    "orders/edited": "orders/updated says the same in full.",
    "orders/delete": "Only cancelled and closed orders are deleted; nothing changes.",
    "customers/delete": "The customer is gone from the shop; the member stays.",
}


class ShopifySource:
    """Signed with the app's client secret; each message is about one order or one customer."""

    title = "Shopify"
    settings: Sequence[Setting] = (
        Setting(
            name="shop",
            label="Shop",
            help="Its domain, such as example.myshopify.com: an app's secret signs for all shops.",
            is_required=True,
        ),
        Setting(
            name="store",
            label="Store",
            help="Code of the program's store whose orders these are; empty: none.",
        ),
        Setting(
            name="external_prefix",
            label="Before customer numbers",
            help="What stands before the shop's customer number in members' external ids.",
        ),
        Setting(
            name="phones",
            label="Match by phone number",
            help="Shopify does not verify phone numbers of checkouts.",
            default="no",
            choices=("yes", "no"),
        ),
        Setting(
            name="verifies",
            label="Believe its verified emails",
            help="What the shop calls verified is then verified here too. Shopify says so of every"
            " customer whom staff or an app made.",
            default="no",
            choices=("yes", "no"),
        ),
    )
    makes_secret = False

    def check(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings in one spelling."""
        shop = str(config.get("shop") or "").strip().lower().removeprefix("https://").rstrip("/")
        if not shop.replace("-", "").replace(".", "").isalnum() or "." not in shop:
            raise ConfigRefused("A shop's domain looks like example.myshopify.com.")
        return {
            "shop": shop,
            "store": str(config.get("store") or ""),
            "external_prefix": str(config.get("external_prefix") or ""),
            "phones": _yes_or_no(config, "phones", "matching by phone number"),
            "verifies": _yes_or_no(config, "verifies", "believing its verified emails"),
        }

    def check_account(self, config: Mapping[str, Any], connection: Mapping[str, Any]) -> None:
        """Compare the shop's domain with the address of its API; a sandbox's says nothing."""
        host = urlsplit(str(connection.get("address") or "")).hostname or ""
        if host.endswith(_SHOPS) and host != config["shop"]:
            raise ConfigRefused(
                f"The connection leads to {host}, and this source is {config['shop']}: "
                "write the shop's domain that ends in myshopify.com, or choose its own connection."
            )

    def verify(
        self, arrival: Arrival, secrets: Sequence[str], config: Mapping[str, Any], now: datetime
    ) -> None:
        """Check `X-Shopify-Hmac-SHA256`, and that it is this shop."""
        expected = [sha256_base64(secret.encode(), arrival.body) for secret in secrets]
        require_match(expected, [arrival.header("x-shopify-hmac-sha256")])
        shop = arrival.header("x-shopify-shop-domain").lower()
        if shop != config["shop"]:
            raise SignatureRefused(f"It is of another shop than {config['shop']}.")

    def split(self, arrival: Arrival) -> list[Item]:
        """Take the one message that there is; its topic and id stand in headers."""
        load_object(arrival.body)
        message_id = arrival.header("x-shopify-webhook-id") or content_id(arrival.body)
        topic = arrival.header("x-shopify-topic").lower()
        return [Item(message_id=message_id, topic=topic, content=arrival.body.decode())]

    def read(self, topic: str, document: Any, config: Mapping[str, Any]) -> Said | None:
        """Read a message."""
        subject, _, what = topic.partition("/")
        if topic in _FOR_PEOPLE:
            return AsksPerson(who=_customer_in(document, config), reason=_FOR_PEOPLE[topic])
        if topic in _TELL_NOTHING:
            return NotForUs(reason=_TELL_NOTHING[topic])
        if subject == "orders" and what in _ORDERS:
            return read_order(document, config)
        if topic == "refunds/create":
            return RefundSaid(
                ref=str(document["order_id"]),
                refund_id=str(document["id"]),
                returned=_returned(document),
            )
        if topic in ("customers/create", "customers/update"):
            return _person(document, config)
        if topic == "customers_email_marketing_consent/update":
            who = _who({"id": document["customer_id"]}, config)
            return PersonSaid(who=who, consents=_consents(document))
        if topic == "customers_marketing_consent/update":
            who = _who({"id": document["id"]}, config)
            return PersonSaid(who=who, consents=_consents(document))
        return None


def _yes_or_no(config: Mapping[str, Any], name: str, words: str) -> str:
    given = str(config.get(name) or "no").lower()
    if given not in ("yes", "no"):
        raise ConfigRefused(f"Write yes or no for {words}.")
    return given


def read_order(order: Mapping[str, Any], config: Mapping[str, Any]) -> PurchaseSaid | NotForUs:
    """Read an order as it is now: net amounts of its lines, and what came back of them.

    Gift cards are left out: they are money, and earn when they are spent.
    """
    if order.get("test"):
        return NotForUs(reason="A test order.")
    tax_included = bool(order.get("taxes_included"))
    lines = [_line(item, tax_included) for item in order["line_items"] if not item.get("gift_card")]
    customer = order.get("customer") or {}
    refunds = order.get("refunds") or []
    return PurchaseSaid(
        who=_who(customer, config),
        ref=str(order["id"]),
        changed_at=_milliseconds(order["updated_at"]),
        order={
            "store": config.get("store") or None,
            "channel": CHANNEL,
            "occurred_at": _in_utc(order.get("processed_at") or order["created_at"]),
            "currency": order["currency"],
            "state": _state(order),
            "lines": lines,
        },
        refunds={str(refund["id"]): _returned(refund) for refund in refunds},
        removed={
            str(item["id"]): item["quantity"] - item["current_quantity"]
            for item in order["line_items"]
            if isinstance(item.get("current_quantity"), int)
        },
    )


def _state(order: Mapping[str, Any]) -> str:
    """Say whether it counts: cancelled, or refunded in full by amount, it does not any more."""
    status = order.get("financial_status")
    if order.get("cancelled_at") or status in _GONE:
        return "cancelled"
    return "paid" if status in _PAID else "open"


def _line(item: Mapping[str, Any], tax_included: bool) -> dict[str, Any]:
    amount = Decimal(str(item["price"])) * item["quantity"]
    amount -= sum(Decimal(str(part["amount"])) for part in item.get("discount_allocations") or [])
    if tax_included:
        amount -= sum(Decimal(str(tax["price"])) for tax in item.get("tax_lines") or [])
    named = item.get("sku") or f"variant:{item.get('variant_id') or item['id']}"
    line = {
        "line": str(item["id"]),
        "sku": _printable(named),
        "quantity": str(item["quantity"]),
        "amount": _plain(amount),
    }
    for ours, theirs in (("category", "product_type"), ("brand", "vendor")):
        if item.get(theirs):
            line[ours] = _printable(item[theirs])
    return line


def _returned(refund: Mapping[str, Any]) -> dict[str, int]:
    returned: dict[str, int] = {}
    for item in refund.get("refund_line_items") or []:
        line = str(item["line_item_id"])
        returned[line] = returned.get(line, 0) + int(item["quantity"])
    return returned


def _person(customer: Mapping[str, Any], config: Mapping[str, Any]) -> PersonSaid:
    plain = {k: v for k, v in customer.items() if isinstance(v, str | int | float) and v != ""}
    return PersonSaid(who=_who(customer, config), consents=_consents(customer), fields=plain)


def _consents(said: Mapping[str, Any]) -> tuple[Consent, ...]:
    found = []
    for channel in ("email", "sms"):
        consent = said.get(f"{channel}_marketing_consent")
        if consent and consent.get("state") in ("subscribed", "unsubscribed", "not_subscribed"):
            at = str(consent.get("consent_updated_at") or "")
            given = consent["state"] == "subscribed"
            found.append(Consent(channel=channel, is_given=given, changed_at=at))
    return tuple(found)


def _customer_in(document: Mapping[str, Any], config: Mapping[str, Any]) -> Who:
    customer = document.get("customer") or {}
    kept = str(document.get("admin_graphql_api_customer_kept_id") or "").rpartition("/")[2]
    return _who(customer or {"id": kept}, config)


def _who(customer: Mapping[str, Any], config: Mapping[str, Any]) -> Who:
    number = str(customer.get("id") or "")
    is_verified = customer.get("verified_email") is True
    external_ids = (f"{config.get('external_prefix', '')}{number}", f"{_GID}{number}")
    return Who(
        vendor_id=number,
        known_as=(number, f"{_GID}{number}"),
        external_ids=external_ids if number else (),
        email=str(customer.get("email") or "") if is_verified else "",
        phone=str(customer.get("phone") or "") if config.get("phones") == "yes" else "",
        proves_email=is_verified and config.get("verifies") == "yes",
    )


def _milliseconds(time: str) -> int:
    return int(datetime.fromisoformat(time).timestamp() * 1000)


def _in_utc(time: str) -> str:
    """Write a time in one way: webhooks have the shop's zone, its API has UTC."""
    return datetime.fromisoformat(time).astimezone(UTC).isoformat()


def _plain(amount: Decimal) -> str:
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _printable(text: Any) -> str:
    return "".join(char for char in str(text) if char.isprintable())[:100] or "-"
