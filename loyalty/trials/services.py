"""Ask for backtests, run them, cancel them; the result is a row, and the ledger is only read."""

import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import structlog
from celery import current_app
from django.conf import settings
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now
from kombu.exceptions import OperationalError

from loyalty.errors import LoyaltyError, ValidationFailed
from loyalty.programs.compilation import compile_program
from loyalty.programs.models import Program
from loyalty.trials.candidates import Candidate, live_of
from loyalty.trials.evaluation import evaluate
from loyalty.trials.models import Backtest

log = structlog.get_logger(__name__)

BEAT_SECONDS = 0.5
LOST_AFTER = timedelta(seconds=60)
"""A backtest whose process has said nothing for so long was killed with it."""
LOST = "The process that ran it ended before it was done. Start it again."
LONGEST_DAYS = 3 * 366

State = Backtest.State


class Cancelled(Exception):
    """Somebody cancelled it, or another process has taken it over."""


def ask(program: Program, tried: Candidate, *, begin: date, end: date, actor: str) -> Backtest:
    """Write down that somebody wants a backtest; nothing runs yet.

    Raises:
        ValidationFailed: The period is none, or the program has no orders because it was never
            published.
    """
    problem = ""
    if end < begin:
        problem = "The last day is before the first."
    elif (end - begin).days > LONGEST_DAYS:
        problem = "A backtest covers three years at most."
    elif not program.version:
        problem = "This program was never published, so there are no orders to try it on."
    if problem:
        raise ValidationFailed(problem, errors=[{"pointer": "/end", "message": problem}])
    return Backtest.objects.create(
        program=program,
        label=tried.label[:100],
        document=tried.document,
        live_version=program.version,
        begin=begin,
        end=end,
        created_by=actor,
    )


def run_backtest(
    backtest_id: int, *, progress: Callable[[int, int], None] = lambda done, total: None
) -> Backtest:
    """Run a backtest that waits; others are left alone."""
    if not _take(backtest_id):
        return Backtest.objects.get(pk=backtest_id)
    return run_taken(backtest_id, progress=progress)


def run_taken(
    backtest_id: int, *, progress: Callable[[int, int], None] = lambda done, total: None
) -> Backtest:
    """Run a backtest that somebody has taken for this process."""
    backtest = Backtest.objects.select_related("program").get(pk=backtest_id)
    try:
        result = _evaluate(backtest, _Beat(backtest_id, progress))
    except Cancelled:
        log.info("backtest_cancelled", backtest=backtest_id)
    except Exception as error:
        problem = error.detail if isinstance(error, LoyaltyError) else f"An error: {error}"
        _end(backtest_id, State.FAILED, problem=problem)
        if not isinstance(error, LoyaltyError):
            raise
    else:
        _end(backtest_id, State.DONE, result=result, orders_done=F("orders_total"))
    backtest.refresh_from_db()
    return backtest


def cancel(backtest_id: int) -> bool:
    """Stop a backtest that has not ended; its process notices within a second."""
    return _end(backtest_id, State.CANCELLED)


def ring(backtest_id: int) -> None:
    """Ask a worker to run it. A lost message loses nothing: the page asks again."""
    try:
        current_app.send_task("loyalty.run_backtest", [backtest_id], ignore_result=True)
    except OperationalError as away:
        log.warning("backtest_not_rung", backtest=backtest_id, error=str(away))


def run_in_own_process(backtest_id: int) -> None:
    """Run it beside the worker's threads, which deliver to CRMs and must not wait for it.

    It is taken before its process starts, which takes seconds on a busy machine: the page asks
    again meanwhile, and each question would start another process.
    """
    if not _take(backtest_id):
        return
    command = [sys.executable, "manage.py", "backtest", "--run", str(backtest_id)]
    code = subprocess.run(command, cwd=settings.BASE_DIR, check=False).returncode
    if code and _end(backtest_id, State.FAILED, problem=LOST):
        log.warning("backtest_lost", backtest=backtest_id, code=code)


def give_up_lost() -> int:
    """Say of backtests whose process was killed that it was; return how many."""
    lost = Backtest.objects.filter(state=State.RUNNING, beat_at__lt=Now() - LOST_AFTER)
    return lost.update(state=State.FAILED, finished_at=Now(), problem=LOST)


def _take(backtest_id: int) -> bool:
    waiting = Backtest.objects.filter(pk=backtest_id, state=State.WAITING)
    changes = {"state": State.RUNNING, "started_at": Now(), "beat_at": Now(), "orders_done": 0}
    return bool(waiting.update(**changes))


def _evaluate(backtest: Backtest, beat: "_Beat") -> dict[str, Any]:
    program = backtest.program
    live = live_of(program)
    assert live is not None
    tried = compile_program(backtest.document, id=program.pk, version=backtest.live_version)
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now = cursor.fetchone()[0]
    began = time.monotonic()
    result = evaluate(
        tried, live.program, begin=backtest.begin, end=backtest.end, now=now, progress=beat
    )
    result["seconds"] = round(time.monotonic() - began, 1)
    return result


def _end(backtest_id: int, state: str, **changes: Any) -> bool:
    open_ = Backtest.objects.filter(pk=backtest_id, state__in=(State.WAITING, State.RUNNING))
    return bool(open_.update(state=state, finished_at=Now(), **changes))


class _Beat:
    """Says now and then how far it is, and notices that it was cancelled."""

    def __init__(self, backtest_id: int, progress: Callable[[int, int], None]) -> None:
        self._id = backtest_id
        self._progress = progress
        self._next = 0.0

    def __call__(self, done: int, total: int) -> None:
        """Raise Cancelled where somebody has ended it."""
        self._progress(done, total)
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + BEAT_SECONDS
        running = Backtest.objects.filter(pk=self._id, state=State.RUNNING)
        if not running.update(orders_done=done, orders_total=total, beat_at=Now()):
            raise Cancelled
