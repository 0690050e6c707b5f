"""The night beside tills that go on, and a night's worker that is killed in the middle."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, timedelta

import pytest

from config.environment import BASE_DIR
from config.isolation import popen_arguments
from loyalty.ledger.audit import audit
from loyalty.nightly import services as nightly
from loyalty.nightly.models import NightlyRun
from tests.concurrency.delivery.workers import url_of_test_database
from tests.concurrency.tills import at_once, statuses
from tests.factories import Till, balance_of, connect, database_time, open_till, rows, unique

NIGHT = """
import sys, django
from datetime import date
django.setup()
from loyalty.nightly import services
services.BATCH = 2
services.run_night(int(sys.argv[1]), today=date.fromisoformat(sys.argv[2]))
"""


def wait_for(check: Callable[[], bool], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until
        time.sleep(0.05)


def with_points_that_end(many: int) -> tuple[Till, list[str]]:
    """Open a till whose members have 20 points each that have just ended, unposted yet."""
    till = open_till()
    cards = [till.member() for _ in range(many)]
    ends = database_time() + timedelta(milliseconds=500)
    till.send(*(till.adjusting(card, 20, ends=ends) for card in cards))
    wait_for(lambda: database_time() > ends)
    return till, cards


def today() -> date:
    return database_time().astimezone(UTC).date()


def expired_once(till: Till, cards: list[str]) -> None:
    ids = [till.ids[card] for card in cards]
    told = rows(
        "SELECT member_id::text, count(*) FROM loyalty_outboxevent"
        " WHERE member_id = ANY(%s) AND type = 'points.expired' GROUP BY member_id",
        ids,
    )
    assert dict(told) == dict.fromkeys(ids, 1)
    assert [found.rows for found in audit(members=ids) if found.rows] == []


def test_tills_earn_while_the_night_runs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(nightly, "BATCH", 4)
    till, cards = with_points_that_end(24)
    day = today()
    sales = [lambda c=card: till.earn(c, unique("o"), "3.00") for card in cards * 2]
    night, *sold = at_once([lambda: nightly.run_night(till.program.pk, today=day), *sales], tills=4)
    assert night.finished_at is not None
    assert [step.errors for step in night.steps.all()] == [0] * night.steps.count()
    assert statuses(sold) == {201: 48}
    assert [balance_of(till.ids[card])["available"] for card in cards] == [6] * 24
    expired_once(till, cards)


def test_a_nights_worker_that_is_killed_goes_on_where_it_was_and_does_nothing_twice():
    """kill -9 while it waits for a till in the middle of its second page."""
    till, cards = with_points_that_end(7)
    day = today()
    in_order = sorted(till.ids[card] for card in cards)
    environment = {**os.environ, "DATABASE_URL": url_of_test_database()}
    with connect() as busy, busy.transaction():
        busy.execute("SELECT FROM loyalty_memberstate WHERE member_id = %s FOR UPDATE",
                     [in_order[3]])  # fmt: skip
        worker = subprocess.Popen(
            [sys.executable, "-c", NIGHT, str(till.program.pk), day.isoformat()],
            env=environment,
            cwd=BASE_DIR,
            **popen_arguments(when_parent_dies=signal.SIGKILL),
        )
        try:
            wait_for(lambda: members_done(till) == 2, seconds=90)
        finally:
            worker.kill()
            worker.wait()
    assert members_done(till) == 2
    again = nightly.run_night(till.program.pk, today=day)
    assert again.finished_at is not None
    assert again.steps.get(name="points").members == 7
    assert {balance_of(member)["available"] for member in in_order} == {0}
    expired_once(till, cards)


def members_done(till: Till) -> int:
    run = NightlyRun.objects.filter(program_id=till.program.pk).first()
    step = run.steps.filter(name="points").first() if run else None
    return step.members if step else 0
