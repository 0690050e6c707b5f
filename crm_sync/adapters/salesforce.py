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
    ConfigRefused,
    Environment,
    JobReport,
    Match,
    Outgoing,
    Person,
    Profile,
    Setting,
    Submitted,
)
from crm_sync.adapters.fields import Field, FieldLimits
from crm_sync.adapters.outcomes import Delivered, Outcome, Permanent, Retryable, Skipped
from crm_sync.adapters.salesforce_api import Api, good
from crm_sync.adapters.salesforce_documents import (
    EVENT,
    EVENT_ID,
    KINDS,
    MEMBER_ID,
    RESERVED,
    Kind,
    change_page,
    changes_query,
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

VERSION: Final = "v64.0"
AUDIENCE: Final = "https://login.salesforce.com"
CALLS_A_DAY: Final = 50_000
RECORDS_AT_ONCE: Final = 200
_PEOPLE_AT_ONCE: Final = 50  # a query is part of the address, of which Salesforce reads 16 kB
_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_ENDED = {"JobComplete", "Failed", "Aborted"}
_DELETED = "Somebody deleted the member's record at Salesforce: choose another, or a new one."
_LAST_ONLY = "Salesforce keeps only a member's last event, as the connection is set up."


class SalesforceAdapter:
    """People are found by our member id, an external id, email, phone; new ones carry our id."""

    title = "Salesforce"
    settings = (
        Setting(
            name="address",
            label="My Domain",
            help="https://acme.my.salesforce.com",
            is_required=True,
        ),
        Setting(name="client_id", label="Consumer key of the app", is_required=True),
        Setting(
            name="secret",
            label="Consumer secret, or private key",
            help="With a user name below: the RSA private key in PEM, for the JWT bearer flow.",
            is_required=True,
            is_secret=True,
        ),
        Setting(
            name="username",
            label="User name, for the JWT bearer flow",
            help="Empty: the client credentials flow, as the user that the app names.",
        ),
        Setting(name="audience", label="Audience of the assertion", default=AUDIENCE),
        Setting(
            name="object",
            label="Members are",
            default="contact",
            help="contact, lead or person_account.",
        ),
        Setting(
            name="record_type",
            label="Record type of new ones",
            help="Its id, where the user's default is another one, as with Person Accounts.",
        ),
        Setting(
            name="external_id_field",
            label="Field with another system's id",
            help="Such as Shop_Customer_Id__c, to find members by their external ids. Optional.",
        ),
        Setting(
            name="events",
            label="Events become",
            default="records",
            help="records of Loyalty_Event__c, or fields: only the last one, on the person.",
        ),
        Setting(
            name="calls_per_day",
            label="Calls a day, at most",
            default=str(CALLS_A_DAY),
            help="Your organisation's quota is shared with everything else that calls it.",
        ),
        Setting(name="api_version", label="API version", default=VERSION),
    )
    batch_size = 50
    bulk_size = 2000
    is_signed = False
    default_fields = (
        Field("member_id", MEMBER_ID, "text"),
        Field("program", "Loyalty_Program__c", "text"),
        Field("status", "Loyalty_Status__c", "text"),
        Field("enrolled_at", "Loyalty_Enrolled_At__c", "datetime"),
        Field("tier", "Loyalty_Tier__c", "text"),
        Field("tier_since", "Loyalty_Tier_Since__c", "datetime"),
        Field("points_available", "Loyalty_Points_Balance__c", "integer"),
        Field("points_pending", "Loyalty_Points_Pending__c", "integer"),
        Field("points_lifetime", "Loyalty_Lifetime_Points__c", "integer"),
        Field("points_expiring", "Loyalty_Points_Expiring__c", "integer"),
        Field("points_expire_on", "Loyalty_Points_Expire_On__c", "date"),
        Field("last_redeemed_at", "Loyalty_Last_Redemption__c", "datetime"),
        Field("state_version", "Loyalty_State_Version__c", "integer"),
    )
    field_limits = FieldLimits(
        name_pattern=r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*(__p?c)?",
        name_hint="a field's API name, such as Loyalty_Tier__c",
        name_characters=80,
        text_characters=255,
        fields=100,
        reserved=RESERVED,
    )

    def __init__(self, environment: Environment) -> None:
        self._client = Client(environment)

    def check(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings with their defaults."""
        found = read_settings(self.title, self.settings, config, self._client.environment)
        _refuse(found)
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
            "externalIdFieldName": "Id",  # an empty one is a new record
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

    def list_changes(self, target: Target, cursor: str) -> ChangePage:
        """List who was changed since the cursor, with consent to email."""
        kind = kind_of(target.config)
        place = orjson.loads(cursor) if cursor else {}
        try:
            records = list(self._api(target).query(changes_query(kind, place)))
        except CallFailed as failed:
            return ChangePage(changes=[], cursor=cursor, outcome=failed.outcome)
        return change_page(records, kind, cursor)

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
            (result,) = api.write("", [person_record(moved, kind, target.config)])
        except CallFailed as failed:
            return failed.outcome
        return outcome_of(result)


def _record(
    api: Api, kind: Kind, vendor_id: str, deliveries: Sequence[Outgoing]
) -> list[Mapping[str, Any]]:
    records = [event_record(delivery, kind, vendor_id) for delivery in deliveries]
    return api.write(f"{EVENT}/{EVENT_ID}", records)


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


def _refuse(config: Mapping[str, str]) -> None:
    """Refuse settings that cannot be right.

    Raises:
        ConfigRefused: saying which, and what it may be.
    """
    if not config["client_id"]:
        raise ConfigRefused("Consumer key is required.")
    if config["object"] not in KINDS:
        raise ConfigRefused(f"Members are one of {', '.join(KINDS)}.")
    if config["events"] not in ("records", "fields"):
        raise ConfigRefused("Events become records or fields.")
    if not re.fullmatch(r"v[1-9]\d{1,2}\.0", config["api_version"]):
        raise ConfigRefused(f"An API version looks like {VERSION}.")
    if not re.fullmatch(r"[1-9]\d{1,8}", config["calls_per_day"]):
        raise ConfigRefused("Calls a day is a whole number, at least 10.")
    if config["external_id_field"] and not _FIELD.fullmatch(config["external_id_field"]):
        raise ConfigRefused("The field with another system's id is one API name.")
