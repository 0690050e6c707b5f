"""Orders over HTTP: earn, preview, the desired state of an order, and returns."""

import re
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from pydantic import BaseModel, ConfigDict, Field

from loyalty.engine.api import CommandEndpoint
from loyalty.errors import (
    ActivityConflict,
    ActivityUnknown,
    BalanceTooLarge,
    CurrencyMismatch,
    IdentifierTaken,
    LineUnknown,
    MemberNotActive,
    MemberNotFound,
    OccurredAtOutOfRange,
    OrderCancelled,
    OrderConflict,
    OrderNotFound,
    ReturnConflict,
    ReversalExceedsOriginal,
    StoreNotAllowed,
    StoreUnknown,
    ValidationFailed,
)
from loyalty.http.auth import Principal, store_for
from loyalty.http.bodies import parse, read_body
from loyalty.http.fields import Code
from loyalty.http.schema import operation
from loyalty.orders import activities, desired, returns
from loyalty.orders.answers import EarnAnswer, OrderAnswer, ReturnAnswer
from loyalty.orders.schemas import (
    EarnRequest,
    PutOrder,
    PutOrderRequest,
    ReturnOrder,
    ReturnRequest,
)
from loyalty.rewards.api import with_codes

_REF = re.compile(r"[A-Za-z0-9._:-]{1,100}\Z")

ORDER: Final = {"ref": "The order's own number."}
RECORDING: Final = (
    MemberNotFound,
    MemberNotActive,
    IdentifierTaken,
    StoreNotAllowed,
    StoreUnknown,
    CurrencyMismatch,
    OccurredAtOutOfRange,
    BalanceTooLarge,
)
EARN_EXAMPLE: Final[dict[str, Any]] = {
    "member": "card:2261",
    "order": {
        "ref": "till-4-0127",
        "store": "309",
        "channel": "pos",
        "occurred_at": "2026-11-20T19:06:53-05:00",
        "currency": "USD",
        "lines": [
            {
                "line": "1",
                "sku": "940996",
                "quantity": "1",
                "amount": "3.86",
                "category": "GROCERY",
                "brand": "Private",
            }
        ],
    },
}


class StoreQuery(BaseModel):
    """The store that completes an order's ref, where receipts of several stores repeat."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    store: Code | None = Field(
        default=None, description="Where receipts of several stores have the same numbers."
    )


def earn_payload(principal: Principal, body: EarnRequest) -> EarnRequest:
    """Complete the request with the key's store, or refuse its store."""
    if principal.stores is not None:
        body.what.store = store_for(principal, body.what.store, pointer=body.store_pointer)
    return body


def put_payload(
    principal: Principal, ref: str, store: str | None, body: PutOrderRequest
) -> PutOrder:
    """Bring path, query and body together; what they say twice they must say alike.

    Raises:
        ValidationFailed: The body names another order than the path.
    """
    order = body.order
    if order.ref not in (None, ref):
        raise _contradiction("/order/ref", "is another one than in the path")
    if store is not None and order.store not in (None, store):
        raise _contradiction("/order/store", "is another one than in the query")
    order.store = store_for(principal, order.store or store, pointer="/order/store")
    return PutOrder(ref, body)


def return_payload(
    principal: Principal, ref: str, store: str | None, body: ReturnRequest
) -> ReturnOrder:
    """Complete the order's name with the key's store, or refuse its store."""
    return ReturnOrder(ref, store_for(principal, store, pointer="/store"), body)


def _contradiction(pointer: str, message: str) -> ValidationFailed:
    return ValidationFailed(errors=[{"pointer": pointer, "message": message}])


class EarnView(CommandEndpoint):
    """POST /v1/earn."""

    scopes = {"POST": ("earn",)}

    @operation(
        "earn",
        "Record an order or an activity and award points",
        tag="Orders",
        request=EarnRequest,
        example=EARN_EXAMPLE,
        answers={201: EarnAnswer, 200: EarnAnswer},
        errors=[*RECORDING, OrderConflict, ActivityUnknown, ActivityConflict],
        key=True,
    )
    def post(self, request: HttpRequest) -> HttpResponse:
        body, canonical = parse(EarnRequest, read_body(request))
        payload = earn_payload(self.principal, body)
        return with_codes(self.run(request, activities.EARN, payload, canonical_body=canonical))


class PreviewView(CommandEndpoint):
    """POST /v1/earn/preview."""

    scopes = {"POST": ("earn",)}
    keyed = ()

    @operation(
        "preview_earn",
        "Show what an order or an activity would earn; nothing is written",
        tag="Orders",
        request=EarnRequest,
        example=EARN_EXAMPLE,
        answers={200: EarnAnswer},
        errors=[*RECORDING, OrderConflict, ActivityUnknown, ActivityConflict],
    )
    def post(self, request: HttpRequest) -> HttpResponse:
        body, _ = parse(EarnRequest, read_body(request))
        return self.preview(activities.EARN, earn_payload(self.principal, body))


class OrderView(CommandEndpoint):
    """PUT /v1/orders/{ref}."""

    scopes = {"PUT": ("earn",)}

    @operation(
        "put_order",
        "Bring an order to its desired state",
        tag="Orders",
        path=ORDER,
        query=StoreQuery,
        request=PutOrderRequest,
        example={
            "member": "card:2261",
            "revision": 1764000000,
            "order": {
                **{name: said for name, said in EARN_EXAMPLE["order"].items() if name != "ref"},
                "state": "paid",
            },
        },
        answers={201: OrderAnswer, 200: OrderAnswer},
        errors=[*RECORDING, OrderConflict, ReversalExceedsOriginal],
        key=True,
    )
    def put(self, request: HttpRequest, ref: str) -> HttpResponse:
        if _REF.match(ref) is None:
            raise _contradiction("/ref", "has 1 to 100 letters, digits and . _ : -")
        store = self.query(request, StoreQuery).store
        body, canonical = parse(PutOrderRequest, read_body(request))
        payload = put_payload(self.principal, ref, store, body)
        return with_codes(self.run(request, desired.PUT_ORDER, payload, canonical_body=canonical))


class ReturnsView(CommandEndpoint):
    """POST /v1/orders/{ref}/returns."""

    scopes = {"POST": ("earn",)}

    @operation(
        "return_order",
        "Return lines of an order",
        tag="Orders",
        path=ORDER,
        query=StoreQuery,
        request=ReturnRequest,
        example={
            "ref": "R-1",
            "occurred_at": "2026-11-21T10:00:00-05:00",
            "lines": [{"line": "1", "quantity": "1"}],
        },
        answers={201: ReturnAnswer, 200: ReturnAnswer},
        errors=[
            OrderNotFound,
            MemberNotFound,
            MemberNotActive,
            StoreNotAllowed,
            OccurredAtOutOfRange,
            LineUnknown,
            OrderCancelled,
            ReturnConflict,
            ReversalExceedsOriginal,
        ],
        key=True,
    )
    def post(self, request: HttpRequest, ref: str) -> HttpResponse:
        if _REF.match(ref) is None:
            raise OrderNotFound()
        store = self.query(request, StoreQuery).store
        body, canonical = parse(ReturnRequest, read_body(request))
        payload = return_payload(self.principal, ref, store, body)
        return self.run(request, returns.RETURN, payload, canonical_body=canonical)
