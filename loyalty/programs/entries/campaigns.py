"""Campaigns."""

from typing import Any

from loyalty.programs.entries.part import DATES, Columns, Part, Row, Written
from loyalty.programs.shapes.campaigns import CampaignEntry


def _write_campaign(row: Row) -> dict[str, Any]:
    return {
        "code": row.code,
        "name": row.name,
        "active": row.is_active,
        "from": row.starts_on,
        "to": row.ends_on,
        "budget_points": row.budget_points,
        "when_short": row.when_short,
        "rules": row.rules,
    }


def _read_campaign(entry: Written) -> Columns:
    return {
        "code": entry["code"],
        "name": entry["name"],
        "is_active": entry["active"],
        "starts_on": entry["from"],
        "ends_on": entry["to"],
        "budget_points": entry.get("budget_points"),
        "when_short": entry["when_short"],
        "rules": entry["rules"],
    }


CAMPAIGN = Part(CampaignEntry, _write_campaign, _read_campaign, DATES, blocks=("rules",))
