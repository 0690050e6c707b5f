"""Scenario 9, at full size: a CRM is down for a day, 50,000 deliveries wait for it, and it is back.

Real processes throughout, and the vendor over HTTP. A day with all vendors down, and what else
happens to a member, is in tests/integration/crm_sync/test_journey.py.
"""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import pytest

from benchmarks import tills
from benchmarks.copies import copy_member
from config.processes import wait_until
from crm_sync.sandboxes.segment import Segment
from crm_sync.sandboxes.server import Reply
from loyalty.events.rules import event_id
from tests.factories import STORE, line, program_document, unique
from tests.stack import Stack

pytestmark = pytest.mark.serial

CROWD = 1_024
BACKLOG = 50_000
PATIENCE_SECONDS = 600
EARNS_AT_ONCE, TILL_SECONDS = 20, 0.05  # a till that never rests doubles what is to be delivered
# In one process: each start of manage.py costs more than all the rest.
CONNECT = """
import json, sys
from crm_sync.services.connections import create_connection
from loyalty.programs.services import apply_document
given = json.load(sys.stdin)
program = apply_document(given.pop("program"), actor="tests")
print(create_connection(program_id=program.pk, name="Segment", adapter="segment", **given).pk)
"""
# Nothing waits, nothing was given up, nobody is behind, and the CRM is known to be well.
AT_REST = """
SELECT (SELECT array_agg(DISTINCT state) FROM crm_sync_delivery AS d
        WHERE d.connection_id = relay.connection_id),
    (SELECT count(*) FROM crm_sync_lane AS lane WHERE lane.connection_id = relay.connection_id),
    (SELECT count(*) FROM crm_sync_contact AS contact
     WHERE contact.connection_id = relay.connection_id AND (wanted > done OR stuck > '')),
    (SELECT count(*) FROM loyalty_outboxevent WHERE position IS NULL),
    (SELECT position FROM loyalty_feedhead) - relay.position,
    relay.failures
FROM crm_sync_relay AS relay WHERE relay.connection_id = %s
"""


class Day:
    """A shop whose CRM is down, as tills, the CRM and whoever looks after both see it."""

    def __init__(self, engine: Stack, vendor: Segment) -> None:
        self.engine = engine
        self.vendor = vendor
        vendor.keeps_calls = False
        vendor.handle = lambda call: Reply(503)  # type: ignore[method-assign]
        document = program_document()
        given = {
            "program": document,
            "config": {"address": vendor.url, "profiles_address": vendor.url},
            "secrets": {"write_key": vendor.write_key},
        }
        told = engine.manage("shell", "-c", CONNECT, stdin=json.dumps(given))
        self.connection = int(told.splitlines()[-1])
        self.till = engine.client(engine.api_key(document["program"]))
        self.ids: dict[str, str] = {}

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        headers = {"Idempotency-Key": unique("k")}
        answer = self.till.post(path, json=body, headers=headers)
        assert answer.status_code in (httpx.codes.OK, httpx.codes.CREATED), answer.text
        said: dict[str, Any] = answer.json()
        return said

    def enrol(self, card: str) -> None:
        named = [{"type": "card", "value": card}]
        self.ids[card] = self.post("/v1/members", identifiers=named)["id"]

    def earn(self, card: str, ref: str, amount: str) -> None:
        order = {
            "ref": ref,
            "store": STORE,
            "occurred_at": datetime.now(UTC).isoformat(),
            "currency": "USD",
            "lines": [line("1", amount)],
        }
        self.post("/v1/earn", member=f"card:{card}", order=order)

    def ask(self, question: str, *values: Any) -> Any:
        """Give the first column of the database's answer."""
        return self.engine.sql(question, *values)[0][0]

    def wait_for(self, condition: Callable[[], bool]) -> None:
        assert wait_until(condition, PATIENCE_SECONDS), self.engine.worker.output()[-4000:]

    def failures(self) -> int:
        query = "SELECT failures FROM crm_sync_relay WHERE connection_id = %s"
        return int(self.ask(query, self.connection))

    def left(self) -> int:
        """Count what waits for the CRM, or is not handed to its lanes yet."""
        return int(
            self.ask(
                "SELECT (SELECT count(*) FROM crm_sync_delivery WHERE connection_id = %s"
                " AND state = 'pending') + (SELECT count(*) FROM loyalty_outboxevent AS event,"
                " crm_sync_relay AS relay WHERE connection_id = %s"
                " AND coalesce(event.position, relay.position + 1) > relay.position)",
                *(self.connection, self.connection),
            )
        )

    def pass_hours(self, hours: int) -> None:
        """Let the CRM be asked in vain once more, so much later."""
        before = self.failures()
        self.engine.sql(
            "UPDATE crm_sync_relay SET failing_since = failing_since - make_interval(hours => %s),"
            " resume_at = resume_at - make_interval(hours => %s) WHERE connection_id = %s",
            *(hours, hours, self.connection),
        )
        self.wait_for(lambda: self.failures() > before)


