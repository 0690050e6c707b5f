"""Imports every domain's models so that Django sees them; defines none."""

from loyalty.earning.models import RuleUse as RuleUse
from loyalty.events.models import FeedHead, OutboxEvent
from loyalty.http.models import ApiKey, IdempotencyKey
from loyalty.ledger.models import (
    ExpiryTotal,
    Hold,
    LedgerTransaction,
    Lot,
    MemberState,
    Posting,
    Wallet,
)
from loyalty.members.models import (
    AdjustmentRequest,
    Erasure,
    Identifier,
    Member,
    MemberMerge,
    Segment,
    SegmentMember,
)
from loyalty.nightly.models import NightlyRun, NightlyStep, Notice
from loyalty.orders.models import ActivityClaim, Order, OrderClaim
from loyalty.programs.models import (
    Campaign,
    CampaignBudget,
    EarningRule,
    PointCurrency,
    Program,
    PublishedVersion,
    Reward,
    RewardStock,
    ScheduledPublication,
    Store,
    TierLevel,
)
from loyalty.referrals.models import Referral, ReferralCode, ReferralStep
from loyalty.rewards.models import (
    CodePool,
    PoolCode,
    PoolNotice,
    Redemption,
    RedemptionClaim,
)
from loyalty.tiers.models import ActivityDay, MemberTier, TierChange
from loyalty.trials.models import Backtest

__all__ = [
    "ActivityClaim",
    "ActivityDay",
    "AdjustmentRequest",
    "ApiKey",
    "Backtest",
    "Campaign",
    "CampaignBudget",
    "CodePool",
    "EarningRule",
    "Erasure",
    "ExpiryTotal",
    "FeedHead",
    "Hold",
    "IdempotencyKey",
    "Identifier",
    "LedgerTransaction",
    "Lot",
    "Member",
    "MemberMerge",
    "MemberState",
    "MemberTier",
    "NightlyRun",
    "NightlyStep",
    "Notice",
    "Order",
    "OrderClaim",
    "OutboxEvent",
    "PointCurrency",
    "PoolCode",
    "PoolNotice",
    "Posting",
    "Program",
    "PublishedVersion",
    "Redemption",
    "RedemptionClaim",
    "Referral",
    "ReferralCode",
    "ReferralStep",
    "Reward",
    "RewardStock",
    "ScheduledPublication",
    "Segment",
    "SegmentMember",
    "Store",
    "TierChange",
    "TierLevel",
    "Wallet",
]
