"""Any program: every kind of rule, condition, campaign, level and reward that a file can have."""

import copy
from typing import Any

from hypothesis import strategies as st

Strategy = st.SearchStrategy[dict[str, Any]]

names = st.text("abcXYZ 09äß-'\":#&*!%@{}[],", min_size=1, max_size=12).map(str.strip).filter(bool)
codes = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,8}", fullmatch=True)
points = st.integers(1, 10**9)
amounts = st.integers(1, 10**7).map(lambda minor: f"{minor // 100}.{minor % 100:02d}")
shares = st.sampled_from(["0.5", "12.75", "100"])
flags = st.booleans()
periods = st.sampled_from(["day", "week", "month", "year", "ever"])
seasons = st.sampled_from([{}, {"from": "2026-02-28"}, {"from": "2026-03-01", "to": "2028-02-29"}])


def either(*values: Any) -> st.SearchStrategy[Any]:
    """One of these values."""
    return st.sampled_from(values)


def some(**optional: st.SearchStrategy[Any]) -> Strategy:
    """Any of these keys, and at least one."""
    return st.fixed_dictionaries({}, optional=optional).filter(bool)


def any_of(**optional: st.SearchStrategy[Any]) -> Strategy:
    """Any of these keys, or none."""
    return st.fixed_dictionaries({}, optional=optional)


def merged(*parts: Strategy) -> Strategy:
    """Put the keys of several blocks into one."""
    return st.tuples(*parts).map(lambda found: {k: v for part in found for k, v in part.items()})


def by_code(strategy: Strategy, most: int = 4) -> st.SearchStrategy[list[Any]]:
    """Some entries, each code once."""
    return st.lists(strategy, max_size=most, unique_by=lambda entry: str(entry["code"]))


def words(most: int, least: int = 1) -> st.SearchStrategy[list[str]]:
    """Some words."""
    return st.lists(names, min_size=least, max_size=most)


OF_A_NIGHT: dict[str, st.SearchStrategy[Any]] = {
    "weekday": st.lists(either("mon", "sat", "sun"), min_size=1, unique=True),
    "tier": st.just(["top"]),
    "segment": st.just(["vip"]),
    "not_in_segment": st.just(["staff"]),
    "member_age_days": either({"min": 0}, {"max": 30}, {"min": 1, "max": 1}),
}
OF_AN_ORDER = {
    **OF_A_NIGHT,
    "sku": words(2),
    "category": words(3),
    "brand": words(2),
    "store": st.just(["309"]),
    "channel": st.lists(codes, min_size=1, max_size=2),
    "hour": st.just({"from": 22, "to": 4}),
    "order_amount_min": amounts,
    "order_amount_max": either("100000", "250000.5"),
    "nth_order": either({"is": 1}, {"every": 3}),
    "birthday": either("day", "month"),
}
OF_A_SUM = ("store", "channel", "hour", "order_amount_min", "order_amount_max")
LIMIT = merged(
    some(times=st.integers(1, 9), points=points), st.fixed_dictionaries({"per": periods})
)
EFFECTS = {
    "base": merged(
        st.fixed_dictionaries({"points": points, "per": amounts}),
        any_of(steps=either("whole", "proportional")),
    ),
    "multiplier": st.fixed_dictionaries({"multiply": either("1.5", "2", "3.0001")}),
    "bonus": st.fixed_dictionaries({"bonus": points}),
}
PLAIN = merged(st.fixed_dictionaries({"code": codes}), any_of(name=names, active=flags), seasons)


def _of_orders(kind: str) -> Strategy:
    more = any_of(when=some(**OF_AN_ORDER), limit=LIMIT, group=st.just(f"best-{kind}"))
    return merged(PLAIN, EFFECTS[kind], more)


def _of_occasions(trigger: str, **when: st.SearchStrategy[Any]) -> Strategy:
    fixed = st.fixed_dictionaries({"trigger": st.just(trigger), "bonus": points})
    return merged(PLAIN, fixed, any_of(when=some(**when)))


