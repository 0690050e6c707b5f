"""A program's entries and values in the words of people. Pure.

Reads documents of any age, so it takes for granted no key but the code, and shows what it does not
know under its own name rather than leave it out.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

NOTHING: Final = "not set"

Entry = Mapping[str, Any]

_KEYS: Final = {
    "from": "from",
    "to": "until",
    "per": "for each",
    "active": "switched on",
    "when": "for",
    "multiply": "factor",
    "gives": "it gives",
    "earn_multiplier": "points factor",
    "qualify_by": "members rise by",
    "order_amount_min": "least amount",
    "order_amount_max": "most amount",
    "per_member": "for each member",
    "auto_redeem": "redeemed by itself",
    "free_redemptions": "free in a year",
    "trigger": "set off by",
    "who": "it gives the points to",
    "budget_points": "points that it may give in all",
    "when_short": "at the end of the budget",
    "member_age_days": "days as a member",
    "nth_order": "number of the order",
}
WEEKDAYS: Final = {
    "mon": "Monday",
    "tue": "Tuesday",
    "wed": "Wednesday",
    "thu": "Thursday",
    "fri": "Friday",
    "sat": "Saturday",
    "sun": "Sunday",
}


def key_in_words(key: str) -> str:
    """Name a key of a program file: "earn_multiplier" is "points factor"."""
    return _KEYS.get(key, key.replace("_", " "))


def value_in_words(value: object) -> str:
    """Write a value of a program file in one line."""
    if value is None or value in ([], {}):
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return ", ".join(
            f"{key_in_words(key)} {value_in_words(part)}" for key, part in value.items()
        )
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(value_in_words, value))
    return str(value).replace("_", " ")


def under_key(key: str, value: object) -> str:
    """Write the value of a key; some have words of their own."""
    if key == "weekday" and isinstance(value, list):
        return ", ".join(WEEKDAYS.get(str(day), str(day)) for day in value)
    if key == "trigger" and isinstance(value, str):
        return _TRIGGERS.get(value, "a purchase")
    if key == "who":
        return _WHO.get(str(value), value_in_words(value))
    return value_in_words(value)


def of_entry(group: str, entry: Entry, currency: str) -> str:
    """Say in one line what an entry of a program does.

    Args:
        group: Of which list it is, as `changes` calls it.
        currency: Of the program, which amounts are followed by.
    """
    tell = _TELL.get(group)
    return tell(entry, currency) if tell else _all_keys(entry)


def rule(entry: Entry, currency: str = "") -> str:
    """Say what an earning rule does: "2 × the points for the amount, in category PRODUCE"."""
    told = [effect(entry, currency), *conditions(entry, currency)]
    if entry.get("group"):
        told.append(f"only the best of group {entry['group']}")
    return ", ".join([*told, *_limits(entry), *_season(entry)])


def campaign(entry: Entry, currency: str = "") -> str:
    """Say when a campaign runs, what it may give, and what its rules do."""
    told = [f"from {entry.get('from')} until {entry.get('to')}", budget(entry)]
    told += ["switched off"] if entry.get("active") is False else []
    rules = [f"{each['code']}: {rule(each, currency)}" for each in entry.get("rules", ())]
    return "; ".join([", ".join(told), *rules])


def budget(entry: Entry) -> str:
    """Say how much a campaign may give in all, and what becomes of the last of it."""
    if entry.get("budget_points") is None:
        return "without a budget"
    last = " and no award in part" if entry.get("when_short") == "skip" else ""
    return f"at most {entry['budget_points']:,} points in all{last}"


def reward(entry: Entry, currency: str = "") -> str:
    """Say what a reward costs and gives: "5.00 USD off for 500 points"."""
    what = given(entry.get("gives", {}), currency)
    told = [f"{what} for {_price(entry.get('cost'))} points"]
    if entry.get("tiers"):
        told.append(f"for {_any_of(entry['tiers'])}")
    told += _segments(entry)
    if entry.get("stock") is not None:
        told.append(f"{entry['stock']:,} in stock")
    if limit := entry.get("per_member"):
        per = limit.get("per", "ever")
        told.append(f"{_times(limit['times'])} {_in_each(per)} for each member")
    if entry.get("auto_redeem"):
        told.append("redeemed by itself")
    return ", ".join([*told, *_season(entry)])


def _segments(entry: Entry) -> list[str]:
    told = []
    if inside := entry.get("segments"):
        told.append(f"for members in {_any_of(inside)}")
    if outside := entry.get("not_in_segments"):
        told.append(f"not for members in {_any_of(outside)}")
    return told


def given(gives: Entry, currency: str = "") -> str:
    """Say what a reward gives: "10 % off, at most 20.00 USD"."""
    if "amount_off" in gives:
        return f"{_money(gives['amount_off'], currency)} off"
    if "percent_off" in gives:
        most = gives.get("max_amount")
        return f"{gives['percent_off']} % off" + (
            f", at most {_money(most, currency)}," if most else ""
        )
    if "store_credit" in gives:
        return f"{_money(gives['store_credit'], currency)} store credit"
    if "code_from_pool" in gives:
        return f"a code of the pool {gives['code_from_pool']}"
    return f"product {gives['product']}" if "product" in gives else str(gives.get("custom", ""))


def _price(cost: Any) -> str:
    if not isinstance(cost, dict):
        return value_in_words(cost)
    others = [f"{level} {points:,}" for level, points in cost.items() if level != "default"]
    return f"{cost['default']:,} ({', '.join(others)})"


def level(entry: Entry, currency: str = "") -> str:
    """Say where a tier level begins and what it gives."""
    factor = entry.get("earn_multiplier", "1")
    told = [f"from {entry.get('from')}"]
    told += [f"points count {factor} times"] if factor != "1" else []
    told += ["kept for life"] if entry.get("keep") else []
    benefits = entry.get("benefits") or {}
    told += [f"“{perk}”" for perk in benefits.get("perks") or ()]
    if benefits.get("rewards"):
        told.append(f"gives {', '.join(benefits['rewards'])} on reaching it")
    free = benefits.get("free_redemptions") or {}
    told += [f"{times:,} × {code} free in a year" for code, times in free.items()]
    return ", ".join(told)


def conditions(entry: Entry, currency: str = "") -> list[str]:
    """Say for what a rule is, a few words for each condition; empty means for all."""
    trigger = entry.get("trigger", "order")
    told = [] if trigger == "order" else [f"for {_TRIGGERS.get(trigger, trigger)}"]
    if trigger == "activity":
        told = [f"for the activity {entry.get('activity')}"]
    if trigger == "referral":
        told = [_OF_A_REFERRAL.get(str(entry.get("who")), "for a referral")]
    when = entry.get("when") or {}
    # A column of JSON forgets the order of its keys; people read what, where, when, who.
    for key in [*(key for key in _CONDITIONS if key in when), *(when.keys() - _CONDITIONS.keys())]:
        say, value = _CONDITIONS.get(key), when[key]
        told.append(say(value, currency) if say else f"{key_in_words(key)} {value_in_words(value)}")
    return told


def effect(entry: Entry, currency: str = "") -> str:
    """Say what a rule gives: "2 × the points for the amount"."""
    if "per" in entry:
        unit = "point" if entry.get("points") == 1 else "points"
        steps = ", in proportion" if entry.get("steps") == "proportional" else ""
        return f"{entry.get('points')} {unit} for each {_money(entry['per'], currency)}{steps}"
    if "multiply" in entry:
        return f"{entry['multiply']} × the points for the amount"
    return f"{value_in_words(entry.get('bonus'))} points"


def _limits(entry: Entry) -> list[str]:
    limit = entry.get("limit")
    if not limit:
        return []
    kinds = [_times(limit["times"])] if "times" in limit else []
    kinds += [f"{limit['points']:,} points"] if "points" in limit else []
    return [f"at most {' and '.join(kinds)} {_in_each(limit.get('per', 'ever'))} for each member"]


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number:,} times"


def _in_each(period: str) -> str:
    return "in all" if period == "ever" else f"a {period}"


def _season(entry: Entry) -> list[str]:
    told = [f"{key_in_words(key)} {entry[key]}" for key in ("from", "to") if entry.get(key)]
    return [*told, *(["switched off"] if entry.get("active") is False else [])]


def _money(amount: Any, currency: str) -> str:
    return f"{amount} {currency}".strip()


def _any_of(values: Sequence[Any]) -> str:
    shown = [str(value) for value in values]
    return " or ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else shown[0]


def _range(value: Entry) -> str:
    if "min" in value and "max" in value:
        return f"{value['min']} to {value['max']}"
    return f"at least {value['min']}" if "min" in value else f"at most {value.get('max')}"


def _nth(value: Entry) -> str:
    if "every" in value:
        return f"for each {ordinal(value['every'])} order of a member"
    return f"for a member's {ordinal(value.get('is', 1))} order"


def ordinal(number: int) -> str:
    """Write 1st, 2nd, 3rd, 11th."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10)
    return f"{number}{ending or 'th'}"


