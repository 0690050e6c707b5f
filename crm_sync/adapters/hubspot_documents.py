"""HubSpot's documents: how contacts and events are written, and how answers are read. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from crm_sync.adapters.client import Answer, CallFailed, classify
from crm_sync.adapters.contract import Change, ChangePage, Consent, Match, Outgoing, Person
from crm_sync.adapters.naming import flat_properties, snake_name
from crm_sync.adapters.outcomes import (
    Ambiguous,
    Configuration,
    Delivered,
    Doubt,
    Outcome,
    Permanent,
    Retryable,
)

MEMBER_ID: Final = "loyalty_member_id"
OPTED_OUT: Final = "hs_email_optout"
IDENTIFIERS: Final = (MEMBER_ID, "email", "phone", "hs_additional_emails")
# An event's properties have to be defined at HubSpot one by one: these are enough to filter by.
EVENT_PROPERTIES: Final = frozenset(
    {"event_id", "points", "points_available", "order", "rules", "reward", "from", "to"}
    | {"expires_at", "last_day", "request_id"}
)
LAST_EVENT: Final = "loyalty_last_event"
_OF_A_CHANGE: Final = ("email", MEMBER_ID, OPTED_OUT, "lastmodifieddate")
SEARCH_MOST: Final = 10_000  # a search shows no more, however many there are
DAY_LIMIT_SECONDS: Final = 3600.0
TEN_SECONDS: Final = 10.0
_TRYING_HELPS = frozenset({"RATE_LIMITS", "INTERNAL_ERROR", "TIMEOUT"})


@dataclass(frozen=True, slots=True)
class Item:
    """One contact of a batch; `trace` is what HubSpot calls it in its answer."""

    trace: str
    document: Mapping[str, Any]


def path_of(version: str, api: str) -> str:
    """Give where an API is: old versions are numbers, newer ones are dates."""
    if version == "v3":
        numbered = {"oauth": "/oauth/v1", "events": "/events/v3"}
        return numbered.get(api, f"/crm/v3/{api}")
    return f"/{api}/{version}" if api in ("oauth", "events") else f"/crm/{api}/{version}"


def known_item(contact: str, trace: str, fields: Mapping[str, Any]) -> Item:
    """Write a contact whom HubSpot knows: only what is told, no identifiers."""
    properties = {name: written(value) for name, value in fields.items()}
    return Item(trace, {"id": contact, "objectWriteTraceId": trace, "properties": properties})


def new_item(person: Person, trace: str, fields: Mapping[str, Any]) -> Item:
    """Write a contact who is made, or found by our member id."""
    named = {MEMBER_ID: person.member_id, "email": person.email, "phone": person.phone}
    given = {name: value for name, value in named.items() if value}
    properties = {**given, **{name: written(value) for name, value in fields.items()}}
    document = {"id": person.member_id, "idProperty": MEMBER_ID, "objectWriteTraceId": trace}
    return Item(trace, {**document, "properties": properties})


def written(value: Any) -> str:
    """Write a value: HubSpot takes text alone, and clears a property that is empty."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def event_document(delivery: Outgoing, contact: str, hub_id: str) -> dict[str, Any]:
    """Write an event of a contact."""
    body = delivery.body
    told = {n: v for n, v in flat_properties(body).items() if n in EVENT_PROPERTIES}
    return {
        "eventName": f"pe{hub_id}_{snake_name(body['type'])}",
        "objectId": contact,
        "occurredAt": body["occurred_at"],
        "uuid": str(delivery.event_uuid),
        "properties": {name: written(value) for name, value in told.items()},
    }


def last_event(delivery: Outgoing) -> dict[str, str]:
    """Write an event as the contact's newest, where there are no events."""
    told = flat_properties(delivery.body)
    return {
        LAST_EVENT: str(delivery.body["type"]),
        f"{LAST_EVENT}_at": str(delivery.body["occurred_at"]),
        f"{LAST_EVENT}_points": written(told.get("points")),
        f"{LAST_EVENT}_id": delivery.event_id,
    }


def classify_answer(answer: Answer) -> Outcome:
    """Say what an answer of HubSpot's means."""
    said, error = "", _error(answer)
    if answer.status >= 300:
        said = str(error.get("message") or "")[:400]
    outcome = classify(answer, said=said)
    if answer.status == 400 and "PROPERTY_DOESNT_EXIST" in answer.text:
        sentence = f"Create the property at HubSpot, or take it out of the mapping: {said}"
        return Configuration(status_code=400, answer=answer.text, error=sentence)
    if answer.status == 409:
        return conflict(said, answer)
    if answer.status == 429 and isinstance(outcome, Retryable) and outcome.retry_after is None:
        is_day = error.get("policyName") == "DAILY"
        seconds = DAY_LIMIT_SECONDS if is_day else TEN_SECONDS
        return classify(answer, said=said, retry_after=seconds)
    return outcome


def conflict(said: str, answer: Answer | None = None) -> Outcome:
    """Say that somebody else is there already, and who."""
    found = re.search(r"Existing ID: (\d+)", said)
    if found is None:
        return Permanent(status_code=409, error=f"HubSpot has it otherwise: {said}")
    return Ambiguous(
        status_code=409,
        answer=answer.text if answer else "",
        error=f"Another contact has this email: {said}",
        reason=Doubt.SEVERAL_MATCHES,
        candidates=(found[1],),
    )


