"""Where a problem of a program shows: at its row and column, in the words of a form."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from loyalty.programs import entries, selectors
from loyalty.programs.models import (
    Campaign,
    EarningRule,
    PartOfProgram,
    PointCurrency,
    Program,
    Reward,
    Store,
    TierLevel,
)
from loyalty.programs.problems import Path, Problem, dotted
from loyalty.programs.shapes.rewards import ONE_KIND

_LISTS: dict[str, tuple[type[PartOfProgram], entries.Part]] = {
    "stores": (Store, entries.STORE),
    "earning_rules": (EarningRule, entries.RULE),
    "campaigns": (Campaign, entries.CAMPAIGN),
    "rewards": (Reward, entries.REWARD),
}


@dataclass(frozen=True, slots=True)
class Located:
    """A problem of a program, at the row and column to which it belongs.

    Attributes:
        code: Of the row; empty where there is only one of the kind.
        column: Empty where the row as a whole is wrong.
    """

    model: type[PartOfProgram]
    code: str
    column: str
    message: str

    def __str__(self) -> str:
        what = str(self.model._meta.verbose_name).capitalize()
        where = f"{what} “{self.code}”" if self.code else what
        words = self.column.replace("_", " ")
        return f"{where}{f', {words}' if words else ''}: {self.message}"


def locate(program: Program, problems: Sequence[Problem]) -> list[Located]:
    """Find the row and column of each problem; the rows must still be as they were refused."""
    draft = selectors.draft(program)
    return [_locate(draft, problem) for problem in problems]


def _locate(draft: dict[str, Any], problem: Problem) -> Located:
    head, rest = problem.path[0] if problem.path else "", problem.path[1:]
    message = in_words(problem.message)
    if head == "campaigns" and rest[1:2] == ("rules",):
        rules = draft["campaigns"][int(rest[0])]["rules"]
        return Located(EarningRule, *_row(rules, entries.RULE, rest[2:]), message)
    if head in _LISTS:
        model, part = _LISTS[str(head)]
        return Located(model, *_row(draft[str(head)], part, rest), message)
    if problem.path[:2] == ("tiers", "levels"):
        levels = draft["tiers"]["levels"]
        return Located(TierLevel, *_row(levels, entries.LEVEL, rest[1:]), message)
    if head == "points":
        return Located(PointCurrency, "", _column(entries.POINTS, rest), message)
    path = rest if head == "tiers" else problem.path
    return Located(Program, "", _column(entries.HEAD, path), message)


def _row(rows: list[dict[str, Any]], part: entries.Part, path: Path) -> tuple[str, str]:
    if not path or not isinstance(path[0], int):
        return "", ""
    return str(rows[path[0]]["code"]), _column(part, path[1:])


def _column(part: entries.Part, path: Path) -> str:
    key = dotted(path).split("[")[0].removeprefix("when.")
    return part.columns.get(key, key)


def in_words(message: str) -> str:
    """Turn the words of a program file's check into a sentence of a form."""
    words = message.removesuffix(".")
    if words.startswith(f"needs {ONE_KIND}"):
        return "Say what it gives, in the field of its kind."
    for key, label in _WORDS.items():
        words = words.replace(key, label)
    return f"{words[:1].upper()}{words[1:]}."


_WORDS = {
    'either months or dates, or is "none"': "the number of months, or the dates",
    "maturity_days": "“Days until usable”",
    "points and per, or multiply, or bonus": "points for an amount, or a factor, or a bonus",
    "both points and per: 1 point per amount": "both: so many points, for each of this amount",
    "the trigger activity goes with activity, which names it: review": "Name the activity, and "
    "only where one sets the rule off",
    "the trigger referral goes with who: referrer or who: friend": "Say to whom the points of "
    "a referral go, and only there",
    "who: friend goes without limit": "a rule for the friend goes without limit",
    "the trigger referral": "“a friend's first purchase”",
    "the trigger member.enrolled": "“joining the program”",
    "without when": "without conditions",
    "is missing": "must be filled in",
}
