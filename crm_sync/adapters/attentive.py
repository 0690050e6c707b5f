"""Attentive: attributes and custom events of people who are named by email or phone.

Source: Attentive's published API reference, v1 (events) and v2 (user attributes, bulk).
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final
from urllib.parse import quote

import orjson

from crm_sync.adapters.access import Limit, Target
from crm_sync.adapters.client import (
    Answer,
    CallFailed,
    Client,
    Request,
    classify,
    in_order,
    read_settings,
    timed,
)
from crm_sync.adapters.contract import (
    Environment,
    JobReport,
    Outgoing,
    Person,
    Profile,
    Setting,
    Submitted,
)
from crm_sync.adapters.fields import Field, FieldLimits
from crm_sync.adapters.naming import flat_properties, title_name
from crm_sync.adapters.outcomes import (
    Delivered,
    Outcome,
    Permanent,
    Retryable,
    Skipped,
    in_doubt,
)

EVENTS_VERSION: Final = "v1"
ATTRIBUTES_VERSION: Final = "v2"
_VERSIONS: Final = r"v[1-9]\d?"
ADDRESS: Final = "https://api.attentivemobile.com"
ATTRIBUTES: Final = Limit("attributes", calls=130, seconds=1, burst=20)
EVENTS: Final = Limit("events", calls=130, seconds=1, burst=20)
BULK: Final = Limit("bulk", calls=90, seconds=1, burst=10)
# Attributes that are not custom; what is not here and not below `custom` we do not write.
OWN_ATTRIBUTES: Final = frozenset({"firstName", "lastName"})


class AttentiveAdapter:
    """People are joined by our member id as `clientUserId`; subscriptions are never written.

    Attentive cannot be asked whom it knows, nor what it has of them: there is nothing to match
    before the first call, and nothing to compare at night.
    """

    title = "Attentive"
    settings = (
        Setting(
            name="api_key",
            label="API key of a private app",
            help="With the scopes attributes:write and events:write.",
            is_required=True,
            is_secret=True,
        ),
        Setting(
            name="events_version",
            label="API version of events",
            default=EVENTS_VERSION,
            pattern=_VERSIONS,
        ),
        Setting(
            name="attributes_version",
            label="API version of attributes",
            default=ATTRIBUTES_VERSION,
            pattern=_VERSIONS,
        ),
        Setting(name="address", label="Address of the API", default=ADDRESS),
    )
    batch_size = 1
    bulk_size = 256
    is_signed = False
    old_events = "Old events are not sent: Attentive would write to people."
    default_fields = (
        Field("status", "Loyalty status", "text"),
        Field("enrolled_at", "Loyalty enrolled at", "datetime"),
        Field("tier", "Loyalty tier", "text"),
        Field("tier_since", "Loyalty tier since", "datetime"),
        Field("points_available", "Loyalty points balance", "integer"),
        Field("points_lifetime", "Loyalty lifetime points", "integer"),
        Field("points_expiring", "Loyalty points expiring", "integer"),
        Field("points_expire_on", "Loyalty points expire on", "date"),
        Field("last_redeemed_at", "Loyalty last redemption", "datetime"),
        Field("referral_code", "Loyalty referral code", "text"),
        Field("state_version", "Loyalty state version", "integer"),
    )
    field_limits = FieldLimits(
        name_pattern=r"[A-Za-z][A-Za-z0-9_ -]*",
        name_hint="letters, digits, spaces, _ and -, beginning with a letter",
        fields=100,
        reserved=frozenset({"subscriptions", "identifiers"}),
    )

    def __init__(self, environment: Environment) -> None:
        self._client = Client(environment)

    def check(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings with their defaults."""
        return read_settings(self.title, self.settings, config, self._client.environment)

    def probe(self, target: Target, event: Outgoing) -> Outcome:
        """Ask who we are: the key works, and nothing is left behind."""
        return timed(lambda: classify(self._call(target, "GET", f"{_events(target)}/me", None)))

    def send(self, target: Target, deliveries: Sequence[Outgoing]) -> list[Outcome]:
        """Send events one by one.

        Attentive promises nothing about repeats: what was not answered is in doubt. Old events
        of a backfill are left out: it starts journeys from those of the last 12 hours.
        """
        return in_order(deliveries, partial(self._send_one, target))

    def push(self, target: Target, profiles: Sequence[Profile]) -> list[Outcome]:
        """Create or update each person's attributes."""
        return [timed(partial(self._push_one, target, profile)) for profile in profiles]

    def push_bulk(self, target: Target, profiles: Sequence[Profile]) -> Submitted | list[Outcome]:
        """Submit a bulk job; whoever cannot be named is skipped by themselves."""
        if not all(_can_be_named(profile.person) for profile in profiles):
            return self.push(target, profiles)
        body = {"users": [_user(profile) for profile in profiles]}
        try:
            answer = self._call(
                target, "POST", f"{_attributes(target)}/bulk/user/attributes", BULK, body
            )
            outcome = classify(answer)
            if isinstance(outcome, Delivered):
                return Submitted(job_id=str(answer.json()["batchJobId"]), answer=answer.text)
        except CallFailed as failed:
            outcome = failed.outcome
        return [outcome] * len(profiles)

    def poll_job(self, target: Target, job_id: str, member_ids: Sequence[str]) -> JobReport:
        """Ask how far a job is; when it is done, read the file of its results."""
        try:
            path = f"{_attributes(target)}/bulk/job/{quote(job_id, safe='')}"
            answer = self._call(target, "GET", path, BULK)
            if answer.status == 404:
                lost = Retryable(status_code=404, error="Attentive does not know the job any more.")
                return JobReport(is_done=True, outcomes=[lost] * len(member_ids))
            outcome = classify(answer)
            if not isinstance(outcome, Delivered):
                return JobReport(is_done=False, outcome=outcome)
            job = answer.json()
            if job["status"] not in ("COMPLETED", "FAILED"):
                return JobReport(is_done=False)
            results = self._results(target, str(job.get("url") or ""))
            return JobReport(is_done=True, outcomes=_job_outcomes(results, member_ids))
        except CallFailed as failed:
            return JobReport(is_done=False, outcome=failed.outcome)

    def _send_one(self, target: Target, delivery: Outgoing) -> Outcome:
        person = delivery.person or Person(member_id=str(delivery.body["member"]))
        if delivery.is_backfill:
            return Skipped(error=self.old_events)
        if not _can_be_named(person):
            return _nameless()
        body = {
            "type": title_name(delivery.body["type"]),
            "properties": flat_properties(delivery.body),
            "externalEventId": str(delivery.event_uuid),
            "occurredAt": delivery.body["occurred_at"],
            "user": _named(person),
        }
        try:
            answer = self._call(target, "POST", f"{_events(target)}/events/custom", EVENTS, body)
        except CallFailed as failed:
            return in_doubt(failed.outcome)
        return in_doubt(classify(answer))

    def _push_one(self, target: Target, profile: Profile) -> Outcome:
        if not _can_be_named(profile.person):
            return _nameless()
        body = _user(profile)
        path = f"{_attributes(target)}/user/attributes"
        answer = self._call(target, "POST", path, ATTRIBUTES, body)
        outcome = classify(answer)
        if isinstance(outcome, Delivered):
            answer.json()  # a page of somebody else's is no success
        return outcome

    def _results(self, target: Target, url: str) -> list[Mapping[str, Any]]:
        """Read the lines of a job's results, which lie at an address that the answer gives."""
        if not url:
            return []
        request = Request(method="GET", url=url, headers={"accept": "application/jsonl"})
        answer = self._client.call(target, request)
        if answer.status != 200:
            return []
        return [line for line in map(_parsed, answer.content.splitlines()) if line is not None]

    def _call(
        self, target: Target, method: str, path: str, limit: Limit | None, body: Any = None
    ) -> Answer:
        headers = {
            "authorization": f"Bearer {target.credentials.get('api_key')}",
            "accept": "application/json",
        }
        content = b""
        if body is not None:
            content = orjson.dumps(body)
            headers["content-type"] = "application/json"
        url = f"{target.config['address']}/{path}"
        request = Request(method=method, url=url, headers=headers, content=content, limit=limit)
        answer = self._client.call(target, request)
        if limit is not None and answer.headers.get("x-ratelimit-remaining") == "0":
            target.throttle.hold(limit, 1.0)
        return answer


