"""docs/ledger.md is right: each row of its examples is done with Books, and compared."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from loyalty.ledger import rules
from loyalty.ledger.buckets import Bucket
from loyalty.ledger.clawback import claw_back
from loyalty.ledger.rules import Books, Lapsed, LotState, Use, WalletState

PAGE = Path(__file__).parents[2] / "docs" / "ledger.md"
HEADER = "| on | what happens | postings | pending | available | held | debt |"


@dataclass
class Row:
    on: datetime
    what: str
    postings: str
    balances: list[int]


@dataclass
class Example:
    """One member's books; `spent` and `held` are what the last redemption and hold took."""

    title: str
    rows: list[Row] = field(default_factory=list)
    books: Books = field(default_factory=lambda: Books(WalletState(), complete=True))
    spent: list[Use] = field(default_factory=list)
    held: list[Use] = field(default_factory=list)
    now: datetime = datetime.min

    def do(self, row: Row) -> str:
        self.now, before = row.on, len(self.books.postings)
        for pattern, action in ACTIONS.items():
            if found := re.fullmatch(pattern, row.what):
                action(self, *found.groups())
                return "; ".join(map(told, self.books.postings[before:]))
        raise AssertionError(f"nobody knows how to: {row.what}")

    def earn(self, points: str, lot: str, starts: str | None, ends: str | None) -> None:
        active_at = day(starts) if starts else self.now
        new = LotState(int(lot), active_at, day(ends) if ends else None)
        rules.earn(self.books, transaction=1, lot=new, points=int(points), now=self.now)

    def redeem(self, points: str) -> None:
        self.spent = rules.choose_lots(self.books, points=int(points), now=self.now)
        rules.spend(self.books, transaction=1, uses=self.spent, to=Bucket.REDEEMED)

    def hold(self, points: str) -> None:
        self.held = rules.choose_lots(self.books, points=int(points), now=self.now)
        rules.spend(self.books, transaction=1, uses=self.held, to=Bucket.HELD)

    def capture(self, points: str) -> None:
        left = rules.capture(
            self.books, transaction=1, redemption=1, held=self.held, points=int(points)
        )
        self._back(left, Bucket.HELD, grace=None)

    def void(self) -> None:
        self._back(self.held, Bucket.HELD, grace=None)

    def reverse(self, grace: str | None) -> None:
        self._back(self.spent, Bucket.REDEEMED, grace=grace)

    def claw_back(self, points: str, lot: str, policy: str) -> None:
        lots = [self.books.lots[int(lot)]]
        policies = {"debt": "debt", "within balance": "within_balance", "write off": "write_off"}
        claw_back(
            self.books,
            transaction=1,
            lots=lots,
            points=int(points),
            policy=policies[policy],  # type: ignore[arg-type]
            now=self.now,
        )

    def mature(self) -> None:
        due = rules.due_to_mature(self.books, self.now)
        rules.mature(self.books, transaction=1, lots=due, now=self.now)

    def expire(self) -> None:
        due = rules.due_to_expire(self.books, self.now)
        rules.expire(self.books, transaction=1, lots=due)

    def _back(self, uses: list[Use], source: Bucket, *, grace: str | None) -> None:
        lapsed = Lapsed(self.now + timedelta(days=int(grace)) if grace else None)
        rules.give_back(
            self.books,
            transaction=1,
            redemption=1,
            uses=uses,
            source=source,  # type: ignore[arg-type]
            lapsed=lapsed,
            new_number=lambda: max(self.books.lots) + 1,
            now=self.now,
        )


ACTIONS: dict[str, Callable[..., None]] = {
    r"earn (\d+) into lot (\d+)(?:, from (\S+) on)?(?:, until (\S+))?": Example.earn,
    r"redeem (\d+)": Example.redeem,
    r"hold (\d+)": Example.hold,
    r"capture (\d+) of the hold": Example.capture,
    r"void the hold": Example.void,
    r"reverse the redemption(?:, grace of (\d+) days)?": Example.reverse,
    r"claw back (\d+) of lot (\d+), policy ([a-z ]+)": Example.claw_back,
    r"mature": Example.mature,
    r"expire": Example.expire,
}


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def told(posting: rules.PostingRow) -> str:
    source, destination = Bucket(posting.source), Bucket(posting.destination)
    lot = f" of lot {posting.lot_number}" if posting.lot_number else ""
    return f"{source.name.lower()}→{destination.name.lower()} {posting.amount}{lot}"


def read_examples() -> Iterator[Example]:
    example = Example("")
    in_table = False
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("### "):
            example = Example(line.removeprefix("### "))
        elif line == HEADER:
            in_table = True
        elif in_table and not line.startswith("|"):
            in_table = False
            yield example
        elif in_table and not line.startswith("| ---"):
            on, what, postings, *balances = (cell.strip() for cell in line.strip("|").split("|"))
            example.rows.append(Row(day(on), what, postings, [int(cell) for cell in balances]))


EXAMPLES = list(read_examples())


def test_the_page_has_examples_for_every_operation():
    done = [row.what for example in EXAMPLES for row in example.rows]
    missing = [pattern for pattern in ACTIONS if not any(re.fullmatch(pattern, w) for w in done)]
    assert not missing


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.title)
def test_an_example_is_what_the_books_do(example: Example):
    for row in example.rows:
        assert example.do(row) == row.postings, row.what
        wallet = example.books.wallet
        found = [wallet.pending, wallet.available, wallet.held, wallet.debt]
        assert found == row.balances, row.what
