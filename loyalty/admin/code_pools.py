"""Pools of codes: what is in them, and an upload that shows how far it is."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.validators import RegexValidator
from django.http import HttpRequest, HttpResponse
from unfold.decorators import action, display
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminSingleDateWidget,
    UnfoldAdminTextInputWidget,
)

from loyalty.admin.uploads import UploadAdmin, piece_answer
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
        validators=[
            RegexValidator(
                r"^[A-Za-z0-9][A-Za-z0-9._-]*$", "Letters, digits, . _ and - only, without spaces."
            )
        ],
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
class CodePoolAdmin(UploadAdmin):
    """The pools: how many codes are free, and the way to more."""

    empty_words = "No pool yet. Upload codes into one, and name it in the reward that gives them."
    list_display = ("code", "of_program", "free", "held", "given", "burnt", "loaded_at")
    list_display_links = None
    actions_list = ("upload",)
    upload_words = WORDS
    upload_back = "Back to the pools"
    upload_form = UploadForm
    piece_form = Piece
    piece_lines = CHUNK

    @action(description="Upload codes", url_path="upload", icon="upload", permissions=["upload"])
    def upload(self, request: HttpRequest) -> HttpResponse:
        """Show the form."""
        return self.show_upload(request, "Upload codes", {"pool": request.GET.get("pool", "")})

    def load(self, into: dict[str, Any], lines: list[str]) -> HttpResponse:
        """Load a piece and tell what became of its lines."""
        pieces = load_codes(
            into["program"].pk,
            into["pool"],
            lines,
            valid_until=into["valid_until"],
            first_line=into["first_line"],
        )
        told = next(pieces, Loaded())  # a piece is no longer than what is committed at once
        counts = {"added": told.added, "known already": told.known, "unreadable": told.wrong}
        return piece_answer(counts, told.problems)

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


def _count(pool: CodePool, state: str) -> str:
    counts = getattr(pool, "counts", None)
    if counts is None:
        counts = count_codes(pool.program_id, pool.code)
        setattr(pool, "counts", counts)  # noqa: B010 -- for the other columns of the row
    return f"{counts[state]:,}"
