"""Our attributes in a vendor's fields: forms, limits, owners."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest

from crm_sync.adapters.contract import Person
from crm_sync.adapters.fields import Field, FieldLimits, Form
from crm_sync.attributes import ATTRIBUTES
from crm_sync.mapping import FormMismatch, fingerprint, map_fields, problems_of, write_value
from loyalty.members.selectors import Standing

EASTERN = timezone(timedelta(hours=-5))
EVENING = datetime(2026, 11, 22, 22, 30, tzinfo=EASTERN)


def standing(**changes: Any) -> Standing:
    values: dict[str, Any] = {
        "member_id": UUID(int=7),
        "program": "grocer",
        "status": "active",
        "sequence": 3,
        "enrolled_at": EVENING,
        "available": 120,
        "pending": 0,
        "held": 0,
        "debt": 0,
        "lifetime_earned": 500,
        "attributes": {"shoe_size": 42, "vip": True, "weight": 1.5},
    }
    return Standing(**(values | changes))


@pytest.mark.parametrize(
    ("value", "form", "written"),
    [
        (None, "integer", None),
        (120, "integer", 120),
        ("42", "integer", 42),
        (42.0, "integer", 42),
        (120, "text", "120"),
        (True, "text", "true"),
        (UUID(int=7), "text", "00000000-0000-0000-0000-000000000007"),
        (1.5, "decimal", 1.5),
        (True, "boolean", True),
        ("yes", "boolean", True),
        ("0", "boolean", False),
        (EVENING, "datetime", "2026-11-23T03:30:00Z"),
        (EVENING, "text", "2026-11-23T03:30:00Z"),
        (EVENING, "date", "2026-11-23"),
        (date(2026, 2, 28), "date", "2026-02-28"),
        ("2026-02-28", "date", "2026-02-28"),
        (date(1970, 1, 2), "epoch_ms", 86_400_000),
        (datetime(1970, 1, 1, tzinfo=UTC), "datetime", "1970-01-01T00:00:00Z"),
    ],
)
def test_values_are_written_in_the_form_that_is_asked_for(
    value: Any, form: Form, written: Any
) -> None:
    found = write_value(value, form)
    assert (found, type(found)) == (written, type(written))


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ("many", "integer"),
        (1.5, "integer"),
        (True, "integer"),
        ("x", "decimal"),
        ("maybe", "boolean"),
        ("soon", "date"),
        ("soon", "epoch_ms"),
    ],
)
def test_values_that_cannot_be_are_refused(value: Any, form: Form) -> None:
    with pytest.raises(FormMismatch, match=r"is not|is neither"):
        write_value(value, form)


def test_only_what_loyalty_owns_is_written_and_unknown_values_clear() -> None:
    fields = [
        Field("points_available", "points", "integer"),
        Field("tier_since", "since", "datetime"),
        Field("first_name", "given", "text", "vendor"),
        Field("attribute.shoe_size", "shoe", "integer"),
        Field("attribute.unknown", "unknown", "text"),
        Field("last_name", "family", "text"),
    ]
    mapped = map_fields(standing(first_name="Ada"), fields, FieldLimits())
    assert mapped.fields == {
        "points": 120,
        "since": None,
        "shoe": 42,
        "unknown": None,
        "family": None,
    }
    assert mapped.left_out == ()


def test_what_does_not_fit_is_left_out_by_name() -> None:
    fields = [Field("attribute.vip", "vip", "integer"), Field("program", "program", "text")]
    mapped = map_fields(standing(program="g" * 30), fields, FieldLimits(text_characters=20))
    assert mapped.fields == {}
    assert mapped.left_out == (
        "vip was left out: True is not a whole number.",
        "program was left out: it has 30 characters, and 20 fit.",
    )


@pytest.mark.parametrize(
    ("mapped", "problem"),
    [
        (Field("points", "points", "integer"), "There is no attribute points."),
        (Field("consent.email", "consent", "boolean"), "belongs to the vendor, always"),
        (Field("segments", "segments", "text"), "belongs to the vendor, always"),
        (Field("tier", "tier", "text", "vendor"), "belongs to loyalty, always"),
        (Field("tier", "the tier", "text"), "letters, digits and underscores"),
        (Field("tier", "t" * 101, "text"), "at most 100 characters"),
        (Field("tier", "$consent", "text"), "letters"),
        (Field("tier", "email", "text"), "never written"),
        (Field("tier_since", "since", "epoch_ms"), "takes no epoch_ms"),
        (Field("attribute.", "nothing", "text"), "There is no attribute"),
    ],
)
def test_a_mapping_is_refused_before_anything_is_sent(mapped: Field, problem: str) -> None:
    found = problems_of([mapped], FieldLimits(reserved=frozenset({"email"})))
    assert problem in found[0]


def test_names_twice_and_too_many() -> None:
    fields = [Field("tier", "tier", "text"), Field("status", "tier", "text")]
    assert problems_of(fields, FieldLimits(fields=1)) == [
        "tier is mapped twice.",
        "This vendor takes 1 fields; these are 2.",
    ]


def test_every_attribute_but_those_of_vendors_is_in_a_standing() -> None:
    known = set(dir(Standing))
    for attribute in ATTRIBUTES.values():
        assert (attribute.source in known) == ("loyalty" in attribute.owners), attribute.name


@dataclass
class Told:
    person: Person = field(default_factory=lambda: Person(member_id="7", email="a@example.com"))
    fields: dict[str, Any] = field(default_factory=lambda: {"points": 1, "tier": "gold"})


def test_a_fingerprint_sees_what_is_told_and_not_the_order() -> None:
    told = Told()
    same = fingerprint(told.person, {"tier": "gold", "points": 1})
    assert fingerprint(told.person, told.fields) == same
    assert fingerprint(told.person, {"points": 2, "tier": "gold"}) != same
    other = Person(member_id="7", email="b@example.com")
    assert fingerprint(other, told.fields) != same
