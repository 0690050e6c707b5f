"""Read a request's body: its size, its type, and JSON that means one thing only."""

import json
from typing import Any, Final, TypeVar

import orjson
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, UnreadablePostError
from pydantic import BaseModel, ValidationError

from loyalty.errors import LengthRequired, MalformedJson, PayloadTooLarge, UnsupportedMediaType
from loyalty.http.problems import from_validation

Model = TypeVar("Model", bound=BaseModel)

MAX_BODY_BYTES: Final = 256 * 1024


def read_body(request: HttpRequest, *, most: int = MAX_BODY_BYTES) -> bytes:
    """Read the body's bytes, refusing by its headers what is too large or not plain JSON.

    Raises:
        UnsupportedMediaType: Another content type, or compressed: a small body could unpack to
            one that fills the memory.
        LengthRequired: It is sent in chunks, so that its size is not known.
        PayloadTooLarge: It has more than `most` bytes.
    """
    meta = request.META
    if meta.get("HTTP_CONTENT_ENCODING", "identity") != "identity":
        raise UnsupportedMediaType("Send the body uncompressed.")
    if meta.get("HTTP_TRANSFER_ENCODING"):
        raise LengthRequired()
    length = int(meta.get("CONTENT_LENGTH") or 0)  # digits: the server has checked
    if length > most:
        raise PayloadTooLarge(f"The body has {length} bytes; this call takes {most}.", most=most)
    if length and not _is_json(meta.get("CONTENT_TYPE", "")):
        raise UnsupportedMediaType()
    try:
        return request.body
    except RequestDataTooBig as error:
        raise PayloadTooLarge() from error
    except UnreadablePostError as error:
        raise MalformedJson("The body ended before its Content-Length.") from error


def _is_json(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == "application/json"


def parse(model: type[Model], raw: bytes) -> tuple[Model, bytes]:
    """Validate a body, and give its canonical form for the request's hash.

    Raises:
        MalformedJson: Not JSON, or one name stands twice in an object.
        ValidationFailed: JSON that this call does not take.
    """
    try:
        body = model.model_validate_json(raw)
    except ValidationError as error:
        raise from_validation(error) from None
    return body, canonical(raw)


def canonical(raw: bytes) -> bytes:
    """Write JSON in one form: names sorted, no spaces."""
    return canonical_of(load_json(raw), raw)


def load_json(raw: bytes) -> Any:
    """Parse JSON strictly: no NaN, no Infinity, no half of a surrogate pair."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise MalformedJson(str(error)) from None


def canonical_of(document: Any, raw: bytes) -> bytes:
    """Write a parsed document in its one form, and refuse it where a name stands twice.

    A parser keeps one of two equal names and says nothing; which one differs from parser to
    parser, so a proxy and we could read two different amounts. Looking for them costs nothing
    here: without escaped colons, each colon of the body is in the canonical form too, unless it
    belongs to a name that was dropped.
    """
    try:
        written = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        raise MalformedJson("The body is nested too deep.") from None
    if b"\\u003" in raw:
        json.loads(raw, object_pairs_hook=_refuse_twice)
    elif raw.count(b":") != written.count(b":"):
        raise MalformedJson("A name stands twice in one object.")
    return written


def _refuse_twice(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise MalformedJson("A name stands twice in one object.")