def _events(target: Target) -> str:
    return str(target.config["events_version"])


def _attributes(target: Target) -> str:
    return str(target.config["attributes_version"])


def _can_be_named(person: Person) -> bool:
    """Say whether there is anything that may lead to them: nobody can be asked for first here."""
    return bool(person.proven_email or person.proven_phone)


def _named(person: Person) -> dict[str, str]:
    email = person.proven_email
    return {"email": email} if email else {"phone": person.proven_phone}


def _nameless() -> Outcome:
    return Skipped(
        error="Attentive names people by email or phone, and may be told none that leads to them."
    )


def _user(profile: Profile) -> dict[str, Any]:
    """Write a person: a value that we do not have is left out, since a null may be refused."""
    person = profile.person
    told = {name: value for name, value in profile.fields.items() if value is not None}
    identifiers = {
        "email": person.proven_email,
        "phone": person.proven_phone,
        "clientUserId": person.member_id,
    }
    attributes: dict[str, Any] = {n: v for n, v in told.items() if n in OWN_ATTRIBUTES}
    attributes["custom"] = {n: v for n, v in told.items() if n not in OWN_ATTRIBUTES}
    return {
        "identifiers": {name: value for name, value in identifiers.items() if value},
        "attributes": attributes,
    }


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _job_outcomes(results: Sequence[Mapping[str, Any]], member_ids: Sequence[str]) -> list[Outcome]:
    """Say what became of each; whom no line names is sent by themselves.

    The shape of a line is not published: a status below 300 beside our id is a success, and
    whatever is not understood is not taken for one.
    """
    found: dict[str, Outcome] = {}
    for line in results:
        request, response = line.get("request") or {}, line.get("response") or {}
        if not isinstance(request, dict) or not isinstance(response, dict):
            continue
        member = str((request.get("identifiers") or {}).get("clientUserId") or "")
        status = response.get("status")
        if isinstance(status, int) and 200 <= status < 300:
            found[member] = Delivered(status_code=status)
        elif isinstance(status, int) and 400 <= status < 500:
            said = str(response.get("message") or "")
            error = f"Attentive answered {status}: {said}"[:500]
            found[member] = Permanent(status_code=status, error=error)
    unsure = Retryable(error="Attentive's results do not say what became of it.")
    return [found.get(member_id, unsure) for member_id in member_ids]
