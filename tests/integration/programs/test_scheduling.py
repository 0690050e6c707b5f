"""Publications at a time: made once, of the draft that was reviewed, or refused with the reason."""

from datetime import UTC, datetime, timedelta

import pytest

from loyalty.errors import DraftChanged, NotFound, ValidationFailed
from loyalty.programs import scheduling, services
from loyalty.programs.drafts import mark_edited
from loyalty.programs.models import Outcome, Program, Reward, ScheduledPublication

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=2)


def edit(program: Program, cost: int) -> None:
    Reward.objects.filter(program=program, code="five-off").update(cost=cost)
    mark_edited(program.pk, actor="ann")
    program.refresh_from_db()


def plan(program: Program, **changes: object) -> ScheduledPublication:
    asked = {"at": LATER, "now": NOW, "actor": "ann", "reason": "Spring"}
    return scheduling.schedule(program, **{**asked, "revision": program.revision, **changes})  # type: ignore[arg-type]


def state(program: Program) -> tuple[str, str]:
    done = program.scheduled.all()[0]
    return done.state, done.said


def test_a_draft_is_published_at_its_time_and_not_before(grocer: Program) -> None:
    edit(grocer, 450)
    plan(grocer)
    assert scheduling.publish_due(now=LATER - timedelta(seconds=1)) == 0
    assert scheduling.publish_due(now=LATER) == 1
    live = grocer.versions.all()[0]
    assert (live.version, live.published_by, live.reason) == (2, "ann", "Spring")
    assert state(grocer) == (Outcome.PUBLISHED, "Version 2 is live.")
    assert scheduling.publish_due(now=LATER) == 0


def test_a_draft_that_was_edited_since_is_not_published(grocer: Program) -> None:
    edit(grocer, 450)
    plan(grocer)
    edit(grocer, 400)
    assert scheduling.publish_due(now=LATER) == 1
    assert Program.objects.get(pk=grocer.pk).version == 1
    assert state(grocer) == (
        Outcome.REFUSED,
        "ann has edited the draft since; look at it again.",
    )
    assert scheduling.worth_telling(grocer) is not None
    services.publish(grocer, actor="ann")
    assert scheduling.worth_telling(grocer) is None


def test_a_draft_that_is_not_accepted_any_more_is_not_published(grocer: Program) -> None:
    edit(grocer, 450)
    plan(grocer)
    Reward.objects.filter(program=grocer, code="mug").update(tiers=["platinum"])
    scheduling.publish_due(now=LATER)
    assert Program.objects.get(pk=grocer.pk).version == 1
    assert "rewards[mug].tiers[0]" in state(grocer)[1]


def test_a_plan_replaces_the_one_before_and_can_be_cancelled(grocer: Program) -> None:
    edit(grocer, 450)
    plan(grocer)
    plan(grocer, at=LATER + timedelta(hours=1))
    assert scheduling.publish_due(now=LATER) == 0
    scheduling.cancel(grocer, actor="bob")
    assert state(grocer) == (Outcome.CANCELLED, "Cancelled by bob.")
    with pytest.raises(NotFound):
        scheduling.cancel(grocer, actor="bob")


def test_publishing_before_its_time_ends_the_plan(grocer: Program) -> None:
    edit(grocer, 450)
    plan(grocer)
    services.publish(grocer, actor="bob", reason="Now already")
    assert state(grocer) == (Outcome.CANCELLED, "Version 2 was published before, by bob.")


def test_what_was_not_reviewed_or_is_past_cannot_be_planned(grocer: Program) -> None:
    with pytest.raises(DraftChanged):
        plan(grocer, revision=grocer.revision - 1)
    with pytest.raises(ValidationFailed):
        plan(grocer, at=NOW)
    with pytest.raises(DraftChanged):
        services.publish(grocer, actor="ann", revision=grocer.revision - 1)
