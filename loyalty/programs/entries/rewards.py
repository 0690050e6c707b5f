"""Rewards."""

from typing import Any

from loyalty.programs.choices import Gives, Period
from loyalty.programs.entries.part import DATES, Columns, Part, Row, Written, decimal_of, text_of
from loyalty.programs.shapes.rewards import RewardEntry


def _write_reward(row: Row) -> dict[str, Any]:
    product = row.gives == Gives.PRODUCT
    limit = {"times": row.per_member_times, "per": row.per_member_per}
    return {
        "code": row.code,
        "name": row.name,
        "active": row.is_active,
        "cost": row.cost,
        "gives": {"product": row.product} if product else {"amount_off": text_of(row.amount)},
        "stock": row.stock,
        "per_member": limit if row.per_member_times is not None else None,
        "tiers": row.tiers or None,
        "from": row.starts_on,
        "to": row.ends_on,
    }


def _read_reward(entry: Written) -> Columns:
    limit, gives = entry.get("per_member", {}), entry["gives"]
    return {
        "code": entry["code"],
        "name": entry["name"],
        "is_active": entry["active"],
        "cost": entry["cost"],
        "gives": Gives.PRODUCT if "product" in gives else Gives.AMOUNT_OFF,
        "amount": decimal_of(gives.get("amount_off")),
        "product": gives.get("product", ""),
        "stock": entry.get("stock"),
        "per_member_times": limit.get("times"),
        "per_member_per": limit.get("per", Period.EVER),
        "tiers": entry.get("tiers", []),
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
        "gives.product": "product",
        "per_member.times": "per_member_times",
    },
)
