"""What calls about redemptions answer: for the contract, and a test holds answers to it."""

from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from loyalty.members.answers import Balance


class Gives(BaseModel):
    """What the member gets; which fields are there depends on the reward."""

    amount_off: str | None = Field(default=None, examples=["5.00"])
    currency: str | None = Field(default=None, examples=["USD"])
    percent_off: str | None = Field(default=None, examples=["10"])
    max_amount: str | None = Field(
        default=None, description="The most that a percentage takes off.", examples=["20.00"]
    )
    product: str | None = Field(default=None, examples=["sku-mug"])
    code_from_pool: str | None = Field(
        default=None, description="The pool of its code.", examples=["cinema"]
    )
    code: str | None = Field(
        default=None, description="Once its points are taken; not of a hold.", examples=["K7-QX92"]
    )
    code_hint: str | None = Field(
        default=None,
        description="The end of a code that only the till's answer shows.",
        examples=["…QX92"],
    )
    valid_until: date | None = Field(default=None, description="The code's last day.")
    store_credit: str | None = Field(
        default=None, description="To be booked elsewhere.", examples=["10.00"]
    )
    custom: str | None = Field(
        default=None, description="To be done by somebody else.", examples=["massage-30"]
    )


class Redemption(BaseModel):
    """One member's use of points."""

    id: str
    state: Literal["held", "captured", "voided", "lapsed", "reversed"]
    member: UUID
    reward: str | None = Field(description="null: points paid as money.", examples=["five-off"])
    points: int = Field(examples=[500])
    captured: int
    reinstated: int
    gives: Gives
    fulfilment: Literal["ordered", "shipped", "delivered", "cancelled"] | None = Field(
        description="How far others have delivered it; null where they have nothing to do."
    )
    given_for: Literal["tier_entry", "free_redemption", "auto_redeem"] | None = Field(
        description="The member came to a level, had it free by their level, or had the points;"
        " null where somebody asked for it and paid."
    )
    store: str | None
    order_ref: str | None
    ref: str | None
    held_until: datetime | None
    created_at: datetime


class RedemptionAnswer(Redemption):
    """A redemption, and what the member has now."""

    balance: Balance


class RedemptionPage(BaseModel):
    """A page of a member's redemptions, newest first."""

    items: list[Redemption]
    next_cursor: str | None


class RewardReason(BaseModel):
    """What stands between a member and a reward; more facts by code."""

    model_config = ConfigDict(extra="allow")

    code: Literal[
        "insufficient_points",
        "sold_out",
        "limit_reached",
        "tier_too_low",
        "not_in_segment",
        "in_segment",
        "not_started",
        "ended",
        "member_not_active",
    ]
    because: str
    missing: Any = None


class RewardForMember(BaseModel):
    """A reward, and whether this member can have it now."""

    code: str = Field(examples=["five-off"])
    name: str
    cost: int = Field(description="0 while the member's level gives it for nothing.")
    free: int = Field(description="So many the level still gives for nothing this year.")
    gives: Gives
    available: bool
    reasons: list[RewardReason]
    remaining: int | None = Field(description="null where no stock is kept.")


class RewardList(BaseModel):
    """The catalogue for one member."""

    items: list[RewardForMember]
