"""What our events are called at vendors: the same names everywhere, in each vendor's spelling."""

from collections.abc import Mapping
from typing import Any


def title_name(event_type: str) -> str:
    """Name an event for people: points.earned is Loyalty Points Earned."""
    return " ".join(["Loyalty", *event_type.replace(".", "_").split("_")]).title()


def snake_name(event_type: str) -> str:
    """Name an event where only letters and underscores fit: loyalty_points_earned."""
    return f"loyalty_{event_type.replace('.', '_')}"


def flat_properties(body: Mapping[str, Any]) -> dict[str, Any]:
    """Give what happened as one level of names and values, for vendors that filter by them.

    Balances are points_available and so on, as in profiles. No amount of money is among them: a
    vendor would count it as revenue. The request's id leads from the vendor's log to the till's.
    """
    cause = body.get("cause") or {}
    found = {
        "event_id": body.get("id"),
        "sequence": body.get("sequence"),
        "order": cause.get("order"),
        "cause": cause.get("kind"),
        "rules": ", ".join(cause.get("rules") or []) or None,
        "bulk": cause.get("bulk") or None,
        "request_id": cause.get("request_id") or None,
    }
    found |= {f"points_{name}": value for name, value in (body.get("balances") or {}).items()}
    for name, value in (body.get("data") or {}).items():
        found |= _flat(name, value)
    return {name: value for name, value in found.items() if value is not None}


def _flat(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return {
            f"{name}_{inner}": v for inner, v in value.items() if not isinstance(v, list | dict)
        }
    if isinstance(value, list) and any(isinstance(one, list | dict) for one in value):
        return {f"{name}_count": len(value)}
    return {name: value}
