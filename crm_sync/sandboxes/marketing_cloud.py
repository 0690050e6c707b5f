"""Marketing Cloud, as far as an adapter sees it: tokens, data extensions, requests, one journey.

What the REST reference documents is done as it says; where it is silent, what others report is
done: a null keeps a row from being saved, names come back in small letters and values as text.
"""

import re
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final
from urllib.parse import unquote
from uuid import uuid4

from crm_sync.sandboxes.limits import Tokens
from crm_sync.sandboxes.server import Call, Person, Reply, Sandbox

PAGE: Final = 50
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_TOKEN_SECONDS: Final = 1079
_FILTER = re.compile(r"(\w+) eq '(.*)'")
_MEMBERS = {
    "Member_Id": "text",
    "Contact_Key": "text",
    "Email_Address": "email",
    "Mobile_Phone": "text",
    "Loyalty_Program": "text",
    "Loyalty_Status": "text",
    "Loyalty_Enrolled_At": "text",
    "Loyalty_Tier": "text",
    "Loyalty_Tier_Since": "text",
    "Loyalty_Points_Balance": "number",
    "Loyalty_Points_Pending": "number",
    "Loyalty_Lifetime_Points": "number",
    "Loyalty_Points_Expiring": "number",
    "Loyalty_Points_Expire_On": "date",
    "Loyalty_Last_Redemption": "text",
    "Loyalty_Referral_Code": "text",
    "Loyalty_State_Version": "number",
}
_EVENTS = {
    "Event_Id": "text",
    "Member_Id": "text",
    "Contact_Key": "text",
    "Event_Type": "text",
    "Occurred_At": "text",
    "Sequence": "number",
    "Points": "number",
    "Points_Available": "number",
    "Order_Ref": "text",
    "Details": "text",
    "Is_Backfill": "boolean",
}


class Refused(Exception):
    """An error in Marketing Cloud's words."""

    def __init__(self, status: int, code: int, message: str, causes: list[str] | None = None):
        super().__init__(message)
        body: dict[str, Any] = {"message": message, "errorcode": code, "documentation": ""}
        if causes:
            body["additionalErrors"] = [{"message": one, "errorcode": 10000} for one in causes]
        self.reply = Reply(status, body)


@dataclass
class Extension:
    """A data extension: columns, a primary key, rows by its value."""

    key: str
    columns: dict[str, str]
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)

    def upsert(self, row: dict[str, Any]) -> None:
        """Keep a row, or say why not."""
        if self.key not in row:
            raise Refused(400, 10000, f"Primary key '{self.key.lower()}' does not exist.")
        message = f"Unable to save rows for data extension ID {uuid4()}"
        if any(value is None for value in row.values()):
            raise Refused(400, 10006, message)
        causes = [problem for name in row if (problem := self._problem(name, row[name]))]
        if causes:
            raise Refused(400, 10006, message, causes)
        known = self.rows.setdefault(str(row[self.key]), {})
        known |= row

    def _problem(self, name: str, value: Any) -> str:
        kind = self.columns.get(name)
        if kind is None:
            return f"{name}: Column does not exist."
        if value == "":
            return ""
        if kind == "email" and not _EMAIL.fullmatch(str(value)):
            return f"{name}: The value for column [{name}] is not a valid email address."
        if kind == "number" and not re.fullmatch(r"-?\d+", str(value)):
            return f"{name}: The value for column [{name}] is not a number."
        if kind == "boolean" and not isinstance(value, bool):
            return f"{name}: The value for column [{name}] is not a boolean."
        return ""


