"""What a body may be: scenarios 36 (numbers), 38 (size and form) and 40 (mass assignment)."""

import gzip
import json
import resource
from typing import Any

import pytest

from tests.factories import line, unique
from tests.integration.http.caller import (
    WITH_BODY,
    Caller,
    Shop,
    code_of,
    order_body,
)

# As raw JSON: Python would not write most of these.
NOT_POINTS = [
    "0",
    "-1",
    "1.5",
    "1.0",
    "1e3",
    "true",
    "null",
    "NaN",
    "Infinity",
    "-Infinity",
    '"1"',
    '"1e3"',
    '"\uff11\uff12"',
    "[1]",
    "{}",
    "1000000001",
    "1000000000000",
    "9223372036854775808",
    "99999999999999999999999999",
]


ALLOWED = (("adjust", "-1"), ("capture", "null"), ("reverse", "null"))


@pytest.mark.parametrize(
    ("name", "points"),
    [
        (name, points)
        for name in ("redeem", "capture", "reverse", "adjust")
        for points in NOT_POINTS
        if (name, points) not in ALLOWED
    ],
)
def test_scenario_36_points_are_json_integers_in_range(
    still_shop: Shop, still_api: Caller, name: str, points: str
) -> None:
    method, path, body = still_shop.call(name)
    body = {"member": f"card:{still_shop.card}"} if name == "redeem" else dict(body)
    raw = json.dumps({**body, "points": "POINTS"}).replace('"POINTS"', points).encode()
    response = still_api.call(method, path, raw)
    assert code_of(response) == (422, "validation_failed")


@pytest.mark.parametrize("points", ["1e3", "1.0", "true", '"1"', "0"])
def test_scenario_36_holds_in_a_batch_too(still_shop: Shop, still_api: Caller, points: str) -> None:
    adjust = {"member": f"card:{still_shop.card}", "points": "POINTS", "reason": "x"}
    batch = {"commands": [{"idempotency_key": unique("k"), "adjust": adjust}]}
    raw = json.dumps(batch).replace('"POINTS"', points).encode()
    result = json.loads(still_api.post("/v1/batch", raw, key=None).content)["results"][0]
    assert (result["status"], result["body"]["code"]) == (422, "validation_failed")
    assert result["body"]["errors"][0]["pointer"].startswith("/commands/0/adjust")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("amount", "1,50"),
        ("amount", "1.23456"),
        ("amount", "1234567890"),
        ("amount", "\uff11\uff12"),
        ("amount", "+1"),
        ("amount", " 1"),
        ("amount", "1e3"),
        ("amount", "NaN"),
        ("amount", "1\n"),
        ("amount", ""),
        ("amount", 1),
        ("quantity", "-1"),
        ("quantity", "1.23456"),
        ("quantity", 1),
        ("sku", "a\x00b"),
        ("sku", ""),
        ("sku", "x" * 101),
        ("line", "\x1b[31m"),
        ("category", "\x00"),
    ],
)
def test_a_line_is_refused_with_a_pointer_to_its_field(
    still_shop: Shop, still_api: Caller, field: str, value: Any
) -> None:
    order = order_body(lines=[line("1", "1.00"), {**line("2", "1.00"), field: value}])
    response = still_api.post("/v1/earn", {"member": still_shop.member, "order": order})
    assert code_of(response) == (422, "validation_failed")
    assert json.loads(response.content)["errors"][0]["pointer"] == f"/order/lines/1/{field}"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ref", "a/b"),
        ("ref", ""),
        ("ref", "x" * 101),
        ("ref", "é"),
        ("currency", "usd"),
        ("currency", "\uff35\uff33\uff24"),
        ("occurred_at", "2026-01-01T00:00:00"),
        ("occurred_at", "2026-01-01"),
        ("occurred_at", "1767225600"),
        ("occurred_at", 1767225600),
        ("occurred_at", "2026-13-01T00:00:00Z"),
        ("occurred_at", "2026-01-01T00:00:00+16:00"),
        ("occurred_at", "2026-01-01T00:00:00-15:60"),
        ("occurred_at", "0001-01-01T00:00:00+14:00"),
        ("occurred_at", "9999-12-31T23:59:59-14:00"),
        ("store", "a b"),
        ("channel", "x" * 21),
        ("lines", []),
        ("lines", {}),
    ],
)
def test_an_order_is_refused_with_a_pointer_to_its_field(
    still_shop: Shop, still_api: Caller, field: str, value: Any
) -> None:
    response = still_api.post(
        "/v1/earn", {"member": still_shop.member, "order": order_body(**{field: value})}
    )
    assert code_of(response) == (422, "validation_failed")
    assert json.loads(response.content)["errors"][0]["pointer"] == f"/order/{field}"


