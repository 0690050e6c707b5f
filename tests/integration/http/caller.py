"""Call the API as a client does, and hold every answer against the contract."""

import json
import secrets
from collections.abc import Callable
from typing import Any

from django.http import HttpResponse
from django.test import Client

from loyalty.http.auth import create_api_key
from loyalty.members.identifiers import MemberRef
from loyalty.members.naming import ADD_IDENTIFIER
from loyalty.members.schemas import AddIdentifier, IdentifierInput
from loyalty.members.segments import add_members
from tests.contract.checker import check
from tests.factories import STORE, Till, database_time, line, unique
from tests.integration.http.configuration_calls import (
    CONFIGURATION,
    CONFIGURATION_CHANGES,
    CONFIGURATION_KEYED,
    Call,
    configuration_calls,
)
from tests.integration.http.webhook_calls import WEBHOOK_CALLS, WEBHOOK_KEYED, webhook_calls
from tests.people import merge

EVERYTHING = ("earn", "redeem", "members:read", "members:write", "adjust", "config", "events")


class Caller:
    """A client of one program with one API key."""

    def __init__(self, program_id: int, scopes: tuple[str, ...] = EVERYTHING, **more: Any) -> None:
        self.row, self.key = create_api_key(
            program_id=program_id, scopes=scopes, name="tests", **more
        )
        self.client = Client()

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = "",
        **headers: str,
    ) -> HttpResponse:
        """Send a request; `key` is its Idempotency-Key, made up unless told, None for none."""
        sent = {"Authorization": f"Bearer {self.key}", **headers}
        if key is not None and method in ("POST", "PUT"):
            sent["Idempotency-Key"] = key or secrets.token_hex(8)
        raw = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        response = self.client.generic(
            method,
            path,
            raw,
            content_type=sent.pop("Content-Type", "application/json"),
            headers={name: value for name, value in sent.items() if value},
        )
        if response.streaming:
            whole = HttpResponse(b"".join(response), status=response.status_code)
            whole.headers = response.headers
            response = whole
        if response.status_code != 405:
            check(
                method,
                path,
                response.status_code,
                response.headers["Content-Type"],
                response.content,
            )
        assert response.headers["X-Request-Id"]
        return response

    def post(self, path: str, body: Any = None, **more: Any) -> HttpResponse:
        """POST, with an Idempotency-Key unless told otherwise."""
        return self.call("POST", path, body, **more)

    def get(self, path: str, **more: Any) -> HttpResponse:
        """GET."""
        return self.call("GET", path, **more)


def body_of(response: HttpResponse) -> Any:
    """Return the parsed body."""
    return json.loads(response.content)


def code_of(response: HttpResponse) -> tuple[int, str]:
    """Return an error's status and code."""
    return response.status_code, json.loads(response.content).get("code", "")


def order_body(**changes: Any) -> dict[str, Any]:
    """Describe an order of one line of 10.00."""
    return {
        "ref": unique("o"),
        "store": STORE,
        "channel": "pos",
        "occurred_at": database_time().isoformat(),
        "currency": "USD",
        "lines": [line("1", "10.00", category="GROCERY", brand="Private")],
        **changes,
    }


