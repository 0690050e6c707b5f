"""Shopify, as far as an adapter sees it: customers, metafields, store credit, limits and tokens.

A GraphQL server of its own over the part of the schema that is in shopify_schema.py: documents and
variables are judged as Shopify judges them. It needs graphql-core, which only tests install.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Any, ClassVar, Final
from urllib.parse import parse_qs
from uuid import uuid4

import orjson
from graphql import GraphQLSchema, build_schema, graphql_sync

from crm_sync.sandboxes.limits import Bucket, Tokens
from crm_sync.sandboxes.server import Call, Person, Reply, Sandbox
from crm_sync.sandboxes.shopify_bulk import Bulk
from crm_sync.sandboxes.shopify_orders import order_roots
from crm_sync.sandboxes.shopify_schema import SCHEMA
from crm_sync.sandboxes.shopify_segments import segment_roots

MUTATION_COST: Final = 10
TOKEN_SECONDS: Final = 86_399
SCOPES: Final = (
    "read_customers",
    "write_customers",
    "read_store_credit_accounts",
    "read_store_credit_account_transactions",
    "write_store_credit_account_transactions",
)
_PATH = re.compile(r"/admin/api/\d{4}-\d{2}/graphql\.json")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_FORMS = {
    "single_line_text_field": r"[^\n]+",
    "number_integer": r"-?\d+",
    "number_decimal": r"-?\d+(\.\d+)?",
    "boolean": "true|false",
    "date": r"\d{4}-\d\d-\d\d",
    "date_time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d.*",
    "json": r"(?s).+",
}


@dataclass
class Known:
    """A customer; `metafields` by namespace and key, each a pair of type and value.

    Attributes:
        own: Name, language and tags, as GraphQL names them.
    """

    id: str
    email: str = ""
    phone: str = ""
    email_state: str = "NOT_SUBSCRIBED"
    sms_state: str = "NEVER_SUBSCRIBED"
    own: dict[str, Any] = field(default_factory=dict)
    metafields: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    credits: list[dict[str, Any]] = field(default_factory=list)
    timeline: list[dict[str, Any]] = field(default_factory=list)
    updated: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    consent_at: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def told(self) -> dict[str, str]:
        """Give the metafields' values by key."""
        return {key: value for (_, key), (_, value) in self.metafields.items()}

    def store_credit(self) -> float:
        """Give what is left of the store credit."""
        return sum(float(one["amount"]["amount"]) for one in self.credits)


