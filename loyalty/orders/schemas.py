"""What callers send about orders, and the payloads that services get."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Protocol, Self
from uuid import UUID

from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass as part_of_body

from loyalty.http.fields import (
    MAX_INT64,
    STRICT,
    WORD,
    Body,
    Channel,
    Code,
    Currency,
    Instant,
    Money,
    Name,
    OptionalName,
    OptionalReason,
    Quantity,
    Ref,
)
from loyalty.members.identifiers import MemberRef
from loyalty.members.schemas import Member

MAX_LINES = 200


def _text_of(value: Any) -> Any:
    """Rules compare texts: 5 is "5", true is "true"."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else value


_Whole = Annotated[int, Field(ge=-MAX_INT64, le=MAX_INT64)]
PropertyValue = Annotated[
    OptionalName,
    BeforeValidator(_text_of, json_schema_input_type=OptionalName | bool | _Whole),
]
Properties = Annotated[
    dict[Annotated[str, Field(pattern=WORD, max_length=50)], PropertyValue],
    Field(
        max_length=20,
        description="What rules may ask for; whole numbers and true are compared as text.",
        examples=[{"stars": 5, "verified": True}],
    ),
]


@part_of_body(config=STRICT, slots=True, kw_only=True)
class Line:
    """One line of an order, after discounts, without tax and shipping."""

    line: Name = Field(description="The line's id, unique in its order.", examples=["1"])
    sku: Name = Field(examples=["940996"])
    quantity: Quantity = Field(default="1")
    amount: Money = Field(description="For the whole line; below 0 for a correction or a discount.")
    category: Name | None = Field(default=None, examples=["GROCERY"])
    brand: Name | None = Field(default=None, examples=["Private"])


class Returned(Body):
    """What of a line was returned so far, in all."""

    quantity: Quantity
    amount: Money | None = Field(
        default=None,
        description="What was paid back for it in all, where that is not its share of the line.",
    )


@part_of_body(config=STRICT, slots=True, kw_only=True)
class LineState(Line):
    """A line as it is now, with what was returned of it."""

    returned: Returned | None = None


class _OrderHead(Body):
    store: Code | None = None
    channel: Channel | None = None
    occurred_at: Instant
    currency: Currency


def _ids_are_unique(lines: list[Line] | list[LineState] | list["ReturnLine"]) -> None:
    if len({line.line for line in lines}) != len(lines):
        raise ValueError("two lines have the same id")


class Order(_OrderHead):
    """A purchase that was paid."""

    ref: Ref
    lines: list[Line] = Field(min_length=1, max_length=MAX_LINES)

    @model_validator(mode="after")
    def _unique_lines(self) -> Self:
        _ids_are_unique(self.lines)
        return self


class OrderState(_OrderHead):
    """An order as it is now, with all its lines."""

    ref: Ref | None = Field(default=None, description="If sent, the same as in the path.")
    lines: list[LineState] = Field(max_length=MAX_LINES)
    state: Literal["open", "paid", "cancelled"] = "paid"

    @model_validator(mode="after")
    def _unique_lines(self) -> Self:
        _ids_are_unique(self.lines)
        return self


class Activity(Body):
    """Something that a member did besides buying, such as a review."""

    type: Code = Field(description="As the program's rules name it.", examples=["review"])
    ref: Ref = Field(description="Its own number, unique for its type.")
    occurred_at: Instant
    store: Code | None = None
    channel: Channel | None = None
    properties: Properties = Field(default_factory=dict)


def _exactly_one(schema: dict[str, Any]) -> None:
    """Say in the contract what types cannot: one of both is there, and none is null."""
    for name in ("order", "activity"):
        schema["properties"][name] = schema["properties"][name]["anyOf"][0]
    schema["oneOf"] = [{"required": ["order"]}, {"required": ["activity"]}]


class OrderOrActivity(Body):
    """What a member did: exactly one of both."""

    model_config = ConfigDict(json_schema_extra=_exactly_one)

    order: Order | None = None
    activity: Activity | None = None

    @model_validator(mode="after")
    def _order_or_activity(self) -> Self:
        sent = self.model_fields_set & {"order", "activity"}  # null is none of both
        if len(sent) != 1 or (self.order is None) == (self.activity is None):
            raise ValueError("send either order or activity")
        return self

    @property
    def what(self) -> "Order | Activity":
        """The one that was sent."""
        what = self.order or self.activity
        assert what is not None
        return what

    @property
    def store_pointer(self) -> str:
        """Where its store stands in the request."""
        return "/order/store" if self.order else "/activity/store"


class EarnRequest(OrderOrActivity):
    """A member's order or activity, to be recorded and rewarded."""

    member: Member


class EarnOrder(Protocol):
    """A request that is about an order."""

    member: MemberRef
    order: Order


class EarnActivity(Protocol):
    """A request that is about an activity."""

    member: MemberRef
    activity: Activity


class PutOrderRequest(Body):
    """The desired state of an order; sending it again in full is always safe."""

    member: Member
    revision: Annotated[int, Field(ge=0, le=MAX_INT64)] = Field(
        description="Grows with every change; an older one than the one known changes nothing.",
        examples=[1764000000],
    )
    order: OrderState


class ReturnLine(Body):
    """How much of a line came back."""

    line: Name
    quantity: Quantity

    @model_validator(mode="after")
    def _something_came_back(self) -> Self:
        if not self.quantity.strip("0."):
            raise ValueError("a quantity that comes back is more than 0")
        return self


class ReturnRequest(Body):
    """A return, as a till does it: these lines came back now."""

    ref: Ref = Field(description="The return's own number, unique for its order.")
    occurred_at: Instant
    lines: list[ReturnLine] = Field(min_length=1, max_length=MAX_LINES)
    reason: OptionalReason = Field(
        default="",
        description="Why it came back. Kept for ever: name nobody here.",
        examples=["Did not fit"],
    )

    @model_validator(mode="after")
    def _unique_lines(self) -> Self:
        _ids_are_unique(self.lines)
        return self


@dataclass(slots=True)
class PutOrder:
    """PUT /v1/orders/{ref}; `store` of the query is in `body.order.store` already.

    `also` collects who was merged into the member and paid for the order before.
    """

    ref: str
    body: PutOrderRequest
    also: list[UUID] = field(default_factory=list)


@dataclass(slots=True)
class ReturnOrder:
    """POST /v1/orders/{ref}/returns; `store` completes the ref where receipts repeat.

    Attributes:
        channel: Completes the ref of an order without a store, for who knows which order it is.
        by_hand: Somebody writes down what came back, and not the till that took it.
        also: As in PutOrder.
    """

    ref: str
    store: str | None
    body: ReturnRequest
    channel: str | None = None
    by_hand: bool = False
    also: list[UUID] = field(default_factory=list)
