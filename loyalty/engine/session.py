"""What was loaded for one run, and what its commands have decided so far."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from itertools import count
from typing import Any
from uuid import UUID

from loyalty.engine.commands import Ask, MemberRef, Read
from loyalty.engine.tables import (
    EMPTY_LOT,
    HOLD,
    LEDGER_TRANSACTION,
    LOT,
    MEMBER_STATE,
    MEMBER_STATE_MERGED,
    NEW_MEMBER_STATE,
    NEW_WALLET,
    OUTBOX_EVENT,
    POSTING,
)
from loyalty.engine.writing import Rows
from loyalty.http.auth import Principal
from loyalty.http.ids import encode_id
from loyalty.ledger.rules import Books, LotState, Use, WalletState
from loyalty.programs.rules import PublishedProgram
from loyalty.tiers.windows import ActivityDay

CURRENCY = 1
"""The one point currency; the tables are ready for more."""


class OpenHold:
    """A hold that is still open, with what it holds of which lot."""

    __slots__ = (
        "amount",
        "captured",
        "expires_at",
        "has_code",
        "number",
        "released",
        "reward_stock",
        "uses",
    )

    def __init__(
        self,
        *,
        number: int,
        amount: int,
        expires_at: datetime,
        uses: Sequence[Use],
        reward_stock: str = "",
        has_code: bool = False,
    ) -> None:
        self.has_code = has_code
        self.reward_stock = reward_stock
        self.number = number
        self.amount = amount
        self.captured = 0
        self.released = 0
        self.expires_at = expires_at
        self.uses = uses


class MemberWork:
    """One locked member: as loaded, then as decided.

    Commands change it in their order, so that each sees what the earlier ones did. Its rows are
    written only if one of them succeeded (`touched`).

    Attributes:
        program, now: The session's, which each command of a member asks for dozens of times.
        slides_until: When the lots end whose end activity moves; None where there is no such end.
        slide_ended: When they ended, where that was found in this run.
        metric: The qualifying metric in the window that starts at `window_start`.
        posted_at: When its postings happen: now, or with the wallet's last posting where the
            database's clock has stepped back since; a balance in the past stays as it was told.
        counted: What this run added to the member's activity, by day.
        used: What this run took of the limits of earning rules: times and points.
        adjusted: How many points this run adjusted by hand, given or taken.
        paid: The redemptions by which points paid for orders in this run, with the lots they used.
        birth_date: Of a member who joins in this run; others' is read where it is needed.
        due_holds: Open holds past their time.
        lapsed: Numbers of the holds that lapsed in this run.
        merged: Set by a merge, or its undoing: into whom, and what their numbers grow by.
        kept: What domains keep of the member for later commands of this run.
        stock_back: How many of which reward this run puts back for the member; others see them
            when it is committed.
    """

    def __init__(
        self,
        session: "Session",
        *,
        member_id: UUID,
        status: str,
        event_seq: int,
        number_seq: int,
        enrolled_at: datetime,
        wallet: WalletState,
        is_new: bool = False,
    ) -> None:
        self.session, self.program, self.now = session, session.program, session.now
        self.member_id = member_id
        self.status = status
        self.event_seq = event_seq
        self.number_seq = number_seq
        self.enrolled_at = enrolled_at
        self.books = Books(wallet)
        self.slides_until: datetime | None = None
        self.slide_ended: datetime | None = None
        self.is_new = is_new
        self.level = ""
        self.level_since: datetime = enrolled_at
        self.posted_at = session.now
        self.valid_until: date | None = None
        self.grace_until: date | None = None
        self.earned_level = ""
        self.earned_until: date | None = None
        self.metric = self.adjusted = 0
        self.window_start = date.min
        self.counted: list[ActivityDay] = []
        self.birth_date: date | None = None
        self.used: dict[Any, tuple[int, int]] = {}
        self.paid: list[tuple[Any, list[Use]]] = []
        self.due_holds: list[OpenHold] = []
        self.lapsed: set[int] = set()
        self.merged: tuple[UUID | None, int | None] | None = None
        self.kept: dict[str, Any] = {}
        self.stock_back: dict[str, int] = {}
        self.rows = Rows()
        self.touched = False

    def next_number(self) -> int:
        """Draw the member's next number, for a row of any of their tables."""
        self.number_seq += 1
        return self.number_seq

    def public_id(self, prefix: str, number: int) -> str:
        """Give the opaque id of one of the member's rows; it carries the member in it."""
        return encode_id(prefix, self.member_id, number)

    def transaction(
        self,
        kind: str,
        *,
        number: int,
        points: int,
        occurred_at: datetime | None = None,
        source_ref: str = "",
        reason: str = "",
        store: str = "",
        order_number: int | None = None,
        redemption_number: int | None = None,
        reverses: int | None = None,
        counterpart: tuple[UUID, int] | None = None,
        explanation: dict[str, Any] | None = None,
    ) -> None:
        """Add a ledger transaction: why its postings happened."""
        session = self.session
        principal, program, now = session.principal, session.program, session.now
        self.rows.put(
            LEDGER_TRANSACTION,
            {
                "member_id": self.member_id,
                "number": number,
                "program_id": program.id,
                "program_version": program.version,
                "kind": kind,
                "points": points,
                "source": principal.source,
                "source_ref": source_ref,
                "actor": principal.name,
                "reason": reason,
                "store": store,
                "order_number": order_number,
                "redemption_number": redemption_number,
                "reverses": reverses,
                "counterpart_id": counterpart and counterpart[0],
                "counterpart_number": counterpart and counterpart[1],
                "request_id": session.request_id,
                "occurred_at": occurred_at or now,
                "recorded_at": now,
                "explanation": explanation or {},
            },
        )

    def event(
        self,
        type_: str,
        data: dict[str, Any],
        *,
        kind: str,
        order: str | None = None,
        rules: Sequence[str] = (),
        occurred_at: datetime | None = None,
    ) -> None:
        """Add one outbox row, with the balances as they are at this point of the command."""
        self.event_seq += 1
        session = self.session
        self.rows.put(
            OUTBOX_EVENT,
            {
                "member_id": self.member_id,
                "sequence": self.event_seq,
                "program_id": session.program.id,
                "type": type_,
                "version": 1,
                "occurred_at": occurred_at or session.now,
                "recorded_at": session.now,
                "cause": {
                    "kind": kind,
                    "order": order,
                    "rules": list(rules),
                    "actor": session.principal.name,
                    "request_id": session.request_id,
                    **({"bulk": True} if session.is_bulk else {}),
                },
                "balances": self.books.wallet.as_balance(),
                "data": data,
            },
        )

    def put_hold(self, hold: OpenHold, state: str) -> None:
        """Write a hold's row in this state."""
        self.rows.put(
            HOLD,
            {
                "member_id": self.member_id,
                "number": hold.number,
                "program_id": self.program.id,
                "amount": hold.amount,
                "captured": hold.captured,
                "released": hold.released,
                "state": state,
                "expires_at": hold.expires_at,
            },
        )

    def add_lots(self, lots: Sequence[LotState]) -> None:
        """Take lots that were read into the books, unless they are there already.

        Their end may have moved in this run, or have come.
        """
        for lot in lots:
            if lot.slides:
                lot.expires_at = self.slide_ended or self.slides_until
                lot.slides = self.slide_ended is None
            self.books.lots.setdefault(lot.number, lot)

    def flush(self) -> Rows:
        """Give all rows to write: what commands put, and the books' new lots and postings."""
        member = self.member_id
        if self.is_new:
            self._flush_new()
        else:
            state = {
                "member_id": member,
                "status": self.status,
                "event_seq": self.event_seq,
                "number_seq": self.number_seq,
                "slides_until": self.slides_until,
            }
            if self.merged is None:
                self.rows.put(MEMBER_STATE, state)
            else:
                into, base = self.merged
                state |= {"merged_into": into, "merged_base": base}
                self.rows.put(MEMBER_STATE_MERGED, state)
        for lot in self.books.new_lots:
            self.rows.put(
                LOT,
                {
                    "member_id": member,
                    "number": lot.number,
                    "program_id": self.program.id,
                    "currency": CURRENCY,
                    "active_at": lot.active_at,
                    "expires_at": None if lot.slides else lot.expires_at,
                    "slides": lot.slides,
                    "origin": lot.origin,
                    "came_from": lot.came_from,
                    "order_number": lot.order_number,
                    **EMPTY_LOT,
                },
            )
        for posting in self.books.postings:
            row: dict[str, Any] = posting._asdict()
            row["member_id"] = member
            row["currency"] = CURRENCY
            row["posted_at"] = self.posted_at
            self.rows.put(POSTING, row)
        return self.rows

    def _flush_new(self) -> None:
        self.rows.put(
            NEW_MEMBER_STATE,
            {
                "member_id": self.member_id,
                "program_id": self.program.id,
                "status": self.status,
                "event_seq": self.event_seq,
                "number_seq": self.number_seq,
                "slides_until": self.slides_until,
            },
        )
        self.rows.put(
            NEW_WALLET,
            {
                "member_id": self.member_id,
                "currency": CURRENCY,
                "pending": 0,
                "available": 0,
                "held": 0,
                "debt": 0,
                "lifetime_earned": 0,
                "seq": 0,
            },
        )


