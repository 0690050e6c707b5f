"""Put two previews side by side, rule by rule and line by line. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Side:
    """What one program says of one rule or line; `points` None where it has nothing to say."""

    points: int | None = None
    because: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """One rule or line in both programs."""

    name: str
    live: Side
    tried: Side

    @property
    def change(self) -> int:
        """Tell how many points more the program that is tried gives."""
        return (self.tried.points or 0) - (self.live.points or 0)

    @property
    def differs(self) -> bool:
        """Tell whether it is worth marking."""
        return self.live != self.tried


def rules_of(live: Body | None, tried: Body) -> list[Pair]:
    """List the rules of both programs that gave points or could have, in their order."""
    return _pairs(_rules(live), _rules(tried))


def lines_of(live: Body | None, tried: Body) -> list[Pair]:
    """List the order's lines with what each earned in both."""
    return _pairs(_lines(live), _lines(tried))


def issued_of(body: Body) -> list[str]:
    """Say which rewards come by themselves, and for what: "five-off 2 times, for 100 points"."""
    found = body.get("issued", ())
    times = Counter(one["reward"] for one in found)
    points = {name: sum(o["points"] for o in found if o["reward"] == name) for name in times}
    return [_issued(name, count, points[name]) for name, count in times.items()]


def _issued(name: str, times: int, points: int) -> str:
    often = f" {times} times" if times > 1 else ""
    return f"{name}{often}, {f'for {points:,} points' if points else 'with the level'}"


def brought_of(body: Body) -> str:
    """Say what the order gives its member for having been brought, and why; empty for none."""
    return gift_in_words(body.get("referral"))


def gift_in_words(found: Body | None) -> str:
    """Say what a referral gives somebody, and why; empty for nothing to say."""
    if found is None:
        return ""
    reasons = [f"{one['rule']}: {one['because']}" for one in found["explanation"]]
    reasons += [f"{one['rule']}: {one['because']}" for one in found["not_applied"]]
    return "; ".join((f"{found['points']:,} points", *reasons))


def _pairs(live: Mapping[str, Side], tried: Mapping[str, Side]) -> list[Pair]:
    names: Sequence[str] = [*tried, *(name for name in live if name not in tried)]
    return [Pair(name, live.get(name, Side()), tried.get(name, Side())) for name in names]


def _rules(body: Body | None) -> dict[str, Side]:
    found: dict[str, Side] = {}
    for rule in (body or {}).get("explanation", ()):
        found[rule["rule"]] = Side(rule["points"], rule["because"])
    for rule in (body or {}).get("not_applied", ()):
        found.setdefault(rule["rule"], Side(0, f"did not apply: {rule['because']}"))
    return found


def _lines(body: Body | None) -> dict[str, Side]:
    return {line["line"]: Side(line["points"]) for line in (body or {}).get("lines", ())}
