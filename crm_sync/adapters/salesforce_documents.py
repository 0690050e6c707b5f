"""Salesforce's documents: records, queries, files of bulk jobs, and what its answers mean. Pure."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from crm_sync.adapters.client import Answer, CallFailed, classify
from crm_sync.adapters.contract import (
    Match,
    Outgoing,
    Person,
    Profile,
)
from crm_sync.adapters.naming import flat_properties, title_name
from crm_sync.adapters.outcomes import (
    Ambiguous,
    Configuration,
    Delivered,
    Doubt,
    Outcome,
    Permanent,
    Retryable,
)

MEMBER_ID: Final = "Loyalty_Member_Id__c"
EVENT: Final = "Loyalty_Event__c"
EVENT_ID: Final = "Event_Id__c"
LAST_EVENT: Final = "Loyalty_Last_Event__c"
LAST_EVENT_AT: Final = "Loyalty_Last_Event_At__c"
QUOTA_SECONDS: Final = 900.0  # the daily quota rolls: a quarter of an hour frees some of it

_NOBODY = "Loyalty member"  # nobody is made without a last name
_DETAILS_CHARACTERS = 32_000
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(?:Z|\+00:?00)")
_ID_IN = re.compile(r"with id: (\w{15,18})")

_QUOTA = {"REQUEST_LIMIT_EXCEEDED", "TOO_MANY_REQUESTS"}
_PASSING = {
    "UNABLE_TO_LOCK_ROW",
    "SERVER_UNAVAILABLE",
    "REQUEST_RUNNING_TOO_LONG",
    "QUERY_TIMEOUT",
    "UNKNOWN_EXCEPTION",
    "PROCESSING_HALTED",
    "ALL_OR_NONE_OPERATION_ROLLED_BACK",
}
_SETUP = {
    "INVALID_FIELD",
    "INVALID_TYPE",
    "INVALID_FIELD_FOR_INSERT_UPDATE",
    "INSUFFICIENT_ACCESS_OR_READONLY",
    "API_DISABLED_FOR_ORG",
    "STORAGE_LIMIT_EXCEEDED",
}
_SEVERAL = {"DUPLICATES_DETECTED", "DUPLICATE_EXTERNAL_ID", "DUPLICATE_VALUE"}
GONE: Final = frozenset({"ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY"})
# Consent is theirs, whatever a mapping says; names of fields are the same in any case.
RESERVED: Final = frozenset(
    {
        "Id",
        "DoNotCall",
        "HasOptedOutOfEmail",
        "HasOptedOutOfFax",
        "PersonDoNotCall",
        "PersonHasOptedOutOfEmail",
        "PersonHasOptedOutOfFax",
        "SystemModstamp",
    }
)
_RESERVED = {name.lower() for name in RESERVED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What members are in an organisation.

    Attributes:
        lookup: The field of an event that points to the person.
        joins: The same of a campaign's member; `joins_as`: the person themselves.
        among: Which records of the object are people at all.
        needed: What a new one cannot be without.
    """

    sobject: str
    email: str = "Email"
    phone: str = "MobilePhone"
    opted_out: str = "HasOptedOutOfEmail"
    lookup: str
    joins: str = "ContactId"
    joins_as: str = "Contact"
    among: str = ""
    needed: Mapping[str, str] = field(default_factory=dict)


KINDS: Final = {
    "contact": Kind(sobject="Contact", lookup="Contact__c"),
    "lead": Kind(
        sobject="Lead",
        lookup="Lead__c",
        joins="LeadId",
        joins_as="Lead",
        among="IsConverted = false",
        needed={"Company": "[not provided]"},
    ),
    "person_account": Kind(
        sobject="Account",
        email="PersonEmail",
        phone="PersonMobilePhone",
        opted_out="PersonHasOptedOutOfEmail",
        lookup="Account__c",
        joins="Contact.AccountId",
        joins_as="Contact.Account",
        among="IsPersonAccount = true",
    ),
}


