"""How members rise and fall, and the levels."""

from decimal import Decimal
from typing import Any

from loyalty.programs.choices import Window
from loyalty.programs.entries.part import Columns, Part, Row, Written, text_of
from loyalty.programs.shapes.tiers import TierLevelEntry


def write_tiers(row: Row) -> dict[str, Any]:
    """Write how members rise and fall, from the program's row; the levels are rows of theirs."""
    rolling = row.window == Window.ROLLING
    return {
        "qualify_by": row.qualify_by,
        "window": {"rolling_months": row.rolling_months} if rolling else row.window,
        "downgrade": row.downgrade,
        "grace_days": row.grace_days,
    }


def read_tiers(tiers: Written | None) -> Columns:
    """Read the program's columns about tiers; none where it has no tiers, so that they stay."""
    if tiers is None:
        return {}
    keys = ("qualify_by", "downgrade", "grace_days")
    columns = {key: tiers[key] for key in keys}
    if isinstance(tiers["window"], str):
        return columns | {"window": tiers["window"]}
    return columns | {"window": Window.ROLLING, **tiers["window"]}


def _write_level(row: Row) -> dict[str, Any]:
    return {
        "code": row.code,
        "name": row.name,
        "from": text_of(row.threshold),
        "earn_multiplier": text_of(row.earn_multiplier),
    }


def _read_level(entry: Written) -> Columns:
    return {
        "code": entry["code"],
        "name": entry["name"],
        "threshold": Decimal(entry["from"]),
        "earn_multiplier": Decimal(entry["earn_multiplier"]),
    }


LEVEL = Part(TierLevelEntry, _write_level, _read_level, {"from": "threshold"})
