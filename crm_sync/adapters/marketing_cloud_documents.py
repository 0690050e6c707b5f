"""Marketing Cloud's documents: rows of data extensions, journey entries, answers. Pure."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any, Final
from urllib.parse import quote

import orjson

from crm_sync.adapters.client import Answer, CallFailed, classify
from crm_sync.adapters.contract import Outgoing, Person, Profile
from crm_sync.adapters.naming import flat_properties, snake_name
from crm_sync.adapters.outcomes import Configuration, Delivered, Outcome, Permanent, Retryable

MEMBER_ID: Final = "Member_Id"
EVENT_ID: Final = "Event_Id"
CONTACT_KEY: Final = "Contact_Key"
EMAIL: Final = "Email_Address"
PHONE: Final = "Mobile_Phone"
CONTACT_KEYS: Final = ("member_id", "external_id", "email")

_DETAILS_CHARACTERS = 4000
_NOT_SAVED = 10006
_SETUP = {10000, 10001}  # no such primary key, no such data extension
_DAY = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4}) 12:00:00 AM")


def contact_key(person: Person, config: Mapping[str, Any]) -> str:
    """Tell by what Marketing Cloud knows a person; empty if we do not have that."""
    known_by = config["contact_key"]
    if known_by == "email":
        return person.proven_email
    if known_by == "external_id":
        return next(iter(person.external_ids), "")
    return person.member_id


def member_row(profile: Profile, config: Mapping[str, Any]) -> dict[str, Any]:
    """Write a member as a row. An empty text clears a column; null is refused, whatever it is."""
    person = profile.person
    addresses = {EMAIL: person.email, PHONE: person.phone}
    values = {
        CONTACT_KEY: contact_key(person, config),
        **{name: value for name, value in addresses.items() if value},
        **profile.fields,
    }
    return {MEMBER_ID: person.member_id, **_without_null(values)}


def event_row(delivery: Outgoing, key: str) -> dict[str, Any]:
    """Write an event as a row, and as the data of a journey's entry: the same columns."""
    body = delivery.body
    found = flat_properties(body)
    details = orjson.dumps(found).decode()
    values = {
        MEMBER_ID: str(body["member"]),
        CONTACT_KEY: key,
        "Event_Type": snake_name(body["type"]),
        "Occurred_At": _told_at(body["occurred_at"]),
        "Sequence": body["sequence"],
        "Points": found.get("points"),
        "Points_Available": found.get("points_available"),
        "Order_Ref": found.get("order"),
        "Details": details if len(details) <= _DETAILS_CHARACTERS else "{}",
        "Is_Backfill": delivery.is_backfill,
    }
    return {EVENT_ID: delivery.event_id, **_without_null(values)}


def _told_at(moment: str) -> str:
    return datetime.fromisoformat(moment).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _without_null(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: "" if value is None else value for name, value in values.items()}


def row_set(rows: Sequence[Mapping[str, Any]], key: str) -> list[dict[str, Any]]:
    """Write rows as the synchronous call wants them: the primary key apart."""
    return [
        {"keys": {key: row[key]}, "values": {n: v for n, v in row.items() if n != key}}
        for row in rows
    ]


def enters_journey(delivery: Outgoing, config: Mapping[str, Any]) -> bool:
    """Say whether an event lets its member into the journey: never an old one."""
    if not config["journey_key"] or delivery.is_backfill or delivery.person is None:
        return False
    wanted = [one.strip() for one in config["journey_events"].split(",")]
    event_type = delivery.body["type"]
    return event_type != "member.erased" and any(fnmatchcase(event_type, one) for one in wanted)


def row_path(key: str, name: str, value: str) -> str:
    """Name the rows of a data extension that have a value, below the API of data."""
    wanted = quote(f"{name} eq '{value}'")
    return f"customobjectdata/key/{quote(key)}/rowset?$filter={wanted}&$pageSize=1"


def row_in(found: Any, names: Sequence[str]) -> dict[str, Any] | None:
    """Read a row: names come in small letters, everything as text, days as they are in America."""
    items = found.get("items") or []
    if not items:
        return None
    there = {**items[0].get("keys", {}), **items[0].get("values", {})}
    by_name = {name.lower(): value for name, value in there.items()}
    return {name: _plain(by_name.get(name.lower())) for name in names}


def _plain(value: Any) -> Any:
    if isinstance(value, str) and (found := _DAY.fullmatch(value)):
        return f"{found[3]}-{int(found[1]):02}-{int(found[2]):02}"
    return value


def outcome_of_item(item: Mapping[str, Any]) -> Outcome:
    """Say what became of one row of a request; one that was refused is sent by itself."""
    if str(item.get("status") or "").lower() != "error" and not item.get("errorCode"):
        return Delivered()
    return Retryable(error=f"Marketing Cloud refused a row: {item.get('message')}"[:500])


def classify_answer(answer: Answer) -> Outcome:
    """Say what an answer means."""
    if 200 <= answer.status < 300:
        return Delivered(status_code=answer.status, answer=answer.text)
    error = _error_in(answer)
    causes = [str(one.get("message")) for one in error.get("additionalErrors") or []]
    said = " ".join([str(error.get("message") or ""), *causes])[:450].strip()
    more: dict[str, Any] = {"status_code": answer.status, "answer": answer.text}
    if answer.status == 429:
        seconds = error.get("retryAfter")
        retry_after = float(seconds) if isinstance(seconds, int | float) else None
        return classify(answer, said=said, retry_after=retry_after)
    if answer.status == 400:
        sentence = f"Marketing Cloud refused it: {said}"
        if error.get("errorcode") == _NOT_SAVED and not causes:
            return Retryable(error=sentence, **more)
        is_setup = error.get("errorcode") in _SETUP or "does not exist" in said
        return (Configuration if is_setup else Permanent)(error=sentence, **more)
    if answer.status == 404:
        return Configuration(error=f"Marketing Cloud does not have it: {said}", **more)
    return classify(answer, said=said)


def refused_login(answer: Answer) -> Outcome:
    """Say why there is no token; what the answer repeats of the secret is not kept."""
    if answer.status in (400, 401):
        error = _error_in(answer)
        said = str(error.get("error_description") or error.get("error") or "")[:300]
        return Configuration(
            status_code=answer.status, error=f"Marketing Cloud refuses the log-in: {said}."
        )
    return classify_answer(answer)


def _error_in(answer: Answer) -> dict[str, Any]:
    try:
        found = answer.json()
    except CallFailed:
        return {}
    return found if isinstance(found, dict) else {}