class Shop:
    """A program with a member who has points, an order and a hold, to be called about."""

    def __init__(self, till: Till) -> None:
        self.till = till
        self.program_id = till.program.pk
        self.card = till.member(balance=1000)
        self.member = till.ids[self.card]
        self.ref = unique("o")
        self.award = till.earn(self.card, self.ref, "10.00").id
        self.other_card = self.new_card()
        self.hold = self.new_hold()
        self.delivery = f"/v1/redemptions/{till.redeem(till.member(9), reward='massage').id}"

    def new_hold(self) -> str:
        """Hold 50 points; return the redemption's id."""
        held: str = self.till.redeem(self.card, reward="five-off", capture=False).id
        return held

    def new_card(self) -> int:
        """Give the member another card; return its id."""
        named = IdentifierInput(type="card", value=unique("c"))
        payload = AddIdentifier(MemberRef("card", self.card), named)
        reply = self.till.send(self.till.command(ADD_IDENTIFIER, payload, named))[0]
        number: int = reply.identifiers[-1]["id"]
        return number

    def new_member(self) -> str:
        """Enrol somebody else; return their id."""
        return self.till.ids[self.till.member(1)]

    def new_merged(self) -> str:
        """Merge somebody new into the member; return their id."""
        card = self.till.member(1)
        assert merge(self.till, card, self.till.member()).status == 200
        return self.till.ids[card]

    def segment(self, code: str) -> str:
        """Put the member into a segment; return its address in the API."""
        add_members(self.program_id, code, [("card", self.card)])
        return f"/v1/segments/{code}"

    def person_calls(self) -> dict[str, Callable[[], Call]]:
        """List the calls about people: merged, erased, exported."""
        member, into = "/v1/members", {"into": f"card:{self.card}"}
        return {
            "merge_members": lambda: ("POST", f"{member}/{self.new_member()}/merge", into),
            "unmerge_member": lambda: ("POST", f"{member}/{self.new_merged()}/unmerge", {}),
            "erase_member": lambda: ("POST", f"{member}/{self.new_member()}/erase", {}),
            "export_member": lambda: ("GET", f"{member}/{self.member}/export", None),
        }

    def segment_calls(self) -> dict[str, Callable[[], Call]]:
        """List the calls about segments."""
        change = {"add": [f"card:{self.card}", "card:nobody"], "remove": []}
        return {
            "list_segments": lambda: ("GET", self.segment("vip").rpartition("/")[0], None),
            "put_segment": lambda: ("PUT", f"/v1/segments/{unique('s')}", {"name": "Guests"}),
            "get_segment": lambda: ("GET", self.segment("vip"), None),
            "remove_segment": lambda: ("DELETE", self.segment("gone"), None),
            "list_segment_members": lambda: ("GET", f"{self.segment('vip')}/members", None),
            "change_segment_members": lambda: ("POST", f"{self.segment('vip')}/members", change),
        }

    def call(self, name: str) -> Call:
        """Give one call of the API with a body that works once: method, path, body.

        Rows are made only for the call that needs them: with those of all calls, they took most of
        the time of a thousand tests.
        """
        prepared = {**self.person_calls(), **self.segment_calls(), **webhook_calls(self.program_id)}
        return prepared[name]() if name in prepared else self.plain_calls()[name]

    def plain_calls(self) -> dict[str, Call]:
        """List the calls for which a shop has all that they need."""
        member, card = f"/v1/members/{self.member}", f"card:{self.card}"
        redemption = f"/v1/redemptions/{self.hold}"
        now = database_time().isoformat()
        state = {k: v for k, v in order_body().items() if k != "ref"}
        named = {"type": "card", "value": unique("c")}
        returned = {
            "ref": unique("r"),
            "occurred_at": now,
            "lines": [{"line": "1", "quantity": "1"}],
        }
        adjust = {"member": card, "points": 5, "reason": "goodwill"}
        basket = {"member": card, "order": order_body()}
        return {
            "enrol": ("POST", "/v1/members", {"identifiers": [named]}),
            "get_member": ("GET", member, None),
            "update_member": ("PATCH", member, {"profile": {"first_name": "Ada"}}),
            "lookup_member": ("POST", "/v1/members/lookup", {"type": "card", "value": self.card}),
            "add_identifier": ("POST", f"{member}/identifiers", named),
            "remove_identifier": ("DELETE", f"{member}/identifiers/{self.other_card}", None),
            "earn": ("POST", "/v1/earn", {"member": card, "order": order_body()}),
            "preview_earn": ("POST", "/v1/earn/preview", basket),
            "preview_draft": ("POST", "/v1/program/preview", basket),
            "put_order": (
                "PUT",
                f"/v1/orders/{unique('o')}",
                {"member": card, "revision": 1, "order": state},
            ),
            "return_order": ("POST", f"/v1/orders/{self.ref}/returns?store={STORE}", returned),
            "redeem": ("POST", "/v1/redeem", {"member": card, "reward": "five-off"}),
            "get_redemption": ("GET", redemption, None),
            "capture": ("POST", f"{redemption}/capture", {}),
            "void": ("POST", f"{redemption}/void", {}),
            "reverse": ("POST", f"{redemption}/reverse", {"reason": "changed their mind"}),
            "fulfil": ("POST", f"{self.delivery}/fulfilment", {"state": "shipped"}),
            "get_balance": ("GET", f"{member}/balance", None),
            "list_ledger": ("GET", f"{member}/ledger", None),
            "get_ledger_transaction": ("GET", f"/v1/ledger-transactions/{self.award}", None),
            "list_lots": ("GET", f"{member}/lots", None),
            "list_referrals": ("GET", f"{member}/referrals", None),
            **tier_calls(member),
            "list_rewards": ("GET", f"{member}/rewards", None),
            "list_redemptions": ("GET", f"{member}/redemptions", None),
            "adjust": ("POST", "/v1/adjustments", adjust),
            "batch": (
                "POST",
                "/v1/batch",
                {"commands": [{"idempotency_key": unique("k"), "adjust": adjust}]},
            ),
            "list_events": ("GET", "/v1/events", None),
            **configuration_calls(),
        }


def tier_calls(member: str) -> dict[str, Call]:
    """List the calls about a member's tier."""
    assigned = {"level": "silver", "until": "2099-12-31", "reason": "a partner's member"}
    return {
        "get_tier": ("GET", f"{member}/tier", None),
        "assign_tier": ("POST", f"{member}/tier", assigned),
        "list_tier_history": ("GET", f"{member}/tier/history", None),
    }


CALLS = (
    "enrol",
    "get_member",
    "update_member",
    "lookup_member",
    "add_identifier",
    "remove_identifier",
    "merge_members",
    "unmerge_member",
    "erase_member",
    "export_member",
    "list_segments",
    "put_segment",
    "get_segment",
    "remove_segment",
    "list_segment_members",
    "change_segment_members",
    "earn",
    "preview_earn",
    "preview_draft",
    "put_order",
    "return_order",
    "redeem",
    "get_redemption",
    "capture",
    "void",
    "reverse",
    "fulfil",
    "get_balance",
    "list_ledger",
    "get_ledger_transaction",
    "list_lots",
    "list_referrals",
    "get_tier",
    "assign_tier",
    "list_tier_history",
    "list_rewards",
    "list_redemptions",
    "adjust",
    "batch",
    "list_events",
    *CONFIGURATION,
    *WEBHOOK_CALLS,
)
# Those that run one command under an Idempotency-Key.
KEYED = (
    "enrol",
    "add_identifier",
    "merge_members",
    "unmerge_member",
    "assign_tier",
    "erase_member",
    "put_segment",
    "change_segment_members",
    "earn",
    "put_order",
    "return_order",
    "redeem",
    "capture",
    "void",
    "reverse",
    "fulfil",
    "adjust",
    *CONFIGURATION_KEYED,
    *WEBHOOK_KEYED,
)
WITH_BODY = (
    *CONFIGURATION_CHANGES,
    *KEYED,
    "change_webhook_endpoint",
    "update_member",
    "lookup_member",
    "preview_earn",
    "preview_draft",
    "batch",
)
