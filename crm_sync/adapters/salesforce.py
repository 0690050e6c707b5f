"""Salesforce CRM: the member's standing on a Contact, Lead or Person Account; events as records.

Events are records of an object of their own, found by the event's id: a repeat is the same record.
What arrives where, and what is to be created there: docs/crm/salesforce.md.

Source: Salesforce's REST API Developer Guide and its Bulk API 2.0 Developer Guide.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

import orjson

from crm_sync.adapters.access import Target
from crm_sync.adapters.client import CallFailed, Client, in_order, read_settings, timed
from crm_sync.adapters.contract import (
    ChangePage,
    Environment,
    JobReport,
    Match,
    Outgoing,
    Person,
    Profile,
    Submitted,
)
from crm_sync.adapters.outcomes import Delivered, Outcome, Permanent, Retryable, Skipped
from crm_sync.adapters.salesforce_api import Api, good
from crm_sync.adapters.salesforce_changes import (
    CAMPAIGNS,
    campaign_changes_query,
    campaign_page,
    campaigns_query,
    change_page,
    changes_query,
    value_at,
)
from crm_sync.adapters.salesforce_documents import (
    EVENT,
    EVENT_ID,
    MEMBER_ID,
    Kind,
    choose,
    event_fields,
    event_record,
    is_gone,
    is_one_of,
    is_repeat,
    kind_of,
    outcome_of,
    outcome_of_row,
    people_query,
    person_record,
    plain,
    read_csv,
    written_csv,
)
from crm_sync.adapters.salesforce_settings import (
    DEFAULT_FIELDS,
    FIELD_LIMITS,
    SETTINGS,
    refuse_settings,
)

RECORDS_AT_ONCE: Final = 200
_PEOPLE_AT_ONCE: Final = 50  # a query is part of the address, of which Salesforce reads 16 kB
_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_ENDED = {"JobComplete", "Failed", "Aborted"}
_DELETED = "Somebody deleted the member's record at Salesforce: choose another, or a new one."
_LAST_ONLY = "Salesforce keeps only a member's last event, as the connection is set up."


class SalesforceAdapter:
    """People are found by our member id, an external id, email, phone; new ones carry our id."""

    title = "Salesforce"
    settings = SETTINGS
    batch_size = 50
    bulk_size = 2000
    is_signed = False
    default_fields = DEFAULT_FIELDS
    field_limits = FIELD_LIMITS

    def __init__(self, environment: Environment) -> None:
        self._client = Client(environment)

    def check(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings with their defaults."""
        found = read_settings(self.title, self.settings, config, self._client.environment)
        refuse_settings(found)
        return found

    def probe(self, target: Target, event: Outgoing) -> Outcome:
        """Look for one record: the app may log in, and object and fields are there."""
        return timed(partial(self._probe, target))

    def send(self, target: Target, deliveries: Sequence[Outgoing]) -> list[Outcome]:
        """Send events, all of one person; each is found again by its id."""
        if target.config["events"] == "fields":
            return in_order(deliveries, partial(self._send_as_fields, target))
        return _each(partial(self._send, target, deliveries), len(deliveries))

    def push(self, target: Target, profiles: Sequence[Profile]) -> list[Outcome]:
        """Create or update each person, two hundred in one call."""
        outcomes: dict[int, Outcome] = {}
        for is_known in (True, False):
            places = [n for n, p in enumerate(profiles) if bool(p.person.vendor_id) is is_known]
            for first in range(0, len(places), RECORDS_AT_ONCE):
                chunk = places[first : first + RECORDS_AT_ONCE]
                some = [profiles[n] for n in chunk]
                found = _each(partial(self._push, target, some), len(some))
                outcomes |= dict(zip(chunk, found, strict=True))
        return [outcomes[n] for n in range(len(profiles))]

    def push_bulk(self, target: Target, profiles: Sequence[Profile]) -> Submitted | list[Outcome]:
        """Submit a job of the Bulk API, unless they are few."""
        if len(profiles) <= RECORDS_AT_ONCE:
            return self.push(target, profiles)
        kind = kind_of(target.config)
        job = {
            "object": kind.sobject,
            "operation": "upsert",
            # By our id, if we know nobody's there; by theirs, an empty one is a new record.
            "externalIdFieldName": "Id" if any(p.person.vendor_id for p in profiles) else MEMBER_ID,
            "contentType": "CSV",
            "lineEnding": "LF",
        }
        content = written_csv([person_record(one, kind, target.config) for one in profiles])
        api = self._api(target)
        try:
            job_id = str(api.good("POST", "jobs/ingest", job).json()["id"])
            path = f"jobs/ingest/{job_id}"
            api.good("PUT", f"{path}/batches", content, {"content-type": "text/csv"})
            closed = api.good("PATCH", path, {"state": "UploadComplete"})
        except CallFailed as failed:
            return [failed.outcome] * len(profiles)
        return Submitted(job_id=job_id, answer=closed.text)

    def poll_job(self, target: Target, job_id: str, member_ids: Sequence[str]) -> JobReport:
        """Ask how far a job is; when it has ended, what became of each row."""
        api, path = self._api(target), f"jobs/ingest/{job_id}"
        try:
            answer = api.call("GET", path)
            if answer.status == 404:
                lost = Retryable(error="Salesforce does not know the job any more.")
                return JobReport(is_done=True, outcomes=[lost] * len(member_ids))
            if good(answer).json()["state"] not in _ENDED:
                return JobReport(is_done=False)
            rows: dict[str, dict[str, str]] = {}
            for results in ("successfulResults", "failedResults"):
                found = api.good("GET", f"{path}/{results}/", None, {"accept": "text/csv"})
                rows |= {row[MEMBER_ID]: row for row in read_csv(found)}
        except CallFailed as failed:
            return JobReport(is_done=False, outcome=failed.outcome)
        outcomes = [outcome_of_row(rows.get(member_id)) for member_id in member_ids]
        return JobReport(is_done=True, outcomes=outcomes)

    def match(self, target: Target, people: Sequence[Person]) -> list[Match]:
        """Ask whom Salesforce knows by our id, an external id, email and phone."""
        kind, external = kind_of(target.config), target.config["external_id_field"]
        found: list[Match] = []
        for first in range(0, len(people), _PEOPLE_AT_ONCE):
            some = people[first : first + _PEOPLE_AT_ONCE]
            try:
                records = list(self._api(target).query(people_query(kind, some, external)))
            except CallFailed as failed:
                return found + [Match(outcome=failed.outcome)] * (len(people) - first)
            found += [choose(person, records, kind, external) for person in some]
        return found

    def read(
        self, target: Target, people: Sequence[Person], fields: Sequence[str]
    ) -> list[Mapping[str, Any] | None] | Outcome:
        """Read these people's fields."""
        names = [name for name in fields if _FIELD.fullmatch(name)]
        columns = ", ".join(dict.fromkeys(["Id", *names]))
        ids = sorted({person.vendor_id for person in people if person.vendor_id})
        by_id: dict[str, Mapping[str, Any]] = {}
        try:
            for first in range(0, len(ids), RECORDS_AT_ONCE):
                among = is_one_of("Id", ids[first : first + RECORDS_AT_ONCE])
                asked = f"SELECT {columns} FROM {kind_of(target.config).sobject} WHERE {among}"
                by_id |= {record["Id"]: record for record in self._api(target).query(asked)}
        except CallFailed as failed:
            return failed.outcome
        found = [by_id.get(person.vendor_id) for person in people]
        return [one and {name: plain(one.get(name)) for name in fields} for one in found]

    def list_changes(self, target: Target, cursor: str, fields: Sequence[str] = ()) -> ChangePage:
        """List who was changed since the cursor, with consent to email; then their campaigns."""
        place = orjson.loads(cursor) if cursor else {}
        kind, api = kind_of(target.config), self._api(target)
        try:
            if place.get("stream") == CAMPAIGNS:
                return self._list_campaigns(api, kind, place)
            records = list(api.query(changes_query(kind, place, fields)))
        except CallFailed as failed:
            return ChangePage(changes=[], cursor=cursor, outcome=failed.outcome)
        return change_page(records, kind, place, target.config, fields)

    def _list_campaigns(self, api: Api, kind: Kind, place: Mapping[str, Any]) -> ChangePage:
        """List the campaigns of all whose membership of one began or ended."""
        asked = campaign_changes_query(kind, place.get(CAMPAIGNS) or {})
        changed = list(api.query(asked, with_deleted=True))
        ids = sorted({str(one) for record in changed if (one := value_at(record, kind.joins))})
        names: dict[str, list[str]] = {one: [] for one in ids}
        for first in range(0, len(ids), RECORDS_AT_ONCE):
            for record in api.query(campaigns_query(kind, ids[first : first + RECORDS_AT_ONCE])):
                name = str(value_at(record, "Campaign.Name"))
                names[str(value_at(record, kind.joins))].append(name)
        return campaign_page(names, changed, place)

    def _api(self, target: Target) -> Api:
        return Api(self._client, target)

    def _probe(self, target: Target) -> Outcome:
        sobject = kind_of(target.config).sobject
        names = [MEMBER_ID, target.config["external_id_field"]]
        asked = [f"SELECT {', '.join(name for name in names if name)} FROM {sobject} LIMIT 1"]
        if target.config["events"] == "records":
            asked.append(f"SELECT {EVENT_ID} FROM {EVENT} LIMIT 1")
        for query in asked:
            list(self._api(target).query(query))
        return Delivered(status_code=200)

    def _send(self, target: Target, deliveries: Sequence[Outgoing]) -> list[Outcome]:
        api, kind = self._api(target), kind_of(target.config)
        person = _person_of(deliveries[0])
        if _is_forgotten(person, deliveries):
            return [_nobody()] * len(deliveries)
        vendor_id = person.vendor_id or self._introduce(target, deliveries[0])
        results = _record(api, kind, vendor_id, deliveries)
        if person.vendor_id and any(map(is_gone, results)):
            vendor_id = api.survivor(kind, person)
            results = _record(api, kind, vendor_id, deliveries) if vendor_id else results
        # What came twice in the same moment is there once.
        return [Delivered(status_code=200) if is_repeat(r) else outcome_of(r) for r in results]

    def _introduce(self, target: Target, delivery: Outgoing) -> str:
        """Make the person whom an event is about, before it: it has to point to somebody."""
        (outcome,) = self._push(target, [_bare(delivery, {})])
        if not isinstance(outcome, Delivered):
            raise CallFailed(outcome)
        return outcome.vendor_id

    def _send_as_fields(self, target: Target, delivery: Outgoing) -> Outcome:
        if _is_forgotten(_person_of(delivery), [delivery]):
            return _nobody()
        (outcome,) = self._push(target, [_bare(delivery, event_fields(delivery))])
        return replace(outcome, notice=_LAST_ONLY) if isinstance(outcome, Delivered) else outcome

    def _push(self, target: Target, profiles: Sequence[Profile]) -> list[Outcome]:
        """Write people who are all known there, or all new."""
        kind = kind_of(target.config)
        records = [person_record(profile, kind, target.config) for profile in profiles]
        is_known = bool(profiles[0].person.vendor_id)
        path = "" if is_known else f"{kind.sobject}/{MEMBER_ID}"
        is_quiet = any(profile.is_backfill for profile in profiles)
        results = self._api(target).write(path, records, is_quiet=is_quiet)
        return [
            self._follow(target, profile) if is_known and is_gone(result) else outcome_of(result)
            for profile, result in zip(profiles, results, strict=True)
        ]

    def _follow(self, target: Target, profile: Profile) -> Outcome:
        """Write to the record into which somebody merged the one that we knew."""
        api, kind = self._api(target), kind_of(target.config)
        try:
            vendor_id = api.survivor(kind, profile.person)
            if not vendor_id:
                return Permanent(error=_DELETED)
            moved = replace(profile, person=replace(profile.person, vendor_id=vendor_id))
            record = person_record(moved, kind, target.config)
            (result,) = api.write("", [record], is_quiet=profile.is_backfill)
        except CallFailed as failed:
            return failed.outcome
        return outcome_of(result)


