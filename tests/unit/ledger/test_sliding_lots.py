"""Lots that end together: moved by activity, and never alive again."""

from datetime import UTC, datetime, timedelta

from loyalty.ledger.rules import Books, LotState, WalletState, due_to_expire
from loyalty.ledger.sliding import slide, stop_sliding

JULY = datetime(2027, 7, 1, tzinfo=UTC)
AUGUST = datetime(2027, 8, 1, tzinfo=UTC)


def books() -> Books:
    """A lot with an end in mid-July, one that slides, and one for ever."""
    found = Books(WalletState(available=60), complete=True)
    found.lots = {
        1: LotState(1, JULY, JULY + timedelta(days=15), available=10),
        2: LotState(2, JULY, JULY, available=20, slides=True),
        3: LotState(3, JULY, None, available=30),
    }
    return found


def test_only_what_slides_moves_and_the_order_of_paying_follows() -> None:
    wallet, before = books(), JULY - timedelta(days=1)
    assert [lot.number for lot in wallet.spendable(before)] == [2, 1, 3]
    slide(wallet, AUGUST)
    assert [lot.number for lot in wallet.spendable(before)] == [1, 2, 3]
    assert wallet.lots[3].expires_at is None


def test_what_has_ended_does_not_live_again() -> None:
    wallet = books()
    assert [lot.number for lot in due_to_expire(wallet, JULY)] == [2]
    stop_sliding(wallet)
    slide(wallet, AUGUST)
    assert [lot.number for lot in due_to_expire(wallet, JULY)] == [2]