class Shopify(Sandbox):
    """One shop with one app.

    Attributes:
        tokens: Access tokens that are good; a client id and secret get another one.
        orders: By their numbers, as webhooks tell of them.
        segments: Who is in them, by their numbers.
        bucket: Query points that are left.
    """

    title: ClassVar[str] = "Shopify"

    def __init__(self, access_token: str = "shpat_sandbox", port: int = 0) -> None:
        super().__init__(port)
        self.tokens = Tokens(self.clock)
        self.tokens.add(access_token)
        self.access_token = access_token
        self.client = ("client", "secret")
        self.scopes = list(SCOPES)
        self.customers: dict[str, Known] = {}
        self.orders: dict[int, dict[str, Any]] = {}
        self.segments: dict[str, list[Known]] = {}
        self.bucket = Bucket(self.clock, size=2000.0, rate=100.0)
        self._clock = datetime(2026, 11, 1, tzinfo=UTC)
        self.bulk = Bulk()
        self._work = Work(self)

    def handle(self, call: Call) -> Reply:
        """Answer as Shopify does: token, limit, then the document."""
        if call.path == "/admin/oauth/access_token":
            return self._grant(call)
        if (reply := self.bulk.handle(call)) is not None:
            return reply
        if call.headers.get("x-shopify-access-token") not in self.tokens:
            said = "[API] Invalid API key or access token (unrecognized login or wrong password)"
            return Reply(401, {"errors": said})
        if _PATH.fullmatch(call.path) is None or call.method != "POST":
            return Reply(404, {"errors": "Not Found"})
        if "query" not in (call.body or {}):
            return Reply(400, {"errors": {"query": "Required parameter missing or invalid"}})
        return self._execute(call.body["query"], call.body.get("variables") or {})

    def people(self) -> list[Person]:
        """List the customers for the page."""
        return [
            Person(
                known.email or known.phone or known.id,
                known.told(),
                [f"{event['occurred_at']} {event['type']}" for event in known.timeline],
            )
            for known in self.customers.values()
        ]

    def find(self, **identifier: str) -> Known | None:
        """Find a customer by id, email or phone."""
        ((name, value),) = identifier.items()
        return next((one for one in self.customers.values() if getattr(one, name) == value), None)

    def add(self, **attributes: Any) -> Known:
        """Make a customer."""
        number = 7000 + len(self.customers)
        known = Known(f"gid://shopify/Customer/{number}", updated=self.now(), **attributes)
        self.customers[known.id] = known
        return known

    def credit(
        self, known: Known, amount: str, currency: str = "USD", kind: str = "Credit"
    ) -> dict[str, Any]:
        """Give store credit, as staff do too."""
        type_ = f"StoreCreditAccount{kind}Transaction"
        done = {
            "__typename": type_,
            "id": f"gid://shopify/{type_}/{uuid4().int % 10**9}",
            "amount": {"amount": amount, "currencyCode": currency},
            "createdAt": self.now().isoformat(),
        }
        known.credits.append(done)
        return done

    def now(self) -> datetime:
        """Give a time that is later than all before."""
        self._clock += timedelta(seconds=1)
        return self._clock

    def _grant(self, call: Call) -> Reply:
        form = {name: values[0] for name, values in parse_qs(call.raw.decode()).items()}
        given = (form.get("client_id"), form.get("client_secret"))
        if form.get("grant_type") != "client_credentials" or given != self.client:
            return Reply(400, {"error": "invalid_client"})
        token = f"shpat_{uuid4().hex}"
        self.tokens.add(token, TOKEN_SECONDS)
        body = {"access_token": token, "scope": ",".join(self.scopes)}
        return Reply(200, {**body, "expires_in": TOKEN_SECONDS})

    def _execute(self, text: str, variables: Mapping[str, Any]) -> Reply:
        cost = MUTATION_COST * max(1, text.count("userErrors"))
        if not self.bucket.take(cost):
            error = {"message": "Throttled", "extensions": {"code": "THROTTLED"}}
            return Reply(200, {"errors": [error], "extensions": self._cost(cost)})
        return Reply(200, {**self.execute(text, variables), "extensions": self._cost(cost)})

    def execute(self, text: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Do what a document asks, whatever it costs."""
        found = graphql_sync(_schema(), text, self._work.roots(), variable_values=dict(variables))
        errors = [error.formatted for error in found.errors or []]
        return {"data": found.data, **({"errors": errors} if errors else {})}

    def _cost(self, cost: int) -> dict[str, Any]:
        status = {
            "maximumAvailable": self.bucket.size,
            "currentlyAvailable": self.bucket.left,
            "restoreRate": self.bucket.rate,
        }
        return {
            "cost": {
                "requestedQueryCost": cost,
                "actualQueryCost": cost,
                "throttleStatus": status,
            }
        }


class Work:
    """What each field of the schema does."""

    def __init__(self, shop: Shopify) -> None:
        self._shop = shop

    def roots(self) -> dict[str, Any]:
        """Give the fields of queries and mutations."""
        return {
            "shop": {"name": "Sandbox"},
            "currentAppInstallation": {
                "accessScopes": [{"handle": handle} for handle in self._shop.scopes]
            },
            "publicApiVersions": [
                {"handle": "2026-07", "supported": True},
                {"handle": "2026-10", "supported": True},
                {"handle": "unstable", "supported": False},
            ],
            "customer": lambda _, id: self._shown(self._shop.customers.get(id)),
            "customerByIdentifier": self._by_identifier,
            "customers": self._list,
            **order_roots(self._shop.orders),
            **self._shop.bulk.roots(self._shop.url, self._shop.execute),
            **segment_roots(self._shop.segments, self._shown),
            "nodes": lambda _, ids: [self._shown(self._shop.customers.get(one)) for one in ids],
            "metafieldsSet": self._set,
            "metafieldsDelete": self._delete,
            "customerSet": self._upsert,
            "storeCreditAccountCredit": self._credit,
            "storeCreditAccountDebit": self._debit,
        }

    def _by_identifier(self, _: Any, identifier: dict[str, str]) -> Any:
        names = {"emailAddress": "email", "phoneNumber": "phone"}
        ((name, value),) = identifier.items()
        return self._shown(self._shop.find(**{names.get(name, name): value}))

    def _list(
        self, _: Any, first: int, after: str | None = None, query: str | None = None, **__: Any
    ) -> Any:
        chosen = sorted(self._shop.customers.values(), key=lambda known: known.updated)
        if since := re.search(r"updated_at:>='([^']+)'", query or ""):
            chosen = [one for one in chosen if one.updated >= datetime.fromisoformat(since[1])]
        begin = int(after or 0)
        return {
            "nodes": [self._shown(one) for one in chosen[begin : begin + first]],
            "pageInfo": {
                "hasNextPage": len(chosen) > begin + first,
                "endCursor": str(begin + first),
            },
        }

    def _upsert(
        self, _: Any, input: dict[str, str], identifier: dict[str, str] | None = None
    ) -> Any:
        given = identifier or {}
        if input.get("email") and not _EMAIL.fullmatch(input["email"]):
            return _refused("INVALID", "Email is invalid", customer=None)
        if any(input.get(name, value) != value for name, value in given.items() if name != "id"):
            return _refused("INPUT_MISMATCH", "The input must match the identifier", customer=None)
        known = self._shop.find(**given) if given else None
        if known is None:
            if any(value and self._shop.find(**{name: value}) for name, value in input.items()):
                return _refused("TAKEN", "Email has already been taken", customer=None)
            known = self._shop.add(**input)
        for name, value in input.items():
            setattr(known, name, value)
        return {"customer": self._shown(known), "userErrors": []}

    def _set(self, _: Any, metafields: list[dict[str, Any]]) -> Any:
        """Write all or none."""
        if len(metafields) > 25:
            return _refused("INVALID", "Exceeded the maximum of 25 metafields", metafields=None)
        for number, one in enumerate(metafields):
            if refused := self._refusal(one):
                code, message = refused
                return _refused(code, message, metafields=None, elementIndex=number)
        return {"metafields": [self._write(one) for one in metafields], "userErrors": []}

    def _refusal(self, given: Mapping[str, Any]) -> tuple[str, str] | None:
        known = self._shop.customers.get(given["ownerId"])
        if known is None:
            return "INVALID", "Owner does not exist."
        there = known.metafields.get((given["namespace"], given["key"]))
        type_ = given.get("type") or (there[0] if there else "")
        if there is not None and there[0] != type_:
            return "INVALID_TYPE", f"Type can't be changed from {there[0]} to {type_}."
        if type_ not in _FORMS or not re.fullmatch(_FORMS[type_], given["value"]):
            return "INVALID_VALUE", f"Value is invalid for {type_}: {given['value']}."
        if "compareDigest" in given and given["compareDigest"] != (there and _digest(there[1])):
            return "STALE_OBJECT", "The resource has been updated since it was loaded."
        return None

    def _write(self, given: Mapping[str, Any]) -> Any:
        known = self._shop.customers[given["ownerId"]]
        place = (given["namespace"], given["key"])
        before = known.metafields.get(place)
        written = (given["type"], _normal(given["type"], given["value"]))
        known.metafields[place] = written
        known.updated = self._shop.now()
        if given["key"] == "last_event" and written != before:
            known.timeline.append(orjson.loads(given["value"]))
        return _metafield(given["key"], written)

    def _delete(self, _: Any, metafields: list[dict[str, str]]) -> Any:
        deleted = []
        for one in metafields:
            known = self._shop.customers.get(one["ownerId"])
            gone = known and known.metafields.pop((one["namespace"], one["key"]), None)
            deleted.append(one if gone else None)
        return {"deletedMetafields": deleted, "userErrors": []}

    def _credit(self, _: Any, id: str, creditInput: dict[str, Any]) -> Any:
        known = self._shop.customers.get(id)
        if known is None:
            none = {"storeCreditAccountTransaction": None}
            return _refused("OWNER_NOT_FOUND", "The owner does not exist.", **none)
        amount = dict(creditInput["creditAmount"])
        if float(amount["amount"]) <= 0:
            none = {"storeCreditAccountTransaction": None}
            return _refused("NEGATIVE_OR_ZERO_AMOUNT", "Must be greater than 0.", **none)
        done = self._shop.credit(known, f"{float(amount['amount'])}", amount["currencyCode"])
        return {"storeCreditAccountTransaction": done, "userErrors": []}

    def _debit(self, _: Any, id: str, debitInput: dict[str, Any]) -> Any:
        known = self._shop.customers.get(id)
        none = {"storeCreditAccountTransaction": None}
        if known is None or not known.credits:
            return _refused("ACCOUNT_NOT_FOUND", "The account does not exist.", **none)
        amount = float(debitInput["debitAmount"]["amount"])
        if amount > known.store_credit():
            return _refused("INSUFFICIENT_FUNDS", "The account has insufficient funds.", **none)
        currency = debitInput["debitAmount"]["currencyCode"]
        done = self._shop.credit(known, f"{-amount}", currency, kind="Debit")
        return {"storeCreditAccountTransaction": done, "userErrors": []}

    def _shown(self, known: Known | None) -> Any:
        if known is None:
            return None
        at, asked = known.updated.isoformat(), known.consent_at.isoformat()
        email = {
            "emailAddress": known.email,
            "marketingState": known.email_state,
            "marketingUpdatedAt": asked,
        }
        sms = {"state": known.sms_state, "updatedAt": asked}
        return {
            "__typename": "Customer",
            "id": known.id,
            "updatedAt": at,
            **{"firstName": None, "lastName": None, "locale": "en", "tags": [], **known.own},
            "defaultEmailAddress": email if known.email else None,
            "defaultPhoneNumber": (
                {"phoneNumber": known.phone, "smsMarketingConsent": sms} if known.phone else None
            ),
            "metafield": lambda _, key, namespace: (
                (found := known.metafields.get((namespace, key))) and _metafield(key, found)
            ),
            "metafields": lambda _, first, namespace: {
                "nodes": [
                    _metafield(key, found)
                    for (place, key), found in known.metafields.items()
                    if place == namespace
                ][:first],
                "pageInfo": {"hasNextPage": False},
            },
            "storeCreditAccounts": lambda _, first: {"nodes": _accounts(known)},
        }


def _accounts(known: Known) -> list[Any]:
    def listed(_: Any, first: int, reverse: bool = False) -> Any:
        chosen = known.credits[::-1] if reverse else known.credits
        return {"nodes": chosen[:first], "pageInfo": {"hasNextPage": len(chosen) > first}}

    return [{"id": f"{known.id}/credit", "transactions": listed}] if known.credits else []


def _metafield(key: str, found: tuple[str, str]) -> dict[str, str]:
    return {"key": key, "type": found[0], "value": found[1], "compareDigest": _digest(found[1])}


def _digest(value: str) -> str:
    return sha256(value.encode()).hexdigest()


def _normal(type_: str, value: str) -> str:
    return value.replace("Z", "+00:00") if type_ == "date_time" else value


def _refused(code: str, message: str, **more: Any) -> dict[str, Any]:
    index = more.pop("elementIndex", None)
    error = {"code": code, "message": message, "field": None, "elementIndex": index}
    return {**more, "userErrors": [error]}


@lru_cache(maxsize=1)
def _schema() -> GraphQLSchema:
    return build_schema(SCHEMA)
