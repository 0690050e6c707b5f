"""A published version's earning rules, ready for use, sorted by what sets them off. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from loyalty.earning.conditions import Ready, make_ready
from loyalty.programs.earning import EarningRule
from loyalty.programs.rules import PublishedProgram

_OCCASIONS: Final = (
    "member.enrolled",
    "member.birthday",
    "member.anniversary",
    "referral.referrer",
    "referral.friend",
)
_KINDS_IN_ORDER: Final = ("base", "multiplier", "bonus")

Stage = tuple[Ready, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """The rules by their triggers, and what they need to know.

    Attributes:
        stages: Of orders: base rules, multipliers, bonuses, each in the order of the program.
        activities: By the activity's name.
        others: By occasion: enrolments, birthdays, anniversaries, each side of a referral.
        converting: The rules of referrals with what they ask of the order alone.
        needs: Which facts about members any rule asks for: segment, birthday, nth_order.
        is_limited: Whether any rule has a limit.
        budgets: Campaigns with a budget.
        occasion_budgets: Of these, the ones that each occasion takes from.
    """

    stages: tuple[Stage, Stage, Stage]
    activities: dict[str, Stage]
    others: dict[str, Stage]
    converting: Stage
    needs: frozenset[str]
    is_limited: bool
    budgets: tuple[str, ...]
    occasion_budgets: dict[str, tuple[str, ...]]

    @property
    def asks_more(self) -> bool:
        """Whether orders' points depend on more than the order and the member's level."""
        return bool(self.needs or self.is_limited or self.budgets)


def plan_of(program: PublishedProgram) -> Plan:
    """Give the plan of a published version, made once."""
    plan: Plan | None = program.derived.get("earning")
    if plan is None:
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
            occasion: ready(rule for rule in rules if rule.occasion == occasion)
            for occasion in _OCCASIONS
        },
        converting=ready(_of_anybody(rule) for rule in rules if rule.trigger == "referral"),
        needs=frozenset(need for rule in rules for need in _needs(rule)),
        is_limited=any(rule.limit for rule in rules),
        budgets=budgets,
        occasion_budgets={
            name: tuple(sorted({r.campaign for r in rules if r.occasion == name} & {*budgets}))
            for name in _OCCASIONS
        },
    )


def _of_anybody(rule: EarningRule) -> EarningRule:
    """Leave out what a rule asks of the member who gets its points."""
    none: frozenset[str] = frozenset()
    asked = replace(rule.when, tier=none, segment=none, not_in_segment=none)
    return replace(rule, when=replace(asked, member_age_min=None, member_age_max=None))


def _needs(rule: EarningRule) -> Iterable[str]:
    when = rule.when
    if when.segment or when.not_in_segment:
        yield "segment"
    if when.birthday:
        yield "birthday"
    if when.nth_order is not None or when.every_order is not None:
        yield "nth_order"
