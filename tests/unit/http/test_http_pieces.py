"""The pieces of the API that need no database: cursors, ids, keys, problem documents."""

import json
from typing import Any
from uuid import uuid4

import pytest
from pydantic import BaseModel

from loyalty.errors import (
    CursorInvalid,
    IdempotencyKeyInvalid,
    IdempotencyKeyMissing,
    InsufficientPoints,
    MalformedJson,
    ValidationFailed,
    all_errors,
)
from loyalty.http.bodies import canonical, parse
from loyalty.http.idempotency import read_key, request_hash
from loyalty.http.ids import decode_id, encode_id
from loyalty.http.pagination import decode_cursor, encode_cursor
from loyalty.http.problems import from_validation, json_pointer, problem_bytes, sentence
from loyalty.members.schemas import LookupRequest
from loyalty.orders.schemas import EarnRequest


def test_a_cursor_comes_back_as_it_was() -> None:
    for place in ([1], ["a", 2], [None]):
        assert decode_cursor("list", encode_cursor("list", place)) == place


@pytest.mark.parametrize("cursor", ["", "x", "é", "=" * 8, "A" * 400, "\x00", "ab cd"])
def test_a_cursor_that_is_not_ours_is_refused(cursor: str) -> None:
    with pytest.raises(CursorInvalid):
        decode_cursor("list", cursor)


def test_a_changed_cursor_or_one_of_another_list_is_refused() -> None:
    cursor = encode_cursor("list", [1])
    for position in range(len(cursor)):
        changed = "A" if cursor[position] != "A" else "B"
        with pytest.raises(CursorInvalid):
            decode_cursor("list", cursor[:position] + changed + cursor[position + 1 :])
    with pytest.raises(CursorInvalid):
        decode_cursor("other list", cursor)


def test_an_id_carries_its_member() -> None:
    member = uuid4()
    assert decode_id("rdm", encode_id("rdm", member, 17)) == (member, 17)
    assert decode_id("txn", encode_id("rdm", member, 17)) is None
    for text in ("", "rdm_", f"rdm_{member.hex}", f"rdm_{member.hex}0", f"rdm_{member.hex}1\n"):
        assert decode_id("rdm", text) is None


def test_a_key_is_a_token_or_a_quoted_string() -> None:
    assert read_key("abc") == read_key('"abc"') == "abc"
    assert read_key(r'"a\"b\\c"') == r'a"b\c'
    assert read_key('a"b') == 'a"b'
    assert len(read_key("x" * 255)) == 255


def test_a_missing_key_and_a_bad_one_are_told_apart() -> None:
    for header in (None, ""):
        with pytest.raises(IdempotencyKeyMissing):
            read_key(header)
    for header in ('"', '"a', r'"a\b"', "a b", "é", "x" * 256, "a\n"):
        with pytest.raises(IdempotencyKeyInvalid):
            read_key(header)


def test_the_hash_tells_requests_apart() -> None:
    hashes = {
        request_hash("POST", "/a", b"{}"),
        request_hash("PUT", "/a", b"{}"),
        request_hash("POST", "/b", b"{}"),
        request_hash("POST", "/a", b'{"a":1}'),
    }
    assert len(hashes) == 4


def test_the_canonical_form_does_not_depend_on_spelling() -> None:
    assert canonical(b'{"b": 1, "a": "\\u00e9"}') == canonical('{"a":"é","b":1}'.encode())


@pytest.mark.parametrize(
    "raw",
    [b'{"a":1,"a":1}', b'[{"a":{"b":1,"b":2}}]', b'{"a":1,"\\u0061":2}', b'{"a:":1,"a\\u003a":2}'],
)
def test_a_name_twice_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedJson):
        canonical(raw)


@pytest.mark.parametrize(
    "raw",
    [b'{"a":":::\\":","b":"\\":"}', b'{"a\\u003a":"\\u003A:"}', b'{"a":{"a":1},"b":[{"a":1}]}'],
)
def test_names_that_only_look_alike_are_fine(raw: bytes) -> None:
    assert json.loads(canonical(raw)) == json.loads(raw)


