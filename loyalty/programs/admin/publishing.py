"""Saving in the admin publishes: what a marketer saves holds from the tills' next request on.

The tables are written and published in one transaction. Where the program would contradict
itself, nothing is saved, and the form is shown again with each problem at its field.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.db import models
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.admin import ModelAdmin

from loyalty.programs import entries, selectors
from loyalty.programs.models import (
    EarningRule,
    PartOfProgram,
    PointCurrency,
    Program,
    PublishedVersion,
    Reward,
    Store,
    TierLevel,
)
from loyalty.programs.problems import DocumentInvalid, Path, Problem, dotted
from loyalty.programs.services import publish

_LISTS: dict[str, tuple[type[PartOfProgram], entries.Part]] = {
    "stores": (Store, entries.STORE),
    "earning_rules": (EarningRule, entries.RULE),
    "rewards": (Reward, entries.REWARD),
}


@dataclass(frozen=True, slots=True)
class Located:
    """A problem of a program, at the row and column to which it belongs.

    Attributes:
        code: Of the row; empty where there is only one of the kind.
        column: Empty where the row as a whole is wrong.
    """

    model: type[PartOfProgram]
    code: str
    column: str
    message: str

    def __str__(self) -> str:
        what = str(self.model._meta.verbose_name).capitalize()
        where = f"{what} “{self.code}”" if self.code else what
        words = self.column.replace("_", " ")
        return f"{where}{f', {words}' if words else ''}: {self.message}"


class NotPublishable(Exception):
    """The draft contradicts itself; raised to roll back what was saved."""

    def __init__(self, problems: Sequence[Located]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


class PublishingAdmin(ModelAdmin):
    """Admin of a program or of a part of one: each change is published with its save."""

    def program_of(self, obj: Any) -> int:
        """Tell to which program a row belongs."""
        program_id: int = obj.pk if isinstance(obj, Program) else obj.program_id
        return program_id

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> "type[forms.ModelForm[Any]]":
        """Give the form what publishing refused a moment ago, so that it says so."""
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
        """Save the rows, then publish: both in the admin's transaction."""
        super().save_related(request, form, formsets, change)
        self._publish(request, self.program_of(form.instance))

    def delete_model(self, request: HttpRequest, obj: models.Model) -> None:
        """Take the part out of the program, and publish that."""
        program_id = self.program_of(obj)
        super().delete_model(request, obj)
        self._publish(request, program_id)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Show the form again where publishing refused; by then all is rolled back."""
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except NotPublishable as refused:
            setattr(request, "refused", refused.problems)  # noqa: B010 -- not a field of Django's
            return super().changeform_view(request, object_id, form_url, extra_context)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Explain why a part cannot be taken out, where others need it."""
        try:
            answer: HttpResponse = super().delete_view(request, object_id, extra_context)
        except NotPublishable as refused:
            for problem in refused.problems:
                messages.error(request, str(problem))
            opts = self.model._meta
            change = f"{self.admin_site.name}:{opts.app_label}_{opts.model_name}_change"
            return HttpResponseRedirect(reverse(change, args=[object_id]))
        return answer

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Leave out deleting many at once, which would publish nothing."""
        actions: dict[str, Any] = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def _publish(self, request: HttpRequest, program_id: int) -> None:
        program = Program.objects.get(pk=program_id)
        before = program.version
        try:
            version = publish(program, actor=request.user.get_username())
        except DocumentInvalid as invalid:
            raise NotPublishable(locate(program, invalid.problems)) from invalid
        if version != before:
            said = PublishedVersion.objects.get(program=program, version=version).summary
            lines = said.splitlines()
            more = f" … and {len(lines) - 3} more" if len(lines) > 3 else ""
            messages.info(request, f"Published as version {version}: {'; '.join(lines[:3])}{more}.")


def _refused(request: HttpRequest) -> Sequence[Located]:
    found: Sequence[Located] = getattr(request, "refused", ())
    return found


def locate(program: Program, problems: Sequence[Problem]) -> list[Located]:
    """Find the row and column of each problem; the rows must still be as they were refused."""
    draft = selectors.draft(program)
    return [_locate(draft, problem) for problem in problems]


def _locate(draft: dict[str, Any], problem: Problem) -> Located:
    head, rest = problem.path[0] if problem.path else "", problem.path[1:]
    message = in_words(problem.message)
    if head in _LISTS:
        model, part = _LISTS[str(head)]
        return Located(model, *_row(draft[str(head)], part, rest), message)
    if problem.path[:2] == ("tiers", "levels"):
        levels = draft["tiers"]["levels"]
        return Located(TierLevel, *_row(levels, entries.LEVEL, rest[1:]), message)
    if head == "points":
        return Located(PointCurrency, "", _column(entries.POINTS, rest), message)
    path = rest if head == "tiers" else problem.path
    return Located(Program, "", _column(entries.HEAD, path), message)


def _row(rows: list[dict[str, Any]], part: entries.Part, path: Path) -> tuple[str, str]:
    if not path or not isinstance(path[0], int):
        return "", ""
    return str(rows[path[0]]["code"]), _column(part, path[1:])


def _column(part: entries.Part, path: Path) -> str:
    key = dotted(path).split("[")[0]
    return part.columns.get(key, key)


def in_words(message: str) -> str:
    """Turn the words of a program file's check into a sentence of a form."""
    words = message.removesuffix(".")
    for key, label in _WORDS.items():
        words = words.replace(key, label)
    return f"{words[:1].upper()}{words[1:]}."


_WORDS = {
    'either months or dates, or is "none"': "the number of months, or the dates",
    "maturity_days": "“Days until usable”",
    "amount_off or product": "an amount or a product",
    "points and per, or multiply, or bonus": "points for an amount, or a factor, or a bonus",
    "both points and per: 1 point per amount": "both: so many points, for each of this amount",
    "the trigger member.enrolled": "“joining the program”",
    "without when": "without conditions",
    "is missing": "must be filled in",
}
