"""Shopify's orders, read one by one, in the shape in which its webhooks tell of them.

Which orders changed costs little to ask. An order's lines are many, and Shopify refuses a document
that may cost more than 1,000 points, so each order is asked for by itself.

Source: the schema of Shopify's Admin GraphQL API, 2026-10; its REST order, for the shape.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from crm_sync.adapters.client import CallFailed
from crm_sync.adapters.orders import OrderChanged, OrderPage, OrderTold
from crm_sync.adapters.outcomes import Outcome

LIST_COST: Final = 60
ORDER_COST: Final = 40  # an order with few lines; more shows in what Shopify says is left
TOPIC: Final = "orders/updated"
ORDERS: Final = """
query Orders($after: String, $query: String) {
  orders(first: 50, after: $after, query: $query, sortKey: UPDATED_AT) {
    nodes { id updatedAt }
    pageInfo { hasNextPage endCursor }
  }
}"""
ORDER: Final = """
query Order($id: ID!, $after: String) {
  order(id: $id) {
    id test taxesIncluded currencyCode displayFinancialStatus
    createdAt processedAt updatedAt cancelledAt
    customer {
      id verifiedEmail
      defaultEmailAddress { emailAddress }
      defaultPhoneNumber { phoneNumber }
    }
    lineItems(first: 25, after: $after) {
      nodes {
        id sku vendor quantity currentQuantity isGiftCard
        variant { id }
        originalUnitPriceSet { shopMoney { amount } }
        discountAllocations { allocatedAmountSet { shopMoney { amount } } }
        taxLines { priceSet { shopMoney { amount } } }
      }
      pageInfo { hasNextPage endCursor }
    }
    refunds(first: 10) {
      id
      refundLineItems(first: 10) { nodes { quantity lineItem { id } } }
    }
  }
}"""

Ask = Callable[[str, Mapping[str, Any], int], dict[str, Any]]


def list_orders(ask: Ask, begin: datetime, end: datetime, page: str) -> OrderPage:
    """List which orders changed in a time, the one first that changed first."""
    wanted = f"updated_at:>='{_written(begin)}' AND updated_at:<='{_written(end)}'"
    try:
        found = ask(ORDERS, {"after": page or None, "query": wanted}, LIST_COST)["orders"]
    except CallFailed as failed:
        return OrderPage(outcome=failed.outcome)
    info = found["pageInfo"]
    return OrderPage(
        orders=[OrderChanged(_number(one["id"]), one["updatedAt"]) for one in found["nodes"]],
        page=info["endCursor"] if info["hasNextPage"] else "",
    )


def read_order(ask: Ask, ref: str) -> OrderTold | Outcome | None:
    """Read an order as it is now, all of its lines; None if it is gone.

    If it changes while its lines are read, the time of its first page stands: it is listed again.
    """
    given: dict[str, Any] = {"id": f"gid://shopify/Order/{ref}", "after": None}
    try:
        order = ask(ORDER, given, ORDER_COST)["order"]
        if order is None:
            return None
        lines, info = list(order["lineItems"]["nodes"]), order["lineItems"]["pageInfo"]
        while info["hasNextPage"]:
            more = ask(ORDER, {**given, "after": info["endCursor"]}, ORDER_COST)["order"]
            if more is None:
                return None
            lines += more["lineItems"]["nodes"]
            info = more["lineItems"]["pageInfo"]
    except CallFailed as failed:
        return failed.outcome
    return OrderTold(TOPIC, orjson.dumps(_document(order, lines)).decode())


def _document(order: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "id": int(_number(order["id"])),
        "test": order["test"],
        "taxes_included": order["taxesIncluded"],
        "currency": order["currencyCode"],
        "financial_status": (order["displayFinancialStatus"] or "").lower(),
        "created_at": order["createdAt"],
        "processed_at": order["processedAt"],
        "updated_at": order["updatedAt"],
        "cancelled_at": order["cancelledAt"],
        "customer": _customer(order["customer"]) if order["customer"] else None,
        "line_items": [_line(line) for line in lines],
        # What is beyond the lists' ends is in the lines' current quantities.
        "refunds": [_refund(refund) for refund in order["refunds"]],
    }


def _customer(customer: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": int(_number(customer["id"])),
        "verified_email": customer["verifiedEmail"],
        "email": (customer["defaultEmailAddress"] or {}).get("emailAddress"),
        "phone": (customer["defaultPhoneNumber"] or {}).get("phoneNumber"),
    }


def _line(line: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": int(_number(line["id"])),
        "sku": line["sku"],
        "vendor": line["vendor"],
        "variant_id": int(_number(line["variant"]["id"])) if line["variant"] else None,
        "quantity": line["quantity"],
        "current_quantity": line["currentQuantity"],
        "gift_card": line["isGiftCard"],
        "price": _amount(line["originalUnitPriceSet"]),
        "discount_allocations": [
            {"amount": _amount(one["allocatedAmountSet"])} for one in line["discountAllocations"]
        ],
        "tax_lines": [{"price": _amount(one["priceSet"])} for one in line["taxLines"]],
    }


def _refund(refund: Mapping[str, Any]) -> dict[str, Any]:
    returned = [
        {"line_item_id": int(_number(one["lineItem"]["id"])), "quantity": one["quantity"]}
        for one in refund["refundLineItems"]["nodes"]
    ]
    return {"id": int(_number(refund["id"])), "refund_line_items": returned}


def _amount(money: Mapping[str, Any]) -> str:
    return str(money["shopMoney"]["amount"])


def _number(gid: str) -> str:
    return gid.rpartition("/")[2]


def _written(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
