"""A published version's earning rules, ready for use, sorted by what sets them off. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from loyalty.earning.conditions import Ready, make_ready
from loyalty.programs.earning import EarningRule, Trigger
from loyalty.programs.rules import PublishedProgram

_OCCASIONS: Final[tuple[Trigger, ...]] = (
    "member.enrolled",
    "member.birthday",
    "member.anniversary",
)
_KINDS_IN_ORDER: Final = ("base", "multiplier", "bonus")

Stage = tuple[Ready, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """The rules by their triggers, and what they need to know.

    Attributes:
        stages: Of orders: base rules, multipliers, bonuses, each in the order of the program.
        activities: By the activity's name.
        others: By trigger, for enrolments, birthdays and anniversaries.
        needs: Which facts about members any rule asks for: segment, birthday, nth_order.
        is_limited: Whether any rule has a limit.
        budgets: Campaigns with a budget.
        occasion_budgets: Of these, the ones that enrolments, birthdays and anniversaries take from.
    """

    stages: tuple[Stage, Stage, Stage]
    activities: dict[str, Stage]
    others: dict[Trigger, Stage]
    needs: frozenset[str]
    is_limited: bool
    budgets: tuple[str, ...]
    occasion_budgets: dict[Trigger, tuple[str, ...]]


def plan_of(program: PublishedProgram) -> Plan:
    """Give the plan of a published version, made once."""
    plan = program.derived.get("earning")
    if not isinstance(plan, Plan):
        plan = program.derived["earning"] = _make_plan(program)
    return plan


def _make_plan(program: PublishedProgram) -> Plan:
    rules = program.earning_rules

    def ready(which: Iterable[EarningRule]) -> Stage:
        return tuple(make_ready(program, rule) for rule in which)

    base, multipliers, bonuses = (
        ready(rule for rule in rules if rule.trigger == "order" and rule.kind == kind)
        for kind in _KINDS_IN_ORDER
    )
    budgets = tuple(
        campaign.code
        for campaign in program.campaigns.values()
        if campaign.budget_points is not None
    )
    return Plan(
        stages=(base, multipliers, bonuses),
        activities={
            name: ready(r for r in rules if r.trigger == "activity" and r.activity == name)
            for name in program.activities
        },
        others={
            trigger: ready(rule for rule in rules if rule.trigger == trigger)
            for trigger in _OCCASIONS
        },
        needs=frozenset(need for rule in rules for need in _needs(rule)),
        is_limited=any(rule.limit for rule in rules),
        budgets=budgets,
        occasion_budgets={
            trigger: tuple(sorted({r.campaign for r in rules if r.trigger == trigger} & {*budgets}))
            for trigger in _OCCASIONS
        },
    )


def _needs(rule: EarningRule) -> Iterable[str]:
    when = rule.when
    if when.segment or when.not_in_segment:
        yield "segment"
    if when.birthday:
        yield "birthday"
    if when.nth_order is not None or when.every_order is not None:
        yield "nth_order"
