"""Orders of the sandbox of Shopify: kept as its webhooks tell of them, shown as GraphQL asks."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any


def order_roots(orders: Mapping[int, Mapping[str, Any]]) -> dict[str, Callable[..., Any]]:
    """Give the fields of queries that show orders."""

    def listed(_: Any, first: int, after: str | None = None, query: str = "", **__: Any) -> Any:
        chosen = sorted(_within(orders.values(), query), key=_changed)
        return _page([_shown(one) for one in chosen], first, after)

    def one(_: Any, id: str) -> Any:
        found = orders.get(int(id.rpartition("/")[2]))
        return _shown(found) if found else None

    return {"orders": listed, "order": one}


def _within(orders: Iterable[Mapping[str, Any]], query: str) -> list[Mapping[str, Any]]:
    since, until = (re.search(rf"updated_at:{sign}'([^']+)'", query or "") for sign in (">=", "<="))
    return [
        one
        for one in orders
        if (not since or _changed(one) >= datetime.fromisoformat(since[1]))
        and (not until or _changed(one) <= datetime.fromisoformat(until[1]))
    ]


def _changed(order: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(order["updated_at"])


def _page(nodes: Sequence[Any], first: int, after: str | None) -> dict[str, Any]:
    begin = int(after or 0)
    info = {"hasNextPage": len(nodes) > begin + first, "endCursor": str(begin + first)}
    return {"nodes": nodes[begin : begin + first], "pageInfo": info}


def _shown(order: Mapping[str, Any]) -> dict[str, Any]:
    customer, lines = order["customer"], [_line(line) for line in order["line_items"]]
    return {
        "id": f"gid://shopify/Order/{order['id']}",
        "test": order["test"],
        "taxesIncluded": order["taxes_included"],
        "currencyCode": order["currency"],
        "displayFinancialStatus": order["financial_status"].upper(),
        "createdAt": order["created_at"],
        "processedAt": order["processed_at"],
        "updatedAt": order["updated_at"],
        "cancelledAt": order["cancelled_at"],
        "customer": _customer(customer) if customer else None,
        "lineItems": lambda _, first, after=None: _page(lines, first, after),
        "refunds": lambda _, first: [_refund(refund) for refund in order["refunds"]][:first],
    }


def _customer(customer: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "__typename": "Customer",
        "id": f"gid://shopify/Customer/{customer['id']}",
        "verifiedEmail": customer["verified_email"],
        "defaultEmailAddress": {"emailAddress": customer["email"]},
        "defaultPhoneNumber": {"phoneNumber": customer["phone"]} if customer["phone"] else None,
    }


def _line(line: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": f"gid://shopify/LineItem/{line['id']}",
        "sku": line["sku"],
        "vendor": line["vendor"],
        "quantity": line["quantity"],
        "currentQuantity": line.get("current_quantity", line["quantity"]),
        "isGiftCard": line["gift_card"],
        "variant": {"id": f"gid://shopify/ProductVariant/{line['variant_id']}"},
        "originalUnitPriceSet": _money(line["price"]),
        "discountAllocations": [
            {"allocatedAmountSet": _money(one["amount"])} for one in line["discount_allocations"]
        ],
        "taxLines": [{"priceSet": _money(one["price"])} for one in line["tax_lines"]],
    }


def _refund(refund: Mapping[str, Any]) -> dict[str, Any]:
    returned = [
        {
            "quantity": one["quantity"],
            "lineItem": {"id": f"gid://shopify/LineItem/{one['line_item_id']}"},
        }
        for one in refund["refund_line_items"]
    ]
    return {
        "id": f"gid://shopify/Refund/{refund['id']}",
        "refundLineItems": lambda _, first: {"nodes": returned[:first]},
    }


def _money(amount: str) -> dict[str, Any]:
    return {"shopMoney": {"amount": amount, "currencyCode": "USD"}}