def names_in(text: str) -> list[str]:
    """Read names that stand there by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def kind_of(config: Mapping[str, Any]) -> Kind:
    """Tell what members are at a connection."""
    return KINDS[str(config["object"])]


def person_record(profile: Profile, kind: Kind, config: Mapping[str, Any]) -> dict[str, Any]:
    """Write a person: who is known is named by their id and keeps their name and addresses."""
    told = {n: v for n, v in profile.fields.items() if n.lower() not in _RESERVED}
    person = profile.person
    marked = {"attributes": {"type": kind.sobject}, MEMBER_ID: person.member_id}
    if person.vendor_id:
        columns = {"email": kind.email, "phone": kind.phone}
        late = {columns[name]: value for name, value in person.late_identity.items()}
        return {**marked, "id": person.vendor_id, **late, **told}
    new = {
        **kind.needed,
        "FirstName": person.first_name[:40],
        "LastName": person.last_name[:80] or _NOBODY,
        kind.email: person.email,
        kind.phone: person.phone,
        "RecordTypeId": config.get("record_type", ""),
    }
    given = {n: v for n, v in told.items() if v is not None}
    return {**marked, **{n: v for n, v in new.items() if v}, **given}


def event_record(delivery: Outgoing, kind: Kind, vendor_id: str) -> dict[str, Any]:
    """Write an event as a record of its own."""
    body = delivery.body
    found = flat_properties(body)
    details = orjson.dumps(found).decode()
    points = found.get("points")
    return {
        "attributes": {"type": EVENT},
        EVENT_ID: delivery.event_id,
        kind.lookup: vendor_id,
        "Type__c": event_name(body["type"]),
        "Occurred_At__c": told_at(body["occurred_at"]),
        "Sequence__c": body["sequence"],
        "Points__c": points if isinstance(points, int) else None,
        "Points_Available__c": found.get("points_available"),
        "Order__c": found.get("order"),
        "Details__c": details if len(details) <= _DETAILS_CHARACTERS else "{}",
        "Is_Backfill__c": delivery.is_backfill,
    }


def event_fields(delivery: Outgoing) -> dict[str, Any]:
    """Write an event as the last one of a person, for who has no object for events."""
    body = delivery.body
    return {LAST_EVENT: event_name(body["type"]), LAST_EVENT_AT: told_at(body["occurred_at"])}


def event_name(event_type: str) -> str:
    """Name an event of an object that is called Loyalty Event: Points Earned."""
    return title_name(event_type).removeprefix("Loyalty ")


def told_at(moment: str) -> str:
    """Write a moment as Salesforce takes it."""
    return datetime.fromisoformat(moment).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def quoted(value: str) -> str:
    """Write a text in a query."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def is_one_of(name: str, values: Iterable[str]) -> str:
    """Write a condition of a query; empty if there is nothing to look for."""
    wanted = sorted({value for value in values if value})
    return f"{name} IN ({','.join(map(quoted, wanted))})" if wanted else ""


def people_query(kind: Kind, people: Sequence[Person], external: str) -> str:
    """Ask for all who may be these people."""
    ways = [
        is_one_of(MEMBER_ID, [person.member_id for person in people]),
        is_one_of(kind.email, [person.email for person in people]),
        is_one_of(kind.phone, [person.phone for person in people]),
    ]
    columns = ["Id", MEMBER_ID, kind.email, kind.phone]
    if external:
        columns.append(external)
        ways.append(is_one_of(external, [id_ for person in people for id_ in person.external_ids]))
    condition = " OR ".join(way for way in ways if way)
    among = f"{kind.among} AND " if kind.among else ""
    return f"SELECT {', '.join(columns)} FROM {kind.sobject} WHERE {among}({condition})"


def choose(
    person: Person, records: Sequence[Mapping[str, Any]], kind: Kind, external: str
) -> Match:
    """Take the first way in which somebody is found; two, or somebody else's, are in doubt."""
    ways = [("member_id", MEMBER_ID, person.member_id)]
    ways += [("external_id", external, id_) for id_ in person.external_ids if external]
    ways += [("email", kind.email, person.email), ("phone", kind.phone, person.phone)]
    for matched_by, name, value in ways:
        others = [one for one in records if one["Id"] != person.vendor_id]
        found = [one for one in others if value and _same(one.get(name), value)]
        if not found:
            continue
        ids = tuple(one["Id"] for one in found)
        if len(ids) > 1 or found[0].get(MEMBER_ID) not in (None, "", person.member_id):
            return Match(candidates=ids)
        return Match(vendor_id=ids[0], matched_by=matched_by)
    return Match()


def _same(there: Any, here: str) -> bool:
    return str(there or "").lower() == here.lower()


