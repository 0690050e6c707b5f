"""The calls of configuration, with bodies that work once; the shop of tests/factories.py."""

from typing import Any

from tests.factories import unique

Call = tuple[str, str, Any]


def configuration_calls() -> dict[str, Call]:
    """List them: method, path, body."""
    reward = {"code": unique("r"), "name": "Pen", "cost": 20, "gives": {"product": "pen"}}
    rule = {"code": unique("e"), "bonus": 5, "when": {"category": ["DAIRY"]}}
    campaign = {
        "code": unique("c"),
        "from": "2027-03-01",
        "to": "2027-03-31",
        "rules": [{"code": unique("e"), "multiply": "2"}],
    }
    return {
        "get_program": ("GET", "/v1/program", None),
        "publish_program": ("POST", "/v1/program/publish", {"reason": "It is time"}),
        "get_tiers": ("GET", "/v1/tiers", None),
        "change_tiers": ("PATCH", "/v1/tiers", {"grace_days": 60}),
        "add_tier_level": ("POST", "/v1/tiers", {"code": unique("t"), "from": "900.00"}),
        **_of("reward", "rewards", "/v1/rewards", reward, "mug", {"cost": 11}),
        **_of("earning_rule", "earning_rules", "/v1/earning-rules", rule, "base", {"points": 2}),
        **_of("campaign", "campaigns", "/v1/campaigns", campaign, "over", {"budget_points": 9}),
        **_of("store", "stores", "/v1/stores", {"code": unique("s")}, "310", {"name": "Port"}),
        "get_tier_level": ("GET", "/v1/tiers/silver", None),
        "change_tier_level": ("PATCH", "/v1/tiers/silver", {"earn_multiplier": "1.50"}),
        "remove_tier_level": ("DELETE", "/v1/tiers/silver", None),
    }


def _of(noun: str, plural: str, path: str, new: Any, code: str, change: Any) -> dict[str, Call]:
    return {
        f"list_config_{plural}": ("GET", path, None),
        f"add_{noun}": ("POST", path, new),
        f"get_{noun}": ("GET", f"{path}/{code}", None),
        f"change_{noun}": ("PATCH", f"{path}/{code}", change),
        f"remove_{noun}": ("DELETE", f"{path}/{code}", None),
    }


def other_body(body: dict[str, Any]) -> dict[str, Any]:
    """Say something else in the same place."""
    return {**body, "reason": "another"} if "reason" in body else {**body, "code": unique("x")}


CONFIGURATION = tuple(configuration_calls())
CONFIGURATION_KEYED = (
    "publish_program",
    "add_tier_level",
    "add_reward",
    "add_earning_rule",
    "add_campaign",
    "add_store",
)
CONFIGURATION_CHANGES = (
    "change_tiers",
    "change_reward",
    "change_earning_rule",
    "change_campaign",
    "change_store",
    "change_tier_level",
)
