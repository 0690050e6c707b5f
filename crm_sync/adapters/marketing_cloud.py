"""Salesforce Marketing Cloud: members and events as rows of data extensions, and journey entries.

A row is found again by its key, so a repeat is the same row. A journey does not notice a repeat.
What arrives where, and what is to be created there: docs/crm/marketing_cloud.md.

Source: Salesforce's Marketing Cloud Engagement REST API reference.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final
from urllib.parse import quote

import orjson

from crm_sync.adapters.access import Limit, Target, Token
from crm_sync.adapters.client import (
    Answer,
    CallFailed,
    Client,
    Request,
    check_address,
    in_order,
    read_each,
    read_settings,
    timed,
)
from crm_sync.adapters.contract import (
    ConfigRefused,
    Environment,
    JobReport,
    Outgoing,
    Person,
    Profile,
    Setting,
    Submitted,
)
from crm_sync.adapters.fields import Field, FieldLimits
from crm_sync.adapters.marketing_cloud_documents import (
    CONTACT_KEY,
    CONTACT_KEYS,
    EMAIL,
    EVENT_ID,
    MEMBER_ID,
    PHONE,
    classify_answer,
    contact_key,
    enters_journey,
    event_row,
    member_row,
    outcome_of_item,
    refused_login,
    row_in,
    row_path,
    row_set,
)
from crm_sync.adapters.outcomes import Delivered, Outcome, Retryable, Skipped, in_doubt

# Marketing Cloud names no number; this is ours, and `Retry-After` is kept to.
CALLS: Final = Limit("calls", calls=1160, seconds=60, burst=40)
VERSION: Final = "v1"
LOGIN_VERSION: Final = "v2"
ROWS_AT_ONCE: Final = 50
_SUBDOMAIN = re.compile(r"[A-Za-z0-9-]{1,63}")
_VERSIONS: Final = r"v[1-9]\d?"
_UNTOLD = "Marketing Cloud did not say which rows it took."
_KEY = re.compile(r"[^/?#%]{1,100}")


class MarketingCloudAdapter:
    """Members are rows by our member id; whom the rows are about is told by the contact key."""

    title = "Salesforce Marketing Cloud"
    settings = (
        Setting(
            name="subdomain",
            label="Subdomain",
            help="What stands before .auth.marketingcloudapis.com in the installed package.",
            is_required=True,
        ),
        Setting(name="client_id", label="Client id", is_required=True),
        Setting(name="client_secret", label="Client secret", is_required=True, is_secret=True),
        Setting(
            name="account_id",
            label="Business unit",
            help="Its MID, where it is another one than the package's own.",
        ),
        Setting(
            name="contact_key",
            label="Contact key is the member's",
            default="member_id",
            help="What your subscriber keys are.",
            choices=("member_id", "external_id", "email"),
        ),
        Setting(
            name="members_key",
            label="Data extension of members",
            default="Loyalty_Members",
            help="Its external key.",
        ),
        Setting(
            name="events_key",
            label="Data extension of events",
            default="Loyalty_Events",
            help="Its external key.",
        ),
        Setting(
            name="journey_key",
            label="Journey that events enter",
            help="The event definition key of its API event. Empty: events are rows only.",
        ),
        Setting(
            name="journey_events",
            label="Events that enter it",
            default="points.expiring, tier.*",
            help="By commas.",
        ),
        Setting(name="api_version", label="API version", default=VERSION, pattern=_VERSIONS),
        Setting(
            name="login_version",
            label="API version of the login",
            default=LOGIN_VERSION,
            pattern=_VERSIONS,
        ),
    )
    batch_size = 1
    bulk_size = 1000
    is_signed = False
    # Times are text: Marketing Cloud's own are in its servers' zone, whatever was sent.
    default_fields = (
        Field("program", "Loyalty_Program", "text"),
        Field("status", "Loyalty_Status", "text"),
        Field("enrolled_at", "Loyalty_Enrolled_At", "text"),
        Field("tier", "Loyalty_Tier", "text"),
        Field("tier_since", "Loyalty_Tier_Since", "text"),
        Field("points_available", "Loyalty_Points_Balance", "integer"),
        Field("points_pending", "Loyalty_Points_Pending", "integer"),
        Field("points_lifetime", "Loyalty_Lifetime_Points", "integer"),
        Field("points_expiring", "Loyalty_Points_Expiring", "integer"),
        Field("points_expire_on", "Loyalty_Points_Expire_On", "date"),
        Field("last_redeemed_at", "Loyalty_Last_Redemption", "text"),
        Field("referral_code", "Loyalty_Referral_Code", "text"),
        Field("state_version", "Loyalty_State_Version", "integer"),
    )
    field_limits = FieldLimits(
        name_pattern=r"[A-Za-z][A-Za-z0-9_ -]*",
        name_hint="a column's name: letters, digits, spaces, _ and -",
        name_characters=50,
        text_characters=4000,
        fields=100,
        forms=("text", "integer", "decimal", "boolean", "date"),
        reserved=frozenset({MEMBER_ID, CONTACT_KEY, EMAIL, PHONE}),
    )

    def __init__(self, environment: Environment) -> None:
        self._client = Client(environment)

    def check(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings with their defaults."""
        environment = self._client.environment
        found = read_settings(self.title, self.settings, config, environment)
        # Anything else in a host's name could lead the secret elsewhere.
        is_address = "://" in found["subdomain"] and environment.allow_private_addresses
        if not is_address and not _SUBDOMAIN.fullmatch(found["subdomain"]):
            raise ConfigRefused("The subdomain is letters, digits and hyphens only.")
        if not found["client_id"]:
            raise ConfigRefused("Client id is required.")
        if found["contact_key"] not in CONTACT_KEYS:
            raise ConfigRefused(f"The contact key is one of {', '.join(CONTACT_KEYS)}.")
        if not all(_KEY.fullmatch(found[name]) for name in ("members_key", "events_key")):
            raise ConfigRefused("An external key has no /, ?, # and %.")
        if "." in found["journey_key"]:
            raise ConfigRefused("An event definition key has no period.")
        check_address(_address(found, "rest"), environment)
        return found

    def probe(self, target: Target, event: Outgoing) -> Outcome:
        """Look for one row in each data extension: the package may log in, and they are there."""
        return timed(partial(self._probe, target))

    def send(self, target: Target, deliveries: Sequence[Outgoing]) -> list[Outcome]:
        """Send events one by one: as a row, and into the journey if they are to enter it."""
        return in_order(deliveries, partial(self._send_one, target))

    def push(self, target: Target, profiles: Sequence[Profile]) -> list[Outcome]:
        """Create or update members' rows, fifty in one call."""
        outcomes: list[Outcome] = []
        for first in range(0, len(profiles), ROWS_AT_ONCE):
            outcomes += self._push(target, profiles[first : first + ROWS_AT_ONCE])
        return outcomes

    def push_bulk(self, target: Target, profiles: Sequence[Profile]) -> Submitted | list[Outcome]:
        """Submit many rows to be worked on later, unless they are few."""
        if len(profiles) <= ROWS_AT_ONCE:
            return self.push(target, profiles)
        body = {"items": [member_row(profile, target.config) for profile in profiles]}
        key = quote(target.config["members_key"])
        path = f"{_api(target, 'data')}/async/dataextensions/key:{key}/rows"
        try:
            answer = self._good(target, "PUT", path, body)
            return Submitted(job_id=str(answer.json()["requestId"]), answer=answer.text)
        except CallFailed as failed:
            return [failed.outcome] * len(profiles)

    def poll_job(self, target: Target, job_id: str, member_ids: Sequence[str]) -> JobReport:
        """Ask how far a request is; when it is done, what became of each row."""
        outcomes: list[Outcome] = [Delivered(vendor_id=member_id) for member_id in member_ids]
        lost: list[Outcome] = [Retryable(error=_UNTOLD)] * len(member_ids)
        try:
            path = f"{_api(target, 'data')}/async/{job_id}/status"
            answer = self._call(target, "GET", path)
            if answer.status == 404:
                return JobReport(is_done=True, outcomes=lost)
            status = _good(answer).json()["status"]
            if status["requestStatus"] == "Pending":
                return JobReport(is_done=False)
            if status.get("hasErrors") or status["requestStatus"] == "Error":
                outcomes = [outcome_of_item(item) for item in self._results(target, job_id)]
        except CallFailed as failed:
            return JobReport(is_done=False, outcome=failed.outcome)
        is_told = len(outcomes) == len(member_ids)
        return JobReport(is_done=True, outcomes=outcomes if is_told else lost)

    def read(
        self, target: Target, people: Sequence[Person], fields: Sequence[str]
    ) -> list[Mapping[str, Any] | None] | Outcome:
        """Read these members' rows."""
        row = partial(self._row, target, target.config["members_key"], MEMBER_ID)
        return read_each(people, lambda person: row_in(row(person.member_id).json(), fields))

    def _probe(self, target: Target) -> Outcome:
        for name, column in (("members_key", MEMBER_ID), ("events_key", EVENT_ID)):
            self._row(target, target.config[name], column, "-")
        return Delivered(status_code=200)

    def _send_one(self, target: Target, delivery: Outgoing) -> Outcome:
        person = delivery.person or Person(member_id=str(delivery.body["member"]))
        key = contact_key(person, target.config)
        if not key:
            return _nobody(target)
        row = event_row(delivery, key)
        outcome = self._write(target, "events_key", [row], EVENT_ID)
        if not isinstance(outcome, Delivered) or not enters_journey(delivery, target.config):
            return outcome
        entry = {
            "ContactKey": key,
            "EventDefinitionKey": target.config["journey_key"],
            "Data": row,
        }
        return in_doubt(timed(partial(self._enter, target, entry)))

    def _enter(self, target: Target, entry: Mapping[str, Any]) -> Outcome:
        path = f"{_api(target, 'interaction')}/events"
        return classify_answer(self._call(target, "POST", path, entry))

    def _push(self, target: Target, profiles: Sequence[Profile]) -> list[Outcome]:
        """Write rows at once; where one keeps all from being saved, each by itself."""
        if len(profiles) == 1 and not contact_key(profiles[0].person, target.config):
            return [_nobody(target)]
        rows = [member_row(profile, target.config) for profile in profiles]
        if all(row[CONTACT_KEY] for row in rows):
            outcome = timed(partial(self._write, target, "members_key", rows, MEMBER_ID))
            if isinstance(outcome, Delivered):
                return [replace(outcome, vendor_id=row[MEMBER_ID]) for row in rows]
            if len(rows) == 1 or outcome.status_code != 400:
                return [outcome] * len(rows)
        return [self._push(target, [profile])[0] for profile in profiles]

    def _write(
        self, target: Target, extension: str, rows: Sequence[Mapping[str, Any]], key: str
    ) -> Outcome:
        path = f"{_api(target, 'hub')}/dataevents/key:{quote(target.config[extension])}/rowset"
        answer = self._call(target, "POST", path, row_set(rows, key))
        outcome = classify_answer(answer)
        if isinstance(outcome, Delivered):
            answer.json()  # a page of somebody between us has no rows
        return outcome

    def _results(self, target: Target, job_id: str) -> list[Mapping[str, Any]]:
        """Read all pages of results; none if they are not the pages that were asked for."""
        items: list[Mapping[str, Any]] = []
        page, count = 1, 1
        while len(items) < count:
            path = f"{_api(target, 'data')}/async/{job_id}/results?$page={page}"
            found = self._good(target, "GET", path).json()
            if found.get("page") != page or not found.get("items"):
                return []
            items += found["items"]
            page, count = page + 1, int(found.get("count") or 0)
        return items

    def _row(self, target: Target, key: str, name: str, value: str) -> Answer:
        path = f"{_api(target, 'data')}/{row_path(key, name, value)}"
        return self._good(target, "GET", path)

    def _good(self, target: Target, method: str, path: str, body: Any = None) -> Answer:
        return _good(self._call(target, method, path, body))

    def _call(self, target: Target, method: str, path: str, body: Any = None) -> Answer:
        request = Request(
            method=method,
            url=f"{_address(target.config, 'rest')}/{path}",
            headers={"content-type": "application/json", "accept": "application/json"},
            content=b"" if body is None else orjson.dumps(body),
            limit=CALLS,
        )
        return self._client.call_with_token(target, request, partial(self._obtain, target))

    def _obtain(self, target: Target) -> Token:
        form = {
            "grant_type": "client_credentials",
            "client_id": target.config["client_id"],
            "client_secret": target.credentials.get("client_secret"),
        }
        if target.config["account_id"]:
            form["account_id"] = target.config["account_id"]
        request = Request(
            method="POST",
            url=f"{_address(target.config, 'auth')}/{target.config['login_version']}/token",
            headers={"content-type": "application/json"},
            content=orjson.dumps(form),
        )
        answer = self._client.call(target, request)
        if answer.status != 200:
            raise CallFailed(refused_login(answer))
        given = answer.json()
        return Token(access_token=given["access_token"], seconds=float(given["expires_in"]))


def _api(target: Target, name: str) -> str:
    return f"{name}/{target.config['api_version']}"


def _good(answer: Answer) -> Answer:
    outcome = classify_answer(answer)
    if not isinstance(outcome, Delivered):
        raise CallFailed(outcome)
    return answer


def _address(config: Mapping[str, Any], service: str) -> str:
    """Give the tenant's address; in development the setting may be a whole one."""
    tenant = str(config["subdomain"])
    if "://" in tenant:
        return tenant.rstrip("/")
    return f"https://{tenant}.{service}.marketingcloudapis.com"


def _nobody(target: Target) -> Outcome:
    named = target.config["contact_key"].replace("_", " ")
    return Skipped(error=f"No {named} leads to the member, by which Marketing Cloud knows people.")
