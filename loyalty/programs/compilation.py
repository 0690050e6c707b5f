"""Turn the document of a published version into the values that decisions read. Pure.

It does not validate: a version that was once published can be read for ever, also after the
checks have become stricter. So it asks for nothing that an older document may lack.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from loyalty.programs.compile_earning import compile_campaigns, compile_rules, named_activities
from loyalty.programs.compile_rewards import compile_payment, compile_reward
from loyalty.programs.currencies import SCALES, parse_amount
from loyalty.programs.rules import (
    Expiry,
    PointsPolicy,
    PublishedProgram,
    TierLevel,
    TierPolicy,
)

_PLAIN_POLICY = (
    "name",
    "rounding",
    "basis",
    "maturity_days",
    "hold_minutes",
    "unknown_member",
    "clawback",
    "accept_late_days",
    "adjustment_limit",
    "lapsed",
    "lapsed_grace_days",
)


def compile_program(document: Mapping[str, Any], *, id: int, version: int) -> PublishedProgram:
    """Compile a canonical document (see `document.validate`) once per version.

    Rules and rewards that are switched off are left out, as if they did not exist.

    Args:
        id: Of the program's row.
        version: The published version that the document belongs to.
    """
    scale = SCALES[document["currency"]]
    rewards = [reward for reward in document.get("rewards", ()) if reward.get("active", True)]
    tiers = document.get("tiers")
    return PublishedProgram(
        id=id,
        code=document["program"],
        name=document["name"],
        version=version,
        timezone=document["timezone"],
        currency=document["currency"],
        currency_scale=scale,
        points=_policy(document["points"], scale),
        stores={store["code"]: store["name"] for store in document.get("stores", ())},
        earning_rules=compile_rules(document, scale),
        tiers=_tiers(tiers, scale) if tiers else None,
        rewards={reward["code"]: compile_reward(reward, scale) for reward in rewards},
        activities=named_activities(document),
        campaigns=compile_campaigns(document),
    )


def _policy(points: Mapping[str, Any], scale: int) -> PointsPolicy:
    return PointsPolicy(
        **{key: points[key] for key in _PLAIN_POLICY if key in points},
        value_points=points["value"]["points"],
        value_amount=parse_amount(points["value"]["amount"], scale),
        pay=compile_payment(points),
        expiry=_expiry(points["expiry"]),
        **points.get("fraud_signals", {}),
        expiring_notice_days=tuple(points["expiring_notice_days"]),
        inactive_notice_days=tuple(points.get("inactive_notice_days", ())),
    )


def _expiry(expiry: Mapping[str, Any] | str) -> Expiry | None:
    if isinstance(expiry, str):
        return None
    if "dates" in expiry:
        dates = (tuple(map(int, text.split("-"))) for text in expiry["dates"])
        return Expiry(dates=tuple((month, day) for month, day in dates))
    if "inactivity_months" in expiry:
        return Expiry(inactivity_months=expiry["inactivity_months"])
    return Expiry(months=expiry["months"], until=expiry["until"])


def _tiers(tiers: Mapping[str, Any], scale: int) -> TierPolicy:
    window, qualify_by = tiers["window"], tiers["qualify_by"]
    rolling = not isinstance(window, str)
    unit = scale if qualify_by == "spend" else 0
    validity = tiers.get("validity", "while_qualifying" if rolling else "end_of_next_year")
    for_months = not isinstance(validity, str)
    return TierPolicy(
        levels=tuple(_level(level, unit) for level in tiers["levels"]),
        qualify_by=qualify_by,
        window="rolling" if rolling else window,
        rolling_months=window["rolling_months"] if rolling else 12,
        downgrade=tiers["downgrade"],
        grace_days=tiers["grace_days"],
        validity="months" if for_months else validity,
        validity_months=validity["months"] if for_months else 12,
        warning_days=tiers.get("warning_days", 30),
        on_return=tiers.get("on_return", "keep"),
    )


def _level(level: Mapping[str, Any], unit: int) -> TierLevel:
    benefits = level.get("benefits", {})
    return TierLevel(
        code=level["code"],
        name=level["name"],
        threshold=parse_amount(level["from"], unit),
        earn_multiplier=Fraction(level["earn_multiplier"]),
        keep=level.get("keep", False),
        perks=tuple(benefits.get("perks", ())),
        rewards=tuple(benefits.get("rewards", ())),
        free_redemptions=dict(benefits.get("free_redemptions", {})),
    )
