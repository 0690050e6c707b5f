"""The engine's codes in the words and colours of the admin."""

from typing import Any, Final

from loyalty.ledger.buckets import Bucket

KINDS: Final = {
    "earn": "Earned",
    "mature": "Became usable",
    "redeem": "Redeemed",
    "hold": "Reserved",
    "capture": "Reservation taken",
    "void": "Reservation released",
    "lapse": "Reservation lapsed",
    "expire": "Expired",
    "claw_back": "Taken back",
    "reinstate": "Given back",
    "adjust": "Adjusted",
    "merge": "Merged",
    "unmerge": "Merge undone",
}

SOURCES: Final = {
    "api": "API",
    "admin": "admin",
    "crm": "CRM",
    "nightly": "nightly job",
    "system": "engine",
}

BUCKETS: Final = {
    Bucket.ISSUED: "new",
    Bucket.PENDING: "pending",
    Bucket.AVAILABLE: "available",
    Bucket.HELD: "reserved",
    Bucket.REDEEMED: "redeemed",
    Bucket.EXPIRED: "expired",
    Bucket.REVOKED: "taken back",
    Bucket.DEBT: "owed",
    Bucket.TRANSIT: "on the way to another member",
}

STATUS_COLOURS: Final = {
    "active": "success",
    "frozen": "warning",
    "merged": "info",
    "closed": "danger",
}

REQUEST_COLOURS: Final = {"open": "warning", "approved": "success", "declined": "danger"}

REDEMPTION_COLOURS: Final = {
    "held": "warning",
    "captured": "success",
    "voided": "info",
    "lapsed": "info",
    "reversed": "danger",
}

TIER_KINDS: Final = {
    "earn": "a purchase",
    "return": "a return",
    "nightly": "the nightly check",
    "assign": "assignment",
    "merge": "a merge",
    "unmerge": "the end of a merge",
}


def kind_in_words(kind: str) -> str:
    """Say what a ledger transaction did."""
    return KINDS.get(kind, kind.replace("_", " ").capitalize())


def gives(gives: dict[str, Any]) -> str:
    """Say what a redemption gave."""
    currency = gives.get("currency", "")
    if "percent_off" in gives:
        return f"{gives['percent_off']} % off"
    if "amount_off" in gives:
        return f"{gives['amount_off']} {currency} off"
    if "code_from_pool" in gives:
        shown = gives.get("code") or gives.get("code_hint") or "code"
        return f"{shown} of {gives['code_from_pool']}"
    if "store_credit" in gives:
        return f"{gives['store_credit']} {currency} store credit"
    return f"product {gives['product']}" if "product" in gives else fact(gives.get("custom", ""))


def signed(points: int) -> str:
    """Write points with their sign, in groups of three."""
    return f"{points:+,}".replace("-", "−") if points else "0"  # noqa: RUF001 -- a real minus


def posting_in_words(*, amount: int, lot: int | None, source: int, destination: int) -> str:
    """Say what a posting moved: "120 points of lot 7: available → redeemed"."""
    unit = "point" if amount == 1 else "points"
    of_lot = f" of lot {lot}" if lot is not None else ""
    way = f"{BUCKETS[Bucket(source)]} → {BUCKETS[Bucket(destination)]}"
    return f"{amount:,} {unit}{of_lot}: {way}"


def explanation(stored: dict[str, Any]) -> dict[str, Any]:
    """Sort a stored explanation: rules that applied, those that did not, and other facts."""
    known = ("applied", "not_applied")
    facts = [
        (key.replace("_", " ").capitalize(), fact(value))
        for key, value in stored.items()
        if key not in known and value
    ]
    applied = [
        {**rule, "signed": signed(int(rule.get("points", 0)))} for rule in stored.get("applied", [])
    ]
    return {"applied": applied, "not_applied": stored.get("not_applied", []), "facts": facts}


def fact(value: Any) -> str:
    """Write a JSON value as people read it."""
    if isinstance(value, list):
        return "; ".join(map(fact, value))
    if isinstance(value, dict):
        told = ((key, part) for key, part in value.items() if part is not None)
        return ", ".join(f"{key.replace('_', ' ')} {fact(part)}" for key, part in told)
    return str(value)
