"""A shop's messages in the shapes that Shopify documents, with the fields that nobody reads."""

import base64
import hashlib
import hmac
import json
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

SHOP = "corner-shop.myshopify.com"
START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)

CUSTOMER: dict[str, Any] = {
    "id": 207119551,
    "email": "bob.norman@mail.example.com",
    "created_at": "2026-11-20T11:00:00-05:00",
    "updated_at": "2026-11-20T11:00:00-05:00",
    "first_name": "Bob",
    "last_name": "Norman",
    "state": "disabled",
    "note": None,
    "verified_email": True,
    "multipass_identifier": None,
    "tax_exempt": False,
    "phone": "+16136120707",
    "email_marketing_consent": {
        "state": "not_subscribed",
        "opt_in_level": None,
        "consent_updated_at": "2004-06-13T11:57:11-04:00",
    },
    "sms_marketing_consent": {
        "state": "subscribed",
        "opt_in_level": "single_opt_in",
        "consent_updated_at": "2026-11-20T11:00:00-05:00",
        "consent_collected_from": "OTHER",
    },
    "tags": "Léon, Noël",
    "currency": "USD",
    "admin_graphql_api_id": "gid://shopify/Customer/207119551",
    "default_address": {"id": 207119551, "city": "Louisville", "country": "United States"},
}


def line_item(number: int, price: str, quantity: int, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "admin_graphql_api_id": f"gid://shopify/LineItem/{number}",
        "fulfillable_quantity": quantity,
        "fulfillment_service": "manual",
        "fulfillment_status": None,
        "gift_card": False,
        "grams": 200,
        "name": "IPod Nano - 8gb - green",
        "price": price,
        "price_set": {"shop_money": {"amount": price, "currency_code": "USD"}},
        "product_exists": True,
        "product_id": 632910392,
        "properties": [{"name": "Custom Engraving Front", "value": "Happy Birthday"}],
        "quantity": quantity,
        "requires_shipping": True,
        "sku": "IPOD2008GREEN",
        "taxable": True,
        "title": "IPod Nano - 8gb",
        "total_discount": "0.00",
        "variant_id": 39072856,
        "vendor": "Apple",
        "tax_lines": [],
        "duties": [],
        "discount_allocations": [],
        **more,
    }


def order(number: int, *, minutes: int = 0, **more: Any) -> dict[str, Any]:
    """Describe a paid order of 3 × 10.00 and 1 × 25.00, of which 5.00 were taken off."""
    changed = (START + timedelta(minutes=minutes)).isoformat()
    discount = [
        {
            "amount": "5.00",
            "amount_set": {"shop_money": {"amount": "5.00", "currency_code": "USD"}},
            "discount_application_index": 0,
        }
    ]
    return {
        "id": number,
        "admin_graphql_api_id": f"gid://shopify/Order/{number}",
        "app_id": 755357713,
        "browser_ip": "0.0.0.0",
        "cancel_reason": None,
        "cancelled_at": None,
        "closed_at": None,
        "confirmed": True,
        "created_at": START.isoformat(),
        "currency": "USD",
        "current_subtotal_price": "50.00",
        "email": "bob.norman@mail.example.com",
        "financial_status": "paid",
        "fulfillment_status": None,
        "name": "#1001",
        "order_number": 1001,
        "presentment_currency": "USD",
        "processed_at": START.isoformat(),
        "source_name": "web",
        "subtotal_price": "50.00",
        "taxes_included": False,
        "test": False,
        "total_discounts": "5.00",
        "total_price": "58.00",
        "updated_at": changed,
        "customer": deepcopy(CUSTOMER),
        "discount_codes": [{"code": "FIVE", "amount": "5.00", "type": "fixed_amount"}],
        "line_items": [
            line_item(466157049, "10.00", 3),
            line_item(518995019, "25.00", 1, discount_allocations=discount),
        ],
        "refunds": [],
        "shipping_lines": [{"id": 369256396, "price": "8.00", "title": "Free Shipping"}],
        **more,
    }


def refund(number: int, order_id: int, line: int, quantity: int) -> dict[str, Any]:
    """Describe a refund of some of a line."""
    return {
        "id": number,
        "order_id": order_id,
        "created_at": START.isoformat(),
        "note": "wrong size",
        "user_id": 548380009,
        "processed_at": START.isoformat(),
        "restock": True,
        "order_adjustments": [],
        "transactions": [{"id": 179259969, "kind": "refund", "status": "success", "amount": "9"}],
        "refund_line_items": [
            {
                "id": number * 10,
                "line_item_id": line,
                "quantity": quantity,
                "restock_type": "return",
                "subtotal": 10.0,
                "total_tax": 0.0,
                "line_item": line_item(line, "10.00", 3),
            }
        ],
    }


def signed(secret: str, topic: str, body: Any, **more: str) -> tuple[bytes, dict[str, str]]:
    """Sign as Shopify documents it: base64 of HMAC-SHA256 of the raw body."""
    raw = json.dumps(body).encode()
    digest = hmac.new(secret.encode("utf-8"), raw, hashlib.sha256).digest()
    headers = {
        "X-Shopify-Topic": topic,
        "X-Shopify-Hmac-SHA256": base64.b64encode(digest).decode(),
        "X-Shopify-Shop-Domain": SHOP,
        "X-Shopify-API-Version": "2026-10",
        "X-Shopify-Webhook-Id": str(uuid4()),
        "X-Shopify-Triggered-At": "2026-11-20T18:00:27.877041743Z",
    }
    return raw, {**headers, **more}