def test_line_ids_are_unique_in_their_order(still_shop: Shop, still_api: Caller) -> None:
    order = order_body(lines=[line("1", "1.00"), line("1", "2.00")])
    response = still_api.post("/v1/earn", {"member": still_shop.member, "order": order})
    assert code_of(response) == (422, "validation_failed")


# Scenario 38


def test_scenario_38_a_body_over_256_kb_is_refused_by_its_length(
    still_shop: Shop, still_api: Caller
) -> None:
    body = b'{"member": "' + b"x" * 256 * 1024 + b'"}'
    for name in set(WITH_BODY) - {"batch"}:
        method, path, _ = still_shop.call(name)
        assert code_of(still_api.call(method, path, body)) == (413, "payload_too_large")


def test_scenario_38_a_batch_may_have_4_mb_and_no_more(still_shop: Shop, still_api: Caller) -> None:
    big = b'{"commands": [' + b" " * 300 * 1024 + b"1]}"
    assert still_api.post("/v1/batch", big, key=None).status_code == 200
    huge = b'{"commands": [' + b" " * 4 * 1024 * 1024 + b"1]}"
    assert code_of(still_api.post("/v1/batch", huge, key=None)) == (413, "payload_too_large")


def test_scenario_38_a_batch_has_1000_commands_at_most(still_api: Caller) -> None:
    response = still_api.post("/v1/batch", {"commands": [1] * 1001}, key=None)
    assert code_of(response) == (422, "validation_failed")


@pytest.mark.parametrize("depth", [21, 150, 250, 500, 2000, 100_000])
@pytest.mark.parametrize("path", ["/v1/earn", "/v1/batch", "/v1/adjustments"])
def test_scenario_38_deep_nesting_is_refused(still_api: Caller, path: str, depth: int) -> None:
    field = "commands" if path == "/v1/batch" else "member"
    for left, right in (("[", "]"), ('{"a":', "}")):
        body = f'{{"{field}": {left * depth}1{right * depth}}}'.encode()
        response = still_api.post(path, body, key=None if path == "/v1/batch" else "")
        refused = [code_of(response)]
        if response.status_code == 200:
            results = json.loads(response.content)["results"]
            refused = [(result["status"], result["body"]["code"]) for result in results]
        assert set(refused) <= {
            (400, "malformed_json"),
            (413, "payload_too_large"),
            (422, "validation_failed"),
        }


def test_scenario_38_10000_lines_are_refused(still_shop: Shop, still_api: Caller) -> None:
    lines = [{"line": str(number), "sku": "1", "amount": "1"} for number in range(5000)]
    response = still_api.post(
        "/v1/earn", {"member": still_shop.member, "order": order_body(lines=lines)}
    )
    assert code_of(response) == (422, "validation_failed")
    assert len(json.loads(response.content)["errors"]) == 1


def test_scenario_38_thousands_of_mistakes_are_not_listed(still_api: Caller) -> None:
    body = {f"field{number}": 1 for number in range(15_000)}
    response = still_api.post("/v1/earn", body)
    assert code_of(response) == (422, "validation_failed")
    assert len(response.content) < 2000


@pytest.mark.parametrize(
    "body",
    [
        b'{"member": "card:1", "points": 1, "points": 1000, "reason": "x"}',
        b'{"member": "card:1", "points": 1, "p\\u006fints": 1000, "reason": "x"}',
        b'{"member": "card:1", "member": "card\\u003a2", "points": 1, "reason": "x"}',
        b'{"member": "card\\u003A1", "member": "card:2", "points": 1, "reason": "a:b"}',
    ],
)
def test_scenario_38_a_name_that_stands_twice_is_refused(
    still_shop: Shop, still_api: Caller, body: bytes
) -> None:
    response = still_api.post(
        "/v1/adjustments", body.replace(b"card:1", b"card:" + still_shop.card.encode())
    )
    assert code_of(response) == (400, "malformed_json")
    batch = b'{"commands": [{"idempotency_key": "k", "adjust": ' + body + b"}]}"
    assert code_of(still_api.post("/v1/batch", batch, key=None)) == (400, "malformed_json")


