"""docs/crm/data_model.md: each attribute, its owner, and where each vendor's new mapping has it."""

import json
import re
from pathlib import Path
from typing import Final

import pytest

from crm_sync.adapters import build_adapters
from crm_sync.adapters.contract import Environment, PushesProfiles
from crm_sync.adapters.shopify_documents import _TYPES
from crm_sync.attributes import ATTRIBUTES
from crm_sync.people_models import FieldMapping

DOCS = Path(__file__).parents[2] / "docs"
VENDORS: Final = {
    kind: adapter
    for kind, adapter in build_adapters(Environment(home=Path("/nonexistent"))).items()
    if isinstance(adapter, PushesProfiles)
}
TITLES: Final = {adapter.title: kind for kind, adapter in VENDORS.items()} | {
    "Marketing Cloud": "marketing_cloud"
}
JSON: Final = {"text": "text", "integer": "number", "date": "date", "datetime": "datetime"}
WORDS: Final = {
    "klaviyo": JSON,
    "hubspot": JSON | {"text": "string"},
    "segment": JSON | {"datetime": "ISO 8601"},
    "postscript": JSON,
    "omnisend": JSON,
    "attentive": JSON,
    "shopify": {form: f"`{type_}`" for form, type_ in _TYPES.items()},
    "salesforce": {"text": "Text", "integer": "Number", "date": "Date", "datetime": "Date/Time"},
    "marketing_cloud": {"text": "Text", "integer": "Number", "date": "Date"},
}
"""What pages call a form, in each vendor's own words."""

Row = list[str]


def tables_of(page: str) -> list[list[Row]]:
    """Read a page's tables, each with its head, without the line below that."""
    text = (DOCS / "crm" / f"{page}.md").read_text()
    return [
        [_cells(line) for line in table.splitlines() if not line.startswith("| ---")]
        for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    ]


def _cells(line: str) -> Row:
    return [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]


def default_fields(kind: str) -> dict[str, tuple[str, str]]:
    """Give name and type of each attribute, as pages write them."""
    return {
        field.attribute: (f"`{field.name}`", WORDS[kind][field.form])
        for field in VENDORS[kind].default_fields
    }


def test_each_attribute_is_told_with_its_type_and_its_owner() -> None:
    labels = {form: label.split(",")[0] for form, label in FieldMapping.FORMS}
    owners = {
        ("loyalty",): "loyalty",
        ("loyalty", "vendor"): "either",
        ("vendor",): "taken in only",
    }
    said = {row[0].strip("`"): row for row in tables_of("data_model")[0][1:]}
    said.pop("attribute.…")
    told = {name: (row[2], row[3].split(":")[0]) for name, row in said.items()}
    assert told == {one.name: (labels[one.form], owners[one.owners]) for one in ATTRIBUTES.values()}
    assert [name for name, row in said.items() if not row[1]] == []


def test_each_vendor_has_the_fields_that_the_page_says() -> None:
    told: dict[str, dict[str, tuple[str, str]]] = {kind: {} for kind in VENDORS}
    for head, *rows in tables_of("data_model")[1:4]:
        for row in rows:
            for title, cell in zip(head[1:], row[1:], strict=True):
                if cell != "–":
                    name, _, type_ = cell.partition(", ")
                    told[TITLES[title]][row[0].strip("`")] = (name, type_)
    assert told == {kind: default_fields(kind) for kind in VENDORS}


@pytest.mark.parametrize("place", [4, 5], ids=["by what they are known", "what is taken in"])
def test_no_vendor_is_left_out(place: int) -> None:
    _, *rows = tables_of("data_model")[place]
    found = {re.sub(r"\[(.*)\]\(.*\)", r"\1", row[0]) for row in rows}
    assert {TITLES[title] for title in found if title in TITLES} == set(VENDORS)


@pytest.mark.parametrize("kind", VENDORS)
def test_each_vendors_page_leads_there(kind: str) -> None:
    assert "](data_model.md)" in (DOCS / "crm" / f"{kind}.md").read_text()


def fields_on(kind: str) -> set[tuple[str, str]]:
    """List the names that a vendor's page has with a type: one for all of a row, or one for each.

    Where the page says how long a text may be, that is left out.
    """
    found = set()
    for head, *rows in tables_of(kind):
        if "type" not in head:
            continue
        place = head.index("type")
        for row in rows:
            names = re.findall(r"`[^`]+`", row[place - 1])
            types = [re.split(r"[(,]", row[place])[0]] * len(names)
            if row[place].count(",") == len(names) - 1 and "(" not in row[place]:
                types = row[place].split(", ")
            found |= set(zip(names, types, strict=True))
    return found


@pytest.mark.parametrize("kind", VENDORS)
def test_each_vendors_page_has_its_fields_with_their_types(kind: str) -> None:
    assert set(default_fields(kind).values()) - fields_on(kind) == set()


def test_what_creates_hubspots_properties_has_all_of_them() -> None:
    page = (DOCS / "crm" / "hubspot.md").read_text()
    (document,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    properties = json.loads(document)["inputs"]
    told = [(f"`{one['name']}`", one["type"]) for one in properties]
    assert told == list(default_fields("hubspot").values())
    field_types = {"string": "text", "number": "number", "date": "date", "datetime": "date"}
    assert all(one["fieldType"] == field_types[one["type"]] for one in properties)
    assert [one["name"] for one in properties if "hasUniqueValue" in one] == ["loyalty_member_id"]
