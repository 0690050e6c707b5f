"""Shopify's documents: what is asked in GraphQL, and how answers are read. Pure."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from crm_sync.adapters.client import Answer, CallFailed, classify
from crm_sync.adapters.contract import (
    Match,
    Outgoing,
    Person,
    Profile,
)
from crm_sync.adapters.fields import Form
from crm_sync.adapters.naming import flat_properties
from crm_sync.adapters.outcomes import Configuration, Delivered, Outcome, Permanent, Retryable

MEMBER_ID: Final = "member_id"
LAST_EVENT: Final = "last_event"
SCOPES: Final = frozenset({"read_customers", "write_customers"})
CREDIT_SCOPES: Final = frozenset(
    {
        "read_store_credit_accounts",
        "read_store_credit_account_transactions",
        "write_store_credit_account_transactions",
    }
)
PROBE: Final = """
query Probe {
  shop { name }
  currentAppInstallation { accessScopes { handle } }
  publicApiVersions { handle supported }
}"""
READ: Final = """
query Read($ids: [ID!]!, $namespace: String!) {
  nodes(ids: $ids) {
    ... on Customer { id metafields(first: 50, namespace: $namespace) { nodes { key type value } } }
  }
}"""
_TYPES: Final[Mapping[Form, str]] = {
    "text": "single_line_text_field",
    "integer": "number_integer",
    "decimal": "number_decimal",
    "boolean": "boolean",
    "date": "date",
    "datetime": "date_time",
}
_CODES: Final = "{ userErrors { code message } }"
_WORDS: Final = "{ userErrors { message } }"
_AGAIN = frozenset({"STALE_OBJECT", "INVALID_COMPARE_DIGEST", "INTERNAL_ERROR"})
_NOT_OURS = frozenset({"ACCESS_DENIED", "SHOP_INACTIVE", "APP_NOT_AUTHORIZED"})

Document = tuple[str, dict[str, Any]]
Changes = tuple[list[dict[str, str]], list[dict[str, str]]]  # to set, to delete


def body_of(answer: Answer) -> dict[str, Any]:
    """Read what Shopify answers to any document.

    Raises:
        CallFailed: It is not an answer of GraphQL's.
    """
    outcome = classify(answer, said=_said(answer))
    if answer.status in (402, 404, 423):
        error = f"Shopify answered {answer.status}: is the shop open, and the API version right?"
        outcome = Configuration(status_code=answer.status, answer=answer.text, error=error)
    if not isinstance(outcome, Delivered):
        raise CallFailed(outcome)
    found = answer.json()
    if not isinstance(found, dict) or not ("data" in found or "errors" in found):
        raise CallFailed(Retryable(status_code=200, error="This is no answer of Shopify's."))
    return found


def data_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """Give the data of an answer.

    Raises:
        CallFailed: Shopify says errors; what it did all the same is done again, without harm.
    """
    errors = body.get("errors") or []
    if not errors and isinstance(body.get("data"), dict):
        return dict(body["data"])
    said = " ".join(str(error.get("message") or "") for error in errors)[:400]
    codes = {str((error.get("extensions") or {}).get("code") or "") for error in errors}
    answer = orjson.dumps(errors).decode()
    if "THROTTLED" in codes:
        seconds = seconds_to_wait(body, 0)
        error = "Shopify's limit of query points is used up."
        raise CallFailed(
            Retryable(status_code=200, error=error, retry_after=seconds, throttled=True)
        )
    if codes & {"INTERNAL_SERVER_ERROR", "TIMEOUT"}:
        raise CallFailed(Retryable(status_code=200, answer=answer, error=f"Shopify failed: {said}"))
    if codes & _NOT_OURS:
        raise CallFailed(Configuration(status_code=200, answer=answer, error=f"Refused: {said}"))
    if codes & {"MAX_COST_EXCEEDED", "INVALID_VARIABLE", "BAD_REQUEST"}:
        raise CallFailed(Permanent(status_code=200, answer=answer, error=f"Refused: {said}"))
    error = f"Shopify does not understand us; is the API version right? {said}"
    raise CallFailed(Configuration(status_code=200, answer=answer, error=error))


def seconds_to_wait(body: Mapping[str, Any], reserve: int) -> float:
    """Say how long until the bucket holds what the call asked for, or so many points."""
    cost = (body.get("extensions") or {}).get("cost") or {}
    status = cost.get("throttleStatus") or {}
    rate = float(status.get("restoreRate") or 0)
    if not rate:
        return 0.0
    wanted = max(float(cost.get("requestedQueryCost") or 0) if body.get("errors") else 0, reserve)
    return max(0.0, round((wanted - float(status.get("currentlyAvailable") or 0)) / rate, 2))


def probed(data: Mapping[str, Any], config: Mapping[str, Any]) -> Outcome:
    """Say whether the app may do what it has to."""
    handles = {one["handle"] for one in data["currentAppInstallation"]["accessScopes"]}
    wanted = SCOPES | CREDIT_SCOPES if config["store_credit"] == "yes" else SCOPES
    if missing := sorted(wanted - handles):
        return Configuration(error=f"The app lacks the scopes {', '.join(missing)}.")
    supported = [one["handle"] for one in data["publicApiVersions"] if one["supported"]]
    if config["api_version"] not in supported:
        # It would not be refused: Shopify answers as the oldest version that it still has.
        error = f"Shopify has no version {config['api_version']}; it has {', '.join(supported)}."
        return Configuration(error=error)
    return Delivered(status_code=200, answer=str(data["shop"]["name"]))


def lookups(people: Sequence[Person]) -> dict[str, dict[str, str]]:
    """List what to ask for each of these: numbers, email and phone, under a name of their own."""
    wanted: dict[str, dict[str, str]] = {}
    for place, person in enumerate(people):
        for number, external_id in enumerate(person.external_ids):
            if customer := customer_id(external_id):
                wanted[f"n{place}_{number}"] = {"id": customer}
        if person.email:
            wanted[f"e{place}"] = {"emailAddress": person.email}
        if person.phone:
            wanted[f"p{place}"] = {"phoneNumber": person.phone}
    return wanted


def customer_id(external_id: str) -> str:
    """Write a customer's number as Shopify's id; empty if it is none."""
    number = external_id.removeprefix("gid://shopify/Customer/")
    return f"gid://shopify/Customer/{number}" if re.fullmatch(r"[0-9]{1,20}", number) else ""


def find_document(wanted: Mapping[str, Any]) -> Document:
    """Ask for many customers at once."""
    declared = " ".join(f"${name}: CustomerIdentifierInput!" for name in wanted)
    asked = "\n".join(
        f"  {name}: customerByIdentifier(identifier: ${name}) {{ ...found }}" for name in wanted
    )
    text = (
        f"query Find($namespace: String!, $key: String!, {declared}) {{\n{asked}\n}}\n"
        "fragment found on Customer { id metafield(namespace: $namespace, key: $key) { value } }"
    )
    return text, dict(wanted)


def choose(person: Person, place: int, found: Mapping[str, Any]) -> Match:
    """Take the first way in which somebody is found; who is another member's is in doubt."""
    ways = [(f"n{place}_{number}", "external_id") for number in range(len(person.external_ids))]
    for name, matched_by in [*ways, (f"e{place}", "email"), (f"p{place}", "phone")]:
        customer = found.get(name)
        if customer is None or customer["id"] == person.vendor_id:
            continue
        marked = (customer["metafield"] or {}).get("value") or ""
        if marked == person.member_id:
            return Match(vendor_id=customer["id"], matched_by="member_id")
        if marked:
            return Match(candidates=(customer["id"],))
        return Match(vendor_id=customer["id"], matched_by=matched_by)
    return Match()


