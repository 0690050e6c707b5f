"""HubSpot: contacts with the member's standing, custom events where the plan has them.

A plan without custom events is told the newest event as properties. Consent is only read.

Source: HubSpot's own OpenAPI documents of 2026-03, as far as docs/crm/hubspot.md says.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

import orjson

from crm_sync.adapters.access import Limit, Target, Token
from crm_sync.adapters.client import (
    Answer,
    CallFailed,
    Client,
    Request,
    in_order,
    read_settings,
    timed,
)
from crm_sync.adapters.contract import (
    ChangePage,
    ConfigRefused,
    Environment,
    Match,
    Outgoing,
    Person,
    Profile,
    Setting,
)
from crm_sync.adapters.fields import LOYALTY_FIELDS, FieldLimits
from crm_sync.adapters.hubspot_documents import (
    IDENTIFIERS,
    MEMBER_ID,
    OPTED_OUT,
    Item,
    change_page,
    choose,
    classify_answer,
    event_document,
    known_item,
    last_event,
    names_in,
    new_item,
    outcomes_in,
    path_of,
    search_document,
    seconds_to_wait,
)
from crm_sync.adapters.hubspot_lists import list_members
from crm_sync.adapters.outcomes import (
    Configuration,
    Delivered,
    Outcome,
    Permanent,
    Retryable,
    Skipped,
)
from crm_sync.adapters.segments import SegmentPage

VERSION: Final = "2026-03"
ADDRESS: Final = "https://api.hubapi.com"
# What every plan has; more is allowed where HubSpot's headers say so, and is not needed.
CALLS: Final = Limit("calls", calls=90, seconds=10, burst=10)
SEARCHES: Final = Limit("searches", calls=4, seconds=1)
_AT_ONCE: Final = 100
_SPLIT: Final = frozenset({400, 409, 413})  # one bad contact refuses a whole batch
_NO_EVENTS: Final = (
    "HubSpot takes no custom events of this account (403: plan or scope). The newest event is "
    "written to properties; set Events to properties, so that nothing is asked in vain."
)


class HubSpotAdapter:
    """Contacts are found by our member id, email, phone; who is found by none is made."""

    title = "HubSpot"
    settings = (
        Setting(
            name="hub_id",
            label="Hub ID",
            help="The account's number: custom events carry it in their names.",
        ),
        Setting(
            name="events",
            label="Events",
            help="custom_events (Enterprise plans), properties (the newest event only), or none.",
            default="custom_events",
            choices=("custom_events", "properties", "none"),
        ),
        Setting(
            name="access_token",
            label="Access token",
            help="pat-…, of a private app. Empty for an app with OAuth.",
            is_secret=True,
        ),
        Setting(name="client_id", label="Client id", help="Of an app with OAuth."),
        Setting(name="client_secret", label="Client secret", is_secret=True),
        Setting(name="refresh_token", label="Refresh token", is_secret=True),
        Setting(name="api_version", label="API version", default=VERSION),
        Setting(name="address", label="Address of the API", default=ADDRESS),
    )
    batch_size = 1
    bulk_size = _AT_ONCE
    is_signed = False
    old_events = "HubSpot knows no old events: workflows would write to people."
    segment_pattern = r"[1-9][0-9]{0,19}"
    segment_hint = "the list's number, at the end of its address in HubSpot"
    default_fields = LOYALTY_FIELDS
    field_limits = FieldLimits(
        name_pattern=r"[a-z][a-z0-9_]*",
        name_hint="small letters, digits and underscores, beginning with a letter",
        text_characters=60_000,
        reserved=frozenset({OPTED_OUT, "hs_object_id", "lastmodifieddate", "createdate"}),
    )

    def __init__(self, environment: Environment) -> None:
        self._client = Client(environment)

    def check(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return all settings with their defaults."""
        checked = read_settings(self.title, self.settings, config, self._client.environment)
        if re.fullmatch(r"v3|\d{4}-\d{2}", checked["api_version"]) is None:
            raise ConfigRefused(f"A version looks like {VERSION}, or is v3.")
        if checked["events"] not in ("custom_events", "properties", "none"):
            raise ConfigRefused("Events are custom_events, properties or none.")
        if checked["events"] == "custom_events" and not checked["hub_id"].isdigit():
            raise ConfigRefused("Custom events need the Hub ID, a number; or set Events otherwise.")
        return checked

    def probe(self, target: Target, event: Outgoing) -> Outcome:
        """Read the property that contacts are found by: nothing is left behind."""
        return timed(partial(self._probe, target))

    def send(self, target: Target, deliveries: Sequence[Outgoing]) -> list[Outcome]:
        """Send events one by one; HubSpot keeps the first of each `uuid`."""
        return in_order(deliveries, partial(self._send_one, target))

    def push(self, target: Target, profiles: Sequence[Profile]) -> list[Outcome]:
        """Create or update contacts, a hundred in one call."""
        outcomes: list[Outcome] = []
        for first in range(0, len(profiles), _AT_ONCE):
            outcomes += self._push_some(target, profiles[first : first + _AT_ONCE])
        return outcomes

    def push_bulk(self, target: Target, profiles: Sequence[Profile]) -> list[Outcome]:
        """Do the same: HubSpot's bulk form answers at once, one by one."""
        return self.push(target, profiles)

    def match(self, target: Target, people: Sequence[Person]) -> list[Match]:
        """Ask whom HubSpot knows by our id, email and phone."""
        try:
            found = {
                "member_id": self._find(target, MEMBER_ID, [one.member_id for one in people]),
                "email": self._find(target, "email", [one.email.lower() for one in people]),
                "phone": self._search_phones(target, [one.phone for one in people]),
            }
        except CallFailed as failed:
            return [Match(outcome=failed.outcome) for _ in people]
        return [choose(person, found) for person in people]

    def read(
        self, target: Target, people: Sequence[Person], fields: Sequence[str]
    ) -> list[Mapping[str, Any] | None] | Outcome:
        """Read these contacts' properties."""
        try:
            found = self._read(target, [one.vendor_id for one in people], fields)
        except CallFailed as failed:
            return failed.outcome
        by_id = {str(contact["id"]): contact["properties"] for contact in found}
        return [
            {name: by_id[one.vendor_id].get(name) for name in fields}
            if one.vendor_id in by_id
            else None
            for one in people
        ]

    def list_changes(self, target: Target, cursor: str, fields: Sequence[str] = ()) -> ChangePage:
        """List contacts that were changed since the cursor, with who opted out of all email."""
        place = orjson.loads(cursor) if cursor else {}
        try:
            found = self._query(target, "search", search_document(place, fields), SEARCHES)
            return change_page(found, place, fields)
        except CallFailed as failed:
            return ChangePage(changes=[], cursor=cursor, outcome=failed.outcome)

    def list_segment(self, target: Target, segment: str, page: str) -> SegmentPage:
        """List which contacts are in a list."""
        get, read = partial(self._call, target, "GET"), partial(self._read, target)
        return list_members(get, read, target.config["api_version"], segment, page)

    def _probe(self, target: Target) -> Outcome:
        path = f"{path_of(target.config['api_version'], 'properties')}/contacts/{MEMBER_ID}"
        answer = self._call(target, "GET", path)
        if answer.status == 404:
            error = f"Create the contact property {MEMBER_ID}, with unique values."
            return Configuration(status_code=404, answer=answer.text, error=error)
        outcome = classify_answer(answer)
        if isinstance(outcome, Delivered) and not answer.json().get("hasUniqueValue"):
            error = f"The contact property {MEMBER_ID} must have unique values; make it anew."
            return Configuration(status_code=200, answer=answer.text, error=error)
        return outcome

    def _send_one(self, target: Target, delivery: Outgoing) -> Outcome:
        if target.config["events"] == "none":
            return Skipped(error="This connection sends no events, only where members stand.")
        if delivery.is_backfill:
            return Skipped(error=self.old_events)
        person = delivery.person or Person(member_id=str(delivery.body["member"]))
        trace = str(delivery.correlation_id)
        made: Outcome = Delivered(vendor_id=person.vendor_id)
        if not person.vendor_id:
            made = self._make(target, person, trace)
        if not isinstance(made, Delivered):
            return made
        if target.config["events"] == "custom_events":
            outcome = self._send_event(target, delivery, made.vendor_id)
            if outcome.status_code != 403:
                return outcome
        item = known_item(made.vendor_id, trace, last_event(delivery))
        (outcome,) = self._write(target, "update", [item])
        is_degraded = target.config["events"] == "custom_events"
        return replace(outcome, notice=_NO_EVENTS if is_degraded else "")

    def _send_event(self, target: Target, delivery: Outgoing, contact: str) -> Outcome:
        body = event_document(delivery, contact, target.config["hub_id"])
        path = f"{path_of(target.config['api_version'], 'events')}/send"
        outcome = classify_answer(self._call(target, "POST", path, orjson.dumps(body)))
        return replace(outcome, vendor_id=contact) if isinstance(outcome, Delivered) else outcome

    def _make(self, target: Target, person: Person, trace: str) -> Outcome:
        """Make a contact before an event names it: by an email alone HubSpot would make two."""
        if _is_nobody(person):
            return _NOBODY
        (outcome,) = self._write(target, "upsert", [new_item(person, trace, {})])
        return outcome

    def _push_some(self, target: Target, profiles: Sequence[Profile]) -> list[Outcome]:
        known, new, nobody = [], [], set()
        for place, profile in enumerate(profiles):
            trace = str(profile.correlation_id)
            if profile.person.vendor_id:
                told = {**profile.person.late_identity, **profile.fields}
                known.append((place, known_item(profile.person.vendor_id, trace, told)))
            elif _is_nobody(profile.person):
                nobody.add(place)
            else:
                new.append((place, new_item(profile.person, trace, profile.fields)))
        found: dict[int, Outcome] = dict.fromkeys(nobody, _NOBODY)
        for kind, items in (("update", known), ("upsert", new)):
            outcomes = self._write(target, kind, [item for _, item in items]) if items else []
            found |= {place: one for (place, _), one in zip(items, outcomes, strict=True)}
        return [found[place] for place in range(len(profiles))]

    def _write(self, target: Target, kind: str, items: Sequence[Item]) -> list[Outcome]:
        """Write a batch; one that is refused as a whole is halved until it is known who it was."""
        body = {"inputs": [item.document for item in items]}
        try:
            answer = self._contacts(target, f"batch/{kind}", body)
            outcome = classify_answer(answer)
            if isinstance(outcome, Delivered):
                return outcomes_in(answer, items)
        except CallFailed as failed:
            return [failed.outcome] * len(items)
        is_one = not isinstance(outcome, Configuration) and answer.status in _SPLIT
        if not is_one or len(items) == 1:
            return [outcome] * len(items)
        half = len(items) // 2
        return self._write(target, kind, items[:half]) + self._write(target, kind, items[half:])

    def _find(self, target: Target, name: str, values: Sequence[str]) -> dict[str, list[Any]]:
        """Find contacts by a property; those that are not there are missing."""
        found: dict[str, list[Any]] = {}
        for contact in self._read(target, values, IDENTIFIERS, name):
            for one in names_in(contact, name):
                found.setdefault(one, []).append(contact)
        return found

    def _read(
        self, target: Target, values: Sequence[str], fields: Sequence[str], by: str = ""
    ) -> list[Mapping[str, Any]]:
        wanted = sorted({value for value in values if value})
        found: list[Mapping[str, Any]] = []
        for first in range(0, len(wanted), _AT_ONCE):
            inputs = [{"id": value} for value in wanted[first : first + _AT_ONCE]]
            body = {"inputs": inputs, "properties": list(fields)}
            answer = self._contacts(
                target, "batch/read", {**body, "idProperty": by} if by else body
            )
            outcome = classify_answer(answer)
            if not isinstance(outcome, Delivered):
                raise CallFailed(outcome)
            found += answer.json()["results"]
        return found

    def _search_phones(self, target: Target, phones: Sequence[str]) -> dict[str, list[Any]]:
        """Find contacts by phone number, which only a search can.

        Where more are found than a page shows, the numbers are halved: two people must not be taken
        for one because the other was not shown. Of a single number a page says enough.
        """
        wanted = sorted({phone for phone in phones if phone})
        found: dict[str, list[Any]] = {}
        parts = [wanted[first : first + _AT_ONCE] for first in range(0, len(wanted), _AT_ONCE)]
        while parts:
            some = parts.pop()
            one_of = {"propertyName": "phone", "operator": "IN", "values": some}
            body = {"filterGroups": [{"filters": [one_of]}], "properties": list(IDENTIFIERS)}
            answer = self._query(target, "search", {**body, "limit": 200}, SEARCHES)
            if answer.get("paging") and len(some) > 1:
                parts += [some[: len(some) // 2], some[len(some) // 2 :]]
                continue
            for contact in answer["results"]:
                found.setdefault(contact["properties"]["phone"], []).append(contact)
        return found

    def _query(
        self, target: Target, path: str, body: Mapping[str, Any], limit: Limit = CALLS
    ) -> dict[str, Any]:
        answer = self._contacts(target, path, body, limit)
        outcome = classify_answer(answer)
        if not isinstance(outcome, Delivered):
            raise CallFailed(outcome)
        return dict(answer.json())

    def _contacts(
        self, target: Target, path: str, body: Mapping[str, Any], limit: Limit = CALLS
    ) -> Answer:
        base = path_of(target.config["api_version"], "objects")
        return self._call(target, "POST", f"{base}/contacts/{path}", orjson.dumps(body), limit)

    def _call(
        self, target: Target, method: str, path: str, content: bytes = b"", limit: Limit = CALLS
    ) -> Answer:
        headers = {"accept": "application/json"}
        if content:
            headers["content-type"] = "application/json"
        url = f"{target.config['address']}{path}"
        request = Request(method=method, url=url, headers=headers, content=content, limit=limit)
        if target.config.get("client_id"):
            answer = self._client.call_with_token(target, request, partial(self._renew, target))
        else:
            token = target.credentials.get("access_token")
            signed = request.with_header("authorization", f"Bearer {token}")
            answer = self._client.call(target, signed)
        if (seconds := seconds_to_wait(answer.headers)) > 0:
            target.throttle.hold(CALLS, seconds)
        return answer

    def _renew(self, target: Target) -> Token:
        """Get an access token for half an hour; HubSpot may give another refresh token with it."""
        form = {
            "grant_type": "refresh_token",
            "client_id": target.config["client_id"],
            "client_secret": target.credentials.get("client_secret"),
            "refresh_token": target.credentials.get("refresh_token"),
        }
        headers = {"content-type": "application/x-www-form-urlencoded"}
        url = f"{target.config['address']}{path_of(target.config['api_version'], 'oauth')}/token"
        answer = self._client.call(
            target,
            Request(method="POST", url=url, headers=headers, content=urlencode(form).encode()),
        )
        outcome = classify_answer(answer)
        if isinstance(outcome, Permanent):
            error = f"HubSpot gives no token any more: connect the app anew. {outcome.error}"
            outcome = Configuration(status_code=answer.status, error=error)
        if not isinstance(outcome, Delivered):
            raise CallFailed(outcome)
        given = answer.json()
        if "access_token" not in given:
            raise CallFailed(Retryable(status_code=answer.status, error="There is no token in it."))
        rotated = {"refresh_token": given["refresh_token"]} if given.get("refresh_token") else {}
        return Token(
            access_token=given["access_token"],
            seconds=float(given.get("expires_in") or 1800),
            rotated=rotated,
        )


_NOBODY: Final = Skipped(
    error="HubSpot does not know the member, and is given nobody without email or phone number."
)


def _is_nobody(person: Person) -> bool:
    return not (person.email or person.phone)