def test_colons_in_texts_are_no_names(still_shop: Shop, still_api: Caller) -> None:
    raw = b'{"member": "card\\u003a%s", "points": 1, "reason": "10:30: \\"a\\":"}'
    response = still_api.post("/v1/adjustments", raw.replace(b"%s", still_shop.card.encode()))
    assert response.status_code == 201


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "gzip, identity"])
def test_scenario_38_compressed_bodies_are_refused_unopened(
    still_api: Caller, encoding: str
) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    response = still_api.post("/v1/earn", bomb, **{"Content-Encoding": encoding})
    assert code_of(response) == (415, "unsupported_media_type")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/xml"]
)
def test_other_content_types_are_refused(still_api: Caller, content_type: str) -> None:
    response = still_api.post("/v1/earn", b"{}", **{"Content-Type": content_type})
    assert code_of(response) == (415, "unsupported_media_type")


def test_a_body_in_chunks_is_refused(still_api: Caller) -> None:
    response = still_api.post("/v1/earn", b"{}", **{"Transfer-Encoding": "chunked"})
    assert code_of(response) == (411, "length_required")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"1",
        b'"x"',
        b"\xff\xfe{}",
        b'{"member": "\xff"}',
        b'{"member": "\\ud800"}',
        b"{'member': 1}",
        b'{"member": 1,}',
        b"{}{}",
        b"\xef\xbb\xbf{}",
    ],
)
@pytest.mark.parametrize("name", WITH_BODY)
def test_what_is_not_an_object_is_refused(
    still_shop: Shop, still_api: Caller, name: str, body: bytes
) -> None:
    if name in ("capture", "void", "unmerge_member", "erase_member") and not body:
        return  # nothing to say is {} here
    method, path, _ = still_shop.call(name)
    assert code_of(still_api.call(method, path, body)) in (
        (400, "malformed_json"),
        (422, "validation_failed"),
    )


# Scenario 40

THEIRS = (
    "balance",
    "tier",
    "program_id",
    "program",
    "store_id",
    "id",
    "status_",
    "role",
    "__class__",
)


@pytest.mark.parametrize("name", WITH_BODY)
@pytest.mark.parametrize("field", THEIRS)
def test_scenario_40_fields_that_are_not_the_callers_are_refused(
    still_shop: Shop, still_api: Caller, name: str, field: str
) -> None:
    method, path, body = still_shop.call(name)
    for changed, pointer in with_field_everywhere(body, field):
        response = still_api.call(method, path, changed)
        answer = json.loads(response.content)
        if name == "batch" and response.status_code == 200:
            answer = answer["results"][0]["body"]
        assert answer["code"] == "validation_failed", pointer


def with_field_everywhere(body: Any, field: str) -> list[tuple[Any, str]]:
    """Return copies of a body, each with a foreign field in another of its objects."""
    found: list[tuple[Any, str]] = []
    if isinstance(body, dict):
        found.append(({**body, field: 1}, ""))
        for name, value in body.items():
            for changed, where in with_field_everywhere(value, field):
                found.append(({**body, name: changed}, f"/{name}{where}"))
    if isinstance(body, list):
        for index, value in enumerate(body):
            for changed, where in with_field_everywhere(value, field):
                copy = [*body[:index], changed, *body[index + 1 :]]
                found.append((copy, f"/{index}{where}"))
    return found


@pytest.mark.parametrize(
    "path", ["", "/balance", "/ledger", "/lots", "/rewards", "/redemptions", "/referrals"]
)
def test_a_parameter_that_a_call_does_not_know_is_refused(
    still_shop: Shop, still_api: Caller, path: str
) -> None:
    response = still_api.get(f"/v1/members/{still_shop.member}{path}?limt=5")
    assert code_of(response) == (422, "validation_failed")
