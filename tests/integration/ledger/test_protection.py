"""PostgreSQL itself refuses to change balances and history (scenario 51)."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError

from loyalty.ledger.models import LedgerTransaction, Lot, Posting, Wallet
from tests.factories import Till, balance_of, connect, open_till, rows

PROTECTED = "42501"
DOES_NOT_CONTINUE = DOES_NOT_FIT = "23000"
CHECK = "23514"
FOREIGN_KEY = "23503"
UNIQUE = "23505"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)

ISSUED, PENDING, AVAILABLE, HELD, REDEEMED, EXPIRED, REVOKED, DEBT, TRANSIT = range(9)


class Victim:
    """A member with 100 points, and a connection of somebody who wants more."""

    def __init__(self, till: Till, connection: "psycopg.Connection[Any]") -> None:
        self.till, self.sql = till, connection
        self.card = till.member(100)
        self.id = till.ids[self.card]
        found = rows("SELECT max(number) FROM loyalty_lot WHERE member_id = %s", self.id)
        self.lot = found[0][0]
        found = rows(
            "SELECT max(number) FROM loyalty_ledgertransaction WHERE member_id = %s", self.id
        )
        self.transaction = found[0][0]

    def refuses(self, statement: str, *parameters: Any, **named: Any) -> str:
        """Run a statement that must fail; return its SQLSTATE. The member has what they had."""
        before = balance_of(self.id)
        with pytest.raises(psycopg.Error) as refused:
            self.sql.execute(statement.encode(), named or parameters or None)
        self.sql.rollback()
        assert balance_of(self.id) == before
        return refused.value.sqlstate or ""

    def refuses_posting(self, source: int, destination: int, amount: int, **forged: Any) -> str:
        values = {
            "member_id": self.id,
            "currency": 1,
            "seq": balance_of(self.id)["seq"] + 1,
            "transaction_number": self.transaction,
            "lot_number": self.lot,
            "source": source,
            "destination": destination,
            "amount": amount,
            "available_after": _after(source, destination, amount),
            "posted_at": datetime.now(UTC),
            **forged,
        }
        names = ", ".join(values)
        marks = ", ".join(["%s"] * len(values))
        return self.refuses(
            f"INSERT INTO loyalty_posting ({names}) VALUES ({marks})", *values.values()
        )


def _after(source: int, destination: int, amount: int) -> int:
    return 100 + amount * ((destination == AVAILABLE) - (source == AVAILABLE))


@pytest.fixture
def victim() -> Iterator[Victim]:
    with connect() as connection:
        yield Victim(open_till(points={"expiry": {"months": 12}}), connection)


@pytest.mark.parametrize(
    "column", ["pending", "available", "held", "debt", "lifetime_earned", "seq", "currency"]
)
def test_a_wallet_is_not_updated_by_hand(victim: Victim, column: str):
    """Scenario 51: SQL of the application's own role."""
    statement = f"UPDATE loyalty_wallet SET {column} = {column} + 1 WHERE member_id = %s"
    assert victim.refuses(statement, victim.id) == PROTECTED


@pytest.mark.parametrize("column", ["granted", "available", "redeemed", "expired", "settled"])
def test_a_lot_is_not_updated_by_hand(victim: Victim, column: str):
    statement = f"UPDATE loyalty_lot SET {column} = {column} + 1 WHERE member_id = %s"
    assert victim.refuses(statement, victim.id) == PROTECTED


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE loyalty_expirytotal SET points = points + 1 WHERE member_id = %s",
        "INSERT INTO loyalty_expirytotal SELECT %s, 1, now() + '1 year', 100",
    ],
)
def test_a_total_of_an_expiry_is_not_written_by_hand(victim: Victim, statement: str):
    assert victim.refuses(statement, victim.id) == PROTECTED


def test_a_lot_does_not_get_another_end(victim: Victim):
    statement = "UPDATE loyalty_lot SET expires_at = now() + '9 years' WHERE member_id = %s"
    assert victim.refuses(statement, victim.id) == PROTECTED


@pytest.mark.parametrize("table", ["wallet", "lot", "posting", "ledgertransaction", "expirytotal"])
@pytest.mark.parametrize(
    "statement", ["DELETE FROM loyalty_{} WHERE member_id = %s", "TRUNCATE loyalty_{} CASCADE"]
)
def test_history_is_not_removed(victim: Victim, table: str, statement: str):
    parameters = [victim.id] if "%s" in statement else []
    assert victim.refuses(statement.format(table), *parameters) == PROTECTED


@pytest.mark.parametrize(
    "change",
    [
        "loyalty_posting SET amount = amount + 1",
        "loyalty_posting SET posted_at = now() - interval '1 year'",
        "loyalty_ledgertransaction SET points = points + 1",
        "loyalty_ledgertransaction SET reason = 'something else'",
        "loyalty_ledgertransaction SET actor = 'somebody else'",
    ],
)
def test_history_is_not_rewritten(victim: Victim, change: str):
    assert victim.refuses(f"UPDATE {change} WHERE member_id = %s", victim.id) == PROTECTED


