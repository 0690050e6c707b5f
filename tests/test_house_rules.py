"""The rules of the house that no linter knows."""

import ast
import re
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db.migrations.loader import MigrationLoader

from loyalty import errors

ROOT = Path(__file__).parent.parent
FOLDERS = ("benchmarks", "config", "crm_sync", "loyalty", "tests")
PACKAGES = ("config", "crm_sync", "loyalty")
VAGUE = {"utils", "util", "helpers", "common", "core", "managers", "signals", "misc"}
LONGEST_FILE = 400  # lines
LONGEST_FUNCTION = 60  # lines


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted(path for path in (ROOT / folder).rglob("*.py"))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_file_is_too_long():
    lengths = {
        name_of(path): len(path.read_text().splitlines())
        for path in sources(*FOLDERS)
        if "migrations" not in path.parts  # makemigrations wrote most of them
    }
    assert {name: n for name, n in lengths.items() if n > LONGEST_FILE} == {}


def test_no_function_is_too_long():
    long = {
        f"{name_of(path)}:{node.lineno} {node.name}": node.end_lineno - node.lineno + 1
        for path in sources(*FOLDERS)
        for node in functions(path)
        if node.end_lineno - node.lineno + 1 > LONGEST_FUNCTION
    }
    assert long == {}


def test_every_module_says_what_it_is_for():
    silent = [
        name_of(path)
        for path in sources(*PACKAGES)
        if path.read_text().strip()
        and not ast.get_docstring(ast.parse(path.read_text()))
        and "migrations" not in path.parts
    ]
    assert silent == []


def test_no_module_has_a_name_that_says_nothing():
    names = {name_of(p) for p in sources(*PACKAGES) if {p.stem, p.parent.name} & VAGUE}
    assert names == set()


def test_each_app_has_one_leaf_of_migrations():
    leaves = MigrationLoader(None).graph.leaf_nodes()
    for app in ("loyalty", "crm_sync"):
        assert len([leaf for leaf in leaves if leaf[0] == app]) <= 1


@pytest.mark.django_db
def test_models_and_migrations_agree():
    output = StringIO()
    call_command("makemigrations", "--check", "--dry-run", stdout=output)
    assert "No changes detected" in output.getvalue()


def test_every_error_code_has_a_heading_in_the_docs():
    page = ROOT / "docs" / "errors.md"
    if not page.exists():
        pytest.skip("docs/errors.md is not written yet")
    headings = set(re.findall(r"^#+ `?([a-z_0-9]+)`?\s*$", page.read_text(), re.MULTILINE))
    assert set(codes()) - headings == set()


def codes() -> Iterator[str]:
    """Return the code of every error that a caller may see."""
    for item in vars(errors).values():
        if isinstance(item, type) and issubclass(item, errors.LoyaltyError):
            yield item.code


def test_no_locked_file_names_a_package_index():
    for path in (ROOT / "requirements").glob("*.txt"):
        assert not re.search(r"index-url|://", path.read_text()), path.name


def test_locked_files_agree_with_one_another():
    versions: dict[str, set[str]] = {}
    for path in (ROOT / "requirements").glob("*.txt"):
        for name, version in re.findall(r"^([a-z0-9-]+)==(\S+)", path.read_text(), re.MULTILINE):
            versions.setdefault(name, set()).add(version)
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}