@pytest.fixture
def day(engine: Stack) -> Iterator[Day]:
    if engine.postgres is None:
        pytest.skip("copying members takes a superuser of PostgreSQL")
    with Segment() as vendor:
        begun = Day(engine, vendor)
        yield begun
        begun.till.close()


def test_a_day_without_the_crm_and_50_000_deliveries_are_made_up_for(
    day: Day, capsys: pytest.CaptureFixture[str]
) -> None:
    """Scenario 9: each event once, in its member's order, and profiles as the ledger has them.

    A crowd of 1,024, with 49 events each, is one member's life over the API, copied by SQL: the
    engine itself would take minutes. Their events have no position then, so all from the outbox on
    is the relay's work.
    How fast it drains is a matter of benchmarks/, and only told here.
    """
    make_crowd(day)
    live_through(day)
    day.wait_for(lambda: day.left() == all_events(day))
    check_nothing_got_through(day)
    day.engine.sql("VACUUM ANALYZE crm_sync_delivery, crm_sync_lane, crm_sync_contact")
    waiting, began = day.left(), time.monotonic()
    get_well(day)
    earned = earn_meanwhile(day)
    seconds = time.monotonic() - began
    check_nothing_was_lost(day)
    check_story(day)
    day.engine.manage("audit_ledger")
    assert earned > 0
    assert waiting >= BACKLOG
    with capsys.disabled():
        print(
            f"\n  a day's {waiting:,} deliveries, {waiting / seconds:.0f}/s beside {earned} earns"
        )


def make_crowd(day: Day) -> None:
    day.enrol("model")
    for number in range(22):
        day.earn("model", f"model-{number}", "30.00")
    day.post("/v1/redeem", member="card:model", reward="five-off")
    with day.engine.connect() as connection:
        copy_member(connection, "model", CROWD, {"loyalty_outboxevent": {"position": "NULL"}})
    assert all_events(day) >= BACKLOG
    day.wait_for(lambda: day.failures() >= 3)


def live_through(day: Day) -> None:
    """Let a day pass in which tills, support and the members do what they do."""
    for card in ("ada", "bob", "eve"):
        day.enrol(card)
    day.earn("eve", "only", "20.00")
    day.pass_hours(5)
    day.earn("ada", "first", "100.00")
    day.earn("ada", "second", "200.00")
    day.pass_hours(5)
    day.post("/v1/redeem", member="card:ada", reward="five-off")
    day.pass_hours(5)
    back = {"ref": "return-1", "occurred_at": datetime.now(UTC).isoformat()}
    lines = [{"line": "1", "quantity": "1"}]
    day.post(f"/v1/orders/first/returns?store={STORE}", **back, lines=lines)
    day.pass_hours(5)
    day.post("/v1/adjustments", member="card:bob", points=40, reason="a gift")
    day.post("/v1/members/card:bob/merge", into="card:ada", reason="the same person")
    day.post("/v1/members/card:eve/erase")
    day.pass_hours(5)


def all_events(day: Day) -> int:
    query = "SELECT count(*) FROM loyalty_outboxevent AS event, crm_sync_connection AS connection"
    where = "WHERE event.program_id = connection.program_id AND connection.id = %s"
    return int(day.ask(f"{query} {where}", day.connection))


