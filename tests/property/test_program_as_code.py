"""A program survives every way that it can take: rows, document, file, and back.

Any program of the strategies below is written into rows as `program apply` does it, read from them
as publishing does it, exported as a file and read again; nothing may differ. No database is asked:
rows that are not saved are read in the same way.
"""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loyalty.programs import entries, files
from loyalty.programs.changes import changes
from loyalty.programs.document import validate
from loyalty.programs.models import EarningRule, PointCurrency, Program, Reward, Store, TierLevel

names = st.text("abcXYZ 09äß-'\":#&*!%@{}[],", min_size=1, max_size=12).map(str.strip).filter(bool)
codes = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,8}", fullmatch=True)
points = st.integers(1, 10**9)
amounts = st.integers(1, 10**7).map(lambda minor: f"{minor // 100}.{minor % 100:02d}")
dates = st.sampled_from([{}, {"from": "2026-02-28"}, {"from": "2026-03-01", "to": "2028-02-29"}])


def some(**optional: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Any of these keys, and at least one."""
    return st.fixed_dictionaries({}, optional=optional).filter(bool)


WHEN = some(
    category=st.lists(names, min_size=1, max_size=3),
    brand=st.lists(names, min_size=1, max_size=2),
    store=st.just(["309"]),
    channel=st.lists(codes, min_size=1, max_size=2),
    weekday=st.lists(st.sampled_from(["mon", "sat", "sun"]), min_size=1, unique=True),
    hour=st.just({"from": 22, "to": 4}),
    order_amount_min=amounts,
    tier=st.just(["top"]),
    nth_order=st.sampled_from([{"is": 1}, {"every": 3}]),
    birthday=st.sampled_from(["day", "month"]),
)
EFFECT = st.one_of(
    st.fixed_dictionaries({"points": points, "per": amounts}),
    st.fixed_dictionaries({"multiply": st.sampled_from(["1.5", "2", "3.0001"])}),
    st.fixed_dictionaries({"bonus": points}),
)
RULE = st.builds(
    lambda code, effect, when, active, season: {
        "code": code,
        **effect,
        **({"when": when} if when else {}),
        "active": active,
        **season,
    },
    codes,
    EFFECT,
    st.none() | WHEN,
    st.booleans(),
    dates,
)
GIVES = some(amount_off=amounts) | some(product=names)
REWARD = st.builds(
    lambda code, name, cost, gives, stock, tiers, season: {
        "code": code,
        "name": name,
        "cost": cost,
        "gives": gives,
        **({"stock": stock} if stock is not None else {}),
        **({"tiers": ["top"]} if tiers else {}),
        **season,
    },
    codes,
    names,
    points,
    GIVES,
    st.none() | st.integers(0, 10**6),
    st.booleans(),
    dates,
)
POINTS = some(
    name=names,
    rounding=st.sampled_from(["down", "nearest", "up"]),
    maturity_days=st.integers(0, 20),
    expiry=st.sampled_from(["none", {"months": 12, "until": "end_of_month"}, {"dates": ["02-29"]}]),
    clawback=st.sampled_from(["debt", "within_balance", "write_off"]),
    expiring_notice_days=st.lists(st.integers(1, 366), max_size=3),
)


def by_code(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Some entries, each code once."""
    return st.lists(strategy, max_size=4, unique_by=lambda entry: entry["code"])


PROGRAM = st.builds(
    lambda name, policy, rules, rewards, grace: {
        "program": "p",
        "name": name,
        "timezone": "America/New_York",
        "currency": "USD",
        "points": policy,
        "stores": [{"code": "309", "name": name}],
        "earning_rules": rules,
        "tiers": {
            "grace_days": grace,
            "levels": [{"code": "ground", "from": "0"}, {"code": "top", "from": "250.00"}],
        },
        "rewards": rewards,
    },
    names,
    POINTS,
    by_code(RULE),
    by_code(REWARD),
    st.integers(0, 366),
)


def through_rows(document: dict[str, Any]) -> dict[str, Any]:
    """Write a document into rows, and read them back as publishing does."""
    program = Program(code=document["program"], **entries.HEAD.read(document))
    levels = [TierLevel(**entries.LEVEL.read(each)) for each in document["tiers"]["levels"]]
    return validate(
        {
            **program.entry(),
            "points": PointCurrency(**entries.POINTS.read(document["points"])).entry(),
            "stores": [Store(**entries.STORE.read(each)).entry() for each in document["stores"]],
            "earning_rules": [
                EarningRule(**entries.RULE.read(each)).entry() for each in document["earning_rules"]
            ],
            "tiers": {
                **entries.write_tiers(program),
                "levels": [level.entry() for level in levels],
            },
            "rewards": [
                Reward(**entries.REWARD.read(each)).entry() for each in document["rewards"]
            ],
        }
    )


# Few, but wide ones: a document has up to eight entries with all of their keys.
PLAIN: Any = {
    "deadline": None,
    "derandomize": True,
    "suppress_health_check": [HealthCheck.too_slow],
}


@settings(max_examples=40, **PLAIN)
@given(PROGRAM)
def test_rows_say_the_same(written: dict[str, Any]) -> None:
    document = validate(written)
    assert through_rows(document) == document


@settings(max_examples=15, **PLAIN)
@given(PROGRAM)
def test_files_say_the_same(written: dict[str, Any]) -> None:
    document = validate(written)
    assert files.read(files.export(document)) == document


@settings(max_examples=30, **PLAIN)
@given(PROGRAM, PROGRAM)
def test_a_review_is_empty_only_where_nothing_differs(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    before, after = validate(one), validate(other)
    assert bool(changes(before, after)) == (before != after)
    assert changes(before, before) == []
    assert all(str(change) for change in changes(before, after))
