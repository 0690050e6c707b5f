"""One member's books in memory: how points move between buckets.

Pure: a `Books` holds what was read of a wallet, its lots and holds; each operation below either
refuses before it has changed anything, or appends the postings that the database will apply in
the same way (migration `0002_protect_ledger`). No clock, no database: `now` is an input
(docs/ledger.md).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from loyalty.errors import BalanceTooLarge, CaptureExceedsHold, InsufficientPoints
from loyalty.ledger.buckets import Bucket

# Python 3.11 looks an enumeration's member up anew at each use; each earn moves points.
_ISSUED, _PENDING, _AVAILABLE = Bucket.ISSUED, Bucket.PENDING, Bucket.AVAILABLE
_HELD, _DEBT = Bucket.HELD, Bucket.DEBT

POINTS_MAX = 1_000_000_000_000
NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(slots=True)
class LotState:
    """What decisions need of a lot; `expires_at` None is never.

    Attributes:
        slides: Whether its end is still the member's, which activity moves.
    """

    number: int
    active_at: datetime
    expires_at: datetime | None
    pending: int = 0
    available: int = 0
    held: int = 0
    origin: int | None = None
    order_number: int | None = None
    slides: bool = False
    came_from: str | None = None

    def lives(self, now: datetime) -> bool:
        """Tell whether its points can still be used: at `expires_at` they no longer can."""
        return self.expires_at is None or self.expires_at > now


@dataclass(slots=True)
class WalletState:
    """A wallet's balances; `seq` is the number of its last posting."""

    pending: int = 0
    available: int = 0
    held: int = 0
    debt: int = 0
    lifetime_earned: int = 0
    seq: int = 0

    def as_balance(self) -> dict[str, int]:
        """Give the balance as the API and events show it."""
        return {
            "available": self.available,
            "pending": self.pending,
            "held": self.held,
            "debt": self.debt,
            "lifetime_earned": self.lifetime_earned,
            "version": self.seq,
        }


class Use(NamedTuple):
    """An amount of one lot."""

    lot: int
    amount: int


class PostingRow(NamedTuple):
    """A posting that the write statement inserts."""

    seq: int
    transaction_number: int
    lot_number: int | None
    source: int
    destination: int
    amount: int
    available_after: int
    redemption_number: int | None


class Lapsed(NamedTuple):
    """What to do with points that come back to a lot that expired meanwhile.

    Attributes:
        expires_at: End of the grace lot, or None: they expire at once.
    """

    expires_at: datetime | None


@dataclass(slots=True)
class Books:
    """A wallet, the lots read of it, and the postings decided so far.

    Attributes:
        lots: By number. Not all lots of the wallet need to be here, only those that the
            operation may touch; `complete` tells whether all spendable ones are.
        read_to: Where they are not: the end and the number of the last one read in the order in
            which lots pay.
    """

    wallet: WalletState
    lots: dict[int, LotState] = field(default_factory=dict)
    complete: bool = False
    read_to: tuple[datetime, int] = (datetime.min.replace(tzinfo=UTC), 0)
    new_lots: list[LotState] = field(default_factory=list)
    postings: list[PostingRow] = field(default_factory=list)

    def move(
        self,
        transaction: int,
        lot: LotState | None,
        source: Bucket,
        destination: Bucket,
        amount: int,
        redemption: int | None = None,
    ) -> None:
        """Append one posting and apply it, as the database's trigger will."""
        wallet = self.wallet
        wallet.seq += 1
        self._apply(lot, source, -amount)
        self._apply(lot, destination, amount)
        if source is _ISSUED:
            wallet.lifetime_earned += amount
        self.postings.append(
            PostingRow(
                wallet.seq,
                transaction,
                lot.number if lot else None,
                int(source),
                int(destination),
                amount,
                wallet.available,
                redemption,
            )
        )

    def _apply(self, lot: LotState | None, bucket: Bucket, amount: int) -> None:
        wallet = self.wallet
        if bucket is _DEBT:
            wallet.debt -= amount
            return
        if lot is None:
            return
        if bucket is _AVAILABLE:
            wallet.available += amount
            lot.available += amount
        elif bucket is _PENDING:
            wallet.pending += amount
            lot.pending += amount
        elif bucket is _HELD:
            wallet.held += amount
            lot.held += amount

    def open_lot(self, lot: LotState) -> LotState:
        """Add a new lot, still empty."""
        self.lots[lot.number] = lot
        self.new_lots.append(lot)
        return lot

    def spendable(self, now: datetime) -> list[LotState]:
        """List the lots that can pay, soonest expiry first, then the older one."""
        lots = [lot for lot in self.lots.values() if lot.available and lot.lives(now)]
        lots.sort(key=lambda lot: (lot.expires_at or NEVER, lot.number))
        return lots


