"""Omnisend: contacts with the member's standing, custom events; consent is only read.

Source: Omnisend's published API reference, version 2026-03-15.
"""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final
from urllib.parse import quote, urlencode

import orjson

from crm_sync.adapters.access import Limit, Target
from crm_sync.adapters.client import (
    Answer,
    CallFailed,
    Client,
    Request,
    in_order,
    match_each,
    read_each,
    read_settings,
    timed,
)
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
from crm_sync.adapters.omnisend_documents import (
    MEMBER_ID,
    batch_outcomes,
    change_of,
    choose,
    classify_answer,
    contact_document,
    event_document,
    fields_in,
)
from crm_sync.adapters.outcomes import Delivered, Outcome, Retryable, Skipped, in_doubt

VERSION: Final = "2026-03-15"
ADDRESS: Final = "https://api.omnisend.com/api"
# Each endpoint has its own 400 a minute; spread evenly, with a burst that the minute still holds.
CONTACTS: Final = Limit("contacts", calls=380, seconds=60, burst=20)
EVENTS: Final = Limit("events", calls=380, seconds=60, burst=20)
BATCHES: Final = Limit("batches", calls=380, seconds=60, burst=20)
_PAGE: Final = 250


class OmnisendAdapter:
    """Contacts are found by email or phone; our member id is one of their properties."""

    title = "Omnisend"
    settings = (
        Setting(
            name="api_key",
            label="API key",
            help="With the scopes contacts.read, contacts.write and events.write.",
            is_required=True,
            is_secret=True,
        ),
        Setting(name="version", label="API version", default=VERSION),
        Setting(name="address", label="Address of the API", default=ADDRESS),
    )
    batch_size = 1
    bulk_size = 100
    is_signed = False
    old_events = "Old events are not sent: Omnisend would write to people."
    default_fields = (
        Field("member_id", MEMBER_ID, "text"),
        Field("program", "loyaltyProgram", "text"),
        Field("status", "loyaltyStatus", "text"),
        Field("enrolled_at", "loyaltyEnrolledAt", "datetime"),
        Field("tier", "loyaltyTier", "text"),
        Field("tier_since", "loyaltyTierSince", "datetime"),
        Field("points_available", "loyaltyPointsBalance", "integer"),
        Field("points_pending", "loyaltyPointsPending", "integer"),
        Field("points_lifetime", "loyaltyLifetimePoints", "integer"),
        Field("points_expiring", "loyaltyPointsExpiring", "integer"),
        Field("points_expire_on", "loyaltyPointsExpireOn", "date"),
        Field("last_redeemed_at", "loyaltyLastRedemptionAt", "datetime"),
        Field("referral_code", "loyaltyReferralCode", "text"),
        Field("state_version", "loyaltyStateVersion", "integer"),
    )
    field_limits = FieldLimits(
        text_characters=1000,
        reserved=frozenset(
            {"id", "identifiers", "status", "statuses", "consents", "segments", "tags"}
        ),
    )

    def __init__(self, environment: Environment) -> None:
        self._client = Client(environment)

    def check(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return {"version": …, "address": …} with their defaults."""
        values = read_settings(self.title, self.settings, config, self._client.environment)
        if re.fullmatch(r"\d{4}-\d\d-\d\d", values["version"]) is None:
            raise ConfigRefused(f"An API version looks like {VERSION}.")
        return values

    def probe(self, target: Target, event: Outgoing) -> Outcome:
        """Read one contact: the key works, and nothing is left behind."""
        return timed(lambda: classify_answer(self._get(target, "contacts?limit=1", CONTACTS)))

    def send(self, target: Target, deliveries: Sequence[Outgoing]) -> list[Outcome]:
        """Send events one by one.

        Omnisend notices a repeat only in its history, not where automations begin: one that was
        not answered is in doubt. Nothing tells it that an event is an old one either, so those of
        a backfill are left out.
        """
        return in_order(deliveries, partial(self._send_one, target))

    def push(self, target: Target, profiles: Sequence[Profile]) -> list[Outcome]:
        """Create or update each contact."""
        return [timed(partial(self._push_one, target, profile)) for profile in profiles]

    def push_bulk(self, target: Target, profiles: Sequence[Profile]) -> Submitted | list[Outcome]:
        """Submit a batch of new contacts; those whom Omnisend knows are updated one by one.

        A batch can only name people by email, and an email may have changed on either side.
        """
        if any(profile.person.vendor_id or not profile.person.email for profile in profiles):
            return self.push(target, profiles)
        items = [contact_document(profile) for profile in profiles]
        body = {"method": "POST", "endpoint": "contacts", "items": items}
        try:
            answer = self._call(target, "POST", "batches", BATCHES, orjson.dumps(body))
            outcome = classify_answer(answer)
            if isinstance(outcome, Delivered):
                return Submitted(job_id=str(answer.json()["batchID"]), answer=answer.text)
        except CallFailed as failed:
            outcome = failed.outcome
        return [outcome] * len(profiles)

    def poll_job(self, target: Target, job_id: str, member_ids: Sequence[str]) -> JobReport:
        """Ask how far a batch is; when it is done, which contacts it refused."""
        path = f"batches/{quote(job_id, safe='')}"
        try:
            answer = self._get(target, path, BATCHES)
            if answer.status == 404:
                lost = Retryable(
                    status_code=404, error="Omnisend does not know the batch any more."
                )
                return JobReport(is_done=True, outcomes=[lost] * len(member_ids))
            outcome = classify_answer(answer)
            if not isinstance(outcome, Delivered):
                return JobReport(is_done=False, outcome=outcome)
            batch = answer.json()
            if batch["status"] not in ("finished", "stopped"):
                return JobReport(is_done=False)
            if batch.get("errorsCount"):
                batch = self._get(target, f"{path}/items", BATCHES).json()
            return JobReport(is_done=True, outcomes=batch_outcomes(batch, member_ids))
        except CallFailed as failed:
            return JobReport(is_done=False, outcome=failed.outcome)

    def match(self, target: Target, people: Sequence[Person]) -> list[Match]:
        """Ask whom Omnisend knows by email and phone, one after the other."""
        return match_each(people, partial(self._match, target))

    def read(
        self, target: Target, people: Sequence[Person], fields: Sequence[str]
    ) -> list[Mapping[str, Any] | None] | Outcome:
        """Read these contacts' fields, one call each."""
        return read_each(people, lambda person: self._read_one(target, person, fields))

    def list_changes(self, target: Target, cursor: str, fields: Sequence[str] = ()) -> ChangePage:
        """List contacts that were updated since the cursor, with consent and segments."""
        place = orjson.loads(cursor) if cursor else {}
        query = {"limit": str(_PAGE), "sort": "updatedAt", "direction": "asc"}
        if since := place.get("since"):
            query["updatedAtFrom"] = since
        if after := place.get("after"):
            query["after"] = after
        try:
            answer = self._get(target, f"contacts?{urlencode(query)}", CONTACTS)
            outcome = classify_answer(answer)
            if not isinstance(outcome, Delivered):
                return ChangePage(changes=[], cursor=cursor, outcome=outcome)
            return _change_page(answer.json(), place)
        except CallFailed as failed:
            return ChangePage(changes=[], cursor=cursor, outcome=failed.outcome)

    def _send_one(self, target: Target, delivery: Outgoing) -> Outcome:
        person = delivery.person or Person(member_id=str(delivery.body["member"]))
        if delivery.is_backfill:
            return Skipped(error=self.old_events)
        if not _can_be_named(person):
            return _nameless()
        body = orjson.dumps(event_document(delivery, person))
        try:
            answer = self._call(target, "POST", "events", EVENTS, body)
        except CallFailed as failed:
            return in_doubt(failed.outcome)
        return in_doubt(classify_answer(answer))

    def _push_one(self, target: Target, profile: Profile) -> Outcome:
        known = profile.person.vendor_id
        if not _can_be_named(profile.person):
            return _nameless()
        method, path = "POST", "contacts"
        if known:
            method, path = "PATCH", f"contacts/{quote(known, safe='')}"
        body = orjson.dumps(contact_document(profile))
        answer = self._call(target, method, path, CONTACTS, body)
        outcome = classify_answer(answer)
        if not isinstance(outcome, Delivered):
            return outcome
        vendor_id = str(answer.json()["id"])
        return Delivered(status_code=answer.status, answer=answer.text, vendor_id=vendor_id)

    def _match(self, target: Target, person: Person) -> Match:
        by_email = self._others(target, "email", person.email, person)
        by_phone = [] if by_email else self._others(target, "phone", person.phone, person)
        return choose(person, by_email, by_phone)

    def _read_one(
        self, target: Target, person: Person, fields: Sequence[str]
    ) -> Mapping[str, Any] | None:
        contact = self._contact(target, person.vendor_id) if person.vendor_id else None
        return fields_in(contact, fields) if contact is not None else None

    def _others(
        self, target: Target, name: str, value: str, person: Person
    ) -> list[Mapping[str, Any]]:
        found = self._find(target, name, value)
        return [contact for contact in found if str(contact["id"]) != person.vendor_id]

    def _find(self, target: Target, name: str, value: str) -> list[Mapping[str, Any]]:
        if not value:
            return []
        answer = self._get(target, f"contacts?{urlencode({name: value, 'limit': '5'})}", CONTACTS)
        outcome = classify_answer(answer)
        if not isinstance(outcome, Delivered):
            raise CallFailed(outcome)
        return list(answer.json()["contacts"])

    def _contact(self, target: Target, vendor_id: str) -> Mapping[str, Any] | None:
        answer = self._get(target, f"contacts/{quote(vendor_id, safe='')}", CONTACTS)
        if answer.status == 404:
            return None
        outcome = classify_answer(answer)
        if not isinstance(outcome, Delivered):
            raise CallFailed(outcome)
        contact: Mapping[str, Any] = answer.json()
        return contact

    def _get(self, target: Target, path: str, limit: Limit) -> Answer:
        return self._call(target, "GET", path, limit)

    def _call(
        self, target: Target, method: str, path: str, limit: Limit, content: bytes = b""
    ) -> Answer:
        headers = {
            "authorization": f"Omnisend-API-Key {target.credentials.get('api_key')}",
            "omnisend-version": str(target.config["version"]),
            "accept": "application/json",
        }
        if content:
            headers["content-type"] = "application/json"
        url = f"{target.config['address']}/{path}"
        request = Request(method=method, url=url, headers=headers, content=content, limit=limit)
        return self._client.call(target, request)


def _can_be_named(person: Person) -> bool:
    return bool(person.vendor_id or person.email or person.phone)


def _nameless() -> Outcome:
    return Skipped(error="Omnisend names people by email or phone, and may be told neither.")


def _change_page(document: Mapping[str, Any], place: Mapping[str, str]) -> ChangePage:
    contacts = document["contacts"]
    paging = document.get("paging") or {}
    after = (paging.get("cursors") or {}).get("after") if paging.get("hasMore") else ""
    if after:
        following = {"since": place.get("since", ""), "after": str(after)}
    else:
        newest = str(contacts[-1].get("updatedAt") or "") if contacts else ""
        following = {"since": newest or place.get("since", "")}
    return ChangePage(
        changes=[change_of(contact) for contact in contacts],
        cursor=orjson.dumps({n: v for n, v in following.items() if v}).decode(),
        has_more=bool(after),
    )
