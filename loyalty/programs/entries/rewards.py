"""Rewards."""

from typing import Any

from loyalty.programs.choices import Gives, Period
from loyalty.programs.entries.part import DATES, Columns, Part, Row, Written, decimal_of, text_of
from loyalty.programs.shapes.rewards import STOCK_LOW, RewardEntry

_AMOUNTS = (Gives.AMOUNT_OFF, Gives.STORE_CREDIT)
_WORDS = (Gives.PRODUCT, Gives.CUSTOM, Gives.CODE)


def _write_gives(row: Row) -> dict[str, Any]:
    if row.gives in _AMOUNTS:
        return {str(row.gives): text_of(row.amount)}
    if row.gives == Gives.PERCENT_OFF:
        return {"percent_off": text_of(row.percent), "max_amount": text_of(row.amount)}
    if row.gives == Gives.CODE:
        return {str(row.gives): row.what, "shown": row.code_shown, "returned": row.code_returned}
    return {str(row.gives): row.what}


def _write_cost(row: Row) -> Any:
    return {"default": row.cost, **row.tier_costs} if row.tier_costs else row.cost


def _write_reward(row: Row) -> dict[str, Any]:
    limit = {"times": row.per_member_times, "per": row.per_member_per}
    return {
        "code": row.code,
        "name": row.name,
        "active": row.is_active,
        "cost": _write_cost(row),
        "gives": _write_gives(row),
        "stock": row.stock,
        "stock_low": row.stock_low if row.stock is not None or row.gives == Gives.CODE else None,
        "per_member": limit if row.per_member_times is not None else None,
        "auto_redeem": row.auto_redeem,
        "tiers": row.tiers or None,
        "segments": row.segments or None,
        "not_in_segments": row.not_in_segments or None,
        "from": row.starts_on,
        "to": row.ends_on,
    }


def _read_gives(gives: Written) -> Columns:
    kind = next(kind for kind in Gives if kind.value in gives)
    text = gives[kind]
    if kind == Gives.PERCENT_OFF:
        return {"gives": kind, "percent": decimal_of(text), "what": "",
                "amount": decimal_of(gives.get("max_amount"))}  # fmt: skip
    is_amount = kind in _AMOUNTS
    return {
        "gives": kind,
        "amount": decimal_of(text) if is_amount else None,
        "percent": None,
        "what": "" if is_amount else text,
        "code_shown": gives.get("shown", "always"),
        "code_returned": gives.get("returned", "burn"),
    }


def _read_cost(cost: int | Written) -> Columns:
    if isinstance(cost, int):
        return {"cost": cost, "tier_costs": {}}
    by_tier = {level: points for level, points in cost.items() if level != "default"}
    return {"cost": cost["default"], "tier_costs": by_tier}


def _read_reward(entry: Written) -> Columns:
    limit = entry.get("per_member", {})
    return {
        "code": entry["code"],
        "name": entry["name"],
        "is_active": entry["active"],
        **_read_cost(entry["cost"]),
        **_read_gives(entry["gives"]),
        "stock": entry.get("stock"),
        "stock_low": entry.get("stock_low", list(STOCK_LOW)),
        "per_member_times": limit.get("times"),
        "per_member_per": limit.get("per", Period.EVER),
        "auto_redeem": entry["auto_redeem"],
        "tiers": entry.get("tiers", []),
        "segments": entry.get("segments", []),
        "not_in_segments": entry.get("not_in_segments", []),
        "starts_on": entry.get("from"),
        "ends_on": entry.get("to"),
    }


REWARD = Part(
    RewardEntry,
    _write_reward,
    _read_reward,
    {
        **DATES,
        "gives.amount_off": "amount",
        "gives.store_credit": "amount",
        "gives.max_amount": "amount",
        "gives.percent_off": "percent",
        **{f"gives.{kind}": "what" for kind in _WORDS},
        "per_member.times": "per_member_times",
    },
)
