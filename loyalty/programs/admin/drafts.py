"""Saving in the admin edits the draft: tills see nothing of it before somebody publishes.

The draft is always one that could be published: where what is saved would contradict the rest of
the program, nothing is saved, and the form is shown again with each problem at its field.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.db import models, transaction
from django.db.models import F
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.admin import ModelAdmin

from loyalty.http.actors import actors_named, colleague
from loyalty.programs import drafts, scheduling, selectors, services
from loyalty.programs.admin.located import Located, locate
from loyalty.programs.models import Program
from loyalty.programs.problems import DocumentInvalid

SHOWN_PROGRAMS = 5
"""Above a list of all programs' rows, the drafts that were edited last."""


class DraftRefused(Exception):
    """The draft would contradict itself; raised to roll back what was saved."""

    def __init__(self, problems: Sequence[Located]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


class DraftAdmin(ModelAdmin):
    """Admin of a program or of a part of one: each save is an edit of the draft."""

    list_before_template = "admin/loyalty/draft/banner.html"
    change_form_outer_before_template = "admin/loyalty/draft/banner.html"
    change_form_before_template = "admin/loyalty/draft/seen.html"

    def program_of(self, obj: Any) -> int:
        """Tell to which program a row belongs."""
        program_id: int = obj.pk if isinstance(obj, Program) else obj.program_id
        return program_id

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> "type[forms.ModelForm[Any]]":
        """Give the form what was refused a moment ago, so that it says so."""
        form = super().get_form(request, obj, change=change, **kwargs)
        inlines = {inline.model for inline in self.inlines}
        refused = [p for p in _refused(request) if p.model not in inlines]
        return type(form.__name__, (form,), {"problems": refused})

    def get_formset_kwargs(
        self, request: HttpRequest, obj: Any, inline: Any, prefix: str
    ) -> dict[str, Any]:
        """Hand the problems to the inline rows to which they belong."""
        kwargs: dict[str, Any] = super().get_formset_kwargs(request, obj, inline, prefix)
        kwargs["form_kwargs"] = {"problems": _refused(request)}
        return kwargs

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save the rows, and check what the draft is with them: both in one transaction."""
        super().save_related(request, form, formsets, change)
        if not change or form.has_changed() or any(rows.has_changed() for rows in formsets):
            self._edited(request, self.program_of(form.instance))

    def delete_model(self, request: HttpRequest, obj: models.Model) -> None:
        """Take the part out of the draft."""
        program_id = self.program_of(obj)
        drafts.lock(program_id)
        super().delete_model(request, obj)
        self._edited(request, program_id)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        """Show above the list what is not live yet."""
        programs = Program.objects.order_by(F("edited_at").desc(nulls_last=True))[:SHOWN_PROGRAMS]
        context = {"drafts": banners(programs), **(extra_context or {})}
        return super().changelist_view(request, context)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Lock the program for a save; show the form again where the draft was refused."""
        page = super().changeform_view
        context = {"drafts": banners(self._programs(request, object_id)), **(extra_context or {})}
        try:
            with transaction.atomic():
                if request.method == "POST":
                    self._lock(request, object_id)
                return page(request, object_id, form_url, context)
        except DraftRefused as refused:  # by now all is rolled back
            setattr(request, "refused", refused.problems)  # noqa: B010 -- not a field of Django's
            return page(request, object_id, form_url, context)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Explain why a part cannot be taken out, where others need it."""
        try:
            answer: HttpResponse = super().delete_view(request, object_id, extra_context)
        except DraftRefused as refused:
            for problem in refused.problems:
                messages.error(request, str(problem))
            opts = self.model._meta
            change = f"{self.admin_site.name}:{opts.app_label}_{opts.model_name}_change"
            return HttpResponseRedirect(reverse(change, args=[object_id]))
        return answer

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Leave out deleting many at once, which would check nothing."""
        actions: dict[str, Any] = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def _programs(self, request: HttpRequest, object_id: str | None) -> Iterable[Program]:
        row = self.get_object(request, object_id) if object_id else None
        if row is None:
            return Program.objects.all()[:1] if self.model is not Program else ()
        return Program.objects.filter(pk=self.program_of(row))

    def _lock(self, request: HttpRequest, object_id: str | None) -> None:
        """Make two who save into one program wait for each other."""
        row = self.get_object(request, object_id) if object_id else None
        named = request.POST.get("program", "")
        if row is not None:
            drafts.lock(self.program_of(row))
        elif named.isdecimal() and Program.objects.filter(pk=named).exists():
            drafts.lock(int(named))

    def _edited(self, request: HttpRequest, program_id: int) -> None:
        drafts.mark_edited(program_id, actor=colleague(request), is_logged=True)
        program = Program.objects.get(pk=program_id)
        try:
            services.check_draft(program)
        except DocumentInvalid as invalid:
            raise DraftRefused(locate(program, invalid.problems)) from invalid


def banners(programs: Iterable[Program]) -> list[dict[str, Any]]:
    """Tell of each program what is not live yet, and what is planned."""
    shown = []
    for program in programs:
        plan = scheduling.worth_telling(program)
        planner = plan.scheduled_by if plan else ""
        who = actors_named([program.edited_by, planner])
        shown.append(
            {
                "program": program,
                "changes": selectors.count_unpublished(program),
                "editor": who[program.edited_by],
                "plan": plan,
                "planner": who[planner],
                "stale": plan is not None and plan.revision != program.revision,
            }
        )
    return shown


def _refused(request: HttpRequest) -> Sequence[Located]:
    found: Sequence[Located] = getattr(request, "refused", ())
    return found