def seconds_to_wait(headers: Mapping[str, str]) -> float:
    """Say how long to wait where HubSpot counts no call any more: others use the account too."""
    if headers.get("x-hubspot-ratelimit-daily-remaining") == "0":
        return DAY_LIMIT_SECONDS
    interval = headers.get("x-hubspot-ratelimit-interval-milliseconds", "")
    if headers.get("x-hubspot-ratelimit-remaining") == "0" and interval.isdigit():
        return int(interval) / 1000
    return 0.0


def outcomes_in(answer: Answer, items: Sequence[Item]) -> list[Outcome]:
    """Read what became of each contact of a batch; HubSpot says it in any order, or not at all."""
    body = answer.json()
    found: dict[str, Outcome] = {}
    by_id = {str(item.document["id"]): item.trace for item in items}
    for one in body.get("results") or []:
        trace = one.get("objectWriteTraceId") or by_id.get(str(one["id"]), "")
        found[trace] = Delivered(status_code=answer.status, vendor_id=str(one["id"]))
    for error in body.get("errors") or []:
        context = error.get("context") or {}
        traces = list(context.get("objectWriteTraceId") or [])
        traces += [by_id[id_] for id_ in context.get("ids") or [] if id_ in by_id]
        for trace in traces:
            found[trace] = _refusal(error)
    unsure = Retryable(status_code=answer.status, error="HubSpot says nothing of this contact.")
    return [found.get(item.trace, unsure) for item in items]


def _refusal(error: Mapping[str, Any]) -> Outcome:
    said = str(error.get("message") or "")[:400]
    category = str(error.get("category") or "")
    if category == "CONFLICT":
        return conflict(said)
    kind = Retryable if category in _TRYING_HELPS else Permanent
    return kind(status_code=207, answer=orjson.dumps(error).decode(), error=f"HubSpot: {said}")


def choose(person: Person, found: Mapping[str, Mapping[str, Sequence[Any]]]) -> Match:
    """Take the first way in which somebody is found; two, or somebody else's, are in doubt."""
    ways = (
        ("member_id", found["member_id"].get(person.member_id, ())),
        ("email", found["email"].get(person.email.lower(), ())),
        ("phone", found["phone"].get(person.phone, ())),
    )
    for matched_by, listed in ways:
        contacts = [contact for contact in listed if str(contact["id"]) != person.vendor_id]
        if not contacts:
            continue
        ids = tuple(dict.fromkeys(str(contact["id"]) for contact in contacts))
        marked = contacts[0]["properties"].get(MEMBER_ID)
        if len(ids) > 1 or (marked and marked != person.member_id):
            return Match(candidates=ids)
        return Match(vendor_id=ids[0], matched_by=matched_by)
    return Match()


def names_in(contact: Mapping[str, Any], name: str) -> list[str]:
    """Give what a contact is found by: of emails, all that it has."""
    properties = contact["properties"]
    if name != "email":
        return [properties[name]] if properties.get(name) else []
    more = (properties.get("hs_additional_emails") or "").split(";")
    return [one.strip().lower() for one in (properties.get("email") or "", *more) if one.strip()]


def search_document(place: Mapping[str, str], fields: Sequence[str]) -> dict[str, Any]:
    """Ask for contacts that were changed since a time, the oldest change first."""
    since = place.get("since") or "1970-01-01T00:00:00Z"
    value = str(int(datetime.fromisoformat(since).timestamp() * 1000))
    changed = {"propertyName": "lastmodifieddate", "operator": "GTE", "value": value}
    return {
        "filterGroups": [{"filters": [changed]}],
        "sorts": [{"propertyName": "lastmodifieddate", "direction": "ASCENDING"}],
        "properties": list(dict.fromkeys((*_OF_A_CHANGE, *fields))),
        "limit": 100,
        **({"after": place["page"]} if place.get("page") else {}),
    }


def change_page(
    body: Mapping[str, Any], place: Mapping[str, str], fields: Sequence[str]
) -> ChangePage:
    """Read a page of changed contacts, and from where to read on."""
    contacts = body["results"]
    page = str(((body.get("paging") or {}).get("next") or {}).get("after") or "")
    following = {"since": place.get("since") or "", "page": page}
    if contacts and (not page or int(page) >= SEARCH_MOST):
        newest = datetime.fromisoformat(contacts[-1]["properties"]["lastmodifieddate"])
        following = {"since": newest.astimezone(UTC).isoformat()}
    return ChangePage(
        changes=[_change(contact, fields) for contact in contacts],
        cursor=orjson.dumps({name: value for name, value in following.items() if value}).decode(),
        has_more=bool(page),
    )


def _change(contact: Mapping[str, Any], fields: Sequence[str]) -> Change:
    properties = contact["properties"]
    opted_out = properties.get(OPTED_OUT)
    told = (Consent(channel="email", is_given=opted_out == "false"),)
    return Change(
        vendor_id=str(contact["id"]),
        member_id=properties.get(MEMBER_ID) or "",
        email=properties.get("email") or "",
        consents=told if opted_out in ("true", "false") else (),
        fields={name: properties.get(name) or None for name in fields},
    )


def _error(answer: Answer) -> dict[str, Any]:
    try:
        found = answer.json()
    except CallFailed:
        return {}
    return found if isinstance(found, dict) else {}
