"""Checks between the parts of a program, which no part can make by itself. Pure."""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from loyalty.programs.problems import Path, Problem, suggest

if TYPE_CHECKING:
    from loyalty.programs.document import ProgramDocument
    from loyalty.programs.shapes.earning import EarningRuleEntry
    from loyalty.programs.shapes.rewards import RewardEntry
    from loyalty.programs.shapes.tiers import TiersEntry


def check(program: "ProgramDocument") -> list[Problem]:
    """List what contradicts itself in a program whose parts are each well formed."""
    return [
        *_repeated(program),
        *_levels(program.tiers),
        *_conditions(program),
        *_groups(program),
        *_tiers(program),
        *_tier_prices(program),
        *_benefits(program),
    ]


def _repeated(program: "ProgramDocument") -> Iterator[Problem]:
    levels = program.tiers.levels if program.tiers else []
    lists: list[tuple[Path, Iterable[str]]] = [
        (("stores",), (store.code for store in program.stores)),
        (("campaigns",), (campaign.code for campaign in program.campaigns)),
        (("tiers", "levels"), (level.code for level in levels)),
        (("rewards",), (reward.code for reward in program.rewards)),
    ]
    for path, codes in lists:
        seen: set[str] = set()
        for index, code in enumerate(codes):
            if code in seen:
                yield Problem((*path, index, "code"), f'"{code}" is used twice; each code once')
            seen.add(code)
    taken: set[str] = set()
    for path, rule in _rules(program):
        if rule.code in taken:
            yield Problem((*path, "code"), f'"{rule.code}" is used twice; each code once')
        taken.add(rule.code)


def _levels(tiers: "TiersEntry | None") -> Iterator[Problem]:
    previous = None
    for index, level in enumerate(tiers.levels if tiers else []):
        path, threshold = ("tiers", "levels", index, "from"), Decimal(level.from_)
        if previous is None and threshold:
            yield Problem(path, 'the first level must be from "0": every member has one')
        if previous is not None and threshold <= previous:
            yield Problem(path, "must be more than the level before; levels rise")
        previous = threshold


def _conditions(program: "ProgramDocument") -> Iterator[Problem]:
    """What conditions name must be in the program."""
    levels = program.tiers.levels if program.tiers else []
    known = {
        "store": ({store.code for store in program.stores}, "store"),
        "tier": ({level.code for level in levels}, "tier level"),
    }
    for path, rule in _rules(program):
        for key, (codes, what) in known.items():
            named = getattr(rule.when, key) if rule.when else None
            yield from _unknown((*path, "when", key), named or [], codes, what)


def _groups(program: "ProgramDocument") -> Iterator[Problem]:
    """Only what is added to the same points can be compared."""
    first: dict[str, EarningRuleEntry] = {}
    for path, rule in _rules(program):
        if rule.group is None:
            continue
        other = first.setdefault(rule.group, rule)
        if _sort_of(other) != _sort_of(rule):
            message = f'"{other.code}" of this group is of another kind or trigger; they must agree'
            yield Problem((*path, "group"), message)


def _sort_of(rule: "EarningRuleEntry") -> tuple[str | None, ...]:
    return rule.kind, rule.trigger, rule.activity, rule.who


def _rules(program: "ProgramDocument") -> Iterator[tuple[Path, "EarningRuleEntry"]]:
    for index, rule in enumerate(program.earning_rules):
        yield ("earning_rules", index), rule
    for number, campaign in enumerate(program.campaigns):
        for index, rule in enumerate(campaign.rules):
            yield ("campaigns", number, "rules", index), rule


def _tiers(program: "ProgramDocument") -> Iterator[Problem]:
    known = {level.code for level in program.tiers.levels} if program.tiers else set()
    for index, reward in enumerate(program.rewards):
        path = ("rewards", index, "tiers")
        yield from _unknown(path, _tiers_of(reward), known, "tier level")


def _tier_prices(program: "ProgramDocument") -> Iterator[Problem]:
    known = {level.code for level in program.tiers.levels} if program.tiers else set()
    for index, reward in enumerate(program.rewards):
        costs = reward.cost if isinstance(reward.cost, dict) else {}
        for code in costs.keys() - known - {"default"}:
            message = f"is not a tier level of this program{suggest(code, known)}"
            yield Problem(("rewards", index, "cost", code), message)


def _benefits(program: "ProgramDocument") -> Iterator[Problem]:
    """What a level gives must be in the catalogue."""
    known = {reward.code for reward in program.rewards}
    for index, level in enumerate(program.tiers.levels if program.tiers else []):
        path = ("tiers", "levels", index, "benefits")
        if index == 0 and level.benefits.rewards:
            message = "are for who comes to a level, and every member begins at this one"
            yield Problem((*path, "rewards"), message)
        yield from _unknown((*path, "rewards"), level.benefits.rewards or [], known, "reward")
        for code in (level.benefits.free_redemptions or {}).keys() - known:
            message = f"is not a reward of this program{suggest(code, known)}"
            yield Problem((*path, "free_redemptions", code), message)


def _tiers_of(reward: "RewardEntry") -> list[str]:
    return reward.tiers or []


def _unknown(path: Path, codes: list[str], known: set[str], what: str) -> Iterator[Problem]:
    for index, code in enumerate(codes):
        if code not in known:
            message = f'"{code}" is not a {what} of this program{suggest(code, known)}'
            yield Problem((*path, index), message)