def check_nothing_got_through(day: Day) -> None:
    assert day.vendor.users == {}
    states = "SELECT array_agg(DISTINCT state) FROM crm_sync_delivery WHERE connection_id = %s"
    assert day.ask(states, day.connection) == ["pending"]
    since = "SELECT now() - failing_since >= interval '24 hours' FROM crm_sync_relay"
    assert day.ask(f"{since} WHERE connection_id = %s", day.connection)


def get_well(day: Day) -> None:
    """Let the CRM take what it is sent; the next call that asks for it is due."""
    del day.vendor.handle
    query = "UPDATE crm_sync_relay SET resume_at = now() WHERE connection_id = %s"
    day.engine.sql(query, day.connection)


def earn_meanwhile(day: Day) -> int:
    """Let a till serve members whose backlog is being drained; return how many, when all is."""
    earned = 0
    until = time.monotonic() + PATIENCE_SECONDS
    while day.left() > BACKLOG // 10:
        assert time.monotonic() < until, day.engine.worker.output()[-4000:]
        for _ in range(EARNS_AT_ONCE):
            card = tills.card(tills.MEMBERS + earned * 37 % CROWD)
            day.earn(card, f"meanwhile-{earned}", "10.00")
            earned += 1
            time.sleep(TILL_SECONDS)
    day.wait_for(lambda: at_rest(day))
    return earned


def at_rest(day: Day) -> bool:
    (found,) = day.engine.sql(AT_REST, day.connection)
    return found == (["delivered"], 0, 0, 0, 0, 0)


def check_nothing_was_lost(day: Day) -> None:
    """Compare what the CRM holds of everybody with outbox and ledger."""
    counted = day.engine.sql(
        "SELECT event.member_id, count(*) FROM loyalty_outboxevent AS event"
        " JOIN crm_sync_connection AS connection ON connection.program_id = event.program_id"
        " WHERE connection.id = %s GROUP BY 1",
        day.connection,
    )
    held = {
        id_: [one["messageId"] for one in user.tracks] for id_, user in day.vendor.users.items()
    }
    assert held == {str(member): event_ids(member, count) for member, count in counted}
    standing = day.engine.sql(
        "SELECT state.member_id, wallet.available, tier.level FROM loyalty_memberstate AS state"
        " JOIN loyalty_wallet AS wallet USING (member_id)"
        " JOIN loyalty_membertier AS tier USING (member_id)"
        " JOIN crm_sync_connection AS connection ON connection.program_id = state.program_id"
        " WHERE connection.id = %s AND state.status = 'active'",
        day.connection,
    )
    assert len(standing) == CROWD + 2  # the one who was copied, and Ada
    assert {str(member): (points, tier) for member, points, tier in standing} == {
        str(member): shown(day, str(member)) for member, *_ in standing
    }


def told(day: Day, card: str) -> list[str]:
    tracks = day.vendor.users[day.ids[card]].tracks
    return [one["event"].removeprefix("Loyalty ") for one in tracks]


def event_ids(member: UUID, count: int) -> list[str]:
    return [event_id(member, sequence) for sequence in range(1, count + 1)]


def shown(day: Day, member: str) -> tuple[Any, Any]:
    traits = day.vendor.users[member].traits
    return traits.get("loyalty_points_balance"), traits.get("loyalty_tier")


def check_story(day: Day) -> None:
    """Hold the members of the story against words of our own."""
    assert told(day, "ada") == [
        "Member Enrolled",
        *("Points Earned", "Order Recorded"),
        *("Points Earned", "Order Recorded", "Tier Upgraded"),
        *("Points Redeemed", "Reward Issued", "Reward First Redemption"),
        *("Points Clawed Back", "Order Returned"),
        "Member Merged",
    ]
    assert shown(day, day.ids["ada"]) == (240, "silver")
    assert told(day, "bob") == ["Member Enrolled", "Points Adjusted", "Member Merged"]
    bob, eve = (day.vendor.users[day.ids[card]] for card in ("bob", "eve"))
    assert (bob.traits["loyalty_status"], bob.traits["loyalty_points_balance"]) == ("merged", 0)
    assert told(day, "eve") == [
        "Member Enrolled",
        *("Points Earned", "Order Recorded"),
        "Member Erased",
    ]
    assert eve.traits == {}  # erased before anything of her could be told
