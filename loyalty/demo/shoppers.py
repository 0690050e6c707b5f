"""What shoppers do with their points: by rules, so that a second run does the same again.

Pure: what is decided depends on the receipt and on what the till was answered, nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from zlib import crc32

VISITS_BETWEEN = 3
RETURNS_ONE_IN = 40


class Manner(Enum):
    """How a reward is redeemed at the till, and what becomes of it."""

    AT_ONCE = "captured at once"
    CAPTURE = "held, then captured"
    VOID = "held, then voided"
    REVERSE = "captured, then reversed"


# Of ten redemptions: most are plain, as in life.
MANNERS = (
    *(Manner.AT_ONCE,) * 5,
    *(Manner.CAPTURE,) * 3,
    Manner.VOID,
    Manner.REVERSE,
)


@dataclass(frozen=True, slots=True)
class Wish:
    """A reward that a shopper wants now."""

    reward: str
    manner: Manner


class Shopper:
    """One household at its tills: it has set its mind on one reward.

    Attributes:
        reward: Its code; None where the program offers none to everybody.
        cost: Its points.
    """

    def __init__(self, household: str, rewards: Mapping[str, int]) -> None:
        codes = sorted(rewards, key=lambda code: (rewards[code], code))
        self.reward = codes[number_of(household) % len(codes)] if codes else None
        self.cost = rewards[self.reward] if self.reward else 0
        self._could = 0

    def wish(self, basket: str, available: int) -> Wish | None:
        """Say what the shopper wants after a purchase: every third time that it could be paid."""
        if self.reward is None or available < self.cost:
            return None
        self._could += 1
        if self._could % VISITS_BETWEEN:
            return None
        return Wish(self.reward, MANNERS[number_of(basket) % len(MANNERS)])


def brings_back(basket: str) -> bool:
    """Tell whether something of a basket comes back: of one in forty."""
    return number_of(basket) % RETURNS_ONE_IN == 0


def number_of(name: str) -> int:
    """Make a number of a name, the same on every machine and in every run."""
    return crc32(name.encode())