class MarketingCloud(Sandbox):
    """One tenant.

    Attributes:
        polls_until_done: How often a request is asked for until it is done.
        entries: Each time that somebody entered the journey.
        inactive: Contact keys that may not.
    """

    title: ClassVar[str] = "Salesforce Marketing Cloud"

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self.client_id, self.client_secret = "package", "s3cret"
        self.members = Extension("Member_Id", dict(_MEMBERS))
        self.events = Extension("Event_Id", dict(_EVENTS))
        self.journey = Extension("Event_Id", dict(_EVENTS))
        self.journey_key = "APIEvent-loyalty"
        self.entries: list[dict[str, Any]] = []
        self.inactive: set[str] = set()
        self.requests: dict[str, dict[str, Any]] = {}
        self.polls_until_done = 1
        self.tokens = Tokens(self.clock)
        self._tokens = 0

    def people(self) -> list[Person]:
        """List members with their events, for the page."""
        return [
            Person(
                str(row.get("Email_Address") or row.get("Contact_Key") or member_id),
                row,
                [
                    f"{event['Occurred_At']} {event['Event_Type']}"
                    for event in self.events.rows.values()
                    if event["Member_Id"] == member_id
                ],
            )
            for member_id, row in self.members.rows.items()
        ]

    def handle(self, call: Call) -> Reply:
        """Answer as Marketing Cloud does: token, then the work."""
        if call.path == "/v2/token":
            return self._log_in(call.body or {})
        if call.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            return Reply(401, {"message": "Not Authorized", "errorcode": 0, "documentation": ""})
        try:
            return self._work(call)
        except Refused as refused:
            return refused.reply

    def _log_in(self, form: dict[str, Any]) -> Reply:
        given = (form.get("client_id"), form.get("client_secret"))
        if form.get("grant_type") != "client_credentials" or given != (
            *(self.client_id, self.client_secret),
        ):
            error = {"error": "invalid_client", "error_description": "Client authentication failed"}
            return Reply(401, error)
        self._tokens += 1
        token = f"token-{self._tokens}"
        self.tokens.add(token, _TOKEN_SECONDS)
        return Reply(
            200,
            {
                "access_token": token,
                "token_type": "Bearer",
                "expires_in": _TOKEN_SECONDS,
                "scope": "data_extensions_read data_extensions_write",
                "rest_instance_url": f"{self.url}/",
            },
        )

    def _work(self, call: Call) -> Reply:
        path = unquote(call.path.strip("/"))
        if found := re.fullmatch(r"hub/v1/dataevents/key:(.+)/rowset", path):
            return self._save(self._extension(found[1]), call.body)
        if found := re.fullmatch(r"data/v1/async/dataextensions/key:(.+)/rows", path):
            return self._submit(self._extension(found[1]), call.body)
        if found := re.fullmatch(r"data/v1/async/([^/]+)/(status|results)", path):
            return self._tell(found[1], found[2], int(call.query.get("$page", 1)))
        if found := re.fullmatch(r"data/v1/customobjectdata/key/(.+)/rowset", path):
            return self._show(self._extension(found[1]), call.query.get("$filter", ""))
        if path == "interaction/v1/events" and call.method == "POST":
            return self._enter(call.body)
        raise Refused(404, 404, "Not Found")

    def _extension(self, key: str) -> Extension:
        found = {"Loyalty_Members": self.members, "Loyalty_Events": self.events}.get(key)
        if found is None:
            raise Refused(400, 10001, "Parameter {guid} is invalid.")
        return found

    def _save(self, extension: Extension, rows: list[dict[str, Any]]) -> Reply:
        """Save all rows, or none."""
        written = [{**row["keys"], **row["values"]} for row in rows]
        trial = Extension(extension.key, extension.columns)
        for row in written:
            trial.upsert(row)
        for row in written:
            extension.upsert(row)
        return Reply(200, rows)

    def _submit(self, extension: Extension, body: dict[str, Any]) -> Reply:
        request_id = str(uuid4())
        self.requests[request_id] = {
            "extension": extension,
            "rows": body["items"],
            "left": self.polls_until_done,
            "items": [],
        }
        return Reply(202, {"requestId": request_id, "resultMessages": []})

    def _tell(self, request_id: str, what: str, page: int) -> Reply:
        request = self.requests.get(request_id)
        if request is None:
            raise Refused(404, 404, "Request not found.")
        if what == "results":
            items = request["items"]
            shown = items[(page - 1) * PAGE : page * PAGE]
            return Reply(200, {"page": page, "pageSize": PAGE, "count": len(items), "items": shown})
        request["left"] -= 1
        if request["left"] <= 0 and not request["items"]:
            request["items"] = [_kept(request["extension"], row) for row in request["rows"]]
        has_errors = any(item["status"] == "Error" for item in request["items"])
        status = {
            "requestStatus": "Complete" if request["items"] else "Pending",
            "hasErrors": has_errors,
            "resultStatus": "Error" if has_errors else "OK",
            "requestId": request_id,
        }
        return Reply(200, {"status": status, "requestId": request_id})

    def _show(self, extension: Extension, text: str) -> Reply:
        found = _FILTER.fullmatch(text)
        if found is None:
            raise Refused(400, 10003, "Invalid filter.")
        rows = [row for row in extension.rows.values() if str(row.get(found[1])) == found[2]]
        items = [
            {
                "keys": {extension.key.lower(): row[extension.key]},
                "values": {
                    name.lower(): _shown(value, extension.columns[name])
                    for name, value in row.items()
                    if name != extension.key
                },
            }
            for row in rows
        ]
        return Reply(200, {"page": 1, "pageSize": 1, "count": len(items), "items": items})

    def _enter(self, body: dict[str, Any]) -> Reply:
        if body.get("EventDefinitionKey") != self.journey_key:
            raise Refused(400, 30003, "The event definition key does not exist.")
        if body.get("ContactKey") in self.inactive:
            raise Refused(400, 30004, "The contact is not active.")
        self.journey.upsert(body["Data"])
        self.entries.append(body)
        return Reply(201, {"eventInstanceId": str(uuid4())})


def _kept(extension: Extension, row: dict[str, Any]) -> dict[str, Any]:
    try:
        extension.upsert(row)
    except Refused as refused:
        causes = refused.reply.body.get("additionalErrors") or [refused.reply.body]
        return {"status": "Error", "errorCode": "UnexpectedError", "message": causes[0]["message"]}
    return {"status": "OK", "errorCode": "", "message": ""}


def _shown(value: Any, kind: str) -> str:
    """Show a value as text; a day as it is written in America."""
    day = re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)", str(value))
    if kind == "date" and day:
        return f"{int(day[2])}/{int(day[3])}/{day[1]} 12:00:00 AM"
    return str(value)
