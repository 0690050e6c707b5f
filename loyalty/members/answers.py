"""What calls about members answer. These models describe the contract; nothing is built from them,
and a test holds real answers against them.
"""

from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from loyalty.members.identifiers import IdentifierType
from loyalty.members.schemas import AttributeValue


class Balance(BaseModel):
    """Points of a member, by where they are."""

    available: int = Field(description="Can be spent now.", examples=[3])
    pending: int = Field(description="Earned, not usable yet.", examples=[0])
    held: int = Field(description="Reserved by holds.", examples=[0])
    debt: int = Field(description="Owed after a return; the next earn repays it.", examples=[0])
    lifetime_earned: int = Field(examples=[3])
    version: int = Field(
        description="Grows with every change; an answer with a smaller one is older.", examples=[1]
    )


class Expiring(BaseModel):
    """Points that end at the same time."""

    points: int
    expires_at: datetime


class BalanceAnswer(Balance):
    """A balance, and what of it ends when."""

    expiring: list[Expiring] = Field(
        description="The next dozen of dates, the soonest first. Of the past, points that expire by"
        " inactivity have the date that they have now."
    )


class NextLevel(BaseModel):
    """The level above."""

    code: str = Field(examples=["silver"])
    missing: str = Field(description="What is missing of the metric.", examples=["246.14"])


class ToStay(BaseModel):
    """What it takes to keep the level."""

    missing: str = Field(examples=["0.00"])
    until: date | None = Field(
        description="The last day on which the level is kept as things stand: of its validity, or"
        " of the grace; null while it is kept because it is earned."
    )


class Tier(BaseModel):
    """Where a member stands among the levels."""

    code: str = Field(examples=["bronze"])
    name: str = Field(examples=["Bronze"])
    changed: bool = Field(description="Whether this command changed it.")
    since: datetime
    valid_until: date | None = Field(
        description="Last day on which the level is kept, whatever comes."
    )
    assigned: bool = Field(description="Whether somebody assigned it, as long as it is so.")
    metric: str = Field(description="What counts so far: money, points or orders.")
    next: NextLevel | None
    to_stay: ToStay | None = Field(description="null where the level cannot be lost.")
    perks: list[str] = Field(description="What else members of the level have.")


class Identifier(BaseModel):
    """One way in which tills and systems know a member."""

    id: int = Field(description="For DELETE …/identifiers/{id}.")
    type: IdentifierType
    value: str = Field(examples=["2261"])
    verified: bool = Field(description="Whether somebody has said that it is proven.")


class ProfileAnswer(BaseModel):
    """Personal data; empty where unknown."""

    first_name: str
    last_name: str
    birth_date: date | None
    language: str


class MemberAnswer(BaseModel):
    """A member with balance and tier."""

    id: UUID
    status: Literal["active", "frozen", "merged", "closed"]
    identifiers: list[Identifier]
    profile: ProfileAnswer
    attributes: dict[str, AttributeValue]
    referral_code: str | None = Field(
        description="By which they bring others; null for who was erased.", examples=["K7QM2XPB"]
    )
    referrer: UUID | None = Field(description="Who brought them, if anybody.")
    enrolled_at: datetime
    updated_at: datetime
    balance: Balance
    tier: Tier | None


class MergeAnswer(BaseModel):
    """Two members are one; what went over to the survivor."""

    merged: UUID
    into: UUID
    points: int
    pending: int
    debt: int
    orders: int
    identifiers: int
    reversible_until: datetime
    balance: Balance = Field(description="The survivor's.")
    tier: Tier | None = Field(description="The survivor's.")


class UnmergeAnswer(BaseModel):
    """A merge was taken back; what went back with the member."""

    unmerged: UUID
    from_: UUID = Field(alias="from")
    points: int
    pending: int
    debt: int
    orders: int
    identifiers: int
    balance: Balance = Field(description="The unmerged member's.")
    tier: Tier | None = Field(description="The unmerged member's.")


class EraseAnswer(BaseModel):
    """A person was erased: what named them is gone, the ledger stays."""

    erased: UUID
    with_: list[UUID] = Field(alias="with", description="Merged into them before: erased too.")
    erased_at: datetime
    balance: Balance


