"""Receipts are replayed against the real engine, twice, and the demo is loaded twice."""

import json

import pytest

from loyalty.demo.market import RECEIPTS_FILE
from tests.stack import Stack

COUNTS = """
SELECT (SELECT count(*) FROM loyalty_order WHERE program_id = p.id),
    (SELECT count(*) FROM loyalty_redemption WHERE program_id = p.id),
    (SELECT count(*) FROM loyalty_ledgertransaction WHERE program_id = p.id),
    (SELECT count(*) FROM loyalty_outboxevent WHERE program_id = p.id)
FROM loyalty_program AS p WHERE p.code = %s
"""


def replay(stack: Stack, program: str, *options: str) -> str:
    file = str(RECEIPTS_FILE)
    where = ("--base-url", stack.url, "--program", program)
    return stack.manage("replay_receipts", file, *where, *options)


def test_a_second_replay_changes_nothing(live_stack: Stack):
    first = replay(live_stack, "replayed", "--make-program", "--limit", "300")
    counts = live_stack.sql(COUNTS, "replayed")
    assert counts[0][0] == 300
    assert counts[0][1] > 0
    assert "orders     300 with" in first
    assert "refusals   none" in first
    assert "The ledger is proved." in first

    second = replay(live_stack, "replayed", "--limit", "300")
    assert "orders     0 with 0 lines; 300 were recorded before" in second
    assert live_stack.sql(COUNTS, "replayed") == counts


def test_a_program_that_refuses_unknown_cards_has_its_members_enrolled(live_stack: Stack):
    source = RECEIPTS_FILE.with_name("grocer.yaml").read_text()
    refusing = source.replace("program: grocer", "program: refusing")
    refusing = refusing.replace("unknown_member: enrol", "unknown_member: refuse")
    live_stack.manage("program", "apply", "-", stdin=refusing)
    told = replay(live_stack, "refusing", "--limit", "30")
    assert "orders     30 with" in told
    assert "refusals   none" in told
    assert "refusals   none" in replay(live_stack, "refusing", "--limit", "30")


def test_receipts_that_keep_old_dates_are_refused_with_what_to_do(live_stack: Stack):
    told = replay(live_stack, "too-old", "--make-program", "--limit", "20", "--keep-dates")
    assert "refusals   occurred_at_out_of_range 20" in told
    assert "set accept_late_days" in told


def test_stores_that_a_program_lacks_are_named_before_anything_is_sent(live_stack: Stack):
    bare = "{program: bare, name: Bare, timezone: UTC, currency: USD, stores: [{code: '309'}]}"
    live_stack.manage("program", "apply", "-", stdin=bare)
    with pytest.raises(RuntimeError, match="bare lacks 86 stores of the file"):
        replay(live_stack, "bare")
    told = replay(live_stack, "bare", "--make-program", "--limit", "5")
    assert "orders     5 with" in told


def test_the_demo_is_loaded_once(live_stack: Stack):
    """No other test of the live stack has a program `grocer`, or a user `admin`."""
    load = ("load_demo", "--base-url", live_stack.url, "--receipts", "100")
    demo = json.loads(live_stack.manage(*load).splitlines()[-1])
    counts = live_stack.sql(COUNTS, demo["program"])
    assert counts[0][0] == 100
    with live_stack.client(demo["api_key"]) as client:
        assert client.get(f"/v1/members/{demo['member']}").status_code == 200
    assert demo["admin_user"] == "admin"
    assert demo["admin_password"]

    again = json.loads(live_stack.manage(*load).splitlines()[-1])
    assert again == demo
    assert live_stack.sql(COUNTS, demo["program"]) == counts
