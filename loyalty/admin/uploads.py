"""Files of lines that a page sends in pieces: what all such pages share."""

import json
from collections.abc import Mapping
from typing import Any, Final

from django import forms
from django.http import HttpRequest, JsonResponse
from unfold.widgets import UnfoldAdminFileFieldWidget

LONGEST_LINE: Final = 300


class NoPiece(ValueError):
    """What was sent is no piece of a file, or its form was filled in wrongly."""


def read_piece(
    request: HttpRequest, form: type[forms.Form], *, most: int
) -> tuple[dict[str, Any], list[str]]:
    """Read the form and the lines of a piece.

    Raises:
        NoPiece: With what is wrong, for the page.
    """
    try:
        sent = json.loads(request.body)
        filled, lines = form(sent), _lines_of(sent, most)
    except (ValueError, AttributeError):
        raise NoPiece("This is no piece of a file.") from None
    if not filled.is_valid():
        found = filled.errors.items()
        raise NoPiece("; ".join(f"{name}: {' '.join(map(str, why))}" for name, why in found))
    return filled.cleaned_data, lines


def _lines_of(sent: Any, most: int) -> list[str]:
    lines = sent.get("lines")
    if not isinstance(lines, list) or len(lines) > most:
        raise ValueError
    return [str(line)[:LONGEST_LINE] for line in lines]


def piece_answer(counts: Mapping[str, int], problems: list[str], **carry: Any) -> JsonResponse:
    """Answer what became of a piece.

    Args:
        counts: By what is said of the number: "added", "known already".
        carry: What later pieces say of themselves, because this one has told it.
    """
    return JsonResponse({"counts": dict(counts), "problems": problems, "carry": carry})


def refused_piece(wrong: NoPiece) -> JsonResponse:
    """Answer that nothing of a piece was taken."""
    return JsonResponse({"error": str(wrong)}, status=400)


def file_field() -> str:
    """Draw the field in which the file is chosen."""
    drawn: str = UnfoldAdminFileFieldWidget().render("file", None, {"id": "id_file"})
    return drawn