def identifier(person: Person) -> dict[str, str]:
    """Name a customer who is to be made; empty if there is nothing to name them by."""
    if person.email:
        return {"email": person.email}
    return {"phone": person.phone} if person.phone else {}


def join_document(named: Mapping[int, Mapping[str, str]]) -> Document:
    """Make customers, or find those who are there; nothing else of them is written."""
    declared = ", ".join(f"$i{n}: CustomerSetIdentifiers!, $c{n}: CustomerSetInput!" for n in named)
    asked = "\n".join(
        f"  j{n}: customerSet(identifier: $i{n}, input: $c{n}) "
        "{ customer { id } userErrors { code message } }"
        for n in named
    )
    given = {f"{kind}{n}": dict(one) for n, one in named.items() for kind in "ic"}
    return f"mutation Join({declared}) {{\n{asked}\n}}", given


def joined_in(data: Mapping[str, Any], place: int) -> str | Outcome:
    """Read who a customer is now, or why there is none."""
    found = data[f"j{place}"]
    if found["userErrors"]:
        return refusal(found["userErrors"])
    return str(found["customer"]["id"])


def changes_of(profile: Profile, customer: str, namespace: str) -> Changes:
    """Write a profile as metafields; what is not known any more is deleted."""
    place = {"ownerId": customer, "namespace": namespace}
    wanted: list[dict[str, str]] = []
    gone = []
    for key, value in profile.fields.items():
        if value is None or value == "":
            gone.append({**place, "key": key})
        else:
            type_ = _type_of(value, profile.forms.get(key))
            wanted.append({**place, "key": key, "type": type_, "value": _written(value)})
    return wanted, gone