def _properties(value: Entry) -> str:
    return " and ".join(f"with {name} {_any_of(values)}" for name, values in value.items())


def _all_keys(entry: Entry) -> str:
    return value_in_words({key: value for key, value in entry.items() if key != "code"})


def _store(entry: Entry, currency: str) -> str:
    return str(entry.get("name", entry["code"]))


_TRIGGERS: Final = {
    "member.enrolled": "joining the program",
    "member.birthday": "a birthday",
    "member.anniversary": "an anniversary of joining",
    "referral": "a friend's first purchase",
}
_WHO: Final = {"referrer": "the member who brought the friend", "friend": "the friend"}
_OF_A_REFERRAL: Final = {
    "referrer": "to a member for the first purchase of a friend whom they brought",
    "friend": "to a friend who was brought, for their first purchase",
}
_CONDITIONS: Final[dict[str, Callable[[Any, str], str]]] = {
    "category": lambda value, _: f"in category {_any_of(value)}",
    "brand": lambda value, _: f"of brand {_any_of(value)}",
    "sku": lambda value, _: f"for product {_any_of(value)}",
    "store": lambda value, _: f"at store {_any_of(value)}",
    "channel": lambda value, _: f"by channel {_any_of(value)}",
    "weekday": lambda value, _: f"on {_any_of([WEEKDAYS.get(day, day) for day in value])}",
    "hour": lambda value, _: f"from {value.get('from')}:00 to {value.get('to')}:00",
    "birthday": lambda value, _: "on the birthday" if value == "day" else "in the birthday's month",
    "order_amount_min": lambda value, currency: f"from {_money(value, currency)}",
    "order_amount_max": lambda value, currency: f"up to {_money(value, currency)}",
    "tier": lambda value, _: f"for members of {_any_of(value)}",
    "segment": lambda value, _: f"for members in {_any_of(value)}",
    "not_in_segment": lambda value, _: f"not for members in {_any_of(value)}",
    "member_age_days": lambda value, _: f"for members of {_range(value)} days",
    "nth_order": lambda value, _: _nth(value),
    "property": lambda value, _: _properties(value),
}
_TELL: Final[dict[str, Callable[[Entry, str], str]]] = {
    "Earning rules": rule,
    "Campaigns": campaign,
    "Rewards": reward,
    "Tier levels": level,
    "Stores": _store,
}