Rows = list[dict[str, Any]]


class ExportAnswer(BaseModel):
    """All that is held on a person: themselves, and the rows of each table as they are kept."""

    member: MemberAnswer
    merged_members: Rows = Field(description="Members who were merged into this one.")
    identifiers: Rows
    ledger_transactions: Rows
    postings: Rows
    lots: Rows
    holds: Rows
    tier_changes: Rows
    activity_days: Rows
    rule_uses: Rows
    segments: Rows
    consents: Rows
    merges: Rows
    referral_codes: Rows
    referrals: Rows = Field(description="By whom they were brought.")
    referral_steps: Rows = Field(description="Friends whom they brought.")
    orders: Rows
    redemptions: Rows
    events: Rows


class AdjustmentAnswer(BaseModel):
    """A manual change that was made."""

    id: str
    kind: Literal["adjust"]
    member: UUID
    points: int
    reason: str
    actor: str = Field(description="The API key's name.")
    balance: Balance


class AppliedRule(BaseModel):
    """A rule that gave points, with its arithmetic."""

    rule: str = Field(examples=["base"])
    points: int = Field(examples=[3])
    because: str = Field(examples=["1 point per 1.00 USD of 3.86 USD"])
    campaign: str | None = Field(default=None, description="Where the rule is a campaign's.")


class RuleNotApplied(BaseModel):
    """A rule that gave nothing, with the reason."""

    rule: str = Field(examples=["double-produce"])
    because: str = Field(examples=["no line in PRODUCE"])


class PostingAnswer(BaseModel):
    """An amount of one lot that went from one bucket to another."""

    lot: str | None
    source: str = Field(alias="from", examples=["issued"])
    to: str = Field(examples=["available"])
    points: int


class LedgerItem(BaseModel):
    """One ledger transaction: what moved, and why."""

    id: str
    kind: str = Field(
        description="earn, mature, redeem, hold, capture, void, lapse, expire, claw_back, "
        "reinstate, adjust, merge or unmerge."
    )
    points: int = Field(description="Its effect on what can be spent or will be.")
    available_after: int
    occurred_at: datetime
    recorded_at: datetime
    source: str
    source_ref: str | None
    store: str | None
    actor: str
    program_version: int = Field(description="The published program that it was decided under.")
    reason: str | None
    redemption: str | None
    reverses: str | None
    explanation: list[AppliedRule]
    not_applied: list[RuleNotApplied]
    facts: dict[str, Any] = Field(description="More about it, by kind.")
    postings: list[PostingAnswer]


class LedgerTransaction(LedgerItem):
    """One ledger transaction by its id, with whose it is."""

    member: UUID = Field(description="Where it happened; who was merged away keeps their history.")


class LedgerPage(BaseModel):
    """A page of a member's statement, newest first."""

    items: list[LedgerItem]
    next_cursor: str | None


class LotAnswer(BaseModel):
    """Points that were earned together and expire together, by where they are now."""

    id: str
    granted: int = Field(description="The sum of all the others.")
    pending: int
    available: int
    held: int
    redeemed: int
    expired: int
    revoked: int
    settled: int = Field(description="Repaid a debt.")
    moved: int = Field(description="Went on in another lot.")
    active_at: datetime
    expires_at: datetime | None
    slides: bool = Field(description="Whether activity of the member moves `expires_at`.")
    origin: str | None = Field(description="The lot that it continues.")
    order: str | None


class FriendAnswer(BaseModel):
    """Somebody whom the member brought, by nothing but their id."""

    member: UUID
    state: Literal["open", "converted", "reversed"] = Field(
        description="Joined; then their first purchase counted; then it came back altogether."
    )
    points: int = Field(description="What the member got for it; 0 once it is reversed.")
    due: bool = Field(description="The member is still to be given or told of something for it.")
    joined_at: datetime
    changed_at: datetime = Field(description="Since when the state is what it is.")


class FriendPage(BaseModel):
    """A page of those whom a member brought, who joined last first."""

    items: list[FriendAnswer]
    next_cursor: str | None


class LotPage(BaseModel):
    """A page of a member's lots, newest first."""

    items: list[LotAnswer]
    next_cursor: str | None
