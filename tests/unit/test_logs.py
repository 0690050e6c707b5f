"""What the log leaves out."""

import logging


def test_a_worker_that_starts_late_does_not_tell_of_each_turn_that_it_drops() -> None:
    """Beat rings while the worker loads: thirty lines would stand between start and demo."""
    dropped = logging.getLogger("celery.worker.request")
    assert not dropped.isEnabledFor(logging.INFO)
    assert dropped.isEnabledFor(logging.WARNING)