def test_the_orm_cannot_either(victim: Victim):
    """Scenario 51: an admin page or a shell with the models."""
    member = {"member_id": victim.id}
    for change in (
        lambda: Wallet.objects.filter(**member).update(available=10**6),
        lambda: Lot.objects.filter(**member).update(available=10**6, granted=10**6),
        lambda: Posting.objects.filter(**member).update(amount=10**6),
        lambda: Posting.objects.filter(**member).delete(),
        lambda: LedgerTransaction.objects.filter(**member).delete(),
        lambda: _saved(Wallet.objects.get(**member), available=10**6),
        lambda: _saved(Lot.objects.get(**member), available=10**6),
    ):
        with pytest.raises(DatabaseError, match="is refused"):
            change()
    assert balance_of(victim.id)["available"] == 100


def _saved(row: Any, **values: int) -> None:
    for name, value in values.items():
        setattr(row, name, value)
    row.save()


def test_a_lot_is_not_born_full(victim: Victim):
    statement = """
INSERT INTO loyalty_lot (member_id, number, program_id, currency, granted, pending, available,
    held, redeemed, expired, revoked, settled, moved, active_at)
VALUES (%s, 900, 1, 1, 500, 0, 500, 0, 0, 0, 0, 0, 0, now())"""
    assert victim.refuses(statement, victim.id) == PROTECTED


def test_a_lot_is_not_born_with_buckets_that_cancel_out(victim: Victim):
    statement = """
INSERT INTO loyalty_lot (member_id, number, program_id, currency, granted, pending, available,
    held, redeemed, expired, revoked, settled, moved, active_at)
VALUES (%s, 900, 1, 1, 0, 0, 500, 0, -500, 0, 0, 0, 0, now())"""
    assert victim.refuses(statement, victim.id) == CHECK


def test_a_wallet_is_not_born_full(victim: Victim):
    statement = """
INSERT INTO loyalty_wallet (member_id, currency, pending, available, held, debt, lifetime_earned,
    seq) VALUES (%s, 2, 0, 500, 0, 0, 0, 0)"""
    assert victim.refuses(statement, victim.id) == PROTECTED


