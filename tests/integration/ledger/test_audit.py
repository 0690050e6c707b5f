"""The audit finds what somebody did past the triggers: one corruption at least per invariant."""

import io
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.core.management import call_command
from django.db import InternalError, connection, transaction

from loyalty.ledger.audit import CHECKS, audit
from loyalty.ledger.snapshot import snapshot
from loyalty.management.commands.audit_ledger import Command
from tests.factories import Till, connect, open_till, unique


class Undone(Exception):
    """Ends a corruption: nobody else sees it, since it is never committed."""


@contextmanager
def corrupted(*statements: str, member: str) -> Iterator[None]:
    """Do as a superuser does who switches the triggers off, and undo it in the end."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            for statement in statements:
                for constraint in _checks_of(statement):
                    cursor.execute(constraint)
                cursor.execute(statement, {"member": member})
            yield
            raise Undone
    except Undone:
        pass


def _checks_of(statement: str) -> list[str]:
    """CHECKs hold for a superuser too; who owns the table drops them."""
    dropped = {
        "loyalty_wallet": ["wallet_not_negative"],
        "loyalty_lot": ["lot_conserved", "lot_not_negative"],
        "loyalty_hold": ["hold_within_amount", "hold_settled_in_full"],
    }
    return [
        f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}"
        for table, names in dropped.items()
        if f"UPDATE {table}" in statement
        for name in names
    ]


@pytest.fixture
def member() -> str:
    till: Till = open_till(points={"lapsed": "grace", "expiry": {"months": 12}})
    card = till.member(100)
    order = unique("o")
    till.earn(card, order, "50.00")
    till.take_back(order, "r1")
    till.redeem(card, points=10)
    till.redeem(card, points=20, capture=False)
    assert [found.rows for found in audit(members=[till.ids[card]]) if found.rows] == []
    return till.ids[card]


WHERE = "WHERE member_id = %(member)s"
FIRST = f"{WHERE} AND seq = 1"
CORRUPTIONS = [
    ("I2", f"UPDATE loyalty_lot SET granted = granted + 1, available = available + 1 {WHERE}"),
    ("I2", f"UPDATE loyalty_lot SET redeemed = redeemed + 1 {WHERE}"),
    ("I2", f"UPDATE loyalty_lot SET available = -5, expired = available + 5 {WHERE}"),
    ("I2", f"DELETE FROM loyalty_posting {FIRST}"),
    ("I2", f"DELETE FROM loyalty_lot {WHERE}"),
    ("I4", f"UPDATE loyalty_wallet SET available = available + 500 {WHERE}"),
    ("I4", f"UPDATE loyalty_wallet SET pending = pending + 500 {WHERE}"),
    ("I4", f"DELETE FROM loyalty_lot {WHERE}"),
    ("I4", f"UPDATE loyalty_expirytotal SET points = points + 1 {WHERE}"),
    ("I4", f"DELETE FROM loyalty_expirytotal {WHERE}"),
    ("I4", f"UPDATE loyalty_lot SET slides = true {WHERE}"),
    ("I5, I6", f"UPDATE loyalty_wallet SET debt = debt + 1 {WHERE}"),
    ("I5, I6", f"UPDATE loyalty_wallet SET lifetime_earned = 9 {WHERE}"),
    ("I5, I6", f"UPDATE loyalty_wallet SET seq = seq + 1 {WHERE}"),
    ("I5, I6", f"DELETE FROM loyalty_wallet {WHERE}"),
    ("I5, I6", f"UPDATE loyalty_posting SET seq = 1000 {FIRST}"),
    ("I5, I17", f"UPDATE loyalty_posting SET available_after = available_after + 1 {FIRST}"),
    ("I5, I17", f"UPDATE loyalty_posting SET amount = amount + 1 {FIRST}"),
    ("I5, I17", f"UPDATE loyalty_posting SET posted_at = now() + interval '1 day' {FIRST}"),
    ("I7", f"DELETE FROM loyalty_ledgertransaction {WHERE}"),
    ("I9, I10", f"DELETE FROM loyalty_orderclaim {WHERE}"),
    ("I9, I10", f"UPDATE loyalty_orderclaim SET ref = ref || '-other' {WHERE}"),
    ("I9, I10", f"UPDATE loyalty_order SET clawed_back = points + 1 {WHERE}"),
    ("I9, I10", f"UPDATE loyalty_orderclaim SET scope = 'store:other' {WHERE}"),
    ("I9, I10", f"UPDATE loyalty_orderclaim SET program_id = -1 {WHERE}"),
    ("I9, I10", "INSERT INTO loyalty_orderclaim (program_id, scope, ref, member_id, number)"
           f" SELECT program_id, scope || '-2', ref, member_id, number FROM loyalty_orderclaim"
           f" {WHERE}"),
    ("I10", f"UPDATE loyalty_redemption SET reinstated = captured + 1 {WHERE}"),
    ("I11, I12", f"UPDATE loyalty_hold SET amount = amount + 1 {WHERE}"),
    ("I11, I12", f"UPDATE loyalty_hold SET state = 'voided' {WHERE}"),
    ("I12", f"UPDATE loyalty_redemption SET state = 'voided' {WHERE} AND state = 'held'"),
    ("I12", f"UPDATE loyalty_redemption SET state = 'held' {WHERE}"),
    ("I12", f"UPDATE loyalty_redemption SET captured = 0 {WHERE}"),
    ("I13", f"DELETE FROM loyalty_outboxevent {WHERE} AND sequence = (SELECT max(sequence)"
            f" FROM loyalty_outboxevent {WHERE})"),
    ("I13", f"DELETE FROM loyalty_outboxevent {WHERE} AND sequence = 2"),
    ("I13", f"DELETE FROM loyalty_outboxevent {WHERE}"),
    ("I16", f"UPDATE loyalty_posting SET destination = 8 {FIRST}"),
]  # fmt: skip


@pytest.mark.parametrize(("invariant", "statement"), CORRUPTIONS)
def test_what_a_superuser_did_is_found(member: str, invariant: str, statement: str):
    """Scenario 51, as superuser: the triggers were off, the audit was not."""
    with corrupted(statement, member=member):
        found = {finding.check.invariant for finding in audit(members=[member]) if finding.rows}
        assert invariant in found
        whole = {finding.check.invariant for finding in audit() if finding.rows}
        assert invariant in whole


def test_a_key_without_an_answer_is_found(member: str):
    statement = """INSERT INTO loyalty_idempotencykey (client, key, request_hash, created_at)
