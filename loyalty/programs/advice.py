"""What a marketer should think about before a draft is published. Pure.

Nothing here is refused: each may be meant. What cannot be is refused by `document.validate`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any, Final

Document = Mapping[str, Any]
Entry = Mapping[str, Any]

# How far from the usual a value may be before somebody should look at it again.
FAR: Final = 4


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the program's members and purchases; None where it is not.

    Attributes:
        today: In the program's zone, as an ISO date.
        most_points: The most that one member can use now.
        most_metric: The most that one member has reached of what counts for tiers.
        filled: Segments that somebody is in.
        stocked: Pools that have a code to give.
        given: Points by campaign that were taken of its budget.
        sold: Categories of the newest orders' lines, casefolded; None where there are no orders.
        taken: How many of each reward were taken of its stock.
    """

    today: str
    most_points: int | None = None
    most_metric: Decimal | None = None
    taken: Mapping[str, int] | None = None
    filled: frozenset[str] | None = None
    stocked: frozenset[str] | None = None
    given: Mapping[str, int] | None = None
    sold: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Advice:
    """A warning in words, and to which entry it belongs; the code is empty for the program."""

    group: str
    code: str
    message: str


def advise(live: Document | None, draft: Document, facts: Facts) -> list[Advice]:
    """List what may not be meant, the gravest first.

    Args:
        live: What tills use now; None before the first version.
        draft: A document that was validated.
    """
    return [
        *_base_rules(draft, facts),
        *_rate(live, draft, facts),
        *_expiry(live, draft),
        *_rules(draft, facts),
        *_campaigns(draft, facts),
        *_levels(live, draft, facts),
        *_rewards(draft, facts),
        *_segments(draft, facts),
        *_categories(draft, facts),
        *_left_behind(live, draft),
    ]


def _on(entries: Sequence[Entry] | None) -> list[Entry]:
    return [entry for entry in entries or () if entry.get("active", True)]


def _over(entry: Entry, facts: Facts) -> bool:
    return str(entry.get("to") or facts.today) < facts.today


def _in_force(entry: Entry, facts: Facts) -> bool:
    return not _over(entry, facts) and str(entry.get("from") or facts.today) <= facts.today


def _of_orders(draft: Document, facts: Facts) -> list[Entry]:
    rules = _on(draft.get("earning_rules"))
    return [r for r in rules if r.get("trigger", "order") == "order" and not _over(r, facts)]


def _base(draft: Document, facts: Facts) -> list[Entry]:
    return [rule for rule in _of_orders(draft, facts) if "per" in rule]


def _base_rules(draft: Document, facts: Facts) -> Iterator[Advice]:
    base, group = _base(draft, facts), "Earning rules"
    now = [rule for rule in base if _in_force(rule, facts)]
    if not base:
        yield Advice(group, "", "No rule gives points for the amount of a purchase.")
    elif not now:
        first = min(str(rule["from"]) for rule in base)
        yield Advice(group, "", f"Until {first} no rule gives points for the amount of a purchase.")
    for_all = [str(rule["code"]) for rule in now if not rule.get("when")]
    if len(for_all) > 1:
        names = " and ".join(for_all)
        yield Advice(group, for_all[1], f"{names} all count for every purchase: they add up.")
    for rule in _of_orders(draft, facts):
        if "multiply" in rule and not base:
            words = "It multiplies the points for the amount, and no rule gives any."
            yield Advice(group, str(rule["code"]), words)


def _rate(live: Document | None, draft: Document, facts: Facts) -> Iterator[Advice]:
    before = _points_per_unit(live, facts) if live else Fraction(0)
    after = _points_per_unit(draft, facts)
    if before and after and not before / 2 < after < before * 2:
        words = (
            f"A purchase of 100 {draft['currency']} gives {_number(100 * after)} points, "
            f"and {_number(100 * before)} until now."
        )
        yield Advice("Earning rules", "", words)


