"""A reader with a cursor misses nothing, whatever commits late."""

import random
import threading
import time
from datetime import timedelta
from functools import partial
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from loyalty.events.models import FeedHead, OutboxEvent
from loyalty.events.rules import envelope
from loyalty.events.selectors import last_position, list_events
from loyalty.events.services import delete_old_events, stamp_events
from tests.integration.crm_sync.outbox import Outbox
from tests.threads import in_thread


def read(outbox: Outbox, after: int) -> list[OutboxEvent]:
    stamp_events()
    return list_events(program_id=outbox.program.pk, after_position=after, limit=1000)


def test_an_event_that_commits_late_is_not_missed(outbox: Outbox) -> None:
    early, late = uuid4(), uuid4()
    written, commit = threading.Event(), threading.Event()

    def write_and_wait() -> None:
        with transaction.atomic():
            outbox.write(late)
            written.set()
            commit.wait(10)

    thread = in_thread(write_and_wait)
    assert written.wait(10)
    outbox.write(early)
    first = read(outbox, 0)
    assert [event.member_id for event in first] == [early]
    commit.set()
    thread.join()
    second = read(outbox, first[-1].position or 0)
    assert [event.member_id for event in second] == [late]
    assert second[0].id < first[0].id
    assert second[0].position == (first[0].position or 0) + 1


Seen = tuple[UUID, int, int]


def write_at_random(outbox: Outbox, members: list[UUID], seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(25):
        with transaction.atomic():
            for member in dice.sample(members, dice.randint(1, len(members))):
                outbox.write(member)
            time.sleep(dice.random() * 0.01)


def unread(outbox: Outbox, position: int) -> bool:
    mine = OutboxEvent.objects.filter(program_id=outbox.program.pk)
    return mine.filter(Q(position__isnull=True) | Q(position__gt=position)).exists()


def follow(outbox: Outbox, position: int, written: threading.Event) -> list[Seen]:
    """Read with a cursor until all is written and read."""
    seen: list[Seen] = []
    while True:
        is_last = written.is_set()
        events = read(outbox, position)
        for event in events:
            position = event.position or 0
            seen.append((event.member_id, event.sequence, position))
        if is_last and not events and not unread(outbox, position):
            return seen


def test_many_writers_and_readers_at_once(outbox: Outbox) -> None:
    """Writers commit in any order, stampers race: readers see all, once, in order per member."""
    before, written = last_position(), threading.Event()
    members = [uuid4() for _ in range(12)]
    seen: list[list[Seen]] = []
    readers = [in_thread(lambda: seen.append(follow(outbox, before, written))) for _ in range(3)]
    writers = [
        in_thread(partial(write_at_random, outbox, members[n * 3 : n * 3 + 3], n)) for n in range(4)
    ]
    for thread in writers:
        thread.join()
    written.set()
    for thread in readers:
        thread.join()

    expected = sorted(
        (member, sequence)
        for member in members
        for sequence in range(1, outbox.sequences[member] + 1)
    )
    assert len(seen) == 3
    for mine in seen:
        assert sorted((member, sequence) for member, sequence, _ in mine) == expected
        for member in members:
            sequences = [sequence for who, sequence, _ in mine if who == member]
            assert sequences == sorted(sequences)
        positions = [position for _, _, position in mine]
        assert positions == list(range(before + 1, before + len(expected) + 1))


def test_only_one_stamps_at_a_time_and_nobody_waits(outbox: Outbox) -> None:
    stamp_events()
    outbox.write(uuid4())
    locked, done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            FeedHead.objects.select_for_update().get(pk=1)
            locked.set()
            done.wait(10)

    thread = in_thread(hold)
    assert locked.wait(10)
    assert stamp_events() == 0
    assert not done.is_set(), "it waited until the other relay was done"
    done.set()
    thread.join()
    assert stamp_events() == 1


def test_stamps_in_the_order_of_ids_up_to_the_limit(outbox: Outbox) -> None:
    stamp_events()
    member = uuid4()
    for _ in range(5):
        outbox.write(member)
    assert [stamp_events(limit=2) for _ in range(4)] == [2, 2, 1, 0]
    rows = list_events(program_id=outbox.program.pk, after_position=0, limit=10)
    assert [row.sequence for row in rows] == [1, 2, 3, 4, 5]


def test_an_idle_relay_writes_nothing(outbox: Outbox) -> None:
    stamp_events()
    with connection.cursor() as cursor:
        cursor.execute("SELECT xmin::text FROM loyalty_feedhead")
        before = cursor.fetchone()
        stamp_events()
        cursor.execute("SELECT xmin::text FROM loyalty_feedhead")
        assert cursor.fetchone() == before


def test_works_before_the_first_event_ever(outbox: Outbox) -> None:
    with transaction.atomic():
        FeedHead.objects.all().delete()
        outbox.write(uuid4())
        assert stamp_events() > 0
        transaction.set_rollback(True)


def test_lists_by_program_type_and_member(outbox: Outbox) -> None:
    one, two = uuid4(), uuid4()
    outbox.write(one)
    outbox.write(one, "points.redeemed")
    outbox.write(two, "points.redeemed")
    stamp_events()

    def found(**wanted: object) -> list[tuple[UUID, str]]:
        rows = list_events(
            program_id=outbox.program.pk,
            after_position=0,
            limit=10,
            **wanted,  # type: ignore[arg-type]
        )
        return [(row.member_id, row.type) for row in rows]

    assert len(found()) == 3
    assert found(types=["points.redeemed"]) == [(one, "points.redeemed"), (two, "points.redeemed")]
    assert found(member_id=two) == [(two, "points.redeemed")]
    assert found(types=[]) == []
    assert list_events(program_id=outbox.program.pk + 1_000_000, after_position=0, limit=1) == []


def test_the_envelope_is_the_contract(outbox: Outbox) -> None:
    member = UUID("0f0e0d0c-0b0a-0908-0706-050403020100")
    shown = envelope(outbox.write(member))
    assert list(shown) == [
        *("id", "type", "version", "member", "sequence", "occurred_at", "recorded_at"),
        *("cause", "balances", "data"),
    ]
    assert shown["id"] == "evt_0f0e0d0c0b0a09080706050403020100_1"
    assert shown["member"] == str(member)
    assert shown["recorded_at"].endswith("+00:00")


class TestDeleteOldEvents:
    @pytest.fixture
    def old(self, outbox: Outbox) -> Outbox:
        member = uuid4()
        long_ago = timezone.now() - timedelta(days=500)
        for _ in range(3):
            outbox.write(member, at=long_ago)
        outbox.write(member)
        while stamp_events():
            pass
        return outbox

    def test_deletes_what_is_old_and_settled(self, old: Outbox) -> None:
        rows = OutboxEvent.objects.filter(program_id=old.program.pk)
        first = rows.order_by("position")[0].position or 0
        before = timezone.now() - timedelta(days=400)
        assert delete_old_events(before=before, up_to_position=first + 1) == 2
        assert list(rows.order_by("position").values_list("sequence", flat=True)) == [3, 4]

    def test_leaves_what_nobody_has_stamped(self, old: Outbox) -> None:
        fresh = old.write(uuid4(), at=timezone.now() - timedelta(days=500))
        before = timezone.now() - timedelta(days=400)  # events of other tests are younger
        delete_old_events(before=before, up_to_position=last_position())
        assert OutboxEvent.objects.filter(pk=fresh.pk).exists()
