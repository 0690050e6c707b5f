"""The record of a night: what is done, how far the present step is, what failed."""

import time
from collections.abc import Sequence
from datetime import date
from uuid import UUID

import structlog
from django.utils import timezone

from loyalty.nightly.models import NightlyRun, NightlyStep

log = structlog.get_logger(__name__)

LOG_SECONDS = 10


def begin_run(program_id: int, today: date, steps: Sequence[str]) -> NightlyRun:
    """Open the night's record, or the one of a night that was cut short.

    A night that is done and run again begins anew.
    """
    now = timezone.now()
    last = (
        NightlyRun.objects.filter(program_id=program_id, day__lt=today, finished_at__isnull=False)
        .order_by("-day")
        .first()
    )
    since = date.fromordinal(last.day.toordinal() + 1) if last else today
    run, _ = NightlyRun.objects.get_or_create(
        program_id=program_id,
        day=today,
        defaults={"since": since, "started_at": now, "updated_at": now},
    )
    if run.finished_at is not None:
        run.steps.all().delete()
        run.started_at, run.finished_at = now, None
        run.save(update_fields=["started_at", "finished_at"])
    NightlyStep.objects.bulk_create(
        [NightlyStep(run=run, position=n, name=name) for n, name in enumerate(steps)],
        ignore_conflicts=True,
    )
    return run


def end_run(run: NightlyRun) -> NightlyRun:
    """Close the night's record."""
    run.finished_at = run.updated_at = timezone.now()
    run.save(update_fields=["finished_at", "updated_at"])
    log.info("night_done", program=run.program_id, day=run.day.isoformat())
    return run


class StepProgress:
    """Keeps a step's row up to date, and says in the log how far it is."""

    def __init__(self, run: NightlyRun, step: NightlyStep) -> None:
        self.run = run
        self.step = step
        self._told = time.monotonic()
        if step.started_at is None:
            step.started_at = timezone.now()
        self._save("started_at")

    def add(
        self, after: UUID, *, members: int, changed: int, failures: Sequence[BaseException]
    ) -> None:
        """Note a page of members as done: a night that is cut short goes on behind it."""
        step = self.step
        step.after = after
        step.members += members
        step.changed += changed
        step.errors += len(failures)
        if failures and not step.error:
            step.error = f"{type(failures[0]).__name__}: {failures[0]}"[:1000]
        self._save("after", "members", "changed", "errors", "error")
        if time.monotonic() - self._told >= LOG_SECONDS:
            self._told = time.monotonic()
            self._log("night_goes_on")

    def end(self) -> None:
        """Note the step as done."""
        self.step.finished_at = timezone.now()
        self._save("finished_at")
        self._log("night_step_done")

    def _save(self, *fields: str) -> None:
        self.step.save(update_fields=fields)
        self.run.updated_at = timezone.now()
        self.run.save(update_fields=["updated_at"])

    def _log(self, event: str) -> None:
        step = self.step
        log.info(
            event,
            program=self.run.program_id,
            day=self.run.day.isoformat(),
            step=step.name,
            members=step.members,
            changed=step.changed,
            errors=step.errors,
        )
