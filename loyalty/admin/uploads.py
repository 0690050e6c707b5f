"""Files of lines that a page sends in pieces: what all such pages share."""

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from unfold.widgets import UnfoldAdminFileFieldWidget

from loyalty.admin.access import ReadOnlyAdmin

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


class UploadAdmin(ReadOnlyAdmin):
    """Pages of what is filled by files of lines: a form, and the address that takes the pieces.

    Attributes:
        upload_words: What a file may look like.
        upload_back: Words of the way back.
        upload_form: Where the lines go.
        piece_form: The same, and what a piece says of itself.
        piece_lines: How many lines a piece has at the most.
    """

    upload_words: ClassVar[str]
    upload_back: ClassVar[str]
    upload_form: ClassVar[type[forms.Form]]
    piece_form: ClassVar[type[forms.Form]]
    piece_lines: ClassVar[int]

    def get_urls(self) -> list[Any]:
        """Add where the pieces of an upload go."""
        take = self.admin_site.admin_view(self.take_piece)
        return [path("upload/piece/", take, name=self._name("piece")), *super().get_urls()]

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Lead from a list that is empty to the upload, which a phone's menu hides."""
        page = super().get_changelist_instance(request)
        if self.has_upload_permission(request):
            page.upload = reverse(f"admin:{self._name('upload')}")
        return page

    def has_upload_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Whoever may add one of these."""
        return request.user.has_perm(f"loyalty.add_{self.opts.model_name}")

    def show_upload(
        self, request: HttpRequest, title: str, initial: Mapping[str, Any]
    ) -> HttpResponse:
        """Show the form; its script sends the file in pieces and shows how far it is."""
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "words": self.upload_words,
            "opts": self.opts,
            "form": self.upload_form(initial=dict(initial)),
            "file": file_field(),
            "piece": reverse(f"admin:{self._name('piece')}"),
            "size": self.piece_lines,
            "back": reverse(f"admin:{self._name('changelist')}"),
            "back_words": self.upload_back,
        }
        return TemplateResponse(request, "admin/loyalty/upload.html", context)

    def take_piece(self, request: HttpRequest) -> HttpResponse:
        """Load one piece; sent twice, the second time finds all of it done."""
        if request.method != "POST" or not self.has_upload_permission(request):
            raise PermissionDenied
        try:
            into, lines = read_piece(request, self.piece_form, most=self.piece_lines)
        except NoPiece as wrong:
            return refused_piece(wrong)
        return self.load(into, lines)

    def load(self, into: dict[str, Any], lines: list[str]) -> HttpResponse:
        """Load a piece and tell what became of its lines."""
        raise NotImplementedError

    def _name(self, what: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{what}"