def last_event(delivery: Outgoing, customer: str, namespace: str) -> Changes:
    """Write an event as the customer's newest."""
    body = delivery.body
    shown = {"id": delivery.event_id, "type": body["type"], "occurred_at": body["occurred_at"]}
    value = orjson.dumps({**flat_properties(body), **shown}).decode()
    field = {"key": LAST_EVENT, "type": "json", "value": value}
    return [{"ownerId": customer, "namespace": namespace, **field}], []


def tell_document(changes: Sequence[Changes]) -> Document:
    """Set and delete metafields of many customers; each set is done as a whole or not at all."""
    declared, asked, given = [], [], {}
    for place, (wanted, gone) in enumerate(changes):
        if wanted:
            declared.append(f"$s{place}: [MetafieldsSetInput!]!")
            asked.append(f"s{place}: metafieldsSet(metafields: $s{place}) {_CODES}")
            given[f"s{place}"] = wanted
        if gone:
            declared.append(f"$d{place}: [MetafieldIdentifierInput!]!")
            asked.append(f"d{place}: metafieldsDelete(metafields: $d{place}) {_WORDS}")
            given[f"d{place}"] = gone
    body = "\n".join(f"  {one}" for one in asked)
    return f"mutation Tell({', '.join(declared)}) {{\n{body}\n}}", given


def told_in(data: Mapping[str, Any], place: int, customer: str) -> Outcome:
    """Read what became of one customer's metafields."""
    for kind in "sd":
        errors = (data.get(f"{kind}{place}") or {}).get("userErrors")
        if errors:
            return refusal(errors)
    return Delivered(status_code=200, vendor_id=customer)


def refusal(errors: Sequence[Mapping[str, Any]]) -> Outcome:
    """Say what Shopify's `userErrors` mean."""
    said = " ".join(str(error.get("message") or "") for error in errors)[:400]
    codes = {str(error.get("code") or "") for error in errors}
    answer = orjson.dumps(errors).decode()
    if codes & _NOT_OURS:
        return Configuration(status_code=200, answer=answer, error=f"Shopify refused it: {said}")
    kind = Retryable if codes <= _AGAIN else Permanent
    return kind(status_code=200, answer=answer, error=f"Shopify refused it: {said}")


def fields_in(customer: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Read some metafields of a customer, in the forms in which they were pushed."""
    there = {
        one["key"]: read_value(one["type"], one["value"]) for one in customer["metafields"]["nodes"]
    }
    return {name: there.get(name) for name in names}


def read_value(type_: str, value: str) -> Any:
    """Read a metafield's value; a list is one text."""
    if type_ == "number_integer":
        return int(value)
    if type_ == "number_decimal":
        return float(value)
    if type_ == "boolean":
        return value == "true"
    if type_ == "date_time":
        return datetime.fromisoformat(value).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return ", ".join(map(str, orjson.loads(value))) if type_.startswith("list.") else value


def _said(answer: Answer) -> str:
    try:
        return str(answer.json().get("errors") or "")[:400]
    except (CallFailed, AttributeError):
        return ""


def _type_of(value: Any, form: Form | None) -> str:
    known: dict[type, Form] = {bool: "boolean", int: "integer", float: "decimal"}
    return _TYPES[form or known.get(type(value), "text")]


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    # The type of text that filters know has one line.
    return " ".join(value.split()) if isinstance(value, str) else str(value)
