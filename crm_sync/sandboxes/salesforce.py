"""Salesforce, as far as an adapter sees it: log-in, records, collections, queries, bulk jobs.

What the REST and Bulk API 2.0 guides document is done as they say; what they leave open is done in
the way that is worst for us: results of a job come in another order than its rows.
"""

import base64
import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final
from urllib.parse import parse_qs, unquote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from crm_sync.sandboxes.salesforce_objects import (
    Refused,
    Store,
    from_csv,
)
from crm_sync.sandboxes.server import Call, Person, Reply, Sandbox
from crm_sync.sandboxes.soql import Malformed

PAGE: Final = 200
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class Salesforce(Sandbox):
    """One organisation.

    Attributes:
        public_key: Of the certificate that is uploaded at the app, for the JWT bearer flow.
        polls_until_done: How often a job is asked for until it is done.
        quota: Calls of a day, and how many of them are used.
    """

    title: ClassVar[str] = "Salesforce"

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self.client_id, self.client_secret = "3MVG9sandbox", "s3cret"
        self.username = "loyalty@example.com"
        self.public_key: RSAPublicKey | None = None
        self.store = Store()
        self.jobs: dict[str, dict[str, Any]] = {}
        self.polls_until_done = 1
        self.quota, self.used = 100_000, 0
        self.token = ""
        self._tokens = 0
        self._cursors: dict[str, list[dict[str, Any]]] = {}

    def expire(self) -> None:
        """Let the session end."""
        self.token = ""

    def people(self) -> list[Person]:
        """List people with their events, for the page."""
        return [
            Person(
                str(one.get("Email") or one.get("PersonEmail") or one["LastName"]),
                {name: value for name, value in one.items() if value is not None},
                [f"{event['Occurred_At__c']} {event['Type__c']}" for event in self.events_of(one)],
            )
            for sobject in ("Contact", "Lead", "Account")
            for one in self.store.alive(sobject)
        ]

    def events_of(self, person: dict[str, Any]) -> list[dict[str, Any]]:
        """List the events that point to a person."""
        lookups = ("Contact__c", "Lead__c", "Account__c")
        return [
            event
            for event in self.store.alive("Loyalty_Event__c")
            if person["Id"] in [event.get(name) for name in lookups]
        ]

    def handle(self, call: Call) -> Reply:
        """Answer as Salesforce does: log-in, session, quota, then the work."""
        if call.path == "/services/oauth2/token":
            return self._log_in(call)
        try:
            self._admit(call)
            reply = self._work(call)
        except Refused as refused:
            error = {"message": str(refused), "errorCode": refused.code, **refused.more}
            reply = Reply(refused.status, [error])
        usage = f"api-usage={self.used}/{self.quota}"
        return Reply(reply.status, reply.body, {**reply.headers, "sforce-limit-info": usage})

    def _log_in(self, call: Call) -> Reply:
        form = {name: values[0] for name, values in parse_qs(call.raw.decode()).items()}
        basic = call.headers.get("authorization", "").removeprefix("Basic ")
        if basic:
            given = base64.b64decode(basic).decode().partition(":")
            form |= {"client_id": given[0], "client_secret": given[2]}
        if form.get("grant_type") == "client_credentials":
            good = (form.get("client_id"), form.get("client_secret"))
            if good != (self.client_id, self.client_secret):
                return _no_token("invalid_client", "invalid client credentials")
        elif form.get("grant_type") == _JWT_BEARER:
            if problem := self._problem_of(form.get("assertion", "")):
                return _no_token("invalid_grant", problem)
        else:
            return _no_token("unsupported_grant_type", "grant type not supported")
        self._tokens += 1
        self.token = f"00Dsandbox!{self._tokens}"
        body = {
            "access_token": self.token,
            "instance_url": self.url,
            "id": f"{self.url}/id/00D/005",
            "token_type": "Bearer",
            "scope": "api",
        }
        return Reply(200, body)

    def _problem_of(self, assertion: str) -> str:
        """Say what is wrong with an assertion."""
        text, _, signature = assertion.rpartition(".")
        claims = json.loads(_decoded(text.partition(".")[2]))
        try:
            if self.public_key is None:
                return "no certificate is uploaded"
            self.public_key.verify(_decoded(signature), text.encode(), PKCS1v15(), SHA256())
        except InvalidSignature:
            return "invalid assertion"
        ends = datetime.fromtimestamp(int(claims["exp"]), UTC)
        if not datetime.now(UTC) < ends <= datetime.now(UTC) + timedelta(minutes=5):
            return "expired authorization code"
        if (claims["iss"], claims["sub"]) != (self.client_id, self.username):
            return "user hasn't approved this consumer"
        return "" if claims["aud"].startswith("https://") else "invalid audience"

    def _admit(self, call: Call) -> None:
        token = call.headers.get("authorization", "").removeprefix("Bearer ")
        if not self.token or token != self.token:
            raise Refused("INVALID_SESSION_ID", "Session expired or invalid", 401)
        if self.used >= self.quota:
            raise Refused("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", 403)
        self.used += 1
        if len(call.path) + sum(map(len, call.query.values())) > 16_384:
            raise Refused("URI_TOO_LONG", "The URI is too long.", 414)

    def _work(self, call: Call) -> Reply:
        found = re.fullmatch(r"/services/data/v\d+\.0/(.*?)/?", call.path)
        if found is None:
            raise Refused("NOT_FOUND", "The requested resource does not exist", 404)
        steps = [unquote(step) for step in found[1].split("/")]
        if steps[0] in ("query", "queryAll"):
            return self._query(steps, call.query.get("q", ""))
        if steps[:2] == ["jobs", "ingest"]:
            return self._ingest(steps[2:], call)
        if steps[:2] == ["composite", "sobjects"] and call.method == "PATCH":
            return self._collection(steps[2:], call.body or {})
        if steps[0] == "sobjects" and len(steps) > 1:
            return self._single(steps[1:], call)
        raise Refused("NOT_FOUND", "The requested resource does not exist", 404)

    def _query(self, steps: list[str], text: str) -> Reply:
        if len(steps) > 1:
            left = self._cursors.pop(steps[1], None)
            if left is None:
                raise Refused("INVALID_QUERY_LOCATOR", "invalid query locator")
        else:
            try:
                left = self.store.select(text, with_deleted=steps[0] == "queryAll")
            except Malformed as error:
                raise Refused("MALFORMED_QUERY", str(error)) from None
        body: dict[str, Any] = {
            "totalSize": len(left),
            "done": len(left) <= PAGE,
            "records": left[:PAGE],
        }
        if len(left) > PAGE:
            cursor = f"01g{len(self._cursors):012d}-{PAGE}"
            self._cursors[cursor] = left[PAGE:]
            body["nextRecordsUrl"] = f"/services/data/v64.0/query/{cursor}"
        return Reply(200, body)

    def _collection(self, steps: list[str], body: dict[str, Any]) -> Reply:
        records = body.get("records") or []
        if not 0 < len(records) <= 200:
            raise Refused("INVALID_INPUT", "Between 1 and 200 records.")
        results: list[dict[str, Any]] = []
        before = self.store.copy() if body.get("allOrNone") else None
        for record in records:
            # A name that is not there makes the whole request unreadable, not one record.
            self.store.check_names(record)
            try:
                results.append(self._one_of_many(steps, dict(record)))
            except Refused as refused:
                error = {"statusCode": refused.code, "message": str(refused), "fields": []}
                results.append({"success": False, "errors": [{**error, **refused.more}]})
        if before is not None and not all(one["success"] for one in results):
            self.store.put_back(before)
            results = [_rolled_back() if one["success"] else one for one in results]
        return Reply(200, results)

    def _one_of_many(self, steps: list[str], record: dict[str, Any]) -> dict[str, Any]:
        sobject = record.pop("attributes")["type"]
        if not steps:
            self.store.update(sobject, record.pop("id"), record)
            return {"id": self.store.touched, "success": True, "errors": []}
        if steps[0] != sobject or "id" in record:
            raise Refused("INVALID_INPUT", "Records are of one object and have no id.")
        is_new = self.store.upsert(sobject, steps[1], record.get(steps[1]), record)
        return {"id": self.store.touched, "success": True, "errors": [], "created": is_new}

    def _single(self, steps: list[str], call: Call) -> Reply:
        if call.method == "POST":
            record_id = self.store.insert(steps[0], call.body)
            return Reply(201, {"id": record_id, "success": True, "errors": []})
        if len(steps) == 2:
            if call.method == "PATCH":
                self.store.update(steps[0], steps[1], call.body)
                return Reply(204)
            return Reply(200, self.store.get(steps[0], steps[1]))
        if call.method == "PATCH":
            is_new = self.store.upsert(steps[0], steps[1], steps[2], call.body)
            body = {"id": self.store.touched, "success": True, "errors": [], "created": is_new}
            return Reply(201 if is_new else 200, body)
        found = self.store.find(steps[0], steps[1], steps[2])
        if not found:
            raise Refused("NOT_FOUND", "The requested resource does not exist", 404)
        return Reply(200, found[0])

    def _ingest(self, steps: list[str], call: Call) -> Reply:
        if not steps:
            job_id = f"750{len(self.jobs):012d}AAA"
            shown = {"id": job_id, "state": "Open", **call.body}
            self.jobs[job_id] = {"shown": shown, "left": self.polls_until_done, "raw": b""}
            return Reply(200, shown)
        job = self.jobs.get(steps[0])
        if job is None:
            raise Refused("NOT_FOUND", "The requested resource does not exist", 404)
        if steps[1:] == ["batches"]:
            job["raw"] = call.raw
            return Reply(201)
        if call.method == "PATCH":
            job["shown"]["state"] = call.body["state"]
        elif len(steps) > 1:
            return Reply(200, job.get(steps[1], b""), {"content-type": "text/csv"})
        else:
            self._run(job)
        return Reply(200, job["shown"])

    def _run(self, job: dict[str, Any]) -> None:
        shown = job["shown"]
        job["left"] -= 1
        if shown["state"] != "UploadComplete" or job["left"] > 0:
            return
        rows = list(csv.DictReader(io.StringIO(job["raw"].decode())))
        good, bad = [], []
        for row in reversed(rows):  # in an order that is not ours
            record = from_csv(shown["object"], row)
            try:
                self.store.check_names({"attributes": {"type": shown["object"]}, **record})
                is_new = self._one_row(shown, record)
                named = {"sf__Id": self.store.touched, "sf__Created": str(is_new).lower()}
                good.append({**named, **row})
            except Refused as refused:
                error = f"{refused.code}:{refused}:--"
                bad.append({"sf__Id": row.get("Id", ""), "sf__Error": error, **row})
        job["successfulResults"], job["failedResults"] = _csv(good), _csv(bad)
        shown |= {
            "state": "JobComplete",
            "numberRecordsProcessed": len(rows),
            "numberRecordsFailed": len(bad),
        }

    def _one_row(self, job: dict[str, Any], record: dict[str, Any]) -> bool:
        name = job["externalIdFieldName"]
        if name != "Id":
            return self.store.upsert(job["object"], name, record.get(name), record)
        record_id = record.pop("Id", None)
        if record_id:
            self.store.update(job["object"], record_id, record)
            return False
        self.store.insert(job["object"], record)
        return True


def _no_token(error: str, description: str) -> Reply:
    return Reply(400, {"error": error, "error_description": description})


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _csv(rows: list[dict[str, Any]]) -> bytes:
    written = io.StringIO()
    if rows:
        writer = csv.DictWriter(written, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return written.getvalue().encode()


def _rolled_back() -> dict[str, Any]:
    message = "Record rolled back because not all records were valid"
    error = {"statusCode": "ALL_OR_NONE_OPERATION_ROLLED_BACK", "message": message, "fields": []}
    return {"success": False, "errors": [error]}
