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
        return json.dumps(self.now) if self.now else ""

    def clean(self) -> Any:
        """Refuse what was written without knowing the present state."""
        cleaned = super().clean()  # type: ignore[misc]  # of the form that this is mixed into
        carried = self.data.get(FIELD)
        if carried and self.now is not None and carried != self.seen:
            self.add_error(None, self._what_happened(carried))  # type: ignore[attr-defined]
        return cleaned

    def _what_happened(self, carried: str) -> str:
        try:
            told = "; ".join(_differences(self.instance, json.loads(carried), self.now or {}))
        except (ValueError, TypeError, KeyError, AttributeError):
            told = ""
        return (
            f"{_last_editor(self.instance)} has changed this while you were editing"
            f"{f': {told}' if told else ''}. Nothing of yours is saved yet: save again to keep "
            "what you have written here, or load the page anew to begin from theirs."
        )


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


def _last_editor(row: Any) -> str:
    kind = ContentType.objects.get_for_model(row)
    entries = LogEntry.objects.filter(content_type=kind, object_id=str(row.pk))
    last = entries.select_related("user").order_by("-action_time").first()
    return named(f"{PEOPLE}{last.user.get_username()}") if last else "Somebody"
