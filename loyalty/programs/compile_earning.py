"""Turn the earning rules of a published document into the values that decisions read. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any, Final

from loyalty.programs.currencies import parse_amount
from loyalty.programs.earning import Campaign, Conditions, EarningRule, Limit

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_CODES: Final = ("sku", "store", "channel", "tier", "segment", "not_in_segment")
_WORDS: Final = ("category", "brand")
_AMOUNTS: Final = ("order_amount_min", "order_amount_max")

Written = Mapping[str, Any]


def compile_rules(document: Written, scale: int) -> tuple[EarningRule, ...]:
    """Compile standing rules and those of campaigns; what is switched off does not exist."""
    standing = [compile_rule(rule, scale) for rule in _active(document.get("earning_rules", ()))]
    dated = [
        _in_campaign(compile_rule(rule, scale), campaign)
        for campaign in _active(document.get("campaigns", ()))
        for rule in _active(campaign["rules"])
    ]
    return (*standing, *dated)


def named_activities(document: Written) -> frozenset[str]:
    """Give the activities that any rule names, also one that is switched off.

    So a system that tells of reviews is not refused while their rule pauses.
    """
    campaigns = document.get("campaigns", ())
    dated = (rule for campaign in campaigns for rule in campaign["rules"])
    rules = (*document.get("earning_rules", ()), *dated)
    return frozenset(rule["activity"] for rule in rules if "activity" in rule)


def compile_campaigns(document: Written) -> dict[str, Campaign]:
    """Compile the campaigns that are switched on, by code."""
    return {
        campaign["code"]: Campaign(
            code=campaign["code"],
            name=campaign["name"],
            starts_on=campaign["from"],
            ends_on=campaign["to"],
            budget_points=campaign.get("budget_points"),
            when_short=campaign["when_short"],
        )
        for campaign in _active(document.get("campaigns", ()))
    }


def compile_rule(rule: Written, scale: int) -> EarningRule:
    """Compile one rule."""
    limit = rule.get("limit")
    return EarningRule(
        code=rule["code"],
        kind="base" if "per" in rule else "multiplier" if "multiply" in rule else "bonus",
        name=rule.get("name", ""),
        points=rule.get("points", 0),
        per=parse_amount(rule["per"], scale) if "per" in rule else 0,
        steps=rule.get("steps", "whole"),
        multiply=Fraction(rule.get("multiply", 1)),
        bonus=rule.get("bonus", 0),
        trigger=rule.get("trigger", "order"),
        activity=rule.get("activity", ""),
        who=rule.get("who"),
        when=_conditions(rule.get("when", {}), scale),
        limit=Limit(limit.get("times"), limit.get("points"), limit["per"]) if limit else None,
        group=rule.get("group", ""),
        starts_on=rule.get("from"),
        ends_on=rule.get("to"),
    )


def _active(entries: Any) -> list[Any]:
    return [entry for entry in entries if entry.get("active", True)]


def _in_campaign(rule: EarningRule, campaign: Written) -> EarningRule:
    """Narrow a rule's dates to those of its campaign."""
    return replace(
        rule,
        campaign=campaign["code"],
        starts_on=max(rule.starts_on or "", campaign["from"]),
        ends_on=min(rule.ends_on or "9999", campaign["to"]),
    )


def _conditions(when: Written, scale: int) -> Conditions:
    hour, age, nth = (when.get(name) or {} for name in ("hour", "member_age_days", "nth_order"))
    codes = {name: frozenset(when.get(name, ())) for name in _CODES}
    words = {name: frozenset(map(str.upper, when.get(name, ()))) for name in _WORDS}
    amounts = {name: parse_amount(when[name], scale) for name in _AMOUNTS if name in when}
    fields: dict[str, Any] = {**codes, **words, **amounts}
    return Conditions(
        **fields,
        weekday=frozenset(WEEKDAYS.index(day) + 1 for day in when.get("weekday", ())),
        hour=(hour["from"], hour["to"]) if hour else None,
        member_age_min=age.get("min"),
        member_age_max=age.get("max"),
        nth_order=nth.get("is"),
        every_order=nth.get("every"),
        birthday=when.get("birthday"),
        properties=tuple(
            (name, frozenset(values)) for name, values in sorted(when.get("property", {}).items())
        ),
    )
