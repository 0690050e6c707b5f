"""A program survives every way that it can take: rows, document, file, and back.

Any program of `tests/property/programs.py` is written into rows as `program apply` does it, read
from them as publishing does it, exported as a file and read again; nothing may differ. Most of it
asks no database: rows that are not saved are read in the same way.
"""

from io import StringIO
from typing import Any

from django.core.management import call_command
from hypothesis import HealthCheck, given, settings

from loyalty.programs import entries, files
from loyalty.programs.changes import changes
from loyalty.programs.document import validate
from loyalty.programs.models import (
    Campaign,
    EarningRule,
    PointCurrency,
    Program,
    Reward,
    Store,
    TierLevel,
)
from tests.factories import unique
from tests.property.programs import PROGRAM

LISTS = {
    "stores": Store,
    "earning_rules": EarningRule,
    "campaigns": Campaign,
    "rewards": Reward,
}


def through_rows(document: dict[str, Any]) -> dict[str, Any]:
    """Write a document into rows, and read them back as publishing does."""
    program = Program(code=document["program"], **entries.HEAD.read(document))
    tiers = document.get("tiers") or {"levels": []}
    levels = [TierLevel(**entries.LEVEL.read(each)) for each in tiers["levels"]]
    parts = {
        key: [model(**model.part.read(each)).entry() for each in document[key]]
        for key, model in LISTS.items()
    }
    return validate(
        {
            **program.entry(),
            **parts,
            "points": PointCurrency(**entries.POINTS.read(document["points"])).entry(),
            "tiers": {
                **entries.write_tiers(program),
                "levels": [level.entry() for level in levels],
            }
            if levels
            else None,
        }
    )


# Few, but wide ones: a document has up to twenty entries with all of their keys.
PLAIN: Any = {
    "deadline": None,
    "derandomize": True,
    "suppress_health_check": [
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.function_scoped_fixture,
    ],
}


@settings(max_examples=25, **PLAIN)
@given(PROGRAM)
def test_rows_say_the_same(written: dict[str, Any]) -> None:
    document = validate(written)
    assert through_rows(document) == document


@settings(max_examples=8, **PLAIN)
@given(PROGRAM)
def test_files_say_the_same(written: dict[str, Any]) -> None:
    document = validate(written)
    assert files.read(files.export(document)) == document


@settings(max_examples=15, **PLAIN)
@given(PROGRAM, PROGRAM)
def test_a_review_is_empty_only_where_nothing_differs(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    before, after = validate(one), validate(other)
    assert bool(changes(before, after)) == (before != after)
    assert changes(before, before) == []
    assert all(str(change) for change in changes(before, after))


def manage(*arguments: str) -> str:
    """Run `manage.py program`; return what it prints."""
    printed = StringIO()
    call_command("program", *arguments, stdout=printed)
    return printed.getvalue()


@settings(max_examples=3, **PLAIN)
@given(written=PROGRAM)
def test_an_export_applied_where_there_is_nothing_is_the_same_program(
    db: None, tmp_path: Any, written: dict[str, Any]
) -> None:
    names = unique("one"), unique("two")
    path = tmp_path / "program.yaml"
    path.write_text(files.export(validate({**written, "program": names[0]})))
    manage("apply", str(path))
    exported = manage("export", names[0])
    path.write_text(exported.replace(names[0], names[1]))
    manage("apply", str(path))
    assert manage("export", names[1]) == exported.replace(names[0], names[1])
    assert manage("diff", str(path)) == ""