def test_a_problem_document_has_what_rfc_9457_names_and_our_facts() -> None:
    error = InsufficientPoints("5 are missing.", missing=5, status=200, code="mine")
    document = json.loads(problem_bytes(error, "r-1"))
    assert document == {
        "type": "/docs/errors#insufficient_points",
        "title": InsufficientPoints.title,
        "status": 409,
        "detail": "5 are missing.",
        "code": "insufficient_points",
        "retry": "new_key",
        "request_id": "r-1",
        "missing": 5,
    }


def test_a_pointer_escapes_its_steps() -> None:
    assert json_pointer(["a/b", 0, "c~d"]) == "/a~1b/0/c~0d"
    assert json_pointer([]) == ""


def test_what_pydantic_finds_is_said_in_our_words() -> None:
    class Wanted(BaseModel, extra="forbid"):
        points: int

    with pytest.raises(ValidationFailed) as refused:
        parse(Wanted, b'{"point": 1}')
    assert refused.value.errors == [
        {"pointer": "/points", "message": "This field is required."},
        {"pointer": "/point", "message": "This call knows no such field."},
    ]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"type": "email", "value": "nobody"}, "This is not an email address."),
        ({"type": "card", "value": "x" * 101}, "Cards and external ids have 1 to 100 characters."),
    ],
)
def test_what_our_own_checks_say_is_a_sentence(body: dict[str, str], said: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        parse(LookupRequest, json.dumps(body).encode())
    assert [one["message"] for one in refused.value.errors] == [said]
    assert sentence("a member is named by id, card:… or external:…").endswith("external:…")


def test_no_pattern_is_shown_to_who_cannot_read_it() -> None:
    line = {"line": " ", "sku": "a\u0007", "quantity": "-1", "amount": "1e3"}
    order = {
        "ref": "r 1",
        "store": "Main Street",
        "occurred_at": "2026-11-22T10:00:00",
        "currency": "usd",
        "lines": [line],
    }
    with pytest.raises(ValidationFailed) as refused:
        parse(EarnRequest, json.dumps({"member": "card:1", "order": order}).encode())
    said = {one["pointer"]: one["message"] for one in refused.value.errors}
    assert said == {
        "/order/ref": "This has letters, digits and . _ : - only.",
        "/order/store": "This has letters, digits and . _ : - only.",
        "/order/occurred_at": "This is a time with its offset, such as 2026-11-28T19:06:53-05:00.",
        "/order/currency": "This is an ISO 4217 code in capitals, such as USD.",
        "/order/lines/0/sku": "This has no control characters.",
        "/order/lines/0/quantity": 'This is a decimal string from 0 on, such as "0.845".',
        "/order/lines/0/amount": 'This is a decimal string, such as "3.86".',
    }


def test_a_long_list_of_findings_is_cut() -> None:
    order: dict[str, Any] = {"lines": [{"line": str(n)} for n in range(100)]}
    with pytest.raises(ValidationFailed) as refused:
        parse(EarnRequest, json.dumps({"member": "card:1", "order": order}).encode())
    assert len(refused.value.errors) == 20
    assert from_validation is not None


def test_a_decimal_without_quotes_and_an_empty_list_are_refused_in_our_words() -> None:
    order = {"ref": "1", "occurred_at": "2026-11-22T10:00:00Z", "currency": "USD", "lines": []}
    line = {"line": "1", "sku": "1", "amount": 3.86}
    said = []
    for lines in ([line], []):
        body = {"member": "card:1", "order": {**order, "lines": lines}}
        with pytest.raises(ValidationFailed) as refused:
            parse(EarnRequest, json.dumps(body).encode())
        said += [(one["pointer"], one["message"]) for one in refused.value.errors]
    assert said == [
        ("/order/lines/0/amount", 'This is text in quotes, and so are decimals, such as "3.86".'),
        ("/order/lines", "There have to be at least 1 of these."),
    ]


def test_every_code_is_one_error() -> None:
    codes = [error.code for error in all_errors()]
    assert len(codes) == len(set(codes))
    assert "insufficient_points" in codes and "internal" in codes
