"""Attentive, as far as an adapter sees it: people joined by what names them, attributes, events.

As published (v1 and v2): an attribute's first value fixes its type, lists and maps are refused, and
nothing is said of repeats, so here a repeat is a second event.
"""

import json
from dataclasses import dataclass, field
from typing import Any, ClassVar
from uuid import uuid4

from crm_sync.sandboxes.server import Call, Person, Reply, Sandbox

_FORBIDDEN = frozenset("\"'(){}[]\\|,")


@dataclass
class User:
    """One person, with all that names them."""

    names: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)


class Attentive(Sandbox):
    """One account.

    Attributes:
        polls_until_done: How often a job is asked for until it is done.
        types: The type that each custom attribute has got by its first value.
    """

    title: ClassVar[str] = "Attentive"

    def __init__(self, api_key: str = "att_sandbox", port: int = 0) -> None:
        super().__init__(port)
        self.api_key = api_key
        self.users: list[User] = []
        self.types: dict[str, type] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.polls_until_done = 1

    def handle(self, call: Call) -> Reply:
        """Answer as Attentive does: key, then the work."""
        if call.path.startswith("/results/"):
            return self._results(call.path.rpartition("/")[2])
        if call.headers.get("authorization") != f"Bearer {self.api_key}":
            return Reply(401)
        at = (call.method, call.path)
        if at == ("GET", "/v1/me"):
            return Reply(200, {"companyName": "Sandbox"})
        if at == ("POST", "/v2/user/attributes"):
            status, said = self._change(call.body or {})
            return Reply(status, {"success": status == 202, "message": said})
        if at == ("POST", "/v2/bulk/user/attributes"):
            return self._submit(call.body or {})
        if at == ("POST", "/v1/events/custom"):
            return self._record(call.body or {})
        if call.method == "GET" and call.path.startswith("/v2/bulk/job/"):
            return self._job(call.path.rpartition("/")[2])
        return Reply(404)

    def people(self) -> list[Person]:
        """List the people for the page."""
        return [
            Person(
                next(iter(user.names.values())),
                {**user.names, **user.attributes},
                [f"{event.get('occurredAt')} {event['type']}" for event in user.events],
            )
            for user in self.users
        ]

    def find(self, names: dict[str, str]) -> User | None:
        """Find a person by any of these."""
        return next(
            (u for u in self.users if any(u.names.get(n) == v for n, v in names.items())), None
        )

    def _named(self, names: dict[str, str]) -> User:
        """Find or make a person; two who are named at once are bridged into one."""
        found = [u for u in self.users if any(u.names.get(n) == v for n, v in names.items())]
        user = found[0] if found else User()
        for other in found[1:]:
            self.users.remove(other)
            user.attributes = {**other.attributes, **user.attributes}
            user.events += other.events
            user.names = {**other.names, **user.names}
        if not found:
            self.users.append(user)
        user.names |= names
        return user

    def _change(self, body: dict[str, Any]) -> tuple[int, str]:
        names = body.get("identifiers") or {}
        if not names or not all(isinstance(v, str) and v for v in names.values()):
            return 400, "identifiers are missing or empty"
        if "email" in names and "@" not in names["email"]:
            return 400, "email is invalid"
        custom = (body.get("attributes") or {}).get("custom") or {}
        for name, value in custom.items():
            if value is None or isinstance(value, list | dict):
                return 400, f"{name} must be a primitive"
            if self.types.setdefault(name, type(value)) is not type(value):
                return 400, f"{name} has another type"
        self._named(names).attributes |= custom
        return 202, "accepted"

    def _record(self, body: dict[str, Any]) -> Reply:
        kind = str(body.get("type") or "")
        user = body.get("user") or {}
        if not kind or set(kind) & _FORBIDDEN or set(user) - {"email", "phone"} or not user:
            return Reply(400)
        self._named(user).events.append(body)
        return Reply(200)

    def _submit(self, body: dict[str, Any]) -> Reply:
        users = body.get("users") or []
        if not 0 < len(users) <= 256:
            return Reply(400)
        job_id = uuid4().hex
        self.jobs[job_id] = {"users": users, "left": self.polls_until_done, "lines": []}
        return Reply(202, {"message": "accepted", "batchJobId": job_id})

    def _job(self, job_id: str) -> Reply:
        job = self.jobs.get(job_id)
        if job is None:
            return Reply(404)
        job["left"] -= 1
        shown = {"bulkJobId": job_id, "status": "IN_PROGRESS", "totalRecords": len(job["users"])}
        if job["left"] > 0:
            return Reply(200, shown)
        if not job["lines"]:
            for user in job["users"]:
                status, said = self._change(user)
                line = {"request": user, "response": {"status": status, "message": said}}
                job["lines"].append(line)
        url = f"{self.url}/results/{job_id}"
        return Reply(200, {**shown, "status": "COMPLETED", "url": url})

    def _results(self, job_id: str) -> Reply:
        lines = "".join(json.dumps(line) + "\n" for line in self.jobs[job_id]["lines"])
        return Reply(200, lines.encode(), {"content-type": "application/jsonl"})