class LotsMissing(Exception):
    """More lots must be read before this can be decided; the engine reads all and asks again."""


def choose_lots(books: Books, *, points: int, now: datetime) -> list[Use]:
    """Choose which lots pay for `points`, soonest expiry first.

    Members lose the fewest points this way; at equal expiry the older lot pays, so that two runs
    over the same data agree.

    Raises:
        InsufficientPoints: Living lots hold fewer than `points`.
        LotsMissing: They may hold enough, but not all were read.
    """
    uses: list[Use] = []
    missing = points
    for lot in books.spendable(now):
        if missing == 0 or not (books.complete or _pays_at(lot) <= books.read_to):
            break
        use = Use(lot.number, min(lot.available, missing))
        missing -= use.amount
        uses.append(use)
    if missing == 0:
        return uses
    if not books.complete and books.wallet.available >= points:
        raise LotsMissing
    raise InsufficientPoints(
        f"{points} points are needed and {books.wallet.available} are available.",
        needed=points,
        available=books.wallet.available,
        missing=points - books.wallet.available,
    )


def _pays_at(lot: LotState) -> tuple[datetime, int]:
    return (lot.expires_at or NEVER, lot.number)


def spend(
    books: Books,
    *,
    transaction: int,
    uses: Iterable[Use],
    to: Literal[Bucket.REDEEMED, Bucket.HELD, Bucket.REVOKED],
    redemption: int | None = None,
) -> None:
    """Take what `choose_lots` chose: for good, for a hold, or away."""
    for use in uses:
        lot = books.lots[use.lot]
        books.move(transaction, lot, Bucket.AVAILABLE, to, use.amount, redemption)


def earn(books: Books, *, transaction: int, lot: LotState, points: int, now: datetime) -> None:
    """Give `points` as a new lot; what is owed is repaid from it at once.

    A lot whose end has already passed (a late order) is granted and expires in the same breath,
    so that history shows both.

    Args:
        points: Whole points, 1 or more.

    Raises:
        BalanceTooLarge: The balance would pass POINTS_MAX.
    """
    check_room(books, points)
    books.open_lot(lot)
    if lot.active_at > now:
        books.move(transaction, lot, _ISSUED, _PENDING, points)
        return
    books.move(transaction, lot, _ISSUED, _AVAILABLE, points)
    if lot.lives(now):
        repay_debt(books, transaction=transaction, lot=lot)
    else:
        books.move(transaction, lot, _AVAILABLE, Bucket.EXPIRED, points)


def check_room(books: Books, points: int) -> None:
    """Refuse what would make the balance larger than the tables hold."""
    if not has_room(books, points):
        raise BalanceTooLarge()


def has_room(books: Books, points: int) -> bool:
    """Tell whether the tables hold a balance that is so much larger."""
    wallet = books.wallet
    return wallet.available + wallet.pending + wallet.held + points <= POINTS_MAX


def repay_debt(books: Books, *, transaction: int, lot: LotState) -> int:
    """Repay what the member owes from a lot's available points; return how much."""
    amount = min(books.wallet.debt, lot.available)
    if amount:
        books.move(transaction, lot, Bucket.AVAILABLE, Bucket.DEBT, amount)
    return amount


def due_to_mature(books: Books, now: datetime) -> list[LotState]:
    """List pending lots whose time has come, oldest first."""
    due = [lot for lot in books.lots.values() if lot.pending and lot.active_at <= now]
    return sorted(due, key=lambda lot: (lot.active_at, lot.number))


