"""The schemas in docs/events are those of the code, and the page names every type."""

import re
from pathlib import Path

import pytest
from django.core.management import call_command
from jsonschema import Draft202012Validator

from loyalty.events.catalogue import CATALOGUE, json_schema

DOCS = Path(__file__).parents[2] / "docs"


def test_they_are_up_to_date(tmp_path: Path) -> None:
    (tmp_path / "points.lost.v1.json").write_text("{}")
    call_command("event_schemas", tmp_path, stdout=(tmp_path / "said").open("w"))
    written = {file.name: file.read_text() for file in tmp_path.glob("*.json")}
    kept = {file.name: file.read_text() for file in (DOCS / "events").glob("*.json")}
    assert written == kept, "run manage.py event_schemas docs/events"


@pytest.mark.parametrize("type_", CATALOGUE)
def test_each_is_a_schema_that_refuses_another_type_and_another_version(type_: str) -> None:
    schema = json_schema(type_)
    Draft202012Validator.check_schema(schema)
    properties = schema["properties"]
    assert (properties["type"]["const"], properties["version"]["const"]) == (type_, 1)


def test_the_page_tells_of_each() -> None:
    page = (DOCS / "events.md").read_text()
    assert [type_ for type_ in CATALOGUE if f"`{type_}`" not in page] == []


def test_each_that_the_engine_writes_is_in_the_catalogue() -> None:
    written = re.compile(r'(?:\.event\(|tell\(\s*\w+,)\s*"([a-z_]+\.[a-z_]+)"')
    sources = (Path(__file__).parents[2] / "loyalty").rglob("*.py")
    found = {type_ for source in sources for type_ in written.findall(source.read_text())}
    assert len(found) > 20
    assert found - set(CATALOGUE) == set(), "add it to loyalty/events/catalogue.py"
