"""Two marketers at one form: the second is told what the first changed, and overwrites nothing.

A form carries what its row was when it was opened. The save compares that with what the row is now,
under the program's lock.
"""

import json
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType

from loyalty.http.actors import named
from loyalty.http.auth import PEOPLE
from loyalty.programs import selectors
from loyalty.programs.changes import changes, differences
from loyalty.programs.models import Program

FIELD = "seen"
NOBODY = "Somebody"
UNCHANGED = "[]"
"""What the admin's log says of a save that changed nothing."""


class Seen:
    """Mixin of a form that is refused where its row is not what it was when it was opened."""

    instance: Any
    data: Any
    is_inline: bool
    now: dict[str, Any] | None = None

    def remember(self) -> None:
        """Note what the row is, before the form writes into it."""
        if self.instance.pk and not self.is_inline:
            self.now = _as_json(_shown_on_the_page(self.instance))

    @property
    def seen(self) -> str:
        """What the page carries; a second save after a refusal is meant."""
        if not self.now:
            return ""
        return json.dumps({"row": self.now, "revision": _program_of(self.instance).revision})

    def clean(self) -> Any:
        """Refuse what was written without knowing the present state."""
        cleaned = super().clean()  # type: ignore[misc]  # of the form that this is mixed into
        carried = self.data.get(FIELD)
        if carried and self.now is not None:
            row, revision = _opened(carried)
            if row != self.now:
                self.add_error(None, self._what_happened(row, revision))  # type: ignore[attr-defined]
        return cleaned

    def _what_happened(self, row: Any, revision: int) -> str:
        try:
            told = "; ".join(_differences(self.instance, row, self.now or {}))
        except (ValueError, TypeError, KeyError, AttributeError):
            told = ""
        return (
            f"{_editor_since(self.instance, revision)} has changed this while you were editing"
            f"{f': {told}' if told else ''}. Nothing of yours is saved yet: save again to keep "
            "what you have written here, or load the page anew to begin from theirs."
        )


def _opened(carried: str) -> tuple[Any, int]:
    """Read what the row was when the form was opened, and the draft's revision then."""
    try:
        page = json.loads(carried)
        row, revision = page["row"], page["revision"]
    except (ValueError, TypeError, KeyError):
        return None, 0
    return row, revision if isinstance(revision, int) else 0


def _shown_on_the_page(row: Any) -> dict[str, Any]:
    entry: dict[str, Any] = selectors.draft_page(row) if isinstance(row, Program) else row.entry()
    return entry


def _as_json(entry: dict[str, Any]) -> dict[str, Any]:
    written: dict[str, Any] = json.loads(json.dumps(entry, default=str))
    return written


def _differences(row: Any, before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    if isinstance(row, Program):
        return [str(change) for change in changes(before, after)]
    return [f"{change.what}: {change.news}" for change in differences(before, after)]


def _program_of(row: Any) -> Program:
    program: Program = row if isinstance(row, Program) else row.program
    return program


def _editor_since(row: Any, revision: int) -> str:
    """Name who changed a row since a revision of the draft, as far as that is known.

    The admin's log knows who saved which form, and nothing of what came by an API key or a file:
    where there were several edits, and one of those among them, it may have been anybody's.
    """
    program = _program_of(row)
    if program.revision == revision + 1:
        return named(program.edited_by) or NOBODY
    if program.unlogged_revision > revision:
        return NOBODY
    kind = ContentType.objects.get_for_model(row)
    entries = LogEntry.objects.filter(content_type=kind, object_id=str(row.pk))
    saves = entries.exclude(change_message=UNCHANGED).select_related("user")
    last = saves.order_by("-action_time").first()
    return named(f"{PEOPLE}{last.user.get_username()}") if last else NOBODY