def due_to_expire(books: Books, now: datetime) -> list[LotState]:
    """List lots whose available points have expired; held ones never do."""
    due = [lot for lot in books.lots.values() if lot.available and not lot.lives(now)]
    return sorted(due, key=lambda lot: (lot.expires_at or NEVER, lot.number))


def mature(books: Books, *, transaction: int, lots: Sequence[LotState], now: datetime) -> int:
    """Make pending points available, repaying debt first; return how many matured."""
    total = 0
    for lot in lots:
        total += lot.pending
        books.move(transaction, lot, Bucket.PENDING, Bucket.AVAILABLE, lot.pending)
        if lot.lives(now):
            repay_debt(books, transaction=transaction, lot=lot)
    return total


def expire(books: Books, *, transaction: int, lots: Sequence[LotState]) -> int:
    """Expire the available points of these lots; return how many."""
    total = 0
    for lot in lots:
        total += lot.available
        books.move(transaction, lot, Bucket.AVAILABLE, Bucket.EXPIRED, lot.available)
    return total


def capture(
    books: Books, *, transaction: int, redemption: int, held: Sequence[Use], points: int
) -> list[Use]:
    """Take `points` of a hold, soonest expiry first; return what is left held.

    Raises:
        CaptureExceedsHold: The hold has fewer.
    """
    total = sum(use.amount for use in held)
    if points > total:
        raise CaptureExceedsHold(
            f"{points} points would be captured and {total} are held.", held=total
        )
    left: list[Use] = []
    for use in _by_expiry(books, held):
        taken = min(points, use.amount)
        if taken:
            lot = books.lots[use.lot]
            books.move(transaction, lot, Bucket.HELD, Bucket.REDEEMED, taken, redemption)
            points -= taken
        if use.amount > taken:
            left.append(Use(use.lot, use.amount - taken))
    return left


def spending_order(books: Books, use: Use) -> tuple[datetime, int]:
    """Give the key by which lots pay: soonest expiry first, then the older lot."""
    return (books.lots[use.lot].expires_at or NEVER, use.lot)


def _by_expiry(books: Books, uses: Iterable[Use]) -> list[Use]:
    return sorted(uses, key=lambda use: spending_order(books, use))


@dataclass(slots=True)
class GivenBack:
    """What came back, and what became of it."""

    available: int = 0
    expired: int = 0
    grace: int = 0

    def lapsed(self) -> dict[str, int]:
        """Say what became of points whose lots had ended, for who asks years later."""
        found = {"expired_meanwhile": self.expired, "given_grace": self.grace}
        return {name: points for name, points in found.items() if points}


def give_back(
    books: Books,
    *,
    transaction: int,
    redemption: int,
    uses: Iterable[Use],
    source: Literal[Bucket.HELD, Bucket.REDEEMED],
    lapsed: Lapsed,
    new_number: Any,
    now: datetime,
) -> GivenBack:
    """Put held or redeemed points back into the lots that they came from.

    They keep their original expiry. Where that has passed they expire, or come back in a
    grace lot, as the program's policy says.

    Args:
        new_number: Called without arguments for the number of a grace lot.
    """
    result = GivenBack()
    for use in _by_expiry(books, uses):
        lot = books.lots[use.lot]
        if lot.lives(now):
            books.move(transaction, lot, source, Bucket.AVAILABLE, use.amount, redemption)
            result.available += use.amount
        elif lapsed.expires_at is None:
            books.move(transaction, lot, source, Bucket.EXPIRED, use.amount, redemption)
            result.expired += use.amount
        else:
            grace = books.open_lot(
                LotState(
                    new_number(),
                    now,
                    lapsed.expires_at,
                    origin=lot.number,
                    order_number=lot.order_number,
                )
            )
            books.move(transaction, lot, source, Bucket.TRANSIT, use.amount, redemption)
            books.move(transaction, grace, Bucket.TRANSIT, Bucket.AVAILABLE, use.amount, redemption)
            result.grace += use.amount
    return result
