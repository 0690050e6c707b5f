"""The draft of a program: who may write it now, and how often it was changed.

Whoever edits a part of a program locks the program first, so that what they compared with is still
what they overwrite. The revision counts the edits: a review is of one revision.
"""

from typing import Any

from django.db.models import F
from django.db.models.functions import Now

from loyalty.http.actors import named
from loyalty.programs.models import Program


def lock(program_id: int) -> Program:
    """Lock a program for an edit, a publication, or a look that must hold until the commit.

    Without the key: enrolments refer to the program, and must not wait for a marketer.
    """
    return Program.objects.select_for_update(no_key=True).get(pk=program_id)


def mark_edited(program_id: int, *, actor: str, is_logged: bool = False) -> None:
    """Count an edit of the draft, in the transaction that made it.

    Args:
        is_logged: Whether the admin's log says what was edited, and by whom.
    """
    edited: dict[str, Any] = {"revision": F("revision") + 1}
    if not is_logged:
        edited["unlogged_revision"] = edited["revision"]
    Program.objects.filter(pk=program_id).update(**edited, edited_by=actor[:100], edited_at=Now())


def who_edited(program: Program) -> str:
    """Say who edited the draft last."""
    who = named(program.edited_by) or "Somebody"
    return f"{who} has edited the draft since; look at it again."
