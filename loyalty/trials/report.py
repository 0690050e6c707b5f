"""What a backtest found, as lines for a terminal and as one table for a spreadsheet."""

import csv
from collections.abc import Iterator, Mapping
from io import StringIO
from typing import Any

from loyalty.trials.models import Backtest
from loyalty.trials.rules import SIDES

HEAD = ("part", "name", "measure", "happened", "tried", "change")
Row = tuple[str, str, str, int, int, int]
Both = Mapping[Any, Any]


def rows_of(result: dict[str, Any]) -> Iterator[Row]:
    """Give all numbers of a result: one measure in each row, so that a pivot can turn them."""
    for measure in ("issued", "taken_back", "net"):
        yield _row("total", "", measure, {s: result["totals"][s][measure] for s in SIDES})
    yield _row("total", "", "outstanding", result["outstanding"])
    yield _row("total", "", "expired", result["expired"])
    for month in result["months"]:
        for measure in ("issued", "taken_back", "net"):
            yield _row("month", month["month"], measure, {s: month[s][measure] for s in SIDES})
        for measure in ("rises", "falls"):
            yield _row("month", month["month"], measure, month[measure])
    for rule in result["rules"]:
        yield _row("rule", rule["rule"], "points", rule)
    for level, both in levels_of(result).items():
        yield _row("level", level, "members", both)
    for member in (*result["members"]["gainers"], *result["members"]["losers"]):
        yield _row("member", member["member"], "net", member)


def _row(part: str, name: str, measure: str, both: Both) -> Row:
    happened, tried = both["happened"], both["tried"]
    return part, name, measure, happened, tried, tried - happened


def levels_of(result: dict[str, Any]) -> dict[str, dict[str, int]]:
    """Count the members of each level today, as it is and as it would be."""
    found: dict[str, dict[str, int]] = {
        code: dict.fromkeys(SIDES, 0) for code, _ in result["level_names"] if result["levels"]
    }
    for moved in result["levels"]:
        for side in SIDES:
            found.setdefault(moved[side], dict.fromkeys(SIDES, 0))[side] += moved["members"]
    return found


def csv_text(backtest: Backtest) -> str:
    """Write the table; names that a spreadsheet could take for formulas are quoted."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEAD)
    for row in rows_of(backtest.result or {}):
        writer.writerow([_harmless(value) if isinstance(value, str) else value for value in row])
    return out.getvalue()


def _harmless(text: str) -> str:
    return f"'{text}" if text[:1] in "=+-@\t" and text else text


def told(backtest: Backtest) -> list[str]:
    """Tell in some lines what matters."""
    result = backtest.result or {}
    totals, members = result["totals"], result["members"]
    before, after = totals["happened"]["net"], totals["tried"]["net"]
    cost, owed, currency = result["cost"], result["liability"], result["currency"]
    lines = [
        f"{backtest.label} over {result['orders']:,} orders, {backtest.begin} to {backtest.end}",
        f"points      {before:,} happened, {after:,} tried ({after - before:+,})",
        f"cost        {cost['happened']} {currency} happened, {cost['tried']} {currency} tried",
        f"liability   {owed['happened']} {currency} today, {owed['tried']} {currency} if it had"
        " been live",
        f"members     {members['gain']:,} gain, {members['lose']:,} lose,"
        f" {members['same']:,} the same",
    ]
    if result["unaffordable"]:
        lost = result["unaffordable"]
        lines.append(f"redemptions {lost['redemptions']:,} could not have been paid")
    return [*lines, f"took {result['seconds']} s"]
