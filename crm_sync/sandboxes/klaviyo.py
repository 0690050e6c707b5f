"""Klaviyo, as far as an adapter sees it: profiles, events, bulk jobs, limits and errors.

What Klaviyo's OpenAPI document (revision 2026-07-15) says is done as it says; what it leaves open
(which of two profiles wins, how fast a job works) is done in the way that is worst for us.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final
from uuid import uuid4

from crm_sync.sandboxes.server import Call, Person, Reply, Sandbox

IDENTIFIERS: Final = ("id", "external_id", "email", "phone_number")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_FILTER = re.compile(r"(\w[\w-]*)\((\w+),(.*)\)\Z", re.DOTALL)


@dataclass
class Known:
    """A profile."""

    id: str
    attributes: dict[str, Any] = field(default_factory=dict)
    properties: dict[str, Any] = field(default_factory=dict)
    subscriptions: dict[str, Any] = field(default_factory=dict)
    updated: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    events: list[dict[str, Any]] = field(default_factory=list)

    def get(self, name: str) -> Any:
        """Give an identifier."""
        return self.id if name == "id" else self.attributes.get(name)


class Refused(Exception):
    """An error in Klaviyo's words."""

    def __init__(self, status: int, code: str, detail: str, **more: Any) -> None:
        super().__init__(detail)
        error = {"id": str(uuid4()), "code": code, "title": code, "detail": detail, **more}
        self.reply = Reply(status, {"errors": [error]})


