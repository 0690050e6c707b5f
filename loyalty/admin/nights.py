"""Each night's run: what it did step by step, how long it took, what failed."""

from datetime import datetime, timedelta
from typing import Any, Final

from django.contrib import admin
from django.db.models import QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from unfold.decorators import display

from loyalty.admin.access import RowPageAdmin
from loyalty.admin.filters import ProgramFilter
from loyalty.nightly.models import NightlyRun, NightlyStep
from loyalty.programs.models import Program

QUIET: Final = timedelta(minutes=5)
"""After so long without a sign of life a night was cut short; the next ring goes on with it."""

STEP_NAMES: Final = {
    "points": "Points become usable, and expire",
    "rewards": "Rewards that are redeemed by themselves",
    "tiers": "Warnings, renewals and changes of tiers",
    "occasions": "Birthdays and anniversaries",
    "expiring": "Notices of points that expire soon",
    "inactive": "Notices of members who stay away",
}
STATE_COLOURS: Final = {"done": "success", "running": "info", "cut short": "danger"}


@admin.register(NightlyRun)
class NightAdmin(RowPageAdmin):
    """The nights, newest first."""

    empty_words = (
        "No night has come yet. It is worked through from 2 o'clock on, by each program's clock."
    )
    list_display = ("night", "program", "state", "took", "members", "changed", "failed")
    list_filter = (ProgramFilter,)
    list_filter_submit = True
    ordering = ("-day", "program_id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[NightlyRun]:
        """Add the sums over a night's steps."""
        rows: QuerySet[NightlyRun] = super().get_queryset(request)
        return rows.annotate(
            looked_at=Sum("steps__members"), did=Sum("steps__changed"), wrong=Sum("steps__errors")
        )

    @display(description="Night to")
    def night(self, run: NightlyRun) -> Any:
        """Show the local day that began."""
        return run.day

    @display(description="Program")
    def program(self, run: NightlyRun) -> str:
        """Name the program."""
        return Program.objects.values_list("name", flat=True).get(pk=run.program_id)

    @display(description="State", label=STATE_COLOURS)
    def state(self, run: NightlyRun) -> str:
        """Show whether it is done, runs, or was cut short."""
        return state_of(run)

    @display(description="Took")
    def took(self, run: NightlyRun) -> str:
        """Show how long."""
        return duration(run.started_at, run.finished_at or run.updated_at)

    @display(description="Members")
    def members(self, run: Any) -> str:
        """Show how many were looked at."""
        return f"{run.looked_at or 0:,}"

    @display(description="With a change")
    def changed(self, run: Any) -> str:
        """Show for how many something happened."""
        return f"{run.did or 0:,}"

    @display(description="Failed")
    def failed(self, run: Any) -> str:
        """Show for how many something failed."""
        return f"{run.wrong:,}" if run.wrong else "–"

    def show_row(self, request: HttpRequest, run: Any) -> HttpResponse:
        """Show one night, step by step."""
        program = Program.objects.get(pk=run.program_id)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Night to {run.day:%-d %B %Y}",
            "opts": self.opts,
            "original": run,
            "run": run,
            "program": program,
            "state": state_of(run),
            "took": duration(run.started_at, run.finished_at or run.updated_at),
            "steps": [_step_row(step) for step in run.steps.all()],
        }
        return TemplateResponse(request, "admin/loyalty/night/page.html", context)


def state_of(run: NightlyRun) -> str:
    """Say how a night is."""
    if run.finished_at is not None:
        return "done"
    return "running" if timezone.now() - run.updated_at < QUIET else "cut short"


def duration(start: datetime, end: datetime) -> str:
    """Write a time span as people read it."""
    seconds = (end - start).total_seconds()
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def _step_row(step: NightlyStep) -> dict[str, Any]:
    ended = step.finished_at or timezone.now()
    return {
        "name": STEP_NAMES.get(step.name, step.name),
        "state": "done" if step.finished_at else "begun" if step.started_at else "to come",
        "took": duration(step.started_at, ended) if step.started_at else "",
        "members": step.members,
        "changed": step.changed,
        "errors": step.errors,
        "error": step.error,
    }
