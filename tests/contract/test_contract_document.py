"""The contract is a valid OpenAPI 3.1 document that says what really happens."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.urls import get_resolver
from openapi_spec_validator import validate

from crm_sync import urls as crm_urls
from loyalty import urls
from loyalty.errors import all_errors
from loyalty.http.contract import contract_bytes
from loyalty.http.views import Endpoint
from loyalty.programs import files
from tests.integration.http.caller import CALLS, KEYED

DOCUMENT: dict[str, Any] = json.loads(contract_bytes())
OPERATIONS = {
    operation["operationId"]: operation
    for path in DOCUMENT["paths"].values()
    for operation in path.values()
}
ROOT = Path(__file__).parents[2]


def test_it_is_valid() -> None:
    assert DOCUMENT["openapi"].startswith("3.1")
    validate(DOCUMENT)


def test_it_has_every_address_of_the_api_and_the_tests_know_each() -> None:
    served = {
        "/" + str(pattern.pattern).replace("<str:", "{").replace(">", "}")
        for pattern in [*crm_urls.urlpatterns, *urls.urlpatterns]
        if issubclass(getattr(pattern.callback, "view_class", object), Endpoint)
    }
    assert served == set(DOCUMENT["paths"])
    assert set(OPERATIONS) == set(CALLS)
    assert get_resolver()


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_each_refusal_has_codes_that_exist_with_their_status(name: str) -> None:
    status_of = {error.code: str(error.status) for error in all_errors()}
    for status, answer in OPERATIONS[name]["responses"].items():
        problem = answer["content"].get("application/problem+json")
        if problem is not None:
            codes = problem["schema"]["allOf"][1]["properties"]["code"]["enum"]
            assert {status_of[code] for code in codes} == {status}
            assert set(problem["examples"]) == set(codes)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_each_call_says_that_it_needs_a_key_and_can_fail(name: str) -> None:
    operation = OPERATIONS[name]
    assert operation["security"] == [{"apiKey": []}]
    assert {"401", "403", "500", "503"} <= set(operation["responses"])
    assert "Retry-After" in operation["responses"]["503"]["headers"]
    assert operation["summary"] and operation["tags"]


def test_each_call_says_which_scope_its_key_needs() -> None:
    said = {name: operation["description"] for name, operation in OPERATIONS.items()}
    assert said["earn"] == "Needs a key with the scope `earn`."
    assert said["get_redemption"] == "Needs a key with the scope `members:read` or `redeem`."
    for pattern in [*crm_urls.urlpatterns, *urls.urlpatterns]:
        view: Any = getattr(pattern.callback, "view_class", object)
        path = "/" + str(pattern.pattern).replace("<str:", "{").replace(">", "}")
        for method, scopes in getattr(view, "scopes", {}).items():
            described = DOCUMENT["paths"][path][method.lower()]["description"]
            assert re.findall("`([^`]+)`", described) == list(scopes), (method, path)


def test_the_explorer_shows_first_what_a_till_needs() -> None:
    order = [tag["name"] for tag in DOCUMENT["tags"]]
    assert order[:2] == ["Orders", "Redemptions"]
    used = {tag for operation in OPERATIONS.values() for tag in operation["tags"]}
    assert set(order) == used
    assert all(tag["description"] for tag in DOCUMENT["tags"])


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_each_parameter_is_explained(name: str) -> None:
    for parameter in OPERATIONS[name].get("parameters", []):
        assert parameter["description"], parameter["name"]


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_the_idempotency_key_is_required_where_it_is(name: str) -> None:
    headers = {
        parameter["name"]: parameter["required"]
        for parameter in OPERATIONS[name].get("parameters", [])
        if parameter["in"] == "header" and parameter["name"] != "If-Match"
    }
    assert headers == ({"Idempotency-Key": True} if name in KEYED else {})


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_each_body_is_closed_and_has_an_example(name: str) -> None:
    body = OPERATIONS[name].get("requestBody")
    if body is None:
        return
    content = body["content"]["application/json"]
    model = content["schema"]["$ref"].rpartition("/")[2]
    assert DOCUMENT["components"]["schemas"][model]["additionalProperties"] is False
    assert content["examples"]["Example"]["value"] is not None


def test_the_examples_can_be_tried_in_the_demo() -> None:
    """What an example makes anew is not there yet, and what it asks for is."""
    sent = {
        name: operation["requestBody"]["content"]["application/json"]["examples"]["Example"][
            "value"
        ]
        for name, operation in OPERATIONS.items()
        if "requestBody" in operation
    }
    receipts = gzip.decompress((ROOT / "loyalty/demo/receipts.csv.gz").read_bytes()).decode()
    refs, cards = zip(*[row.split(",")[:2] for row in receipts.splitlines()], strict=True)
    program = files.read((ROOT / "loyalty/demo/grocer.yaml").read_text())
    assert sent["earn"]["order"]["ref"] not in refs
    assert sent["earn"]["member"].removeprefix("card:") in cards
    assert not {one["value"] for one in sent["enrol"]["identifiers"]} & set(cards)
    assert sent["redeem"]["reward"] in {one["code"] for one in program["rewards"]}
    for name, group in (("add_reward", "rewards"), ("add_earning_rule", "earning_rules")):
        assert sent[name]["code"] not in {one["code"] for one in program[group]}


def test_every_example_of_a_problem_is_one() -> None:
    for code, example in DOCUMENT["components"]["examples"].items():
        assert example["value"]["code"] == code
        assert example["value"]["type"] == f"/docs/errors#{code}"


def test_it_names_no_other_host() -> None:
    hosts = set(re.findall(r"https?://([^/\"]+)", contract_bytes().decode()))
    assert hosts <= {"shop.example.com"}  # of an example that a webhook endpoint needs


def test_each_code_has_its_section_in_the_documentation_and_no_other_has() -> None:
    page = (ROOT / "docs" / "errors.md").read_text()
    headings = [line[4:].strip("`") for line in page.splitlines() if line.startswith("### `")]
    assert sorted(headings) == sorted(error.code for error in all_errors())
