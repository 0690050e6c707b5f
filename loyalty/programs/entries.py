"""How a row of the configuration is written in a program document, and read back.

Pure but for what a row is: functions take any object with the columns' names. Both directions of
each part stand together, because they must stay each other's inverse (a test applies, reads and
compares).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from loyalty.programs import document
from loyalty.programs.choices import Expiry, Gives, Period, RuleKind, RuleSteps, Until, Window
from loyalty.programs.problems import DocumentInvalid, dotted
from loyalty.programs.values import Context

Row = Any
Columns = dict[str, Any]
Written = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of row and its place in the document.

    Attributes:
        shape: What the entry must look like.
        write: From a row to its entry.
        read: From an entry to the row's columns.
        columns: The column to which a problem with a key belongs, where the names differ.
    """

    shape: type[document.Entry]
    write: Callable[[Row], dict[str, Any]]
    read: Callable[[Written], Columns]
    columns: Mapping[str, str]

    def problems(self, row: Row, context: Context) -> dict[str, list[str]]:
        """List what is wrong with a row, by column; "" is the row as a whole."""
        found: dict[str, list[str]] = {}
        try:
            document.parse(self.shape, self.write(row), context)
        except DocumentInvalid as invalid:
            for problem in invalid.problems:
                key = dotted(problem.path).split("[")[0]
                found.setdefault(self.columns.get(key, key), []).append(problem.message)
        return found


def _text(value: Decimal | int | str | None) -> str | None:
    return None if value is None else str(value)


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _write_head(row: Row) -> dict[str, Any]:
    return {
        "program": row.code,
        "name": row.name,
        "timezone": row.timezone,
        "currency": row.currency,
    }


def _read_head(entry: Written) -> Columns:
    keys = ("name", "timezone", "currency")
    return {key: entry[key] for key in keys} | read_tiers(entry.get("tiers"))


def write_tiers(row: Row) -> dict[str, Any]:
    """Write how members rise and fall, from the program's row; the levels are rows of theirs."""
    rolling = row.window == Window.ROLLING
    return {
        "qualify_by": row.qualify_by,
        "window": {"rolling_months": row.rolling_months} if rolling else row.window,
        "downgrade": row.downgrade,
        "grace_days": row.grace_days,
    }


def read_tiers(tiers: Written | None) -> Columns:
    """Read the program's columns about tiers; none where it has no tiers, so that they stay."""
    if tiers is None:
        return {}
    keys = ("qualify_by", "downgrade", "grace_days")
    columns = {key: tiers[key] for key in keys}
    if isinstance(tiers["window"], str):
        return columns | {"window": tiers["window"]}
    return columns | {"window": Window.ROLLING, **tiers["window"]}


_PLAIN_POLICY = (
    "name",
    "rounding",
    "maturity_days",
    "hold_minutes",
    "unknown_member",
    "clawback",
    "expiring_notice_days",
    "accept_late_days",
    "lapsed",
    "lapsed_grace_days",
)


def _write_points(row: Row) -> dict[str, Any]:
    expiry: dict[str, Any] | str = "none"
    if row.expiry == Expiry.MONTHS:
        expiry = {"months": row.expiry_months, "until": row.expiry_until}
    elif row.expiry == Expiry.DATES:
        expiry = {"dates": row.expiry_dates}
    return {
        **{key: getattr(row, key) for key in _PLAIN_POLICY},
        "value": {"points": row.value_points, "amount": str(row.value_amount)},
        "expiry": expiry,
    }


def _read_points(entry: Written) -> Columns:
    return {
        **{key: entry[key] for key in _PLAIN_POLICY},
        "value_points": entry["value"]["points"],
        "value_amount": Decimal(entry["value"]["amount"]),
        **_read_expiry(entry["expiry"]),
    }


def _read_expiry(expiry: Written | str) -> Columns:
    given: Written = {} if isinstance(expiry, str) else expiry
    kind = Expiry.MONTHS if "months" in given else Expiry.DATES if given else Expiry.NONE
    return {
        "expiry": kind,
        "expiry_months": given.get("months"),
        "expiry_until": given.get("until", Until.DAY),
        "expiry_dates": given.get("dates", []),
    }


def _write_store(row: Row) -> dict[str, Any]:
    return {"code": row.code, "name": row.name}


