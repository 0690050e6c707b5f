"""Pools of codes: what is in them, and an upload that shows how far it is."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.core.validators import RegexValidator
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from unfold.decorators import action, display
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminSingleDateWidget,
    UnfoldAdminTextInputWidget,
)

from loyalty.admin.access import ReadOnlyAdmin
from loyalty.admin.uploads import (
    NoPiece,
    file_field,
    piece_answer,
    read_piece,
    refused_piece,
)
from loyalty.programs.models import Program
from loyalty.rewards.models import CodePool
from loyalty.rewards.pools import CHUNK, Loaded, count_codes, load_codes

WORDS = (
    "A text file with a code in each line, or a code, a comma and its last day (2027-12-31). Codes "
    "that are in the pool already stay as they are: an upload that broke off is simply done again."
)


class UploadForm(forms.Form):
    """Into which pool the codes of a file go; the file is read by the page's script."""

    program = forms.ModelChoiceField(
        Program.objects.order_by("name"), widget=UnfoldAdminSelectWidget(), empty_label=None
    )
    pool = forms.CharField(
        max_length=50,
        validators=[RegexValidator(r"^[A-Za-z0-9][A-Za-z0-9._-]*$", "Letters, digits, . _ and -.")],
        widget=UnfoldAdminTextInputWidget(),
        help_text="Its name, as the reward has it.",
    )
    valid_until = forms.DateField(
        required=False,
        widget=UnfoldAdminSingleDateWidget(),
        label="Last day",
        help_text="Of codes that have none of their own in the file. Empty: no last day.",
    )


class Piece(UploadForm):
    """A piece of a file, as the page sends one after the other."""

    first_line = forms.IntegerField(min_value=1)


@admin.register(CodePool)
class CodePoolAdmin(ReadOnlyAdmin):
    """The pools: how many codes are free, and the way to more."""

    empty_words = "No pool yet. Upload codes into one, and name it in the reward that gives them."
    list_display = ("code", "of_program", "free", "held", "given", "burnt", "loaded_at")
    list_display_links = None
    actions_list = ("upload",)

    def get_urls(self) -> list[Any]:
        """Add where the pieces of an upload go."""
        piece = path(
            "upload/piece/",
            self.admin_site.admin_view(self.take_piece),
            name="loyalty_codepool_piece",
        )
        return [piece, *super().get_urls()]

    def has_upload_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Whoever may add pools."""
        return request.user.has_perm("loyalty.add_codepool")

    @action(description="Upload codes", url_path="upload", icon="upload", permissions=["upload"])
    def upload(self, request: HttpRequest) -> HttpResponse:
        """Show the form; its script sends the file in pieces and shows how far it is."""
        context = {
            **self.admin_site.each_context(request),
            "title": "Upload codes",
            "words": WORDS,
            "opts": self.opts,
            "form": UploadForm(initial={"pool": request.GET.get("pool", "")}),
            "file": file_field(),
            "piece": reverse("admin:loyalty_codepool_piece"),
            "size": CHUNK,
            "back": reverse("admin:loyalty_codepool_changelist"),
            "back_words": "Back to the pools",
        }
        return TemplateResponse(request, "admin/loyalty/upload.html", context)

    def take_piece(self, request: HttpRequest) -> HttpResponse:
        """Load one piece; sent twice, the second time finds all of it known."""
        if request.method != "POST" or not self.has_upload_permission(request):
            raise PermissionDenied
        try:
            into, lines = read_piece(request, Piece, most=CHUNK)
        except NoPiece as wrong:
            return refused_piece(wrong)
        return _load(into, lines)

    @display(description="Program")
    def of_program(self, pool: CodePool) -> str:
        """Name the program."""
        return Program.objects.values_list("name", flat=True).get(pk=pool.program_id)

    @display(description="Free")
    def free(self, pool: CodePool) -> str:
        """Count codes that can be handed out."""
        return _count(pool, "free")

    @display(description="Reserved")
    def held(self, pool: CodePool) -> str:
        """Count codes of holds."""
        return _count(pool, "held")

    @display(description="Given")
    def given(self, pool: CodePool) -> str:
        """Count codes that members have."""
        return _count(pool, "given")

    @display(description="Burnt")
    def burnt(self, pool: CodePool) -> str:
        """Count codes that came back and are given to nobody."""
        return _count(pool, "burnt")


def _load(into: dict[str, Any], lines: Sequence[str]) -> HttpResponse:
    """Load a piece and tell what became of its lines."""
    pieces = load_codes(
        into["program"].pk,
        into["pool"],
        lines,
        valid_until=into["valid_until"],
        first_line=into["first_line"],
    )
    told = next(pieces, Loaded())  # a piece is no longer than what is committed at once
    counts = {"added": told.added, "known already": told.known, "no codes": told.wrong}
    return piece_answer(counts, told.problems)


def _count(pool: CodePool, state: str) -> str:
    counts = getattr(pool, "counts", None)
    if counts is None:
        counts = count_codes(pool.program_id, pool.code)
        setattr(pool, "counts", counts)  # noqa: B010 -- for the other columns of the row
    return f"{counts[state]:,}"
