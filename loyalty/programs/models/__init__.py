"""A program as marketers edit it, and its published versions.

These tables are a draft: tills see a change only when it is published, all at once
(docs/decisions/0002). Each row is checked by the same rules, in the same sentences, as its part of
a program file.
"""

from loyalty.programs.models.base import PartOfProgram
from loyalty.programs.models.campaigns import Campaign, CampaignBudget
from loyalty.programs.models.earning import EarningRule
from loyalty.programs.models.program import CURRENCY_IS_FIXED, PointCurrency, Program, Store
from loyalty.programs.models.rewards import Reward, RewardStock
from loyalty.programs.models.tiers import TierLevel
from loyalty.programs.models.versions import Outcome, PublishedVersion, ScheduledPublication

__all__ = [
    "CURRENCY_IS_FIXED",
    "Campaign",
    "CampaignBudget",
    "EarningRule",
    "Outcome",
    "PartOfProgram",
    "PointCurrency",
    "Program",
    "PublishedVersion",
    "Reward",
    "RewardStock",
    "ScheduledPublication",
    "Store",
    "TierLevel",
]
