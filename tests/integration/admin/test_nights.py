"""The nights: what each did, which is running, and which was cut short."""

from datetime import timedelta

from django.utils import timezone

from loyalty.admin.nights import STEP_NAMES
from loyalty.nightly.models import NightlyRun
from loyalty.nightly.services import run_night
from loyalty.nightly.steps import STEPS
from tests.factories import Till
from tests.integration.admin.forms import Marketer, text_of


def test_a_night_is_shown_step_by_step_and_never_changed(marketer: Marketer, till: Till):
    today = timezone.now().date()
    till.member(5, ends=timezone.now() + timedelta(days=3))
    run = run_night(till.program.pk, today=today)
    words = text_of(marketer.open("loyalty/nightlyrun/"))
    assert till.program.name in words and "done" in words
    page = f"loyalty/nightlyrun/{run.pk}/change/"
    words = text_of(marketer.open(page))
    assert "Points become usable, and expire" in words
    assert "1 member looked at · something changed for 1" in words
    assert marketer.client.post(f"/admin/loyalty/nightlyrun/{run.pk}/delete/").status_code == 403
    assert marketer.open("loyalty/nightlyrun/add/").status_code == 403


def test_every_step_has_a_name_in_words_in_their_order():
    assert list(STEP_NAMES) == list(STEPS)


def test_what_failed_and_what_was_cut_short_is_said(marketer: Marketer, till: Till):
    then = timezone.now() - timedelta(minutes=20)
    run = NightlyRun.objects.create(
        program_id=till.program.pk,
        day=then.date(),
        since=then.date(),
        started_at=then,
        updated_at=then,
    )
    run.steps.create(position=0, name="tiers", started_at=then, errors=2, error="ValueError: odd")
    page = f"loyalty/nightlyrun/{run.pk}/change/"
    words = text_of(marketer.open(page))
    assert "Cut short" in words and "It goes on by itself" in words
    assert "Failed for 2" in words and "ValueError: odd" in words
    NightlyRun.objects.filter(pk=run.pk).update(updated_at=timezone.now())
    assert "Running" in text_of(marketer.open(page))
