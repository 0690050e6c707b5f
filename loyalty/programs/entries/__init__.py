"""How a row of the configuration is written in a program document, and read back.

Pure but for what a row is: functions take any object with the columns' names. Both directions of
each part stand together, because they must stay each other's inverse (a test applies, reads and
compares).
"""

from loyalty.programs.entries.campaigns import CAMPAIGN
from loyalty.programs.entries.earning import RULE
from loyalty.programs.entries.part import Columns, Part
from loyalty.programs.entries.program import HEAD, POINTS, STORE
from loyalty.programs.entries.rewards import REWARD
from loyalty.programs.entries.tiers import LEVEL, read_tiers, write_tiers

__all__ = [
    "CAMPAIGN",
    "HEAD",
    "LEVEL",
    "POINTS",
    "REWARD",
    "RULE",
    "STORE",
    "Columns",
    "Part",
    "read_tiers",
    "write_tiers",
]
