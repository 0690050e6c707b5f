"""Publications at a date and time: made by a person, done by a job each minute.

Which draft it is, is fixed when it is scheduled. Where the draft was edited since, or would not be
accepted any more, nothing is published, and what stood in the way is kept for the admin to show.
"""

from datetime import datetime

import structlog
from django.db import transaction
from django.db.models.functions import Now

from loyalty.errors import DraftChanged, NotFound, ValidationFailed
from loyalty.programs import drafts, selectors, services
from loyalty.programs.models import Outcome, Program, ScheduledPublication
from loyalty.programs.problems import DocumentInvalid, told

log = structlog.get_logger(__name__)


def schedule(
    program: Program, *, at: datetime, now: datetime, actor: str, reason: str, revision: int
) -> ScheduledPublication:
    """Have the draft published at a time, as it is now; an earlier plan is replaced.

    Args:
        now: A time that is not after it is refused: it would be published at once.
        revision: Of the draft that was reviewed.

    Raises:
        DraftChanged: The draft is not the one that was reviewed any more.
        ValidationFailed: The time is past.
        DocumentInvalid: The draft could not be published now either.
    """
    if at <= now:
        raise ValidationFailed("This time is past; choose a later one, or publish now.")
    with transaction.atomic():
        locked = drafts.lock(program.pk)
        if locked.revision != revision:
            raise DraftChanged(drafts.who_edited(locked))
        services.check_draft(locked)
        _finish(waiting(locked), Outcome.CANCELLED, f"Scheduled anew by {actor}.")
        return ScheduledPublication.objects.create(
            program=locked, revision=revision, publish_at=at, reason=reason, scheduled_by=actor
        )


def cancel(program: Program, *, actor: str) -> None:
    """Take a plan back.

    Raises:
        NotFound: Nothing is scheduled.
    """
    with transaction.atomic():
        planned = waiting(drafts.lock(program.pk))
        if planned is None:
            raise NotFound("Nothing is scheduled any more.")
        _finish(planned, Outcome.CANCELLED, f"Cancelled by {actor}.")


def waiting(program: Program) -> ScheduledPublication | None:
    """Find the publication that waits for its time."""
    return program.scheduled.filter(state=Outcome.WAITING).first()


def worth_telling(program: Program) -> ScheduledPublication | None:
    """Find the plan that people should know of: one that waits, or that failed and was not heeded.

    A publication since then shows that somebody has looked after it.
    """
    plan = program.scheduled.first()
    if plan is None or plan.state in (Outcome.PUBLISHED, Outcome.CANCELLED):
        return None
    since = program.versions.filter(published_at__gt=plan.finished_at or plan.scheduled_at)
    return None if plan.state == Outcome.REFUSED and since.exists() else plan


def publish_due(*, now: datetime) -> int:
    """Publish what is due; return how many plans were settled.

    Two workers at once settle each plan once: the second finds it settled under the lock.
    """
    due = ScheduledPublication.objects.filter(state=Outcome.WAITING, publish_at__lte=now)
    settled = [_settle(plan.pk, plan.program_id) for plan in due.order_by("publish_at")]
    return sum(settled)


def _settle(plan_id: int, program_id: int) -> bool:
    with transaction.atomic():
        program = drafts.lock(program_id)
        plan = ScheduledPublication.objects.get(pk=plan_id)
        if plan.state != Outcome.WAITING:
            return False
        _finish(plan, *_try(program, plan))
    log.info("scheduled_publication", program=program.code, state=plan.state, said=plan.said)
    return True


def _try(program: Program, plan: ScheduledPublication) -> tuple[Outcome, str]:
    try:
        with transaction.atomic():
            version = services.publish(
                program, actor=plan.scheduled_by, reason=plan.reason, revision=plan.revision
            )
    except DraftChanged as refused:
        return Outcome.REFUSED, refused.detail
    except DocumentInvalid as refused:
        draft = selectors.draft(program)
        return Outcome.REFUSED, "\n".join(told(problem, draft) for problem in refused.problems)
    return Outcome.PUBLISHED, f"Version {version} is live."


def _finish(plan: ScheduledPublication | None, state: Outcome, said: str) -> None:
    if plan is not None:
        ScheduledPublication.objects.filter(pk=plan.pk).update(
            state=state, said=said, finished_at=Now()
        )
        plan.state, plan.said = state, said
