"""`manage.py program`: apply, diff and export, as a person at a terminal meets them."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from loyalty.programs import files, selectors
from loyalty.programs.drafts import mark_edited
from loyalty.programs.models import Program, PublishedVersion, Reward
from tests.unit.program_file import GROCER

pytestmark = pytest.mark.django_db


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a program file that is not applied yet."""
    path = tmp_path / "grocer.yaml"
    path.write_text(GROCER, encoding="utf-8")
    return path


def program(*arguments: object) -> str:
    out = StringIO()
    call_command("program", *map(str, arguments), stdout=out)
    return out.getvalue()


def test_applies_a_file(path: Path) -> None:
    assert program("apply", path) == "grocer: version 1 is live.\n  first version\n"
    assert program("apply", path) == "grocer: nothing changed, version 1 stays live.\n"
    assert PublishedVersion.objects.get().published_by.startswith("command line: ")


def test_says_what_changed(path: Path) -> None:
    program("apply", path)
    path.write_text(GROCER.replace("cost: 500", "cost: 450"), encoding="utf-8")

    assert program("apply", path) == (
        "grocer: version 2 is live.\n  Reward five-off, cost: 500 → 450\n"
    )


def test_diff_prints_nothing_where_nothing_differs(path: Path) -> None:
    program("apply", path)

    assert program("diff", path) == ""


def test_diff_reads_like_a_review_and_changes_nothing(path: Path) -> None:
    program("apply", path)
    wanted = GROCER.replace("grace_days: 30", "grace_days: 60").replace("cost: 500", "cost: 450")
    without = "  - {code: welcome, bonus: 100, trigger: member.enrolled}\n"
    path.write_text(wanted.replace(without, ""), encoding="utf-8")

    assert (
        program("diff", path)
        == f"""\
grocer: what the file ({path}) changes of version 1, which is live

How members rise and fall
  ~ grace days: 30 → 60

Earning rules
  - welcome: removed: 100 points, for joining the program

Rewards
  ~ five-off, cost: 500 → 450
"""
    )
    assert Program.objects.get().version == 1


def test_diff_by_lines(path: Path) -> None:
    program("apply", path)
    path.write_text(GROCER.replace("grace_days: 30", "grace_days: 60"), encoding="utf-8")

    lines = program("diff", "--lines", path).splitlines()

    assert lines[:2] == ["--- live (version 1)", f"+++ file ({path})"]
    assert [line for line in lines[2:] if line[0] in "+-"] == [
        "-  grace_days: 30",
        "+  grace_days: 60",
    ]


def test_diff_of_a_new_program_shows_all_of_it(path: Path) -> None:
    assert "+program: grocer" in program("diff", "--lines", path).splitlines()
    assert "  + base: added: 1 point for each 1.00 USD" in program("diff", path).splitlines()


def test_apply_says_what_of_the_draft_is_gone(path: Path) -> None:
    program("apply", path)
    Reward.objects.filter(code="five-off").update(cost=1)
    mark_edited(Program.objects.get().pk, actor="ann")

    assert program("apply", path) == (
        "grocer: nothing changed, version 1 stays live.\n"
        "  1 change of the draft, which ann edited last, was not live and is gone:\n"
        "    Reward five-off, cost: 500 → 1\n"
    )
    assert Reward.objects.get(code="five-off").cost == 500


def test_apply_keeps_the_reason(path: Path) -> None:
    program("apply", path, "--reason", "The spring program")

    assert PublishedVersion.objects.get().reason == "The spring program"


def test_exports_what_can_be_applied_again(path: Path, tmp_path: Path) -> None:
    program("apply", path)
    copy = tmp_path / "copy.yaml"

    copy.write_text(program("export", "grocer"), encoding="utf-8")

    assert program("diff", copy) == ""
    assert program("apply", copy) == "grocer: nothing changed, version 1 stays live.\n"


def test_reads_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", StringIO(GROCER))

    assert program("apply", "-").startswith("grocer: version 1 is live.")


def test_names_the_file_the_line_and_the_key(path: Path) -> None:
    path.write_text(
        GROCER.replace('gives: {amount_off: "5.00"}', "gives: {product: x}, valid_days: 9", 1),
        encoding="utf-8",
    )

    with pytest.raises(CommandError) as caught:
        program("apply", path)

    assert caught.value.returncode == 1
    assert str(caught.value) == (
        f"{path}: line 32, rewards[0].valid_days: is not supported yet; take it out"
    )
    assert not Program.objects.exists()


def test_names_what_only_the_database_knows(path: Path) -> None:
    program("apply", path)
    path.write_text(GROCER.replace("currency: USD", "currency: EUR"), encoding="utf-8")

    with pytest.raises(CommandError, match="currency: The currency of a published program cannot"):
        program("apply", path)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")

    with pytest.raises(CommandError, match="nowhere cannot be read: No such file or directory"):
        program("diff", tmp_path / "nowhere")
    with pytest.raises(CommandError, match="is not text in UTF-8"):
        program("diff", binary)


def test_a_program_that_cannot_be_exported() -> None:
    Program.objects.create(code="new", name="New", currency="USD")

    with pytest.raises(CommandError, match='no program with the code "nobody"'):
        program("export", "nobody")
    with pytest.raises(CommandError, match='The program "new" is not published yet'):
        program("export", "new")


def test_an_export_is_what_is_live_not_what_is_drafted(path: Path) -> None:
    program("apply", path)
    Program.objects.update(name="A draft")

    assert files.read(program("export", "grocer")) == selectors.live_document(
        Program.objects.get().pk
    )
