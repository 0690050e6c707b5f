"""The program's own row, its points and its stores."""

from decimal import Decimal
from typing import Any

from loyalty.programs.choices import Expiry, Until
from loyalty.programs.entries.part import Columns, Part, Row, Written, decimal_of, text_of
from loyalty.programs.entries.tiers import read_tiers
from loyalty.programs.shapes.points import PointsEntry
from loyalty.programs.shapes.program import ProgramHead, StoreEntry


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


_PLAIN_POLICY = (
    "name",
    "rounding",
    "maturity_days",
    "hold_minutes",
    "unknown_member",
    "clawback",
    "expiring_notice_days",
    "inactive_notice_days",
    "accept_late_days",
    "lapsed",
    "lapsed_grace_days",
)


def _write_points(row: Row) -> dict[str, Any]:
    expiry: dict[str, Any] | str = "none"
    if row.expiry == Expiry.MONTHS:
        expiry = {"months": row.expiry_months, "until": row.expiry_until}
    elif row.expiry == Expiry.INACTIVITY:
        expiry = {"inactivity_months": row.expiry_months}
    elif row.expiry == Expiry.DATES:
        expiry = {"dates": row.expiry_dates}
    return {
        **{key: getattr(row, key) for key in _PLAIN_POLICY},
        "adjustment_limit": row.adjustment_limit,
        "fraud_signals": _write_signals(row),
        "value": {"points": row.value_points, "amount": str(row.value_amount)},
        "pay": {
            "min": row.pay_min,
            "step": row.pay_step,
            "max_share": text_of(row.pay_max_share),
        },
        "expiry": expiry,
    }


def _read_points(entry: Written) -> Columns:
    return {
        **{key: entry[key] for key in _PLAIN_POLICY},
        "adjustment_limit": entry.get("adjustment_limit"),
        **_read_signals(entry.get("fraud_signals") or {}),
        "value_points": entry["value"]["points"],
        "value_amount": Decimal(entry["value"]["amount"]),
        **_read_pay(entry["pay"]),
        **_read_expiry(entry["expiry"]),
    }


def _write_signals(row: Row) -> dict[str, Any] | None:
    signals = {
        "orders_per_hour": row.signal_orders,
        "adjustments_per_hour": row.signal_adjustments,
    }
    return signals if any(value is not None for value in signals.values()) else None


def _read_signals(signals: Written) -> Columns:
    return {
        "signal_orders": signals.get("orders_per_hour"),
        "signal_adjustments": signals.get("adjustments_per_hour"),
    }


def _read_pay(pay: Written) -> Columns:
    return {
        "pay_min": pay["min"],
        "pay_step": pay["step"],
        "pay_max_share": decimal_of(pay.get("max_share")),
    }


def _read_expiry(expiry: Written | str) -> Columns:
    given: Written = {} if isinstance(expiry, str) else expiry
    kinds = {
        "months": Expiry.MONTHS,
        "inactivity_months": Expiry.INACTIVITY,
        "dates": Expiry.DATES,
    }
    return {
        "expiry": next((kind for key, kind in kinds.items() if key in given), Expiry.NONE),
        "expiry_months": given.get("months", given.get("inactivity_months")),
        "expiry_until": given.get("until", Until.DAY),
        "expiry_dates": given.get("dates", []),
    }


def _write_store(row: Row) -> dict[str, Any]:
    return {"code": row.code, "name": row.name}


HEAD = Part(ProgramHead, _write_head, _read_head, {"program": "code"})
POINTS = Part(
    PointsEntry,
    _write_points,
    _read_points,
    {
        "value.points": "value_points",
        "value.amount": "value_amount",
        "pay.min": "pay_min",
        "pay.step": "pay_step",
        "pay.max_share": "pay_max_share",
        "fraud_signals.orders_per_hour": "signal_orders",
        "fraud_signals.adjustments_per_hour": "signal_adjustments",
        "expiry.months": "expiry_months",
        "expiry.inactivity_months": "expiry_months",
        "expiry.dates": "expiry_dates",
    },
)
STORE = Part(StoreEntry, _write_store, dict, {})