def _expiry(live: Document | None, draft: Document) -> Iterator[Advice]:
    before, after = _idle_months(live) if live else None, _idle_months(draft)
    group = "How points behave"
    if before and not after:
        words = (
            "Points expire by inactivity until now: those that members have keep the date that "
            "they were told last, and no purchase moves it any more."
        )
        yield Advice(group, "", words)
    elif live and after and not before:
        words = (
            "Points that members have keep the end that they have; only new ones expire by "
            "inactivity."
        )
        yield Advice(group, "", words)


def _idle_months(document: Document) -> int | None:
    expiry = document["points"].get("expiry")
    return expiry.get("inactivity_months") if isinstance(expiry, Mapping) else None


def _points_per_unit(draft: Document, facts: Facts) -> Fraction:
    """How many points one unit of money gives by the rules that are for every purchase."""
    rules = [r for r in _base(draft, facts) if _in_force(r, facts) and not r.get("when")]
    return sum((Fraction(rule["points"]) / Fraction(rule["per"]) for rule in rules), Fraction(0))


def _rules(draft: Document, facts: Facts) -> Iterator[Advice]:
    for rule in _on(draft.get("earning_rules")):
        if _over(rule, facts):
            words = f"It ended on {rule['to']} and gives nothing any more."
            yield Advice("Earning rules", str(rule["code"]), words)
    levels = {level["code"] for level in (draft.get("tiers") or {}).get("levels", ())}
    for rule in _of_orders(draft, facts):
        named = set((rule.get("when") or {}).get("tier", ()))
        if levels and named >= levels:
            words = "It names all tier levels, so every member has it: the condition does nothing."
            yield Advice("Earning rules", str(rule["code"]), words)


def _all_rules(draft: Document) -> Iterator[tuple[str, Entry, Entry]]:
    """Go through all rules: in which group, by which entry a marketer finds it, and the rule."""
    for rule in _on(draft.get("earning_rules")):
        yield "Earning rules", rule, rule
    for campaign in _on(draft.get("campaigns")):
        for rule in _on(campaign.get("rules")):
            yield "Campaigns", campaign, rule


def _segments(draft: Document, facts: Facts) -> Iterator[Advice]:
    filled = facts.filled
    if filled is None:
        return
    named = [
        *((group, entry, _asks(rule, "segment")) for group, entry, rule in _all_rules(draft)),
        *(("Rewards", r, r.get("segments", ())) for r in _on(draft.get("rewards"))),
    ]
    for group, entry, segments in named:
        if segments and filled.isdisjoint(segments):
            words = f"Nobody is in segment {' or '.join(segments)} yet."
            yield Advice(group, str(entry["code"]), words)


def _categories(draft: Document, facts: Facts) -> Iterator[Advice]:
    for group, entry, rule in _all_rules(draft):
        named = _asks(rule, "category")
        if named and facts.sold is not None and facts.sold.isdisjoint(map(str.casefold, named)):
            words = f"None of the newest orders has a line in category {' or '.join(named)}."
            yield Advice(group, str(entry["code"]), words)


def _left_behind(live: Document | None, draft: Document) -> Iterator[Advice]:
    """Find what the level below a new one may have, and the new one may not."""
    levels = (draft.get("tiers") or {}).get("levels", ())
    before = {level["code"] for level in ((live or {}).get("tiers") or {}).get("levels", ())}
    named = [
        *((group, entry, _asks(rule, "tier")) for group, entry, rule in _all_rules(draft)),
        *(("Rewards", r, r.get("tiers") or ()) for r in _on(draft.get("rewards"))),
    ]
    new = [(b, level) for b, level in pairwise(levels) if before and level["code"] not in before]
    for below, level in new:
        for group, entry, tiers in named:
            if below["code"] in tiers and level["code"] not in tiers:
                words = f"It is for {below['name']}, and not for {level['name']} above it."
                yield Advice(group, str(entry["code"]), words)


