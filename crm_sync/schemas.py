"""What callers send about webhook endpoints, and what they get."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from loyalty.http.fields import Body, Name
from loyalty.http.pagination import Page

Url = Annotated[
    str,
    Field(
        min_length=1,
        max_length=2000,
        description="https, and on the public internet.",
        examples=["https://shop.example.com/hooks/loyalty"],
    ),
]
EventType = Annotated[
    str,
    Field(
        pattern=r"^[a-z_]+\.([a-z_]+|\*)$",
        max_length=40,
        description="Such as points.earned, or points.* for all of them.",
        examples=["points.*"],
    ),
]
EventTypes = Annotated[
    list[EventType], Field(max_length=100, description="Only these events; empty means all.")
]
EventId = Annotated[
    str, Field(pattern=r"^evt_[0-9a-f]{32}_[0-9]{1,18}$", description="An event's id.")
]
DeliveryState = Literal["pending", "delivered", "dead", "parked", "skipped"]


class EndpointRequest(Body):
    """A new address that events are sent to."""

    url: Url
    name: Name | None = Field(default=None, description="Unique; the address's host unless set.")
    event_types: EventTypes = Field(default_factory=list)
    from_beginning: bool = Field(
        default=False, description="Send all events that are kept, not only those to come."
    )


class EndpointChange(Body):
    """What to change of an endpoint; absent fields stay as they are."""

    url: Url | None = None
    name: Name | None = None
    event_types: EventTypes | None = None
    enabled: bool | None = Field(
        default=None, description="False pauses it; true lets it continue where it stopped."
    )

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("nothing to change: send url, name, event_types or enabled")
        return self


class RedeliverRequest(Body):
    """What to send again: some events, or all deliveries that were given up."""

    events: list[EventId] = Field(default_factory=list, max_length=200)
    all_dead: bool = False

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if bool(self.events) == self.all_dead:
            raise ValueError("send either events or all_dead")
        return self


class RotateRequest(Body):
    """Nothing has to be said: {}."""


class DeliveryQuery(Page):
    """Which deliveries."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    state: DeliveryState | None = Field(default=None, description="Only those in this state.")


class Endpoint(BaseModel):
    """An address that events are sent to."""

    id: str = Field(examples=["whe_0f0e0d0c0b0a09080706050403020100"])
    name: str
    url: str
    event_types: list[str]
    enabled: bool
    state: Literal["enabled", "failing", "down", "disabled"]
    reason: str = Field(description="Why it is disabled.")
    pending: int = Field(description="Deliveries that wait to be sent.")
    dead: int = Field(description="Deliveries that were given up.")
    oldest_pending_at: datetime | None
    created_at: datetime


class NewEndpoint(Endpoint):
    """A new endpoint, with its signing secret."""

    secret: str = Field(description="whsec_…, for Standard Webhooks. Shown only now.")


class EndpointPage(BaseModel):
    """All endpoints, by name."""

    items: list[Endpoint]


class RemovedEndpoint(BaseModel):
    """An endpoint that is gone; what it was sent stays on record."""

    id: str
    removed: Literal[True]


class Secret(BaseModel):
    """A new signing secret; the one before signs too for a while."""

    secret: str
    old_valid_until: datetime


class TestResult(BaseModel):
    """What came of a test event."""

    delivered: bool
    status_code: int | None
    answer: str = Field(description="The first 2,048 characters.")
    error: str
    duration_ms: int


class LastAttempt(BaseModel):
    """The newest attempt of a delivery."""

    at: datetime
    outcome: str = Field(examples=["retryable"])
    status_code: int | None
    error: str
    duration_ms: int
    correlation_id: UUID


class DeliveryItem(BaseModel):
    """One event on its way to an endpoint."""

    event: str = Field(examples=["evt_0f0e0d0c0b0a09080706050403020100_7"])
    type: str
    state: DeliveryState
    attempts: int
    created_at: datetime
    settled_at: datetime | None
    last_attempt: LastAttempt | None


class DeliveryPage(BaseModel):
    """A page of deliveries, newest first."""

    items: list[DeliveryItem]
    next_cursor: str | None


class Redelivered(BaseModel):
    """How many deliveries are on their way again."""

    redelivered: int
