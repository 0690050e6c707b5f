"""Published versions: who changed what, when and why; compare two, go back to one."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from unfold.decorators import action, display

from loyalty.admin.forms import may_publish, reason_field
from loyalty.admin.review import ReviewPages
from loyalty.errors import LoyaltyError
from loyalty.http.actors import actors_named, colleague
from loyalty.programs import files, selectors, services
from loyalty.programs.admin.actors import NamesActors
from loyalty.programs.changes import changes, grouped
from loyalty.programs.models import Program, PublishedVersion
from loyalty.programs.problems import DocumentInvalid, told

DRAFT = "draft"


class RollBackForm(forms.Form):
    """Why somebody goes back."""

    reason = reason_field()


@admin.register(PublishedVersion)
class PublishedVersionAdmin(ReviewPages, NamesActors):
    """The versions of all programs, newest first."""

    empty_words = "Nothing is published yet. Review a program's draft, and publish it there."
    list_display = ("headline", "program", "why", "changes", "publisher", "published_at")
    actor_fields = ("published_by",)
    list_display_links = ("headline",)
    list_filter = ("program",)
    list_select_related = ("program",)
    ordering = ("-published_at",)
    actions_detail = ("compare_with_live", "roll_back")
    fields = (
        "program",
        "version",
        "published_at",
        "publisher",
        "why",
        "changed",
        "program_file",
    )
    readonly_fields = ("publisher", "why", "changed", "program_file")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never: a draft is published after a review."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: ledger transactions are explained by what was published."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: ledger transactions are explained by what was published."""
        return False

    def has_publish_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Whoever may publish may go back, too."""
        return may_publish(request)

    def get_urls(self) -> list[URLPattern]:
        """Add the comparison of two versions."""
        wrap = self.admin_site.admin_view
        compare = path(
            "compare/<int:program_id>/", wrap(self.compare_view), name="loyalty_compare_versions"
        )
        return [compare, *super().get_urls()]

    @action(description="Compare with what is live", url_path="compare-with-live", icon="compare")
    def compare_with_live(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Lead to the comparison."""
        version = self._version(request, object_id)
        address = reverse("admin:loyalty_compare_versions", args=[version.program_id])
        live = version.program.version
        return HttpResponseRedirect(f"{address}?from={version.version}&to={live}")

    @action(
        description="Go back to this version",
        url_path="roll-back",
        icon="restore",
        permissions=["publish"],
    )
    def roll_back(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show what going back would change, ask why, and publish that version anew."""
        version = self._version(request, object_id)
        form = RollBackForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            answer = self._go_back(request, version, form)
            if answer is not None:
                return answer
        program = version.program
        live = selectors.live_document(program.pk)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Go back to version {version.version}?",
            "opts": self.opts,
            "version": version,
            "program": program,
            "groups": grouped(changes(live, version.document)),
            "unpublished": selectors.count_unpublished(program),
            "form": form,
        }
        return TemplateResponse(request, "admin/loyalty/version/roll_back.html", context)

    def _go_back(
        self, request: HttpRequest, version: PublishedVersion, form: forms.Form
    ) -> HttpResponse | None:
        actor, reason = colleague(request), form.cleaned_data["reason"]
        try:
            now = services.roll_back(version.program, version.version, actor=actor, reason=reason)
        except DocumentInvalid as invalid:
            for problem in invalid.problems:
                form.add_error(None, told(problem, version.document))
            return None
        except LoyaltyError as error:
            form.add_error(None, error.detail)
            return None
        messages.success(
            request, f"Version {now} is live: what version {version.version} was, again."
        )
        return HttpResponseRedirect(reverse("admin:loyalty_publishedversion_changelist"))

    def compare_view(self, request: HttpRequest, program_id: int) -> HttpResponse:
        """Show in words what differs between two versions, or a version and the draft."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        program = Program.objects.filter(pk=program_id).first()
        if program is None or not program.version:
            raise Http404
        chosen = {
            "from": request.GET.get("from") or str(max(program.version - 1, 1)),
            "to": request.GET.get("to") or str(program.version),
        }
        found = changes(_document(program, chosen["from"]), _document(program, chosen["to"]))
        context = {
            **self.admin_site.each_context(request),
            "title": f"Compare versions of {program.name}",
            "opts": self.opts,
            "program": program,
            "chosen": chosen,
            "versions": _versions_of(program),
            "groups": grouped(found),
        }
        return TemplateResponse(request, "admin/loyalty/version/compare.html", context)

    def _version(self, request: HttpRequest, object_id: str) -> PublishedVersion:
        version = self.get_object(request, object_id)
        if version is None or not self.has_view_permission(request, version):
            raise Http404
        found: PublishedVersion = version
        return found

    @display(description="Published by")
    def publisher(self, version: Any) -> str:
        """Name the colleague, the API key or the command."""
        name: str = version.named[version.published_by]
        return name

    @display(description="What changed")
    def changed(self, version: PublishedVersion) -> Any:
        """List what changed, one line each."""
        return format_html_join("", "<p>{}</p>", ((line,) for line in version.summary.splitlines()))

    @display(description="As a program file")
    def program_file(self, version: PublishedVersion) -> Any:
        """Show the whole program as `program export` writes it, to compare or to apply again."""
        return format_html('<pre class="ly-file">{}</pre>', files.export(version.document))

    @display(description="Version", ordering="version")
    def headline(self, version: PublishedVersion) -> str:
        """Name the version."""
        live = version.version == version.program.version
        return f"Version {version.version}{' (live)' if live else ''}"

    @display(description="Why")
    def why(self, version: PublishedVersion) -> str:
        """Show the reason, and which version it went back to."""
        back = f"Back to version {version.restores}." if version.restores else ""
        return f"{back} {version.reason}".strip() or "–"

    @display(description="What changed")
    def changes(self, version: PublishedVersion) -> str:
        """Show the first lines of what changed."""
        lines = version.summary.splitlines()
        more = f" … and {len(lines) - 2} more" if len(lines) > 2 else ""
        return f"{'; '.join(lines[:2])}{more}"


def _versions_of(program: Program) -> list[dict[str, Any]]:
    rows = list(program.versions.values("version", "published_at", "published_by"))
    who = actors_named(row["published_by"] for row in rows)
    return [{**row, "publisher": who[row["published_by"]]} for row in rows]


def _document(program: Program, name: str) -> dict[str, Any]:
    if name == DRAFT:
        return selectors.draft_document(program)
    if not name.isdecimal() or len(name) > 9:
        raise Http404
    try:
        return selectors.version_document(program.pk, int(name))
    except LoyaltyError as error:
        raise Http404 from error