def _asks(rule: Entry, condition: str) -> Sequence[str]:
    named: Sequence[str] = (rule.get("when") or {}).get(condition, ())
    return named


def _campaigns(draft: Document, facts: Facts) -> Iterator[Advice]:
    for campaign in _on(draft.get("campaigns")):
        code = str(campaign["code"])
        if _over(campaign, facts):
            yield Advice("Campaigns", code, f"It ended on {campaign['to']}.")
        elif not campaign.get("budget_points"):
            yield Advice("Campaigns", code, "It has no budget: nothing limits what it gives.")
        elif campaign["budget_points"] <= (facts.given or {}).get(code, 0):
            yield Advice("Campaigns", code, "Its budget is used up: it gives nothing any more.")
        if not _on(campaign.get("rules")):
            yield Advice("Campaigns", code, "It has no rule that is switched on: it gives nothing.")


def _levels(live: Document | None, draft: Document, facts: Facts) -> Iterator[Advice]:
    levels = (draft.get("tiers") or {}).get("levels", ())
    for below, level in pairwise(levels):
        if Decimal(level["earn_multiplier"]) < Decimal(below["earn_multiplier"]):
            words = f"Its members get fewer points than those of {below['name']}, below it."
            yield Advice("Tier levels", str(level["code"]), words)
    for level in levels:
        start = Decimal(level["from"])
        if facts.most_metric is not None and start > FAR * facts.most_metric:
            words = f"It begins at {level['from']}, and no member is beyond {facts.most_metric}."
            yield Advice("Tier levels", str(level["code"]), words)
    codes = {level["code"] for level in levels}
    for level in ((live or {}).get("tiers") or {}).get("levels", ()):
        if level["code"] not in codes:
            words = (
                "It is taken out: its members get the level that they reach, at their next "
                "purchase or at night."
            )
            yield Advice("Tier levels", str(level["code"]), words)


def _rewards(draft: Document, facts: Facts) -> Iterator[Advice]:
    for reward in _on(draft.get("rewards")):
        for words in _about(reward, draft, facts):
            yield Advice("Rewards", str(reward["code"]), words)


def _about(reward: Entry, draft: Document, facts: Facts) -> Iterator[str]:
    cost = reward.get("cost")
    if _over(reward, facts):
        yield f"It ended on {reward['to']}: nobody can have it."
    taken = (facts.taken or {}).get(str(reward["code"]), 0)
    if reward.get("stock") is not None and reward["stock"] <= taken:
        yield "None is left: nobody can have it until the stock is raised."
    pool = reward.get("gives", {}).get("code_from_pool")
    if pool is not None and facts.stocked is not None and pool not in facts.stocked:
        yield f"The pool {pool} has no code to give: nobody can have it until codes are uploaded."
    least = min(cost.values()) if isinstance(cost, Mapping) else cost
    if least is not None and facts.most_points is not None and least > facts.most_points:
        most = f"the most that a member has is {facts.most_points:,}"
        yield f"Nobody can afford its {least:,} points: {most}."
    if isinstance(cost, int) and "amount_off" in reward.get("gives", {}):
        yield from _dear_or_cheap(cost, reward, draft)


def _dear_or_cheap(cost: int, reward: Entry, draft: Document) -> Iterator[str]:
    value, currency = draft["points"]["value"], draft["currency"]
    worth = Fraction(value["amount"]) / value["points"] * cost
    off = Fraction(reward["gives"]["amount_off"])
    if not off / FAR <= worth <= off * FAR:
        paid = f"{_number(worth)} {currency}"
        yield (
            f"Its {cost:,} points are worth {paid} when members pay with points, and it takes "
            f"{reward['gives']['amount_off']} {currency} off."
        )


def _number(value: Fraction) -> str:
    return f"{float(round(value, 2)):,.2f}".removesuffix(".00")