def _write_rule(row: Row) -> dict[str, Any]:
    base = row.kind == RuleKind.BASE
    return {
        "code": row.code,
        "name": row.name or None,
        "active": row.is_active,
        "trigger": row.trigger,
        "points": row.points if base else None,
        "per": _text(row.per) if base else None,
        "steps": row.steps if base else None,
        "multiply": _text(row.multiply) if row.kind == RuleKind.MULTIPLIER else None,
        "bonus": row.bonus if row.kind == RuleKind.BONUS else None,
        "when": {
            "category": row.categories or None,
            "brand": row.brands or None,
            "store": row.stores or None,
            "order_amount_min": _text(row.order_amount_min),
        },
        "from": row.starts_on,
        "to": row.ends_on,
    }


def _read_rule(entry: Written) -> Columns:
    when = entry.get("when", {})
    kind = RuleKind.MULTIPLIER if "multiply" in entry else RuleKind.BONUS
    return {
        "code": entry["code"],
        "name": entry.get("name", ""),
        "is_active": entry["active"],
        "kind": RuleKind.BASE if "per" in entry else kind,
        "trigger": entry["trigger"],
        "points": entry.get("points"),
        "per": _decimal(entry.get("per")),
        "steps": entry.get("steps", RuleSteps.WHOLE),
        "multiply": _decimal(entry.get("multiply")),
        "bonus": entry.get("bonus"),
        "categories": when.get("category", []),
        "brands": when.get("brand", []),
        "stores": when.get("store", []),
        "order_amount_min": _decimal(when.get("order_amount_min")),
        "starts_on": entry.get("from"),
        "ends_on": entry.get("to"),
    }


def _write_level(row: Row) -> dict[str, Any]:
    return {
        "code": row.code,
        "name": row.name,
        "from": _text(row.threshold),
        "earn_multiplier": _text(row.earn_multiplier),
    }


def _read_level(entry: Written) -> Columns:
    return {
        "code": entry["code"],
        "name": entry["name"],
        "threshold": Decimal(entry["from"]),
        "earn_multiplier": Decimal(entry["earn_multiplier"]),
    }


def _write_reward(row: Row) -> dict[str, Any]:
    product = row.gives == Gives.PRODUCT
    limit = {"times": row.per_member_times, "per": row.per_member_per}
    return {
        "code": row.code,
        "name": row.name,
        "active": row.is_active,
        "cost": row.cost,
        "gives": {"product": row.product} if product else {"amount_off": _text(row.amount)},
        "stock": row.stock,
        "per_member": limit if row.per_member_times is not None else None,
        "tiers": row.tiers or None,
        "from": row.starts_on,
        "to": row.ends_on,
    }


def _read_reward(entry: Written) -> Columns:
    limit, gives = entry.get("per_member", {}), entry["gives"]
    return {
        "code": entry["code"],
        "name": entry["name"],
        "is_active": entry["active"],
        "cost": entry["cost"],
        "gives": Gives.PRODUCT if "product" in gives else Gives.AMOUNT_OFF,
        "amount": _decimal(gives.get("amount_off")),
        "product": gives.get("product", ""),
        "stock": entry.get("stock"),
        "per_member_times": limit.get("times"),
        "per_member_per": limit.get("per", Period.EVER),
        "tiers": entry.get("tiers", []),
        "starts_on": entry.get("from"),
        "ends_on": entry.get("to"),
    }


_DATES = {"from": "starts_on", "to": "ends_on"}

HEAD = Part(document.ProgramHead, _write_head, _read_head, {"program": "code"})
POINTS = Part(
    document.PointsEntry,
    _write_points,
    _read_points,
    {
        "value.points": "value_points",
        "value.amount": "value_amount",
        "expiry.months": "expiry_months",
        "expiry.dates": "expiry_dates",
    },
)
STORE = Part(document.StoreEntry, _write_store, dict, {})
RULE = Part(
    document.EarningRuleEntry,
    _write_rule,
    _read_rule,
    {
        **_DATES,
        "when.category": "categories",
        "when.brand": "brands",
        "when.store": "stores",
        "when.order_amount_min": "order_amount_min",
    },
)
LEVEL = Part(document.TierLevelEntry, _write_level, _read_level, {"from": "threshold"})
REWARD = Part(
    document.RewardEntry,
    _write_reward,
    _read_reward,
    {
        **_DATES,
        "gives.amount_off": "amount",
        "gives.product": "product",
        "per_member.times": "per_member_times",
    },
)
