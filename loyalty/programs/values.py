"""The single values of a program document: codes, amounts, factors, dates, zones.

Pure. Each is text in one canonical spelling, so that two documents are equal where they mean the
same; nothing passes through a float.
"""

from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, TypedDict, cast
from zoneinfo import available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, ValidationInfo

from loyalty.programs.currencies import SCALES, format_amount, parse_amount
from loyalty.programs.problems import suggest

MAX_POINTS = 10**9
MAX_FACTOR = 1000
YEARS = "calendar_year", "membership_year"
VALIDITIES = "while_qualifying", "end_of_year", "end_of_next_year"


class Context(TypedDict):
    """What amounts are read by: the currency's decimals, and what tier thresholds count."""

    scale: int
    qualify_by: str


def _decimal_text(value: object) -> str:
    if isinstance(value, float):
        raise ValueError('must be in quotes, such as "1.50"; without quotes it is not exact')
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError('must be a number in quotes, such as "1.00"')
    return str(value)


def _amount(value: object, info: ValidationInfo) -> str:
    scale = cast(Context, info.context)["scale"]
    minor = parse_amount(_decimal_text(value), scale)
    if minor < 0:
        raise ValueError("must not be negative")
    return format_amount(minor, scale)


def _positive_amount(value: object, info: ValidationInfo) -> str:
    text = _amount(value, info)
    if not Decimal(text):
        raise ValueError("must be more than 0")
    return text


def _threshold(value: object, info: ValidationInfo) -> str:
    context = cast(Context, info.context)
    scale = context["scale"] if context["qualify_by"] == "spend" else 0
    minor = parse_amount(_decimal_text(value), scale)
    if minor < 0:
        raise ValueError("must not be negative")
    return format_amount(minor, scale)


def _factor(value: object) -> str:
    scaled = parse_amount(_decimal_text(value), 4)
    if not 10_000 <= scaled <= MAX_FACTOR * 10_000:
        raise ValueError(f'must be from "1" to "{MAX_FACTOR}"')
    return format_amount(scaled, 4).rstrip("0").rstrip(".")


def _percent(value: object) -> str:
    hundredths = parse_amount(_decimal_text(value), 2)
    if not 1 <= hundredths <= 10_000:
        raise ValueError('must be more than "0" and at most "100"')
    return format_amount(hundredths, 2).rstrip("0").rstrip(".")


def _iso_date(value: object) -> str:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    try:
        if isinstance(value, str) and len(value) == len("2017-03-01"):
            return date.fromisoformat(value).isoformat()
    except ValueError:
        pass
    raise ValueError("must be a date such as 2017-03-01")


def _month_day(value: object) -> str:
    # 2000 is a leap year: 02-29 is allowed, and means 28 February in other years.
    try:
        if isinstance(value, str) and len(value) == len("03-31"):
            return date.fromisoformat(f"2000-{value}").isoformat()[5:]
    except ValueError:
        pass
    raise ValueError('must be a month and a day in quotes, such as "03-31"')


def _time_zone(name: str) -> str:
    if name not in _time_zones():
        raise ValueError(f'"{name}" is not a time zone{suggest(name, _time_zones())}')
    return name


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(name for name in available_timezones() if name != "localtime")


def _currency(code: str) -> str:
    if code not in SCALES:
        raise ValueError(f'"{code}" is not a currency of ISO 4217, such as USD')
    return code


def _printable(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("must be one line of text, without spaces around it")
    return text


def _window(value: object) -> str | dict[str, int]:
    if isinstance(value, str) and value in YEARS:
        return value
    months = value.get("rolling_months") if isinstance(value, dict) and len(value) == 1 else None
    if isinstance(months, int) and not isinstance(months, bool) and 1 <= months <= 120:
        return {"rolling_months": months}
    raise ValueError("must be {rolling_months: 1 to 120}, calendar_year or membership_year")


def _validity(value: object) -> str | dict[str, int]:
    if isinstance(value, str) and value in VALIDITIES:
        return value
    months = value.get("months") if isinstance(value, dict) and len(value) == 1 else None
    if isinstance(months, int) and not isinstance(months, bool) and 1 <= months <= 120:
        return {"months": months}
    words = ", ".join(VALIDITIES)
    raise ValueError(f"must be {{months: 1 to 120}} or one of {words}")


def _cost(value: object) -> int | dict[str, int]:
    if not isinstance(value, dict):
        return _cost_points(value)
    if "default" not in value:
        raise ValueError("needs a default: {default: 500, gold: 400}")
    costs = {str(level): _cost_points(points) for level, points in sorted(value.items())}
    default = costs.pop("default")
    return {"default": default, **costs} if costs else default


def _cost_points(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("must be whole points, or by tier: {default: 500, gold: 400}")
    if value < 1:
        raise ValueError("must be at least 1")
    if value > MAX_POINTS:
        raise ValueError(f"must be at most {MAX_POINTS}")
    return value


def _none_as_null(value: object) -> Any:
    return None if value == "none" else value


Text = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_printable)]
Code = Annotated[str, Field(max_length=50, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
ProgramCode = Annotated[str, Field(max_length=50, pattern=r"^[a-z0-9][a-z0-9_-]*$")]
Points = Annotated[int, Field(ge=1, le=MAX_POINTS)]
Days = Annotated[int, Field(ge=0, le=3650)]
Amount = Annotated[str, BeforeValidator(_amount)]
PositiveAmount = Annotated[str, BeforeValidator(_positive_amount)]
Threshold = Annotated[str, BeforeValidator(_threshold)]
Factor = Annotated[str, BeforeValidator(_factor)]
Percent = Annotated[str, BeforeValidator(_percent)]
Cost = Annotated[int | dict[str, int], PlainValidator(_cost)]
IsoDate = Annotated[str, BeforeValidator(_iso_date)]
MonthDay = Annotated[str, BeforeValidator(_month_day)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
Currency = Annotated[str, AfterValidator(_currency)]
Validity = Annotated[str | dict[str, int], PlainValidator(_validity)]
Window = Annotated[str | dict[str, int], PlainValidator(_window)]
NoneAsNull = BeforeValidator(_none_as_null)