def plain(value: Any) -> Any:
    """Give a value as we would have sent it: Salesforce writes 3 as 3.0, and moments in its way."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and (found := _TIME.fullmatch(value)):
        return f"{found[1]}Z"
    return value


def written_csv(records: Sequence[Mapping[str, Any]]) -> bytes:
    """Write the file of a bulk job: an empty cell leaves a field, #N/A clears it."""
    rows = [{("Id" if n == "id" else n): v for n, v in one.items()} for one in records]
    names = sorted({name for row in rows for name in row} - {"attributes"})
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_cell(row.get(name, "")) for name in names] for row in rows)
    return written.getvalue().encode()


def _cell(value: Any) -> str:
    if value is None:
        return "#N/A"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def read_csv(answer: Answer) -> list[dict[str, str]]:
    """Read a file of results; there is none where nothing is in it."""
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8", "replace"))))


def outcome_of_row(row: Mapping[str, str] | None) -> Outcome:
    """Say what became of one row of a job; None for one that was not worked on."""
    if row is None:
        return Retryable(error="Salesforce ended the job before this row.")
    error = row.get("sf__Error") or ""
    if not error:
        return Delivered(vendor_id=row.get("sf__Id") or "")
    code, _, message = error.partition(":")
    return refused({"statusCode": code.strip(), "message": message.strip()})


def outcome_of(result: Mapping[str, Any]) -> Outcome:
    """Say what became of one record of a collection."""
    if result.get("success"):
        said = orjson.dumps(result).decode()
        return Delivered(status_code=200, answer=said, vendor_id=str(result.get("id") or ""))
    errors = result.get("errors") or [{}]
    return refused(errors[0], status_code=200)


def refused(error: Mapping[str, Any], *, status_code: int | None = None) -> Outcome:
    """Say what an error of one record means."""
    code = str(error.get("statusCode") or error.get("errorCode") or "")
    said = f"{code}: {error.get('message') or ''}"[:450]
    more: dict[str, Any] = {"status_code": status_code, "error": f"Salesforce refused it: {said}"}
    if code in _QUOTA:
        # Too many at the same moment is over in a moment, too many in a day is not.
        seconds = None if "Concurrent" in said else QUOTA_SECONDS
        return Retryable(throttled=True, retry_after=seconds, **more)
    if code in _PASSING:
        return Retryable(**more)
    if code in _SETUP:
        return Configuration(**more)
    if code in _SEVERAL:
        return Ambiguous(reason=Doubt.SEVERAL_MATCHES, candidates=_candidates(error), **more)
    return Permanent(**more)


def is_gone(result: Mapping[str, Any]) -> bool:
    """Say whether a record was refused because it, or what it points to, is not there any more."""
    return any(error.get("statusCode") in GONE for error in result.get("errors") or [])


def is_repeat(result: Mapping[str, Any]) -> bool:
    """Say whether an event was refused because it came twice at the same moment."""
    errors = result.get("errors") or []
    return any(one.get("statusCode") == "DUPLICATE_VALUE" for one in errors)


def _candidates(error: Mapping[str, Any]) -> tuple[str, ...]:
    results = (error.get("duplicateResult") or {}).get("matchResults") or []
    records = [one.get("record") or {} for way in results for one in way.get("matchRecords") or []]
    listed = [record.get("Id") or record.get("id") for record in records]
    named = _ID_IN.findall(str(error.get("message") or ""))
    return tuple(dict.fromkeys(str(one) for one in [*listed, *named] if one))


def classify_answer(answer: Answer) -> Outcome:
    """Say what an answer as a whole means."""
    if 200 <= answer.status < 300:
        return Delivered(status_code=answer.status, answer=answer.text)
    try:
        found = answer.json()
    except CallFailed:
        found = None
    error = found[0] if isinstance(found, list) and found and isinstance(found[0], dict) else {}
    code, said = error.get("errorCode"), f"{error.get('errorCode')}: {error.get('message')}"[:400]
    if code in _QUOTA | _PASSING:
        return refused(error, status_code=answer.status)
    if code in _SETUP or answer.status in (404, 410):
        sentence = f"Salesforce does not have what this connection needs there. {said}"
        return Configuration(status_code=answer.status, answer=answer.text, error=sentence)
    return classify(answer, said=said if code else "")
