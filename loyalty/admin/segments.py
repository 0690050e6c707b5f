"""Segments: how many members are in each, and an upload that shows how far it is."""

from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.validators import RegexValidator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from loyalty.admin.access import names_of
from loyalty.admin.uploads import UploadAdmin, piece_answer
from loyalty.errors import SegmentInUse
from loyalty.members.models import Segment
from loyalty.members.segment_lists import Loaded, load_list
from loyalty.members.segments import (
    CHUNK,
    count_members_of,
    delete_segment,
    members_after,
    who_names,
)
from loyalty.programs.models import Program

NOBODY: Final = UUID(int=0)
SHOWN: Final = 20
"""Members of a segment whom its page names."""

TYPES: Final = [
    ("", "what the first line says, or ids"),
    ("card", "cards"),
    ("external", "ids of another system"),
    ("email", "emails"),
    ("phone", "phone numbers"),
]
WORDS: Final = (
    "A text file with a member in each line. Its first line may say what the others are: card, "
    "external, email or phone. What follows a comma is left out. Who is in the segment already "
    "stays in it: an upload that broke off is simply done again."
)


class UploadForm(forms.Form):
    """Into which segment the members of a file go; the file is read by the page's script."""

    program = forms.ModelChoiceField(
        Program.objects.order_by("name"), widget=UnfoldAdminSelectWidget(), empty_label=None
    )
    segment = forms.CharField(
        max_length=50,
        validators=[
            RegexValidator(
                r"^[A-Za-z0-9][A-Za-z0-9._-]*$", "Letters, digits, . _ and - only, without spaces."
            )
        ],
        widget=UnfoldAdminTextInputWidget(),
        help_text="Its code, as rules and rewards name it. It is made if there is none.",
    )
    type = forms.ChoiceField(
        choices=TYPES, required=False, widget=UnfoldAdminSelectWidget(), label="The lines are"
    )
    does = forms.ChoiceField(
        choices=[("add", "put into the segment"), ("remove", "taken out of it")],
        widget=UnfoldAdminSelectWidget(),
        label="These members are",
    )


class Piece(UploadForm):
    """A piece of a file, as the page sends one after the other."""

    first_line = forms.IntegerField(min_value=1)


@admin.register(Segment)
class SegmentAdmin(UploadAdmin):
    """The segments, and the way to fill one."""

    empty_words = (
        "No segment yet. Upload the members of one, and name it in the conditions of a rule "
        "or reward."
    )
    list_display = ("code", "name", "of_program", "members", "changed_at")
    actions_list = ("upload",)
    upload_words = WORDS
    upload_back = "Back to the segments"
    upload_form = UploadForm
    piece_form = Piece
    piece_lines = CHUNK

    @action(description="Upload members", url_path="upload", icon="upload", permissions=["upload"])
    def upload(self, request: HttpRequest) -> HttpResponse:
        """Show the form."""
        return self.show_upload(
            request, "Upload members of a segment", {**request.GET.dict(), "does": "add"}
        )

    def load(self, into: dict[str, Any], lines: list[str]) -> HttpResponse:
        """Load a piece and tell what became of its lines."""
        remove = into["does"] == "remove"
        pieces = load_list(
            into["program"].pk,
            into["segment"],
            lines,
            first_line=into["first_line"],
            type_=into["type"] or None,
            remove=remove,
        )
        told = next(pieces, Loaded())  # a piece is no longer than what is committed at once
        counts = {
            "taken out" if remove else "added": told.changed,
            "as they were": told.same,
            "unknown": told.unknown,
            "unreadable": told.wrong,
        }
        return piece_answer(counts, told.problems, type=told.type or into["type"])

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever may delete segments: no point and no history goes with one."""
        return bool(request.user.has_perm("loyalty.delete_segment"))

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show one segment: what names it, and some of who is in it."""
        segment = self._segment(request, object_id)
        may_look = request.user.has_perm("loyalty.view_member")
        some = members_after(segment.program_id, segment.code, NOBODY, SHOWN) if may_look else []
        titles = names_of(some)
        upload = reverse("admin:loyalty_segment_upload")
        named = {"program": segment.program_id, "segment": segment.code}
        context = {
            **self._told(request, segment, segment.name),
            "shown": [{"pk": member, "title": titles[member]} for member in some],
            "upload": f"{upload}?{urlencode(named)}",
            "may_upload": self.has_upload_permission(request),
            "may_delete": self.has_delete_permission(request, segment),
        }
        return TemplateResponse(request, "admin/loyalty/segment/page.html", context)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Say what would be gone, ask, then delete; refused while a rule or reward names it."""
        segment = self._segment(request, object_id)
        if not self.has_delete_permission(request, segment):
            raise PermissionDenied
        if request.method == "POST":
            try:
                delete_segment(segment.program_id, segment.code)
            except SegmentInUse as refused:
                messages.error(request, refused.detail)
                return HttpResponseRedirect(request.path)
            messages.success(request, f"The segment {segment.name} is deleted.")
            return HttpResponseRedirect(reverse("admin:loyalty_segment_changelist"))
        context = self._told(request, segment, f"Delete the segment {segment.name}?")
        return TemplateResponse(request, "admin/loyalty/segment/delete.html", context)

    def _segment(self, request: HttpRequest, object_id: str) -> Segment:
        found: Segment | None = self.get_object(request, object_id)
        if found is None or not self.has_view_permission(request, found):
            raise Http404
        return found

    def _told(self, request: HttpRequest, segment: Segment, title: str) -> dict[str, Any]:
        counts = count_members_of(segment.program_id, [segment.code])
        return {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "original": segment,
            "segment": segment,
            "program": Program.objects.get(pk=segment.program_id),
            "members": counts.get(segment.code, 0),
            "named_by": who_names(segment.program_id, segment.code),
        }

    @display(description="Program")
    def of_program(self, segment: Segment) -> str:
        """Name the program."""
        return Program.objects.values_list("name", flat=True).get(pk=segment.program_id)

    @display(description="Members")
    def members(self, segment: Segment) -> str:
        """Count who is in it."""
        counts = count_members_of(segment.program_id, [segment.code])
        return f"{counts.get(segment.code, 0):,}"
