"""Earning rules."""

from typing import Any

from loyalty.programs.choices import Period, RuleKind, RuleSteps
from loyalty.programs.entries.part import DATES, Columns, Part, Row, Written, decimal_of, text_of
from loyalty.programs.shapes.earning import EarningRuleEntry


def _write_rule(row: Row) -> dict[str, Any]:
    base = row.kind == RuleKind.BASE
    return {
        "code": row.code,
        "name": row.name or None,
        "active": row.is_active,
        "trigger": row.trigger,
        "activity": row.activity or None,
        "who": row.who or None,
        "points": row.points if base else None,
        "per": text_of(row.per) if base else None,
        "steps": row.steps if base else None,
        "multiply": text_of(row.multiply) if row.kind == RuleKind.MULTIPLIER else None,
        "bonus": row.bonus if row.kind == RuleKind.BONUS else None,
        "when": row.when or None,
        "limit": _write_limit(row),
        "group": row.group or None,
        "from": row.starts_on,
        "to": row.ends_on,
    }


def _write_limit(row: Row) -> dict[str, Any] | None:
    if row.limit_times is None and row.limit_points is None:
        return None
    return {"times": row.limit_times, "points": row.limit_points, "per": row.limit_per}


def _read_rule(entry: Written) -> Columns:
    limit = entry.get("limit", {})
    kind = RuleKind.MULTIPLIER if "multiply" in entry else RuleKind.BONUS
    return {
        "code": entry["code"],
        "name": entry.get("name", ""),
        "is_active": entry["active"],
        "kind": RuleKind.BASE if "per" in entry else kind,
        "trigger": entry["trigger"],
        "activity": entry.get("activity", ""),
        "who": entry.get("who", ""),
        "points": entry.get("points"),
        "per": decimal_of(entry.get("per")),
        "steps": entry.get("steps", RuleSteps.WHOLE),
        "multiply": decimal_of(entry.get("multiply")),
        "bonus": entry.get("bonus"),
        "when": entry.get("when", {}),
        "limit_times": limit.get("times"),
        "limit_points": limit.get("points"),
        "limit_per": limit.get("per", Period.EVER),
        "group": entry.get("group", ""),
        "starts_on": entry.get("from"),
        "ends_on": entry.get("to"),
    }


RULE = Part(
    EarningRuleEntry,
    _write_rule,
    _read_rule,
    {**DATES, "limit.times": "limit_times", "limit.points": "limit_points"},
    blocks=("when",),
)
