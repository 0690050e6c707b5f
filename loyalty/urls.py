"""The whole public API on one page."""

from django.urls import path

from loyalty.batch.api import BatchView
from loyalty.events.api import EventsView
from loyalty.http.contract import Explorer, contract
from loyalty.http.errors_page import errors_page
from loyalty.http.failures import no_such_address
from loyalty.http.health import health, ready
from loyalty.members.api import (
    AdjustmentsView,
    IdentifiersView,
    IdentifierView,
    LookupView,
    MembersView,
    MemberView,
)
from loyalty.members.balance_api import BalanceView, LedgerTransactionView, LedgerView, LotsView
from loyalty.members.merge_api import MergeView, UnmergeView
from loyalty.members.privacy_api import EraseView
from loyalty.members.referrals_api import ReferralsView
from loyalty.members.segments_api import SegmentMembersView, SegmentsView, SegmentView
from loyalty.orders.api import EarnView, OrderView, PreviewView, ReturnsView
from loyalty.orders.export_api import ExportView
from loyalty.programs.api import (
    CampaignsView,
    CampaignView,
    ProgramView,
    PublishView,
    RewardsView,
    RewardView,
    RulesView,
    RuleView,
    StoresView,
    StoreView,
    TierLevelView,
    TierPolicyView,
)
from loyalty.rewards.api import (
    CaptureView,
    FulfilmentView,
    MemberRedemptionsView,
    MemberRewardsView,
    RedeemView,
    RedemptionView,
    ReverseView,
    VoidView,
)
from loyalty.standing.api import TierHistoryView, TierView
from loyalty.trials.api import DraftPreviewView

urlpatterns = [
    path("v1/earn", EarnView.as_view()),
    path("v1/earn/preview", PreviewView.as_view()),
    path("v1/orders/<str:ref>", OrderView.as_view()),
    path("v1/orders/<str:ref>/returns", ReturnsView.as_view()),
    path("v1/redeem", RedeemView.as_view()),
    path("v1/redemptions/<str:redemption>", RedemptionView.as_view()),
    path("v1/redemptions/<str:redemption>/capture", CaptureView.as_view()),
    path("v1/redemptions/<str:redemption>/void", VoidView.as_view()),
    path("v1/redemptions/<str:redemption>/reverse", ReverseView.as_view()),
    path("v1/redemptions/<str:redemption>/fulfilment", FulfilmentView.as_view()),
    path("v1/members", MembersView.as_view()),
    path("v1/members/lookup", LookupView.as_view()),
    path("v1/members/<str:member>", MemberView.as_view()),
    path("v1/members/<str:member>/balance", BalanceView.as_view()),
    path("v1/members/<str:member>/ledger", LedgerView.as_view()),
    path("v1/members/<str:member>/lots", LotsView.as_view()),
    path("v1/members/<str:member>/referrals", ReferralsView.as_view()),
    path("v1/members/<str:member>/merge", MergeView.as_view()),
    path("v1/members/<str:member>/unmerge", UnmergeView.as_view()),
    path("v1/members/<str:member>/tier", TierView.as_view()),
    path("v1/members/<str:member>/tier/history", TierHistoryView.as_view()),
    path("v1/members/<str:member>/erase", EraseView.as_view()),
    path("v1/members/<str:member>/export", ExportView.as_view()),
    path("v1/members/<str:member>/rewards", MemberRewardsView.as_view()),
    path("v1/members/<str:member>/redemptions", MemberRedemptionsView.as_view()),
    path("v1/members/<str:member>/identifiers", IdentifiersView.as_view()),
    path("v1/members/<str:member>/identifiers/<str:identifier>", IdentifierView.as_view()),
    path("v1/ledger-transactions/<str:transaction>", LedgerTransactionView.as_view()),
    path("v1/segments", SegmentsView.as_view()),
    path("v1/segments/<str:code>", SegmentView.as_view()),
    path("v1/segments/<str:code>/members", SegmentMembersView.as_view()),
    path("v1/adjustments", AdjustmentsView.as_view()),
    path("v1/batch", BatchView.as_view()),
    path("v1/program", ProgramView.as_view()),
    path("v1/program/publish", PublishView.as_view()),
    path("v1/program/preview", DraftPreviewView.as_view()),
    path("v1/events", EventsView.as_view()),
    path("v1/rewards", RewardsView.as_view()),
    path("v1/rewards/<str:code>", RewardView.as_view()),
    path("v1/earning-rules", RulesView.as_view()),
    path("v1/earning-rules/<str:code>", RuleView.as_view()),
    path("v1/campaigns", CampaignsView.as_view()),
    path("v1/campaigns/<str:code>", CampaignView.as_view()),
    path("v1/tiers", TierPolicyView.as_view()),
    path("v1/tiers/<str:code>", TierLevelView.as_view()),
    path("v1/stores", StoresView.as_view()),
    path("v1/stores/<str:code>", StoreView.as_view()),
    path("v1/openapi.json", contract, name="contract"),
    path("v1/<path:anything>", no_such_address),
    path("docs", Explorer.as_view()),
    path("docs/errors", errors_page),
    path("healthz", health),
    path("readyz", ready),
]
