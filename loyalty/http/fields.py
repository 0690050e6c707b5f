"""What request bodies are made of: strict, bounded, the same everywhere.

Everything here is compiled by pydantic-core; a Python function per field would cost a till's
request more than the decision about it.
"""

from datetime import UTC, date, datetime
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

MAX_POINTS: Final = 1_000_000_000
MAX_INT64: Final = 2**63 - 1

EARLIEST: Final = datetime(1990, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)

# Offsets as far as PostgreSQL reads them; with others it would refuse a whole batch.
_RFC3339 = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?"
    r"([Zz]|[+-](0[0-9]|1[0-5]):[0-5][0-9])$"
)
_DAY = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_MONEY = r"^-?[0-9]{1,9}(\.[0-9]{1,4})?$"
_QUANTITY = r"^[0-9]{1,9}(\.[0-9]{1,4})?$"
_CURRENCY = r"^[A-Z]{3}$"
_REF = r"^[A-Za-z0-9._:-]+$"
WHOLE: Final = r"^-?[0-9]{1,9}$"
WORD: Final = r"^[a-z][a-z0-9_]*$"
_PRINTABLE = r"^[^\u0000-\u001f\u007f]*$"
_NOT_BLANK = r"^[^\u0000-\u001f\u007f]*[^\u0000-\u0020\u007f][^\u0000-\u001f\u007f]*$"

SENTENCES: Final = {
    _RFC3339: "This is a time with its offset, such as 2026-11-28T19:06:53-05:00.",
    _DAY: "This is a day, such as 1984-02-29.",
    _MONEY: 'This is a decimal string, such as "3.86".',
    _QUANTITY: 'This is a decimal string from 0 on, such as "0.845".',
    _CURRENCY: "This is an ISO 4217 code in capitals, such as USD.",
    _REF: "This has letters, digits and . _ : - only.",
    WHOLE: "This is a whole number in digits, such as 50.",
    WORD: "This begins with a letter, and has a-z, 0-9 and _ only.",
    _PRINTABLE: "This has no control characters.",
    _NOT_BLANK: "This is not blank, and has no control characters.",
}
"""What is said of a text that does not fit its pattern: not everybody reads patterns."""


class Body(BaseModel):
    """Base of all request bodies: unknown fields are refused, nothing is converted silently."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)


STRICT: Final = Body.model_config
"""The same for parts of a body that are dataclasses: a list of many is read in half the time."""


class _InstantSchema:
    """Accept RFC 3339 with an offset only; pydantic alone also takes unix times in strings."""

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.chain_schema(
            [
                core_schema.str_schema(pattern=_RFC3339, max_length=40, strict=True),
                core_schema.datetime_schema(
                    strict=False, tz_constraint="aware", ge=EARLIEST, le=LATEST
                ),
            ]
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _: CoreSchema, __: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {
            "type": "string",
            "format": "date-time",
            "pattern": _RFC3339,
            "description": "RFC 3339 with an offset, from 1990 to 2200.",
            "examples": ["2026-11-28T19:06:53-05:00"],
        }


class _DaySchema:
    """Accept YYYY-MM-DD only."""

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.chain_schema(
            [
                core_schema.str_schema(pattern=_DAY, strict=True),
                core_schema.date_schema(strict=False, ge=date(1900, 1, 1), le=LATEST.date()),
            ]
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _: CoreSchema, __: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "format": "date", "examples": ["1984-02-29"]}


Instant = Annotated[datetime, _InstantSchema]
Day = Annotated[date, _DaySchema]

Points = Annotated[
    int, Field(ge=1, le=MAX_POINTS, description="Whole points, a JSON integer.", examples=[500])
]
SignedPoints = Annotated[int, Field(ge=-MAX_POINTS, le=MAX_POINTS, examples=[-50])]
Money = Annotated[
    str, Field(pattern=_MONEY, max_length=15, description="A decimal string.", examples=["3.86"])
]
Quantity = Annotated[
    str, Field(pattern=_QUANTITY, max_length=14, description="A decimal string.", examples=["1"])
]
Currency = Annotated[str, Field(pattern=_CURRENCY, description="ISO 4217 code.", examples=["USD"])]
Ref = Annotated[
    str,
    Field(
        pattern=_REF,
        min_length=1,
        max_length=100,
        description="1 to 100 letters, digits and . _ : -",
        examples=["31625220889"],
    ),
]
Code = Annotated[str, Field(pattern=_REF, min_length=1, max_length=50, examples=["309"])]
Channel = Annotated[str, Field(pattern=_REF, min_length=1, max_length=20, examples=["pos"])]
Name = Annotated[str, Field(pattern=_PRINTABLE, min_length=1, max_length=100)]
OptionalName = Annotated[str, Field(pattern=_PRINTABLE, max_length=100)]
OptionalReason = Annotated[str, Field(pattern=_PRINTABLE, max_length=500)]
Reason = Annotated[str, Field(pattern=_NOT_BLANK, min_length=1, max_length=500)]
