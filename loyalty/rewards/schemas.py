"""What callers send about redemptions, and the payloads that services get."""

from dataclasses import dataclass
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from loyalty.http.fields import Body, Code, Points, Reason, Ref
from loyalty.members.schemas import Member

OrderAmount = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{1,9}(\.[0-9]{1,4})?$",
        max_length=14,
        description="What the order comes to, a decimal string: where a percentage is of it, or"
        " points may pay only a part of it.",
        examples=["24.50"],
    ),
]


class RedeemRequest(Body):
    """Points for a reward, or points as money; exactly one of `reward` and `points`."""

    member: Member
    reward: Code | None = Field(default=None, examples=["five-off"])
    points: Points | None = None
    capture: bool = Field(default=True, description="false makes a hold, to be captured or voided.")
    ref: Ref | None = Field(
        default=None, description="The till's own number, unique per program and store."
    )
    order_ref: Ref | None = None
    order_amount: OrderAmount | None = None
    store: Code | None = None

    @model_validator(mode="after")
    def _reward_or_points(self) -> Self:
        if (self.reward is None) == (self.points is None):
            raise ValueError("send either reward or points")
        return self


class CaptureRequest(Body):
    """How much of a hold to take; all of it unless `points` says less, where points pay."""

    points: Points | None = None


class VoidRequest(Body):
    """Nothing to say: `{}`."""


class ReverseRequest(Body):
    """Why points come back; all that were captured unless `points` says fewer."""

    reason: Reason
    points: Points | None = None


class FulfilmentRequest(Body):
    """How far the delivery is; `cancelled` gives the points back."""

    state: Literal["shipped", "delivered", "cancelled"]
    note: Reason | None = Field(
        default=None,
        description="For colleagues, who see it in the admin and in no event: a tracking number;"
        " or why it is cancelled, which the ledger keeps.",
    )


@dataclass(frozen=True, slots=True)
class RedemptionId:
    """A redemption's id carries its member, so that finding it needs no index of all members."""

    member_id: UUID
    number: int


@dataclass(frozen=True, slots=True)
class CaptureRedemption:
    """POST /v1/redemptions/{id}/capture."""

    redemption: RedemptionId
    body: CaptureRequest


@dataclass(frozen=True, slots=True)
class VoidRedemption:
    """POST /v1/redemptions/{id}/void."""

    redemption: RedemptionId
    body: VoidRequest


@dataclass(frozen=True, slots=True)
class ReverseRedemption:
    """POST /v1/redemptions/{id}/reverse."""

    redemption: RedemptionId
    body: ReverseRequest


@dataclass(frozen=True, slots=True)
class MoveFulfilment:
    """POST /v1/redemptions/{id}/fulfilment."""

    redemption: RedemptionId
    body: FulfilmentRequest
