"""How members rise and fall, and the levels."""

from decimal import Decimal
from typing import Any

from loyalty.programs.choices import Validity, Window
from loyalty.programs.entries.part import Columns, Part, Row, Written, text_of
from loyalty.programs.shapes.tiers import TierLevelEntry

_PLAIN = ("downgrade", "grace_days", "warning_days", "on_return")


def write_tiers(row: Row) -> dict[str, Any]:
    """Write how members rise and fall, from the program's row; the levels are rows of theirs."""
    rolling = row.window == Window.ROLLING
    for_months = row.validity == Validity.MONTHS
    return {
        "qualify_by": row.qualify_by,
        "window": {"rolling_months": row.rolling_months} if rolling else row.window,
        "validity": {"months": row.validity_months} if for_months else row.validity,
        **{key: getattr(row, key) for key in _PLAIN},
    }


def read_tiers(tiers: Written | None) -> Columns:
    """Read the program's columns about tiers; none where it has no tiers, so that they stay."""
    if tiers is None:
        return {}
    columns = {key: tiers[key] for key in ("qualify_by", *_PLAIN)}
    window, validity = tiers["window"], tiers["validity"]
    if isinstance(window, str):
        columns |= {"window": window}
    else:
        columns |= {"window": Window.ROLLING, **window}
    if isinstance(validity, str):
        return columns | {"validity": validity}
    return columns | {"validity": Validity.MONTHS, "validity_months": validity["months"]}


def _write_level(row: Row) -> dict[str, Any]:
    return {
        "code": row.code,
        "name": row.name,
        "from": text_of(row.threshold),
        "earn_multiplier": text_of(row.earn_multiplier),
        "keep": row.keep,
        "benefits": {
            "perks": row.perks,
            "rewards": row.entry_rewards or None,
            "free_redemptions": dict(sorted(row.free_redemptions.items())) or None,
        },
    }


def _read_level(entry: Written) -> Columns:
    return {
        "code": entry["code"],
        "name": entry["name"],
        "threshold": Decimal(entry["from"]),
        "earn_multiplier": Decimal(entry["earn_multiplier"]),
        "keep": entry["keep"],
        "perks": entry["benefits"]["perks"],
        "entry_rewards": entry["benefits"].get("rewards", []),
        "free_redemptions": entry["benefits"].get("free_redemptions", {}),
    }


LEVEL = Part(
    TierLevelEntry,
    _write_level,
    _read_level,
    {
        "from": "threshold",
        "benefits.perks": "perks",
        "benefits.rewards": "entry_rewards",
        "benefits.free_redemptions": "free_redemptions",
    },
)
