"""Periodic jobs; each calls one service."""

from celery import shared_task
from django.utils import timezone

from loyalty.http.idempotency import delete_old_keys
from loyalty.nightly import services as nightly
from loyalty.nightly import velocity
from loyalty.programs import scheduling
from loyalty.trials import services as trials


@shared_task(name="loyalty.lapse_holds")
def lapse_holds() -> None:
    """Let go of holds past their time (each minute)."""
    nightly.lapse_holds()


@shared_task(name="loyalty.settle_referrals")
def settle_referrals() -> None:
    """Give referrers what is theirs of their friends' purchases (each minute)."""
    nightly.settle_referrals()


@shared_task(name="loyalty.raise_signals")
def raise_signals() -> None:
    """Tell of receipts and adjustments that are too many for an hour (each minute)."""
    velocity.raise_signals()


@shared_task(name="loyalty.publish_scheduled")
def publish_scheduled() -> None:
    """Publish the drafts whose time has come (every ten seconds)."""
    scheduling.publish_due(now=timezone.now())


@shared_task(name="loyalty.run_nightly")
def run_nightly() -> None:
    """Run the nights that are due (every quarter of an hour)."""
    nightly.run_nightly()


@shared_task(name="loyalty.delete_old_keys")
def delete_old_keys_task() -> None:
    """Forget idempotency keys after 30 days (daily)."""
    delete_old_keys()


@shared_task(name="loyalty.run_backtest", acks_late=False)
def run_backtest(backtest_id: int) -> None:
    """Run a backtest that somebody asked for in the admin."""
    trials.run_in_own_process(backtest_id)