class Klaviyo(Sandbox):
    """One account.

    Attributes:
        segments: Who is in them, by their ids; lists are named `list:…`.
        polls_until_done: How often a job is asked for until it is done.
        calls_left: By path, how many calls are allowed until a limit is hit.
    """

    title: ClassVar[str] = "Klaviyo"
    content_type: ClassVar[str] = "application/vnd.api+json"

    def __init__(self, api_key: str = "pk_sandbox", port: int = 0) -> None:
        super().__init__(port)
        self.api_key = api_key
        self.profiles: dict[str, Known] = {}
        self.segments: dict[str, list[Known]] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.polls_until_done = 1
        self.calls_left: dict[str, int] = {}
        self._clock = datetime(2026, 11, 1, tzinfo=UTC)

    def handle(self, call: Call) -> Reply:
        """Answer as Klaviyo does: key, revision, limit, then the work."""
        try:
            self._admit(call)
            path = call.path.removeprefix("/api/").rstrip("/")
            if call.method == "GET":
                return self._read(path, call)
            return self._write(path, (call.body or {}).get("data") or {})
        except Refused as refused:
            return refused.reply

    def people(self) -> list[Person]:
        """List the profiles for the page."""
        return [
            Person(
                str(known.get("email") or known.get("external_id") or known.id),
                {**known.attributes, **known.properties},
                [f"{event['time']} {event['metric']}" for event in known.events],
            )
            for known in self.profiles.values()
        ]

    def find(self, name: str, value: str) -> Known | None:
        """Find a profile by one of its identifiers."""
        return next((one for one in self.profiles.values() if one.get(name) == value), None)

    def add(self, **attributes: Any) -> Known:
        """Make a profile that was there before us."""
        properties = attributes.pop("properties", {})
        known = Known(f"01{uuid4().hex[:24].upper()}", attributes, properties, updated=self._now())
        self.profiles[known.id] = known
        return known

    def consent(self, known: Known, channel: str, consent: str) -> None:
        """Let a person subscribe or unsubscribe at Klaviyo."""
        known.updated = self._now()
        known.subscriptions[channel] = {
            "marketing": {
                "can_receive_email_marketing": consent == "SUBSCRIBED",
                "consent": consent,
                "consent_timestamp": known.updated.isoformat(),
            }
        }

    def _now(self) -> datetime:
        self._clock += timedelta(seconds=1)
        return self._clock

    def _admit(self, call: Call) -> None:
        if call.headers.get("authorization") != f"Klaviyo-API-Key {self.api_key}":
            raise Refused(401, "not_authenticated", "Missing or invalid private key.")
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", call.headers.get("revision", "")):
            raise Refused(400, "invalid", "Missing or invalid revision header.")
        if call.method == "POST" and call.headers.get("content-type") != self.content_type:
            raise Refused(415, "unsupported_media_type", "Send application/vnd.api+json.")
        left = self.calls_left.get(call.path)
        if left is not None:
            self.calls_left[call.path] = left - 1
            if left <= 0:
                refused = Refused(429, "throttled", "Request was throttled.")
                headers = {"retry-after": "7", "ratelimit-remaining": "0", "ratelimit-reset": "7"}
                refused.reply = Reply(429, refused.reply.body, headers)
                raise refused

    def _write(self, path: str, data: dict[str, Any]) -> Reply:
        if path == "profile-import":
            known, is_new = self._upsert(data)
            return Reply(201 if is_new else 200, {"data": _shown(known)})
        if path == "events":
            self._record(data["attributes"])
            return Reply(202)
        if path == "profile-bulk-import-jobs":
            return Reply(202, {"data": self._submit(data)})
        raise Refused(404, "not_found", f"There is no {path}.")

    def _read(self, path: str, call: Call) -> Reply:
        if path == "profiles":
            return Reply(body=self._list(call))
        steps = path.split("/")
        if steps[0] in ("segments", "lists") and steps[2:] == ["profiles"]:
            return Reply(body=self._inside(steps, call))
        job = self.jobs.get(steps[1]) if steps[0] == "profile-bulk-import-jobs" else None
        if job is None:
            raise Refused(404, "not_found", f"There is no {path}.")
        if steps[-1] == "import-errors":
            return Reply(body={"data": job["errors"]})
        self._work(job)
        return Reply(body={"data": job["shown"]})

    def _upsert(self, data: dict[str, Any]) -> tuple[Known, bool]:
        """Create or update; identifiers of two profiles at once are a conflict."""
        given = {"id": data.get("id"), **data["attributes"]}
        self._validate(given)
        found = [one for n in IDENTIFIERS if given.get(n) and (one := self.find(n, given[n]))]
        if given["id"] and (not found or found[0].id != given["id"]):
            raise Refused(404, "not_found", "A profile with that id does not exist.")
        others = [one for one in found if one is not found[0]]
        if others:
            raise Refused(
                409,
                "duplicate_profile",
                "A profile already exists with one of these identifiers.",
                meta={"duplicate_profile_id": others[0].id},
            )
        known = found[0] if found else self.add()
        properties = given.pop("properties", None) or {}
        for target, values in ((known.attributes, given), (known.properties, properties)):
            for name, value in values.items():
                if value is None:
                    target.pop(name, None)
                elif name != "id":
                    target[name] = value
        known.updated = self._now()
        return known, not found

    def _validate(self, given: dict[str, Any]) -> None:
        if not any(given.get(name) for name in IDENTIFIERS):
            raise Refused(400, "invalid", "A profile needs an identifier.")
        if given.get("email") and not _EMAIL.fullmatch(given["email"]):
            pointer = {"pointer": "/data/attributes/email"}
            raise Refused(400, "invalid", "Invalid email address.", source=pointer)
        if given.get("phone_number") and not given["phone_number"].startswith("+"):
            pointer = {"pointer": "/data/attributes/phone_number"}
            raise Refused(400, "invalid", "Invalid phone number format.", source=pointer)
        if "subscriptions" in given:
            raise Refused(400, "invalid", "'subscriptions' is not a valid field for the resource.")

    def _record(self, attributes: dict[str, Any]) -> None:
        """Keep the first event of each unique id; without one, of each second."""
        known, _ = self._upsert(attributes["profile"]["data"])
        metric = attributes["metric"]["data"]["attributes"]["name"]
        unique = attributes.get("unique_id") or attributes.get("time", "")[:19]
        if any((one["metric"], one["unique_id"]) == (metric, unique) for one in known.events):
            return
        known.events.append(
            {
                "metric": metric,
                "unique_id": unique,
                "time": attributes.get("time"),
                "properties": attributes["properties"],
                "backfill": attributes.get("backfill", False),
            }
        )

    def _submit(self, data: dict[str, Any]) -> dict[str, Any]:
        profiles = data["attributes"]["profiles"]["data"]
        if not 0 < len(profiles) <= 10_000:
            raise Refused(400, "invalid", "Between 1 and 10,000 profiles.")
        job_id = uuid4().hex
        shown: dict[str, Any] = {
            "type": "profile-bulk-import-job",
            "id": job_id,
            "attributes": {
                "status": "queued",
                "created_at": self._now().isoformat(),
                "total_count": len(profiles),
                "completed_count": 0,
                "failed_count": 0,
            },
            "links": {"self": f"{self.url}/api/profile-bulk-import-jobs/"},
        }
        left = self.polls_until_done
        self.jobs[job_id] = {"shown": shown, "profiles": profiles, "errors": [], "left": left}
        return shown

    def _work(self, job: dict[str, Any]) -> None:
        job["left"] -= 1
        attributes = job["shown"]["attributes"]
        if job["left"] > 0 or attributes["status"] == "complete":
            return
        for number, profile in enumerate(job["profiles"]):
            try:
                self._upsert(profile)
            except Refused as refused:
                error = refused.reply.body["errors"][0]
                error["source"] = {"pointer": f"/data/attributes/profiles/data/{number}"}
                job["errors"].append(
                    {"type": "import-error", "id": error["id"], "attributes": error}
                )
        failed = len(job["errors"])
        attributes |= {
            "status": "complete",
            "completed_count": len(job["profiles"]) - failed,
            "failed_count": failed,
        }

    def _list(self, call: Call) -> dict[str, Any]:
        chosen = self._filtered(call.query.get("filter", ""))
        if call.query.get("sort") == "updated":
            chosen.sort(key=lambda known: known.updated)
        size, first = int(call.query.get("page[size]", 20)), int(call.query.get("page[cursor]", 0))
        following = str(first + size) if len(chosen) > first + size else ""
        with_consent = "subscriptions" in call.query.get("additional-fields[profile]", "")
        more = f"{self.url}/api/profiles?page%5Bcursor%5D={following}" if following else None
        return {
            "data": [_shown(known, with_consent) for known in chosen[first : first + size]],
            "links": {"self": f"{self.url}/api/profiles", "next": more, "prev": None},
        }

    def _inside(self, steps: list[str], call: Call) -> dict[str, Any]:
        """Show who is in a segment; lists are kept beside segments, as `list:…`."""
        name = steps[1] if steps[0] == "segments" else f"list:{steps[1]}"
        if name not in self.segments:
            raise Refused(404, "not_found", f"A {steps[0][:-1]} with that id does not exist.")
        size = int(call.query.get("page[size]", 20))
        chosen, first = self.segments[name], int(call.query.get("page[cursor]", 0))
        more = len(chosen) > first + size
        link = f"{self.url}{call.path}?page%5Bcursor%5D={first + size}" if more else None
        wanted = call.query.get("fields[profile]", "").split(",")
        shown = [_shown(known) for known in chosen[first : first + size]]
        for one in shown:
            one["attributes"] = {n: v for n, v in one["attributes"].items() if n in wanted}
        return {"data": shown, "links": {"self": self.url + call.path, "next": link, "prev": None}}

    def _filtered(self, text: str) -> list[Known]:
        known = list(self.profiles.values())
        if not text:
            return known
        parsed = _FILTER.match(text)
        if parsed is None:
            raise Refused(400, "invalid", f"Invalid filter: {text}", source={"parameter": "filter"})
        operator, name, value = parsed.groups()
        if operator == "greater-than":
            since = datetime.fromisoformat(value)
            return [one for one in known if one.updated > since]
        values = re.findall(r'"([^"]*)"|\'([^\']*)\'', value)
        wanted = {double or single for double, single in values}
        return [one for one in known if one.get(name) in wanted]


def _shown(known: Known, with_consent: bool = False) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "email": None,
        "phone_number": None,
        "external_id": None,
        **known.attributes,
        "updated": known.updated.isoformat(),
        "created": known.updated.isoformat(),
        "properties": known.properties,
    }
    if with_consent:
        attributes["subscriptions"] = known.subscriptions
    links = {"self": f"https://a.klaviyo.com/api/profiles/{known.id}/"}
    return {"type": "profile", "id": known.id, "attributes": attributes, "links": links}
