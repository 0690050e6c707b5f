"""Calls to one Salesforce organisation: logged in, within the quota, records and pages of them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import orjson

from crm_sync.adapters.access import Limit, Target, Token
from crm_sync.adapters.client import Answer, CallFailed, Client, Request
from crm_sync.adapters.contract import Person
from crm_sync.adapters.outcomes import Ambiguous, Delivered, Doubt
from crm_sync.adapters.salesforce_documents import (
    MEMBER_ID,
    QUOTA_SECONDS,
    Kind,
    classify_answer,
    quoted,
)
from crm_sync.adapters.salesforce_login import login_form, refused_login

DAY_SECONDS: Final = 86_400
_TOKEN_SECONDS: Final = 3600.0  # Salesforce does not say; one that ends before is renewed
_QUOTA_SHARE: Final = 0.95
_USAGE = re.compile(r"api-usage=(\d+)/(\d+)")


class Api:
    """One organisation, for as long as one call of the adapter takes."""

    def __init__(self, client: Client, target: Target) -> None:
        self._client = client
        self._target = target
        self._config = target.config

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Make a call, whatever is answered.

        Raises:
            CallFailed: There is no answer.
        """
        limit = limit_of_day(self._config)
        root = f"{self._config['address']}/services/data/{self._config['api_version']}"
        request = Request(
            method=method,
            url=f"{root}/{path.strip('/')}",
            headers={"content-type": "application/json", **(headers or {})},
            content=body if isinstance(body, bytes) else orjson.dumps(body) if body else b"",
            limit=limit,
        )
        answer = self._client.call_with_token(self._target, request, self._obtain)
        used = _USAGE.search(answer.headers.get("sforce-limit-info", ""))
        if used and int(used[1]) >= _QUOTA_SHARE * int(used[2]):
            self._target.throttle.hold(limit, QUOTA_SECONDS)
        return answer

    def good(self, *call: Any, **more: Any) -> Answer:
        """Make a call, and go on only if it was answered well.

        Raises:
            CallFailed: It was not, or not at all.
        """
        return good(self.call(*call, **more))

    def write(
        self,
        path: str,
        records: Sequence[Mapping[str, Any]],
        *,
        is_quiet: bool = False,
        all_or_none: bool = False,
    ) -> list[Mapping[str, Any]]:
        """Create or update records, each for itself; what became of each, in their order.

        Args:
            path: Object and external id by which they are found; empty: they have Salesforce's.
            is_quiet: Assign no lead to anybody, which would tell them by email.
            all_or_none: If one is refused none is written.
        """
        headers = {"sforce-auto-assign": "false"} if is_quiet else {}
        body = {"allOrNone": all_or_none, "records": records}
        results: list[Mapping[str, Any]] = self.good(
            "PATCH", f"composite/sobjects/{path}", body, headers
        ).json()
        return results

    def query(self, soql: str, *, with_deleted: bool = False) -> Iterator[Mapping[str, Any]]:
        """Give the records of all pages."""
        path = f"{'queryAll' if with_deleted else 'query'}/?q={quote(soql, safe='')}"
        while path:
            page = self.good("GET", path).json()
            yield from page["records"]
            following = str(page.get("nextRecordsUrl") or "")
            path = following.partition(f"/{self._config['api_version']}/")[2]

    def survivor(self, kind: Kind, person: Person) -> str:
        """Find the record into which somebody merged a person's; empty if it was just deleted.

        Raises:
            CallFailed: The record that is left is another member's.
        """
        asked = (
            f"SELECT MasterRecordId FROM {kind.sobject}"
            f" WHERE Id = {quoted(person.vendor_id)} AND IsDeleted = true"
        )
        gone = next(self.query(asked, with_deleted=True), None) or {}
        merged_into = str(gone.get("MasterRecordId") or "")
        if not merged_into:
            return ""
        asked = f"SELECT Id, {MEMBER_ID} FROM {kind.sobject} WHERE Id = {quoted(merged_into)}"
        left = next(self.query(asked), None) or {}
        if left.get(MEMBER_ID) in (None, "", person.member_id):
            return str(left.get("Id") or "")
        error = "The member's record was merged into another member's at Salesforce."
        raise CallFailed(
            Ambiguous(error=error, reason=Doubt.SEVERAL_MATCHES, candidates=(merged_into,))
        )

    def _obtain(self) -> Token:
        form = login_form(self._config, self._target.credentials.get("secret"))
        request = Request(
            method="POST",
            url=f"{self._config['address']}/services/oauth2/token",
            headers={"content-type": "application/x-www-form-urlencoded"},
            content=form,
        )
        answer = self._client.call(self._target, request)
        if answer.status != 200:
            raise CallFailed(refused_login(answer))
        return Token(access_token=answer.json()["access_token"], seconds=_TOKEN_SECONDS)


def good(answer: Answer) -> Answer:
    """Go on only with a good answer.

    Raises:
        CallFailed: It is none.
    """
    outcome = classify_answer(answer)
    if not isinstance(outcome, Delivered):
        raise CallFailed(outcome)
    return answer


def limit_of_day(config: Mapping[str, Any]) -> Limit:
    """Give the limit of a connection: a tenth of a day's calls at once, the others evenly."""
    calls = int(config["calls_per_day"])
    tenth = max(1, calls // 10)
    return Limit("calls", calls=calls - tenth + 1, seconds=DAY_SECONDS, burst=tenth)
