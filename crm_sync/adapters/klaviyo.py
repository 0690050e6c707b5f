"""Klaviyo: profiles with the member's standing, events as metrics; consent is only read.

Source: Klaviyo's own OpenAPI document, revision 2026-07-15.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

import orjson

from crm_sync.adapters.access import Limit, Target
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
    JobReport,
    Match,
    Outgoing,
    Person,
    Profile,
    Setting,
    Submitted,
)
from crm_sync.adapters.fields import LOYALTY_FIELDS, FieldLimits
from crm_sync.adapters.klaviyo_documents import (
    change_page,
    choose,
    classify_answer,
    event_document,
    fields_in,
    place_of,
    profile_document,
    said_in,
    segment_page,
    segment_path,
)
from crm_sync.adapters.outcomes import Delivered, Outcome, Permanent, Retryable
from crm_sync.adapters.segments import SegmentPage

REVISION: Final = "2026-07-15"
ADDRESS: Final = "https://a.klaviyo.com"
JSON_API: Final = "application/vnd.api+json"
# Of each the burst and what comes evenly after it: together no more than Klaviyo takes in a minute,
# nor in a second.
WRITES: Final = Limit("profiles", calls=690, seconds=60, burst=60)
READS: Final = Limit("reads", calls=640, seconds=60, burst=60)
EVENTS: Final = Limit("events", calls=3220, seconds=60, burst=280)
BULK: Final = Limit("bulk", calls=143, seconds=60, burst=7)
_IDS_AT_ONCE: Final = 100


class KlaviyoAdapter:
    """Profiles are found by our member id, external ids, email, phone; new ones carry our id."""

    title = "Klaviyo"
    settings = (
        Setting(
            name="api_key",
            label="Private API key",
            help="pk_…, with the scopes profiles:read, profiles:write and events:write.",
            is_required=True,
            is_secret=True,
        ),
        Setting(name="revision", label="API revision", default=REVISION),
        Setting(name="address", label="Address of the API", default=ADDRESS),
    )
    batch_size = 1
    bulk_size = 1000
    is_signed = False
    segment_pattern = r"(list:)?[A-Za-z0-9]{1,20}"
    segment_hint = "the id at the end of the segment's address, or list: and that of a list"
    default_fields = LOYALTY_FIELDS
    field_limits = FieldLimits(
        name_pattern=r"[A-Za-z0-9_][A-Za-z0-9_ .-]*",
        name_hint="letters, digits, spaces and _ . -",
        text_characters=10_000,  # of 100 kB for a whole profile
        fields=100,
        reserved=frozenset({"id", "external_id", "subscriptions"}),
    )

    def __init__(self, environment: Environment) -> None:
        self._client = Client(environment)

    def check(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return {"revision": …, "address": …} with their defaults."""
        values = read_settings(self.title, self.settings, config, self._client.environment)
        try:
            datetime.strptime(values["revision"].partition(".")[0], "%Y-%m-%d").replace(tzinfo=UTC)
        except ValueError:
            raise ConfigRefused(f"A revision looks like {REVISION}.") from None
        return values

    def probe(self, target: Target, event: Outgoing) -> Outcome:
        """Read one profile: the key works, and nothing is left behind."""
        query = {"page[size]": "1", "fields[profile]": "email"}
        return timed(lambda: classify_answer(self._get(target, "profiles", query)))

    def send(self, target: Target, deliveries: Sequence[Outgoing]) -> list[Outcome]:
        """Send events one by one; Klaviyo keeps the first of each `unique_id`."""
        return in_order(deliveries, partial(self._send_one, target))

    def push(self, target: Target, profiles: Sequence[Profile]) -> list[Outcome]:
        """Create or update each profile."""
        return [timed(partial(self._push_one, target, profile)) for profile in profiles]

    def push_bulk(self, target: Target, profiles: Sequence[Profile]) -> Submitted | list[Outcome]:
        """Submit a bulk import job."""
        data = [profile_document(profile) for profile in profiles]
        job = {"type": "profile-bulk-import-job", "attributes": {"profiles": {"data": data}}}
        try:
            answer = self._post(target, "profile-bulk-import-jobs", {"data": job}, BULK)
            outcome = classify_answer(answer)
            if isinstance(outcome, Delivered):
                return Submitted(job_id=answer.json()["data"]["id"], answer=answer.text)
        except CallFailed as failed:
            outcome = failed.outcome
        return [outcome] * len(profiles)

    def poll_job(self, target: Target, job_id: str, member_ids: Sequence[str]) -> JobReport:
        """Ask how far a job is; when it is done, which profiles it refused."""
        path, profiles = f"profile-bulk-import-jobs/{job_id}", len(member_ids)
        try:
            answer = self._get(target, path, {}, BULK)
            if answer.status == 404:
                lost = Retryable(status_code=404, error="Klaviyo does not know the job any more.")
                return JobReport(is_done=True, outcomes=[lost] * profiles)
            outcome = classify_answer(answer)
            if not isinstance(outcome, Delivered):
                return JobReport(is_done=False, outcome=outcome)
            job = answer.json()["data"]["attributes"]
            if job["status"] not in ("complete", "cancelled"):
                return JobReport(is_done=False)
            return JobReport(is_done=True, outcomes=self._job_outcomes(target, path, job, profiles))
        except CallFailed as failed:
            return JobReport(is_done=False, outcome=failed.outcome)

    def match(self, target: Target, people: Sequence[Person]) -> list[Match]:
        """Ask whom Klaviyo knows by our id, external ids, email and phone."""
        try:
            by_external = self._find(
                target, "external_id", [i for p in people for i in (p.member_id, *p.external_ids)]
            )
            by_email = self._find(target, "email", [p.email for p in people])
            by_phone = self._find(target, "phone_number", [p.phone for p in people])
        except CallFailed as failed:
            return [Match(outcome=failed.outcome) for _ in people]
        found = (by_external, by_email, by_phone)
        return [choose(person, *found) for person in people]

    def read(
        self, target: Target, people: Sequence[Person], fields: Sequence[str]
    ) -> list[Mapping[str, Any] | None] | Outcome:
        """Read these profiles' fields."""
        try:
            by_id = self._find(target, "id", [person.vendor_id for person in people])
        except CallFailed as failed:
            return failed.outcome
        return [
            fields_in(by_id[person.vendor_id][0], fields) if person.vendor_id in by_id else None
            for person in people
        ]

    def list_changes(self, target: Target, cursor: str, fields: Sequence[str] = ()) -> ChangePage:
        """List profiles that were updated since the cursor, with consent."""
        place = orjson.loads(cursor) if cursor else {}
        query = {
            "additional-fields[profile]": "subscriptions",
            "sort": "updated",
            "page[size]": str(_IDS_AT_ONCE),
        }
        if since := place.get("since"):
            query["filter"] = f"greater-than(updated,{since})"
        if page := place.get("page"):
            query["page[cursor]"] = page
        try:
            answer = self._get(target, "profiles", query)
            outcome = classify_answer(answer)
            if not isinstance(outcome, Delivered):
                return ChangePage(changes=[], cursor=cursor, outcome=outcome)
            return change_page(answer.json(), place)
        except CallFailed as failed:
            return ChangePage(changes=[], cursor=cursor, outcome=failed.outcome)

    def list_segment(self, target: Target, segment: str, page: str) -> SegmentPage:
        """List which profiles are in a segment, or in a list."""
        query = {
            "fields[profile]": "email,external_id,properties",
            "page[size]": str(_IDS_AT_ONCE),
            **({"page[cursor]": page} if page else {}),
        }
        try:
            answer = self._get(target, f"{segment_path(segment)}/profiles", query)
            outcome = classify_answer(answer)
            if not isinstance(outcome, Delivered):
                return SegmentPage(page=page, outcome=outcome)
            return segment_page(answer.json())
        except CallFailed as failed:
            return SegmentPage(page=page, outcome=failed.outcome)

    def _push_one(self, target: Target, profile: Profile) -> Outcome:
        answer = self._post(target, "profile-import", {"data": profile_document(profile)}, WRITES)
        outcome = classify_answer(answer)
        if not isinstance(outcome, Delivered):
            return outcome
        return Delivered(
            status_code=answer.status, answer=answer.text, vendor_id=answer.json()["data"]["id"]
        )

    def _send_one(self, target: Target, delivery: Outgoing) -> Outcome:
        return classify_answer(self._post(target, "events", event_document(delivery), EVENTS))

    def _job_outcomes(
        self, target: Target, path: str, job: Mapping[str, Any], profiles: int
    ) -> list[Outcome]:
        outcomes: list[Outcome] = [Delivered()] * profiles
        if job["status"] == "cancelled":
            return [Retryable(error="Klaviyo cancelled the job.")] * profiles
        if job.get("failed_count"):
            answer = self._get(target, f"{path}/import-errors", {"page[size]": "100"}, BULK)
            for error in answer.json()["data"]:
                refused = Permanent(error=said_in([error["attributes"]])[:500])
                outcomes[place_of(error["attributes"])] = refused
            if sum(isinstance(one, Permanent) for one in outcomes) < job["failed_count"]:
                # More than one page of errors, or one that names no place: each is sent by itself.
                unsure = Retryable(error="Klaviyo refused some profiles of the job.")
                return [one if isinstance(one, Permanent) else unsure for one in outcomes]
        return outcomes

    def _find(
        self, target: Target, name: str, values: Sequence[str]
    ) -> dict[str, list[Mapping[str, Any]]]:
        """Find profiles by an identifier; those that are not there are missing."""
        wanted = sorted({value for value in values if value})
        found: dict[str, list[Mapping[str, Any]]] = {}
        for first in range(0, len(wanted), _IDS_AT_ONCE):
            listed = orjson.dumps(wanted[first : first + _IDS_AT_ONCE]).decode()
            query = {"filter": f"any({name},{listed})", "page[size]": str(_IDS_AT_ONCE)}
            answer = self._get(target, "profiles", query)
            outcome = classify_answer(answer)
            if not isinstance(outcome, Delivered):
                raise CallFailed(outcome)
            for profile in answer.json()["data"]:
                key = profile["id"] if name == "id" else profile["attributes"][name]
                found.setdefault(key.lower() if name == "email" else key, []).append(profile)
        return found

    def _get(
        self, target: Target, path: str, query: Mapping[str, str], limit: Limit = READS
    ) -> Answer:
        return self._call(target, "GET", f"{path}?{urlencode(query)}" if query else path, limit)

    def _post(self, target: Target, path: str, body: Any, limit: Limit) -> Answer:
        return self._call(target, "POST", path, limit, orjson.dumps(body))

    def _call(
        self, target: Target, method: str, path: str, limit: Limit, content: bytes = b""
    ) -> Answer:
        headers = {
            "authorization": f"Klaviyo-API-Key {target.credentials.get('api_key')}",
            "revision": str(target.config["revision"]),
            "accept": JSON_API,
        }
        if content:
            headers["content-type"] = JSON_API
        answer = self._client.call(
            target,
            Request(
                method=method,
                url=f"{target.config['address']}/api/{path}",
                headers=headers,
                content=content,
                limit=limit,
            ),
        )
        _keep_to(target, limit, answer)
        return answer


def _keep_to(target: Target, limit: Limit, answer: Answer) -> None:
    """Wait as long as Klaviyo's own count says, where others use the account too."""
    remaining, reset = (answer.headers.get(f"ratelimit-{n}", "") for n in ("remaining", "reset"))
    if remaining == "0" and reset.isdigit():
        target.throttle.hold(limit, float(reset))