VALUES (1, 'lost', 'x', now())"""
    with corrupted(statement, member=member):
        assert "I8" in {finding.check.invariant for finding in audit() if finding.rows}


def test_every_check_has_its_corruption():
    assert {check.invariant for check in CHECKS} == {name for name, _ in CORRUPTIONS} | {"I8"}


def past_the_triggers(statement: str, member: str) -> None:
    with connect() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute(statement.encode(), {"member": member})


def test_the_command_fails_and_shows_the_rows(member: str, capsys: pytest.CaptureFixture[str]):
    """Scenario 51: exit code 1, and who is wrong by how much."""
    change = "UPDATE loyalty_wallet SET available = available {} 500 " + WHERE
    past_the_triggers(change.format("+"), member)
    try:
        with pytest.raises(SystemExit) as ended:
            Command().run_from_argv(["manage.py", "audit_ledger"])
    finally:
        past_the_triggers(change.format("-"), member)
    assert ended.value.code == 1
    assert f"member_id={member}" in capsys.readouterr().out


def test_the_command_proves_and_counts():
    output = io.StringIO()
    call_command("audit_ledger", stdout=output)
    assert "postings" in output.getvalue()


def test_all_connections_of_a_snapshot_see_one_moment():
    till = open_till()
    count = "SELECT count(*) FROM loyalty_wallet"
    with snapshot(3) as view:
        before = view.ask(count).result()
        till.member(5)
        seen = [view.ask(count).result() for _ in range(6)]
        at_once = [asked.result() for asked in [view.ask(count) for _ in range(12)]]
    assert [found for found in seen + at_once if found != before] == []


def test_a_snapshot_writes_nothing_and_tells_what_failed():
    with snapshot(2) as view, pytest.raises(InternalError, match="read-only"):
        view.ask("DELETE FROM loyalty_hold RETURNING 1").result()