def _record(
    api: Api, kind: Kind, vendor_id: str, deliveries: Sequence[Outgoing]
) -> list[Mapping[str, Any]]:
    """Write events in one call; if one of them is refused, one by one as far as it.

    What is behind it must not be there, and set off flows, before it.
    """
    records = [event_record(delivery, kind, vendor_id) for delivery in deliveries]
    path = f"{EVENT}/{EVENT_ID}"
    results = api.write(path, records, all_or_none=True)
    if len(records) == 1 or all(map(_is_there, results)) or any(map(is_gone, results)):
        return results
    results = []
    for record in records:
        try:
            results += api.write(path, [record])
        except CallFailed:
            if not results:
                raise
            break  # those before it are there, and are not sent again; it is the next one's first
        if not _is_there(results[-1]):
            break
    return results


def _is_there(result: Mapping[str, Any]) -> bool:
    return bool(result.get("success")) or is_repeat(result)


def _each(make: Callable[[], list[Outcome]], count: int) -> list[Outcome]:
    """Make a call about many; what kept it from being made, or answered, is every one's outcome."""
    began = time.monotonic()
    try:
        outcomes = make()
    except CallFailed as failed:
        outcomes = [failed.outcome] * count
    took = round((time.monotonic() - began) * 1000)
    return [replace(outcomes[0], duration_ms=took), *outcomes[1:]]


def _person_of(delivery: Outgoing) -> Person:
    return delivery.person or Person(member_id=str(delivery.body["member"]))


def _bare(delivery: Outgoing, fields: Mapping[str, Any]) -> Profile:
    return Profile(
        person=_person_of(delivery),
        fields=fields,
        version=delivery.body["sequence"],
        correlation_id=delivery.correlation_id,
        is_backfill=delivery.is_backfill,
    )


def _is_forgotten(person: Person, deliveries: Sequence[Outgoing]) -> bool:
    """Say whether somebody who was erased here was never known there: then nobody is made."""
    return not person.vendor_id and any(one.body["type"] == "member.erased" for one in deliveries)


def _nobody() -> Outcome:
    return Skipped(error="Salesforce does not have this member, who is erased.")
