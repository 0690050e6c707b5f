"""Whether a vendor has what it was told, whatever way it writes it."""

from typing import Any

import pytest

from crm_sync.adapters.fields import Field, Form
from crm_sync.comparing import Difference, differences


@pytest.mark.parametrize(
    ("form", "here", "there"),
    [
        ("integer", 450, 450),
        ("integer", 450, "450"),
        ("integer", 450, "450.0"),
        ("decimal", 1.5, "1.50"),
        ("boolean", True, "true"),
        ("boolean", False, 0),
        ("text", "gold", "gold"),
        ("text", None, ""),
        ("integer", None, None),
        ("date", "2026-11-22", "2026-11-22T00:00:00Z"),
        ("date", "2026-11-22", "1795305600000"),
        ("datetime", "2026-11-22T19:06:53Z", "2026-11-22T20:06:53.417+01:00"),
        ("datetime", "2026-11-22T19:06:53Z", "2026-11-22T19:06:53"),
        ("epoch_ms", 1795374413000, "2026-11-22T19:06:53Z"),
    ],
)
def test_the_same_in_another_spelling(form: Form, here: Any, there: Any) -> None:
    assert differences({"f": here}, {"f": there}, [Field("tier", "f", form)]) == []


@pytest.mark.parametrize(
    ("form", "here", "there"),
    [
        ("integer", 450, 451),
        ("integer", 0, None),
        ("integer", 450, "many"),
        ("boolean", True, "perhaps"),
        ("text", "gold", "Gold"),
        ("text", None, "gold"),
        ("date", "2026-11-22", "2026-11-23"),
        ("date", "2026-11-22", "soon"),
        ("date", "2026-11-22", "9" * 20),
        ("datetime", "2026-11-22T19:06:53Z", "2026-11-22T19:06:54Z"),
    ],
)
def test_something_else(form: Form, here: Any, there: Any) -> None:
    (found,) = differences({"f": here}, {"f": there}, [Field("tier", "f", form)])
    assert (found.here, found.there) == tuple("" if v is None else str(v) for v in (here, there))


def test_only_what_loyalty_owns_and_has_told_is_compared() -> None:
    fields = [
        Field("tier", "tier", "text"),
        Field("points_available", "points", "integer"),
        Field("state_version", "version", "integer"),
        Field("first_name", "name", "text", "vendor"),
    ]
    told = {"tier": "gold", "version": 7}
    there = {"tier": "gold", "points": 9, "version": 3, "name": "Ada"}
    assert differences(told, there, fields) == []


def test_whoever_is_not_known_there_is_one_difference() -> None:
    fields = [Field("tier", "tier", "text"), Field("points_available", "points", "integer")]
    assert differences({"tier": "gold", "points": 1}, None, fields) == [
        Difference("", "a profile", "")
    ]
