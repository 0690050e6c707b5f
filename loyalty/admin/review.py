"""Review a draft, then publish it: what differs from what is live, what may not be meant, and why.

What is published is the draft that was shown: each form names its revision.
"""

from typing import Any, Protocol

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.views.decorators.http import require_POST
from unfold.widgets import UnfoldAdminRadioSelectWidget, UnfoldAdminTextInputWidget

from loyalty.admin.facts import facts_of
from loyalty.admin.forms import in_words, local_time, may_publish, reason_field
from loyalty.admin.values import values_view
from loyalty.errors import LoyaltyError
from loyalty.http.actors import colleague, named
from loyalty.programs import scheduling, selectors, services
from loyalty.programs.admin.drafts import banners
from loyalty.programs.admin.located import locate
from loyalty.programs.advice import advise
from loyalty.programs.changes import changes, grouped
from loyalty.programs.models import Program, PublishedVersion
from loyalty.programs.problems import DocumentInvalid

NOW, LATER = "now", "later"


class PublishForm(forms.Form):
    """Why, and when."""

    revision = forms.IntegerField(widget=forms.HiddenInput)
    reason = reason_field()
    when = forms.ChoiceField(
        label="When",
        choices=[(NOW, "now: tills use it from their next request on"), (LATER, "at a time")],
        initial=NOW,
        widget=UnfoldAdminRadioSelectWidget(),
    )
    at = forms.CharField(
        label="At",
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"type": "datetime-local"}),
    )

    def __init__(self, *args: Any, program: Program, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.program = program
        self.fields["at"].help_text = f"In the time of {program.timezone}."

    def clean(self) -> dict[str, Any]:
        """Read the time by the program's clock."""
        found: dict[str, Any] = super().clean() or {}
        if found.get("when") == LATER:
            try:
                found["at"] = local_time(found.get("at", ""), self.program.timezone)
            except ValueError as error:
                self.add_error("at", str(error))
        return found


class _Admin(Protocol):
    admin_site: Any
    opts: Any


class ReviewPages:
    """Mixin of the versions' admin: the pages on which the next version is made."""

    def get_urls(self: Any) -> list[URLPattern]:
        """Add the pages of a program's draft."""
        pages = {
            "review": self.review_view,
            "discard": self.discard_view,
            "cancel": self.cancel_view,
            "values": values_view,
        }
        own = [
            path(
                f"{name}/<int:program_id>/",
                self.admin_site.admin_view(view),
                name="loyalty_review" if name == "review" else f"loyalty_review_{name}",
            )
            for name, view in pages.items()
        ]
        return [*own, *super().get_urls()]  # type: ignore[misc]  # of the admin it is mixed into

    def review_view(self: Any, request: HttpRequest, program_id: int) -> HttpResponse:
        """Show the draft against what is live; publish it, or plan that."""
        if not request.user.has_perm("loyalty.view_publishedversion"):
            raise PermissionDenied
        program = get_object_or_404(Program, pk=program_id)
        sent = request.POST if request.method == "POST" else None
        form = PublishForm(sent, program=program, initial={"revision": program.revision})
        if sent is not None:
            if not may_publish(request):
                raise PermissionDenied
            if form.is_valid() and _publish(request, program, form):
                return HttpResponseRedirect(_page_of(program))
        context = {**_shown(program), **_page(self, request, f"Review {program.name}")}
        context |= {"form": form, "may_publish": may_publish(request)}
        return TemplateResponse(request, "admin/loyalty/draft/review.html", context)

    def discard_view(self: Any, request: HttpRequest, program_id: int) -> HttpResponse:
        """Ask, then make the draft what is live again."""
        if not request.user.has_perm("loyalty.change_program"):
            raise PermissionDenied
        program = get_object_or_404(Program, pk=program_id, version__gt=0)
        if request.method == "POST":
            return _discard(request, program)
        context = {
            **_page(self, request, f"Discard the draft of {program.name}?"),
            "program": program,
            "groups": grouped(selectors.unpublished(program)),
        }
        return TemplateResponse(request, "admin/loyalty/draft/discard.html", context)

    def cancel_view(self: Any, request: HttpRequest, program_id: int) -> HttpResponse:
        """Take a planned publication back."""
        if not may_publish(request):
            raise PermissionDenied
        return _cancel(request, get_object_or_404(Program, pk=program_id))


def _publish(request: HttpRequest, program: Program, form: PublishForm) -> bool:
    """Do what the form says; False where it was refused, and the form says why."""
    asked = form.cleaned_data
    who = {"actor": colleague(request), "reason": asked["reason"]}
    revision = asked["revision"]
    try:
        if asked["when"] == LATER:
            at, now = asked["at"], timezone.now()
            scheduling.schedule(program, at=at, now=now, revision=revision, **who)
            messages.success(request, f"Planned for {in_words(at, program.timezone)}.")
        else:
            version = services.publish(program, revision=revision, **who)
            messages.success(request, f"Version {version} is live.")
    except DocumentInvalid as invalid:
        for problem in locate(program, invalid.problems):
            form.add_error(None, str(problem))
        return False
    except LoyaltyError as refused:
        form.add_error(None, refused.detail)
        form.data = {**asked, "revision": program.revision}
        return False
    return True


def _shown(program: Program) -> dict[str, Any]:
    """What the draft is against what is live; read once, so that all of it is of one state."""
    live = PublishedVersion.objects.filter(program=program).order_by("-version").first()
    before = live.document if live else None
    draft = selectors.draft_document(program)
    found = changes(before, draft)
    shown = {
        "program": program,
        "live": live,
        "publisher": named(live.published_by) if live else "",
        "groups": grouped(found),
        "count": len(found),
    }
    try:
        services.check_draft(program)
    except DocumentInvalid as invalid:
        return {**shown, **_plan(program), "problems": locate(program, invalid.problems)}
    return {**shown, **_plan(program), "advice": advise(before, draft, facts_of(program))}


def _plan(program: Program) -> dict[str, Any]:
    banner = banners([program])[0]
    return {name: banner[name] for name in ("plan", "planner", "stale", "editor")}


def _discard(request: HttpRequest, program: Program) -> HttpResponse:
    try:
        services.discard_draft(program, actor=colleague(request))
        messages.success(request, f"The draft is what version {program.version} is again.")
    except LoyaltyError as refused:
        messages.error(request, refused.detail)
    return HttpResponseRedirect(_page_of(program))


@require_POST
def _cancel(request: HttpRequest, program: Program) -> HttpResponse:
    try:
        scheduling.cancel(program, actor=colleague(request))
        messages.success(request, "The planned publication is cancelled.")
    except LoyaltyError as refused:
        messages.error(request, refused.detail)
    return HttpResponseRedirect(_page_of(program))


def _page(admin: _Admin, request: HttpRequest, title: str) -> dict[str, Any]:
    return {**admin.admin_site.each_context(request), "title": title, "opts": admin.opts}


def _page_of(program: Program) -> str:
    return reverse("admin:loyalty_review", args=[program.pk])