class TestForgedPostings:
    """Scenario 51: inserting is allowed, but not just anything."""

    def test_a_gap_in_seq(self, victim: Victim):
        assert victim.refuses_posting(ISSUED, AVAILABLE, 5, seq=9) == DOES_NOT_CONTINUE

    def test_a_seq_that_is_taken(self, victim: Victim):
        assert victim.refuses_posting(ISSUED, AVAILABLE, 5, seq=1) in (UNIQUE, DOES_NOT_CONTINUE)

    def test_points_back_that_were_never_redeemed(self, victim: Victim):
        assert victim.refuses_posting(REDEEMED, AVAILABLE, 5) == CHECK

    def test_more_points_than_the_lot_has(self, victim: Victim):
        assert victim.refuses_posting(AVAILABLE, REDEEMED, 101) == CHECK

    def test_points_out_of_a_hold_that_nobody_made(self, victim: Victim):
        assert victim.refuses_posting(HELD, AVAILABLE, 5) == CHECK

    def test_a_wrong_balance_after_it(self, victim: Victim):
        code = victim.refuses_posting(ISSUED, AVAILABLE, 5, available_after=10**6)
        assert code == DOES_NOT_CONTINUE

    def test_one_that_happened_before_the_last_one(self, victim: Victim):
        """A balance in the past would be another one from then on."""
        assert victim.refuses_posting(ISSUED, AVAILABLE, 5, posted_at=LONG_AGO) == DOES_NOT_CONTINUE

    def test_one_among_many_that_happened_before_the_last_one(self, victim: Victim):
        code = victim.refuses(
            """
            INSERT INTO loyalty_posting (member_id, currency, seq, transaction_number, lot_number,
                source, destination, amount, available_after, posted_at)
            SELECT w.member_id, 1, w.seq + n, l.number - 1, l.number, 0, 2, 5, 100 + 5 * n,
                CASE n WHEN 1 THEN %(long_ago)s ELSE now() END
            FROM loyalty_wallet AS w JOIN loyalty_lot AS l USING (member_id)
            CROSS JOIN generate_series(1, 2) AS n WHERE w.member_id = %(victim)s
            """,
            victim=victim.id,
            long_ago=LONG_AGO,
        )
        assert code == DOES_NOT_CONTINUE

    @pytest.mark.parametrize("amount", [0, -5, 10**12 + 1])
    def test_an_amount_that_is_none(self, victim: Victim, amount: int):
        assert victim.refuses_posting(ISSUED, AVAILABLE, amount) == CHECK

    def test_a_bucket_that_does_not_exist(self, victim: Victim):
        """A posting out of nowhere would raise a balance and leave no trace in `issued`."""
        assert victim.refuses_posting(99, AVAILABLE, 5) == CHECK

    def test_points_without_a_lot(self, victim: Victim):
        assert victim.refuses_posting(ISSUED, AVAILABLE, 5, lot_number=None) == CHECK

    def test_nowhere_from_nowhere(self, victim: Victim):
        assert victim.refuses_posting(AVAILABLE, AVAILABLE, 5) == CHECK

    def test_a_ledger_transaction_that_does_not_exist(self, victim: Victim):
        code = victim.refuses_posting(ISSUED, AVAILABLE, 5, transaction_number=999)
        assert code == FOREIGN_KEY

    def test_a_lot_that_does_not_exist(self, victim: Victim):
        assert victim.refuses_posting(ISSUED, AVAILABLE, 5, lot_number=999) == DOES_NOT_FIT

    def test_a_lot_of_another_member(self, victim: Victim):
        other = victim.till.member(50)
        lot = rows("SELECT max(number) FROM loyalty_lot WHERE member_id = %s",
                   victim.till.ids[other])[0][0]  # fmt: skip
        victim.till.adjust(other, 1)
        lot = rows("SELECT max(number) FROM loyalty_lot WHERE member_id = %s",
                   victim.till.ids[other])[0][0]  # fmt: skip
        assert victim.refuses_posting(ISSUED, AVAILABLE, 5, lot_number=lot) == DOES_NOT_FIT

    def test_one_stale_wallet_of_two(self, victim: Victim):
        """Both are refused, not only the stale one: `NOT FOUND` would miss one of many."""
        other = victim.till.member(100)
        lots = rows("SELECT member_id, max(number) FROM loyalty_lot WHERE member_id IN (%s, %s)"
                    " GROUP BY 1", victim.id, victim.till.ids[other])  # fmt: skip
        values = ", ".join(
            f"('{member}', 1, {2 if str(member) == victim.id else 1}, {lot - 1}, {lot}, 0, 2, 5,"
            " 105, now())"
            for member, lot in lots
        )
        code = victim.refuses(
            "INSERT INTO loyalty_posting (member_id, currency, seq, transaction_number, lot_number,"
            f" source, destination, amount, available_after, posted_at) VALUES {values}"
        )
        assert code in (DOES_NOT_CONTINUE, UNIQUE)
        assert balance_of(victim.till.ids[other])["available"] == 100

    def test_a_wallet_that_does_not_exist(self, victim: Victim):
        code = victim.refuses_posting(
            ISSUED, AVAILABLE, 5, currency=2, seq=1, available_after=5, lot_number=victim.lot
        )
        assert code == DOES_NOT_CONTINUE

    @pytest.mark.parametrize("others", [0, 1])
    def test_a_lot_of_another_currency(self, victim: Victim, others: int):
        """Alone and among others: the wallet would move, and the lot would not."""
        other = victim.till.ids[victim.till.member(100)]
        code = victim.refuses(
            """
            WITH purse AS (
                INSERT INTO loyalty_wallet (member_id, currency, pending, available, held, debt,
                    lifetime_earned, seq)
                VALUES (%(victim)s, 2, 0, 0, 0, 0, 0, 0)
            )
            INSERT INTO loyalty_posting (member_id, currency, seq, transaction_number, lot_number,
                source, destination, amount, available_after, posted_at)
            SELECT w.member_id, CASE WHEN is_victim THEN 2 ELSE 1 END,
                CASE WHEN is_victim THEN 1 ELSE w.seq + 1 END, l.number - 1, l.number, 0, 2, 5,
                CASE WHEN is_victim THEN 5 ELSE 105 END, now()
            FROM (SELECT *, member_id = %(victim)s AS is_victim FROM loyalty_wallet) AS w
            JOIN loyalty_lot AS l ON l.member_id = w.member_id
            WHERE is_victim OR (w.member_id = %(other)s AND %(others)s = 1)
            """,
            victim=victim.id,
            other=other,
            others=others,
        )
        assert code == DOES_NOT_CONTINUE
        assert balance_of(other)["available"] == 100


def test_a_debt_is_not_made_negative(victim: Victim):
    assert victim.refuses_posting(AVAILABLE, DEBT, 5) == CHECK


def test_a_hold_is_not_captured_beyond_its_amount(victim: Victim):
    hold = victim.till.redeem(victim.card, points=40, capture=False)
    assert hold.status == 201
    statement = "UPDATE loyalty_hold SET captured = 41 WHERE member_id = %s"
    assert victim.refuses(statement, victim.id) == CHECK
    statement = "UPDATE loyalty_hold SET state = 'voided' WHERE member_id = %s"
    assert victim.refuses(statement, victim.id) == CHECK


def test_stock_does_not_go_below_nothing(victim: Victim):
    statement = "UPDATE loyalty_rewardstock SET remaining = -1 WHERE program_id = %s"
    assert victim.refuses(statement, victim.till.program.pk) == CHECK