class Session:
    """One run: its caller, its program, its moment, its members and what its reads found.

    Attributes:
        members: By the reference with which a command names them.
        budgets: What this run took of campaigns' budgets.
        is_preview: Whether nothing of it is written.
        tokens: Numbers for questions that are asked for no command.
        reader: Reads what a decision turns out to need; None where nothing more can be read.
    """

    def __init__(self, *, program: PublishedProgram, principal: Principal, now: datetime) -> None:
        self.program = program
        self.principal = principal
        self.now = now
        self.members: dict[MemberRef, MemberWork] = {}
        self.works: dict[UUID, MemberWork] = {}
        self.request_id = ""
        self.is_bulk = False
        self.budgets: dict[str, int] = {}
        self.is_preview = False
        self.tokens = count(1)
        self.reader: Callable[[Session, Sequence[Ask]], None] | None = None
        self._found: dict[Ask, Any] = {}

    def add_member(self, work: MemberWork, refs: Sequence[MemberRef]) -> None:
        """Make a member known under these references and under its id."""
        self.works[work.member_id] = work
        self.members.setdefault(("id", str(work.member_id)), work)  # not if it leads to a survivor
        for ref in refs:
            self.members[ref] = work

    def end(self) -> None:
        """Let go of the members, who know their session.

        Without that circle all is freed at once; else the garbage collector would have to look
        through a batch's hundred thousand objects to find it.
        """
        self.works.clear()
        self.members.clear()

    def found(self, ask: Ask) -> Any:
        """Give what a read found for this question: a list of rows, without their number."""
        return self._found.get(ask, [])

    def all_found(self, read: Read) -> Iterator[tuple[tuple[Any, ...], Any]]:
        """Give what a read found for each question: the arguments, and the rows."""
        return ((args, rows) for (asked, args), rows in self._found.items() if asked is read)

    def fetch(self, asks: Sequence[Ask]) -> None:
        """Read what a decision turns out to need, in the same transaction: another round trip.

        For what few commands need and all would pay for: what was read before is not read again.
        """
        new = (ask for ask in asks if ask not in self._found)
        missing = list(dict.fromkeys(new))
        if not missing:
            return
        if self.reader is None:
            raise RuntimeError("This session has nothing to read from.")
        self.reader(self, missing)

    def remember(self, ask: Ask, rows: Any) -> None:
        """Set what later commands of this run find for the question."""
        self._found[ask] = rows
