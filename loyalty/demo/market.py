"""What a replay must know of a program, and a grocer's program with the stores of a file."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from loyalty.programs import files, selectors, services
from loyalty.programs.models import Program

FOLDER = Path(__file__).parent
PROGRAM_FILE = FOLDER / "grocer.yaml"
RECEIPTS_FILE = FOLDER / "receipts.csv.gz"
# A household whose card the examples show.
EXAMPLE_CARD = "2261"


@dataclass(frozen=True, slots=True)
class Market:
    """A program as its tills see it.

    Attributes:
        rewards: Cost by code, of those that every member may have.
        enrols: Whether an unknown card becomes a member with its first purchase.
        days: By so many days receipts are moved.
    """

    currency: str
    timezone: ZoneInfo
    stores: frozenset[str]
    rewards: dict[str, int]
    enrols: bool
    days: int = 0

    def moved(self, days: int) -> "Market":
        """Give the same market for receipts that are moved by so many days."""
        return replace(self, days=days)


def market_of(program: Program) -> Market:
    """Read what is published of a program.

    Raises:
        NotFound: Nothing is.
    """
    published = selectors.published_program(program.pk)
    return Market(
        currency=published.currency,
        timezone=ZoneInfo(published.timezone),
        stores=frozenset(published.stores),
        rewards={
            code: reward.cost
            for code, reward in published.rewards.items()
            if not (reward.stock or reward.per_member or reward.tiers or reward.starts_on)
        },
        enrols=published.points.unknown_member == "enrol",
    )


def demo_document() -> dict[str, Any]:
    """Read the demo's program file."""
    return files.read(PROGRAM_FILE.read_text(encoding="utf-8"))


def make_program(*, code: str, stores: Collection[str]) -> Program:
    """Publish a program that has these stores.

    One that exists keeps its rules and only gets the stores that it lacks; a new one has the
    demo's rules.
    """
    program = Program.objects.filter(code=code, version__gt=0).first()
    live = selectors.live_document(program.pk) if program else None
    document = live or {**demo_document(), "program": code}
    known = {store["code"] for store in document["stores"]}
    document["stores"] += [
        {"code": store, "name": f"Store {store}"} for store in sorted(set(stores) - known)
    ]
    return services.apply_document(document, actor="replay_receipts")
