"""What a vendor says of a member's fields, in the form that the mapping asks for."""

from typing import Any

import pytest

from crm_sync.adapters.fields import Field, Form
from crm_sync.inbound.ownership import taken_in


@pytest.mark.parametrize(
    ("form", "said", "taken"),
    [
        ("text", "38", "38"),
        ("integer", "38", 38),
        ("integer", "-4", -4),
        ("integer", "38.5", "38.5"),
        ("integer", "9" * 30, "9" * 30),
        ("integer", True, True),
        ("decimal", "38.5", 38.5),
        ("decimal", "nan", "nan"),
        ("boolean", "true", True),
        ("boolean", "FALSE", False),
        ("boolean", "perhaps", "perhaps"),
        ("integer", None, None),
    ],
)
def test_a_text_is_read_in_the_mappings_form(form: Form, said: Any, taken: Any) -> None:
    field = Field("attribute.size", "size", form, "vendor")
    assert taken_in([field], {"size": said}) == {"attribute.size": taken}
    assert taken_in([field], {}) == {}


def test_only_what_the_mapping_gives_the_vendor_is_taken_in() -> None:
    ours = Field("points_available", "points", "integer", "vendor")
    pushed = Field("first_name", "name", "text", "loyalty")
    assert taken_in([ours, pushed], {"points": "99", "name": "Eve"}) == {}
