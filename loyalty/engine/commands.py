"""What a command is: its kind, what it reads, and what it answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from loyalty.engine.session import MemberWork, Session
    from loyalty.programs.rules import PublishedProgram

MemberRef = tuple[str, str]
"""How a command names its member: ("id", uuid), (identifier type, value), ("order", scope/ref).

All lead to the member who goes on where two were merged; only ("account", uuid) does not.
"""


class ReadAgain(Exception):
    """What was read contradicts itself: somebody committed between two reads of the load."""


REF: Final = {"type": "text", "value": "text"}
"""The columns of a question about a member: a MemberRef."""


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """A statement of the load, asked once for all commands of a run.

    Attributes:
        name: Names it in messages.
        sql: Takes the program's id as $1; `{questions}` stands for r(COLUMNS…, ord), one row per
            question. Its first column is r.ord and the rest what was found.
        columns: SQL types by column of the question, in the order of an ask's arguments.
        lock: What is appended where the commands are done again because a CHECK of the database
            refused what they wrote: they then hold what they read.
        rank: Reads run in this order; what many tills want (stock) is locked last.
    """

    name: str
    sql: str
    columns: Mapping[str, str]
    rank: int = 5
    lock: str = ""

    def statement(self, *, single: bool, locked: bool = False) -> str:
        """Give the SQL that takes one question as $2, $3 …, or an array of each column."""
        sql = self.sql + self.lock if locked else self.sql
        return fill_questions(sql, tuple(self.columns.items()), single=single)


@cache
def fill_questions(sql: str, columns: tuple[tuple[str, str], ...], *, single: bool) -> str:
    """Put the questions into a statement.

    One question is a row of parameters and not an array of length 1, of which PostgreSQL does not
    know the length: it would plan each earn anew, at twice the cost of running it, or keep a plan
    that scans tables for the ten rows that it expects.
    """
    numbered = [(name, f"${number}::{type_}") for number, (name, type_) in enumerate(columns, 2)]
    if single:
        values = ", ".join(f"{value} AS {name}" for name, value in numbered)
        questions = f"(SELECT {values}, 1 AS ord) AS r"
    else:
        arrays = ", ".join(f"{value}[]" for _, value in numbered)
        names = ", ".join(name for name, _ in numbered)
        questions = f"unnest({arrays}) WITH ORDINALITY AS r({names}, ord)"
    return sql.replace("{questions}", questions)


class Ask(NamedTuple):
    """One question of a command: a read with its arguments."""

    read: Read
    args: tuple[Any, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """A kind of command; each domain defines its own.

    Attributes:
        name: What the ledger, the events and the log call it.
        member: Gives the reference of the member that the command locks; None for none.
        asks: Gives what it reads besides its member.
        decide: Decides; raises a LoyaltyError before it has changed anything, or gives the
            status and the body of the answer.
        personal: Whether its answers, which are those of a member, hold personal data: they go when
            the member is erased.
        others: Gives whom it locks besides; `decide` marks those that it changes as touched.
    """

    name: str
    member: Callable[[Any], MemberRef | None]
    decide: "Callable[[Session, Decision], tuple[int, dict[str, Any]]]"
    asks: "Callable[[Any, PublishedProgram], Sequence[Ask]]" = lambda payload, program: ()
    others: Callable[[Any], Sequence[MemberRef]] = lambda payload: ()
    personal: bool = False


@dataclass(slots=True)
class Command:
    """One thing that somebody wants done.

    Attributes:
        payload: The validated request, as the kind expects it.
        key: Idempotency-Key; None for a preview and for the engine's own jobs.
        request_hash: SHA-256 of method, path and body: the same key must come with the same.
        is_bulk: It came in a batch; its events say so.
    """

    kind: Kind
    payload: Any
    key: str | None = None
    request_hash: bytes = b""
    request_id: str = ""
    is_bulk: bool = False


@dataclass(slots=True)
class Answer:
    """What the caller gets: exactly these bytes, now and at every replay."""

    status: int
    body: bytes
    replayed: bool = False


@dataclass(slots=True)
class Decision:
    """A command on its way through `decide`: with its member, if that exists."""

    command: Command
    work: "MemberWork | None"

    @property
    def payload(self) -> Any:
        """Give the validated request."""
        return self.command.payload
