"""One member's books: which lots pay, what is owed, what comes back. No database."""

from datetime import UTC, datetime, timedelta

import pytest

from loyalty.errors import BalanceTooLarge, CaptureExceedsHold, InsufficientPoints
from loyalty.ledger.buckets import Bucket
from loyalty.ledger.clawback import claw_back
from loyalty.ledger.rules import (
    POINTS_MAX,
    Books,
    Lapsed,
    LotsMissing,
    LotState,
    Use,
    WalletState,
    capture,
    choose_lots,
    due_to_expire,
    due_to_mature,
    earn,
    expire,
    give_back,
    mature,
    spend,
)

NOW = datetime(2027, 3, 15, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def books_of(*lots: tuple[int, int | None], debt: int = 0, **more: int) -> Books:
    """Make books of (available, days until it ends) lots, numbered from 1."""
    made = Books(WalletState(available=sum(n for n, _ in lots), debt=debt, **more), complete=True)
    for number, (available, days) in enumerate(lots, 1):
        ends = None if days is None else NOW + days * DAY
        made.lots[number] = LotState(number, NOW - DAY, ends, available=available)
    return made


def moves(books: Books) -> list[tuple[int | None, str, str, int]]:
    """Tell the postings in words."""
    return [
        (p.lot_number, Bucket(p.source).name, Bucket(p.destination).name, p.amount)
        for p in books.postings
    ]


class TestSpending:
    def test_what_ends_first_pays_first(self):
        books = books_of((10, 90), (10, 30), (10, None), (10, 60))
        assert choose_lots(books, points=25, now=NOW) == [Use(2, 10), Use(4, 10), Use(1, 5)]

    def test_at_the_same_end_the_older_lot_pays(self):
        assert choose_lots(books_of((5, 30), (5, 30)), points=6, now=NOW) == [Use(1, 5), Use(2, 1)]

    def test_at_its_end_a_lot_no_longer_pays(self):
        with pytest.raises(InsufficientPoints) as refused:
            choose_lots(books_of((10, 0)), points=1, now=NOW)
        assert refused.value.facts["needed"] == 1

    def test_a_refusal_changes_nothing(self):
        books = books_of((10, 30))
        with pytest.raises(InsufficientPoints):
            choose_lots(books, points=11, now=NOW)
        assert books.postings == []
        assert books.wallet == WalletState(available=10)

    def test_a_refusal_tells_all_points_though_few_lots_were_read(self):
        books = books_of((10, 30))
        books.complete, books.wallet.available = False, 500
        with pytest.raises(InsufficientPoints) as refused:
            choose_lots(books, points=501, now=NOW)
        assert refused.value.facts["available"] == 500

    def test_more_lots_are_read_before_it_says_no(self):
        books = books_of((10, 30))
        books.complete, books.wallet.available = False, 500
        with pytest.raises(LotsMissing):
            choose_lots(books, points=20, now=NOW)

    def test_a_lot_beyond_those_that_were_read_does_not_pay_before_them(self):
        """The first 100 were read, to day 30; a lot that lapsed into the books ends on day 90."""
        books = books_of((10, 30), (10, 90))
        books.complete, books.read_to = False, (NOW + 30 * DAY, 1)
        books.wallet.available = 500
        assert choose_lots(books, points=10, now=NOW) == [Use(1, 10)]
        with pytest.raises(LotsMissing):
            choose_lots(books, points=15, now=NOW)

    def test_postings_count_on_and_carry_the_balance(self):
        books = books_of((10, 30), (10, 60), seq=7)
        spend(books, transaction=9, uses=[Use(1, 10), Use(2, 4)], to=Bucket.REDEEMED)
        assert [(p.seq, p.available_after) for p in books.postings] == [(8, 10), (9, 6)]
        assert books.wallet.available == 6


class TestEarning:
    def test_what_is_owed_is_repaid_first(self):
        books = books_of(debt=30)
        earn(books, transaction=1, lot=LotState(1, NOW, None), points=50, now=NOW)
        assert moves(books) == [(1, "ISSUED", "AVAILABLE", 50), (1, "AVAILABLE", "DEBT", 30)]
        assert (books.wallet.available, books.wallet.debt) == (20, 0)
        assert books.wallet.lifetime_earned == 50

    def test_pending_points_repay_when_they_mature(self):
        books = books_of(debt=30)
        lot = LotState(1, NOW + DAY, None)
        earn(books, transaction=1, lot=lot, points=20, now=NOW)
        assert (books.wallet.pending, books.wallet.debt) == (20, 30)
        assert due_to_mature(books, NOW) == []
        later = NOW + DAY
        assert mature(books, transaction=2, lots=due_to_mature(books, later), now=later) == 20
        assert (books.wallet.pending, books.wallet.available, books.wallet.debt) == (0, 0, 10)

    def test_a_lot_that_has_ended_is_shown_and_pays_no_debt(self):
        books = books_of(debt=30)
        earn(books, transaction=1, lot=LotState(1, NOW - 2 * DAY, NOW), points=20, now=NOW)
        assert moves(books) == [(1, "ISSUED", "AVAILABLE", 20), (1, "AVAILABLE", "EXPIRED", 20)]
        assert books.wallet.debt == 30

    def test_the_balance_has_an_upper_end(self):
        books = books_of((POINTS_MAX - 5, None))
        with pytest.raises(BalanceTooLarge):
            earn(books, transaction=1, lot=LotState(2, NOW, None), points=6, now=NOW)
        assert books.postings == []


class TestExpiry:
    def test_it_takes_what_is_available_and_never_what_is_held(self):
        books = books_of((10, 0), (5, 1))
        books.lots[1].held = books.wallet.held = 7
        assert expire(books, transaction=1, lots=due_to_expire(books, NOW)) == 10
        assert (books.wallet.available, books.wallet.held) == (5, 7)


class TestClawBack:
    @pytest.mark.parametrize(
        ("policy", "postings", "debt", "available"),
        [
            ("debt", [(1, "AVAILABLE", "REVOKED", 10), (None, "DEBT", "REVOKED", 20)], 20, 40),
            ("within_balance", [(1, "AVAILABLE", "REVOKED", 10), (2, "AVAILABLE", "REVOKED", 20)],
             0, 20),
            ("write_off", [(1, "AVAILABLE", "REVOKED", 10)], 0, 40),
        ],
    )  # fmt: skip
    def test_the_shortfall_goes_by_policy(self, policy, postings, debt, available):
        """Scenario 25: 30 points were earned, 20 of them are spent."""
        books = books_of((10, 60), (40, 30))
        taken = claw_back(
            books, transaction=1, lots=[books.lots[1]], points=30, policy=policy, now=NOW
        )
        assert moves(books) == postings
        assert (books.wallet.debt, books.wallet.available) == (debt, available)
        assert taken.total + taken.written_off == 30

    def test_pending_goes_before_available(self):
        books = books_of((10, 60), pending=8)
        books.lots[1].pending = 8
        claw_back(books, transaction=1, lots=[books.lots[1]], points=10, policy="debt", now=NOW)
        assert moves(books) == [(1, "PENDING", "REVOKED", 8), (1, "AVAILABLE", "REVOKED", 2)]

    def test_other_lots_must_all_be_known_before_they_pay(self):
        books = books_of((10, 60))
        books.complete = False
        with pytest.raises(LotsMissing):
            claw_back(
                books, transaction=1, lots=[books.lots[1]], points=11,
                policy="within_balance", now=NOW,
            )  # fmt: skip
        assert books.postings == []

    def test_within_an_empty_balance_the_rest_is_written_off(self):
        books = books_of((10, 60))
        taken = claw_back(
            books, transaction=1, lots=[books.lots[1]], points=25, policy="within_balance", now=NOW
        )
        assert (taken.from_lots, taken.from_others, taken.written_off) == (10, 0, 15)


class TestComingBack:
    def back(self, lapsed: Lapsed, days: int) -> Books:
        books = books_of((0, days))
        books.lots[1].held = books.wallet.held = 12
        books.lots[1].order_number = 77
        give_back(
            books, transaction=5, redemption=4, uses=[Use(1, 12)], source=Bucket.HELD,
            lapsed=lapsed, new_number=lambda: 9, now=NOW,
        )  # fmt: skip
        return books

    def test_a_living_lot_gets_its_points_with_their_old_end(self):
        books = self.back(Lapsed(None), days=3)
        assert moves(books) == [(1, "HELD", "AVAILABLE", 12)]
        assert books.lots[1].expires_at == NOW + 3 * DAY

    def test_of_a_lot_that_has_ended_they_expire(self):
        books = self.back(Lapsed(None), days=0)
        assert moves(books) == [(1, "HELD", "EXPIRED", 12)]
        assert books.wallet.available == 0

    def test_or_come_back_in_a_grace_lot_that_remembers_where_from(self):
        books = self.back(Lapsed(NOW + 14 * DAY), days=0)
        assert moves(books) == [(1, "HELD", "TRANSIT", 12), (9, "TRANSIT", "AVAILABLE", 12)]
        grace = books.new_lots[0]
        assert (grace.number, grace.origin, grace.order_number) == (9, 1, 77)
        assert grace.expires_at == NOW + 14 * DAY
        assert books.wallet.lifetime_earned == 0


class TestCapture:
    def test_a_part_takes_what_ends_first_and_leaves_the_rest_held(self):
        books = books_of((0, 90), (0, 30))
        for lot in books.lots.values():
            lot.held = 10
        books.wallet.held = 20
        held = [Use(1, 10), Use(2, 10)]
        left = capture(books, transaction=1, redemption=4, held=held, points=14)
        assert moves(books) == [(2, "HELD", "REDEEMED", 10), (1, "HELD", "REDEEMED", 4)]
        assert left == [Use(1, 6)]

    def test_more_than_is_held_is_refused(self):
        books = books_of((0, 90))
        with pytest.raises(CaptureExceedsHold):
            capture(books, transaction=1, redemption=4, held=[Use(1, 10)], points=11)
        assert books.postings == []
