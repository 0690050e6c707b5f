"""What calls about orders answer; they describe the contract, and a test holds answers to them."""

from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from loyalty.members.answers import AppliedRule, Balance, RuleNotApplied, Tier
from loyalty.rewards.answers import Redemption

ISSUED: Final[list[Redemption]] = Field(
    default=[],
    description="Rewards that came by themselves: with the level that was reached, or because the"
    " balance was enough. Missing where none did.",
)


class ActivityNamed(BaseModel):
    """Which activity earned."""

    type: str = Field(examples=["review"])
    ref: str = Field(examples=["r-2261-1"])


class BroughtAnswer(BaseModel):
    """The member was brought by somebody, and this order is the first that counts for it."""

    points: int = Field(description="What the member gets for it, beside the order's points.")
    status: Literal["available", "pending", "expired", "none"]
    explanation: list[AppliedRule]
    not_applied: list[RuleNotApplied]


REFERRAL: Final[BroughtAnswer | None] = Field(
    default=None,
    description="What this order brought the member who joined with somebody's code. Missing where"
    " it did not, or did so earlier.",
)


class EarnAnswer(BaseModel):
    """An award: how many points, why, and what the member has now."""

    id: str
    kind: Literal["earn"]
    member: UUID
    order: str | None = Field(description="null for an activity.", examples=["31625220889"])
    activity: ActivityNamed | None = Field(default=None, description="Instead of an order.")
    points: int = Field(examples=[3])
    status: Literal["available", "pending", "expired", "none"] = Field(
        description="Where the points are; none where the order earned none."
    )
    active_at: datetime | None
    expires_at: datetime | None
    balance: Balance
    tier: Tier | None
    explanation: list[AppliedRule]
    not_applied: list[RuleNotApplied]
    referral: BroughtAnswer | None = REFERRAL
    issued: list[Redemption] = ISSUED


class LineAnswer(BaseModel):
    """What a line earned, and what of it was taken back."""

    line: str
    points: int = Field(description="What it earns while the order is paid.")
    returned: str = Field(description="Quantity that came back in all.", examples=["0"])
    clawed_back: int


class OrderAnswer(BaseModel):
    """An order in its present state."""

    id: str
    ref: str
    member: UUID
    store: str | None
    channel: str | None
    state: Literal["open", "paid", "cancelled"]
    revision: int
    occurred_at: datetime
    currency: str
    net_amount: str
    points: int = Field(description="What it is worth to the member now.")
    points_changed: int = Field(description="By how much this command changed that.")
    lines: list[LineAnswer]
    balance: Balance
    tier: Tier | None
    referral: BroughtAnswer | None = REFERRAL
    issued: list[Redemption] = ISSUED


class ReturnExplanation(BaseModel):
    """Why points were taken back."""

    line: str | None = None
    points: int
    because: str


class ReturnAnswer(BaseModel):
    """What a return took back."""

    order: str
    return_: str = Field(alias="return")
    member: UUID
    clawed_back: int = Field(examples=[3])
    debt: int = Field(description="Of these, what the member had spent and now owes.")
    written_off: int
    reinstated: int
    explanation: list[ReturnExplanation]
    balance: Balance
    tier: Tier | None
