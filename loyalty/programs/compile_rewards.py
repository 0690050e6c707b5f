"""Turn the rewards of a published document into the values that decisions read. Pure."""

from collections.abc import Mapping
from typing import Any

from loyalty.programs.currencies import parse_amount
from loyalty.programs.rewards import Payment, PerMember, Reward, RewardKind

_WHAT: dict[str, RewardKind] = {
    "product": "product",
    "code_from_pool": "code_from_pool",
    "custom": "custom",
}


def compile_reward(reward: Mapping[str, Any], scale: int) -> Reward:
    """Compile one entry of the catalogue."""
    gives, limit = reward["gives"], reward.get("per_member")
    kind, amount, what = _kind_of(gives)
    default, tier_costs = _costs(reward["cost"])
    return Reward(
        code=reward["code"],
        name=reward["name"],
        cost=default,
        tier_costs=tier_costs,
        gives=kind,
        amount=parse_amount(amount, scale) if amount else 0,
        percent=gives.get("percent_off", ""),
        what=what,
        shown_once=gives.get("shown") == "once",
        reused=gives.get("returned") == "reuse",
        auto=reward.get("auto_redeem", False),
        stock=reward.get("stock") is not None,
        stock_low=tuple(reward.get("stock_low", ())),
        per_member=PerMember(limit["times"], limit["per"]) if limit else None,
        tiers=tuple(reward.get("tiers", ())),
        segments=tuple(reward.get("segments", ())),
        not_in_segments=tuple(reward.get("not_in_segments", ())),
        starts_on=reward.get("from"),
        ends_on=reward.get("to"),
    )


def _kind_of(gives: Mapping[str, Any]) -> tuple[RewardKind, str, str]:
    """Give the kind of a reward, its amount as text, and what it names."""
    if "amount_off" in gives:
        return "amount_off", gives["amount_off"], ""
    if "store_credit" in gives:
        return "store_credit", gives["store_credit"], ""
    if "percent_off" in gives:
        return "percent_off", gives.get("max_amount", ""), ""
    key = next(key for key in _WHAT if key in gives)
    return _WHAT[key], "", gives[key]


def _costs(cost: int | Mapping[str, int]) -> tuple[int, dict[str, int]]:
    if isinstance(cost, int):
        return cost, {}
    return cost["default"], {level: points for level, points in cost.items() if level != "default"}


def compile_payment(points: Mapping[str, Any]) -> Payment:
    """Compile how members may pay with points."""
    pay = points.get("pay") or {}
    return Payment(least=pay.get("min", 1), step=pay.get("step", 1), max_share=pay.get("max_share"))
