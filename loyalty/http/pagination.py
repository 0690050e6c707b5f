"""Pages by cursor: an opaque, signed place in a list, good for that list only.

There are no offsets and no totals: a list that grows while it is read would repeat and skip
rows, and counting it would cost more than reading it.
"""

import base64
import binascii
import hashlib
import hmac
from typing import Annotated, Any, Final

import orjson
from django.conf import settings
from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from loyalty.errors import CursorInvalid
from loyalty.http.fields import WHOLE

MAX_LIMIT: Final = 200
MAX_CURSOR_LENGTH: Final = 100
DEFAULT_LIMIT: Final = 50
_SIGNATURE_BYTES: Final = 12


class _LimitSchema:
    """Accept plain digits only; pydantic alone reads `1_0`, `+5` and `5.0` in a query as well."""

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        digits = core_schema.str_schema(pattern=WHOLE, strict=True)
        number = core_schema.int_schema(ge=1, le=MAX_LIMIT)
        return core_schema.chain_schema([digits, number])

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _: CoreSchema, __: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT}


Limit = Annotated[int, _LimitSchema]


class Page(BaseModel):
    """Which part of a list: at most `limit` items, after a cursor of the page before."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    limit: Limit = Field(default=DEFAULT_LIMIT, description="Items of a page.")
    cursor: str | None = Field(
        default=None,
        max_length=MAX_CURSOR_LENGTH,
        description="The `next_cursor` of the page before; left out, the first page.",
    )


def encode_cursor(scope: str, place: list[Any]) -> str:
    """Write a place in the list `scope` as a cursor."""
    content = orjson.dumps(place)
    return base64.urlsafe_b64encode(_sign(scope, content) + content).rstrip(b"=").decode()


def decode_cursor(scope: str, cursor: str) -> list[Any]:
    """Read the place back.

    Raises:
        CursorInvalid: It was not made by us, or for another list.
    """
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise CursorInvalid() from None
    content = raw[_SIGNATURE_BYTES:]
    if not hmac.compare_digest(raw[:_SIGNATURE_BYTES], _sign(scope, content)):
        raise CursorInvalid()
    place: list[Any] = orjson.loads(content)
    return place


def _sign(scope: str, content: bytes) -> bytes:
    # The word in front keeps cursors and API keys, which share the pepper, apart.
    message = f"cursor\n{scope}\n".encode() + content
    key = settings.LOYALTY_PEPPER.encode()
    return hmac.digest(key, message, hashlib.sha256)[:_SIGNATURE_BYTES]
