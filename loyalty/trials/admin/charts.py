"""Turn a backtest's result into what its page draws. Pure: numbers in, coordinates out."""

from datetime import date
from typing import Any

from loyalty.trials.report import levels_of
from loyalty.trials.rules import SIDES

HEIGHT = 120
WIDTH = 24
"""Of a month's place in the chart; each of its two bars takes 9."""

LEAST_MONTHS = 6
"""So wide is the chart of one month, too: its bars would look like walls."""


def months_chart(result: dict[str, Any]) -> dict[str, Any]:
    """Draw two bars for each month: what happened, and what would have."""
    months = result["months"]
    largest = max((max(m["happened"]["net"], m["tried"]["net"]) for m in months), default=0)
    scale = HEIGHT / max(1, largest)
    bars = [_month(month, place, scale) for place, month in enumerate(months)]
    return {"bars": bars, "width": max(LEAST_MONTHS, len(months)) * WIDTH, "height": HEIGHT + 1}


def _month(month: dict[str, Any], place: int, scale: float) -> dict[str, Any]:
    happened, tried = month["happened"]["net"], month["tried"]["net"]
    return {
        "name": _name(month["month"]),
        "orders": month["orders"],
        "happened": happened,
        "tried": tried,
        "change": tried - happened,
        "percent": percent(happened, tried),
        "rises": month["rises"],
        "falls": month["falls"],
        "left": place * WIDTH,
        "bars": [
            _bar("happened", place * WIDTH + 2, happened, scale),
            _bar("tried", place * WIDTH + 12, tried, scale),
        ],
    }


def _bar(side: str, x: int, points: int, scale: float) -> dict[str, Any]:
    height = round(max(0, points) * scale, 1)
    return {"side": side, "x": x, "y": round(HEIGHT - height, 1), "height": height}


def _name(month: str) -> str:
    return f"{date.fromisoformat(f'{month}-01'):%b %Y}"


def percent(happened: int, tried: int) -> str:
    """Say by how much more or less; nothing where there was nothing."""
    if not happened:
        return ""
    return f"{100 * (tried - happened) / happened:+.1f} %"


def rules_table(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Compare what each rule gave, largest first, with the length of its bars."""
    most = max((max(abs(r["happened"]), abs(r["tried"])) for r in result["rules"]), default=0)
    return [_with_bars(rule, rule["rule"], most) for rule in result["rules"]]


def levels_table(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Compare how many members are at each level today."""
    names, levels = dict(result["level_names"]), levels_of(result)
    most = max((max(both.values()) for both in levels.values()), default=0)
    return [_with_bars(both, names.get(code, code), most) for code, both in levels.items()]


def _with_bars(both: dict[str, Any], name: str, most: int) -> dict[str, Any]:
    return {
        "name": name,
        "happened": both["happened"],
        "tried": both["tried"],
        "change": both["tried"] - both["happened"],
        "widths": {side: round(100 * abs(both[side]) / max(1, most), 1) for side in SIDES},
    }


def moves_table(result: dict[str, Any]) -> list[dict[str, Any]]:
    """List who would be at another level than they are."""
    names = dict(result["level_names"])
    return [
        {
            "before": names.get(moved["happened"], moved["happened"]) or "no level",
            "after": names.get(moved["tried"], moved["tried"]) or "no level",
            "members": moved["members"],
        }
        for moved in result["levels"]
        if moved["happened"] != moved["tried"]
    ]


def distribution(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Draw how many members gain or lose how much; empty ends are left out."""
    bars = result["members"]["bars"]
    filled = [place for place, bar in enumerate(bars) if bar["members"]]
    if not filled:
        return []
    most = max(bar["members"] for bar in bars)
    return [
        {
            "name": _range(bar["from"], bar["to"]),
            "members": bar["members"],
            "width": round(100 * bar["members"] / most, 1),
            "kind": "lose" if (bar["to"] or 1) < 0 else "same" if bar["from"] == 0 else "gain",
        }
        for bar in bars[filled[0] : filled[-1] + 1]
    ]


def _range(start: int | None, end: int | None) -> str:
    if start == end == 0:
        return "the same"
    if start is None or end is None:
        return f"{-(end or 0):,} or more less" if start is None else f"{start:,} or more more"
    if end < 0:
        return f"{-end:,} to {-start:,} less"
    return f"{start:,} to {end:,} more"