RULE = st.one_of(
    *map(_of_orders, EFFECTS),
    merged(
        _of_occasions("activity", **OF_A_NIGHT, property=st.just({"stars": ["4", "5"]})),
        st.fixed_dictionaries({"activity": either("review", "quiz")}),
        any_of(limit=LIMIT),
    ),
    _of_occasions("member.enrolled", weekday=OF_A_NIGHT["weekday"], hour=OF_AN_ORDER["hour"]),
    _of_occasions("member.birthday", **OF_A_NIGHT),
    _of_occasions("member.anniversary", **OF_A_NIGHT),
    merged(
        _of_occasions("referral", **OF_A_NIGHT, **{name: OF_AN_ORDER[name] for name in OF_A_SUM}),
        st.just({"who": "friend"}) | merged(st.just({"who": "referrer"}), any_of(limit=LIMIT)),
    ),
)
CAMPAIGN = merged(
    st.fixed_dictionaries(
        {
            "code": codes,
            "from": either("2026-03-01", "2026-12-31"),
            "to": either("2026-12-31", "2028-02-29"),
            "rules": st.lists(RULE, min_size=1, max_size=3),
        }
    ),
    any_of(name=names, active=flags, budget_points=points, when_short=either("reduce", "skip")),
)
GIVES = st.one_of(
    st.fixed_dictionaries({"amount_off": amounts}),
    merged(st.fixed_dictionaries({"percent_off": shares}), any_of(max_amount=amounts)),
    st.fixed_dictionaries({"product": names}),
    st.fixed_dictionaries({"store_credit": amounts}),
    st.fixed_dictionaries({"custom": names}),
)
STOCK = merged(
    st.fixed_dictionaries({"stock": st.integers(0, 10**6)}),
    any_of(stock_low=st.lists(st.integers(0, 99), max_size=3)),
)
POOL = either({"shown": "once"}, {"returned": "reuse"}, {}).map(
    lambda more: {"gives": {"code_from_pool": "cinema", **more}}
)
REWARD = merged(
    st.fixed_dictionaries(
        {
            "code": codes,
            "name": names,
            "cost": points | st.fixed_dictionaries({"default": points, "top": points}),
        }
    ),
    st.one_of(
        POOL,
        st.fixed_dictionaries({"gives": GIVES}),
        merged(st.fixed_dictionaries({"gives": GIVES}), STOCK),
    ),
    any_of(
        active=flags,
        auto_redeem=flags,
        tiers=st.just(["top"]),
        segments=st.just(["vip"]),
        not_in_segments=st.just(["staff"]),
        per_member=st.fixed_dictionaries({"times": st.integers(1, 9), "per": periods}),
    ),
    seasons,
)
POINTS = some(
    name=names,
    rounding=either("down", "nearest", "up"),
    value=st.fixed_dictionaries({"points": points, "amount": amounts}),
    pay=any_of(min=st.just(100), step=either(1, 50), max_share=shares),
    maturity_days=st.integers(0, 20),
    hold_minutes=st.integers(1, 43_200),
    unknown_member=either("refuse", "enrol"),
    expiry=either(
        "none",
        {"months": 12, "until": "end_of_month"},
        {"inactivity_months": 6},
        {"dates": ["02-29"]},
    ),
    clawback=either("debt", "within_balance", "write_off"),
    expiring_notice_days=st.lists(st.integers(1, 366), max_size=3),
    inactive_notice_days=st.lists(st.integers(1, 3650), max_size=3),
    accept_late_days=st.integers(0, 3650),
    adjustment_limit=points,
    fraud_signals=some(
        orders_per_hour=st.integers(1, 100_000), adjustments_per_hour=st.integers(1, 100_000)
    ),
    lapsed=either("expire", "grace"),
)
YEARS = either(
    {"window": "calendar_year"},
    {"window": "membership_year", "validity": "end_of_year"},
    {"window": "calendar_year", "validity": {"months": 18}},
)
ROLLING = either({}, {"window": {"rolling_months": 6}, "validity": "end_of_next_year"})
TOP = any_of(name=names, earn_multiplier=either("1", "1.25"), keep=flags).map(
    lambda more: {"code": "top", "from": "250", **more}
)
BENEFITS = any_of(
    perks=words(3, least=0),
    rewards=st.just(["gift"]),
    free_redemptions=st.integers(1, 366).map(lambda times: {"gift": times}),
)
GIFT = {"code": "gift", "name": "Gift", "cost": 1, "gives": {"product": "mug"}}
TIERS = merged(
    st.fixed_dictionaries({"levels": TOP.map(lambda top: [{"code": "ground", "from": "0"}, top])}),
    YEARS | ROLLING,
    any_of(
        qualify_by=either("spend", "points", "orders"),
        downgrade=either("one_level", "recalculate", "never"),
        grace_days=st.integers(0, 366),
        warning_days=st.integers(0, 366),
        on_return=either("keep", "recalculate"),
    ),
)


def _with_own_codes(campaigns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rules of all campaigns and those without one share their codes: give each its own."""
    for number, campaign in enumerate(campaigns):
        for index, rule in enumerate(campaign["rules"]):
            rule["code"] = f"{rule['code']}-of-{number}-{index}"
    return campaigns


def _with_benefits(program: dict[str, Any], benefits: dict[str, Any]) -> dict[str, Any]:
    """Give the highest level benefits, and the catalogue the reward that they name."""
    *below, top = program["tiers"]["levels"]
    levels = [*below, {**top, "benefits": benefits}]
    others = [reward for reward in program["rewards"] if reward["code"] != GIFT["code"]]
    return {
        **program,
        "tiers": {**program["tiers"], "levels": levels},
        "rewards": [*others, GIFT],
    }


def _without_tiers(program: dict[str, Any]) -> dict[str, Any]:
    """Take the levels away, and whatever names one."""
    rules = [*program["earning_rules"], *(r for c in program["campaigns"] for r in c["rules"])]
    for rule in rules:
        when = {key: value for key, value in rule.pop("when", {}).items() if key != "tier"}
        rule.update({"when": when} if when else {})
    for reward in program["rewards"]:
        reward.pop("tiers", None)
        if isinstance(reward["cost"], dict):
            reward["cost"] = reward["cost"]["default"]
    return {key: value for key, value in program.items() if key != "tiers"}


LEVELLED = st.fixed_dictionaries(
    {
        "program": st.just("p"),
        "name": names,
        "timezone": either("America/New_York", "Pacific/Apia"),
        "currency": st.just("USD"),
        "points": POINTS,
        "stores": names.map(lambda name: [{"code": "310", "name": name}, {"code": "309"}]),
        "earning_rules": by_code(RULE),
        "campaigns": by_code(CAMPAIGN, 2).map(_with_own_codes),
        "tiers": TIERS,
        "rewards": by_code(REWARD),
    }
)
PROGRAM = (
    st.builds(_with_benefits, LEVELLED, BENEFITS)
    | LEVELLED
    | LEVELLED.map(copy.deepcopy).map(_without_tiers)
)
