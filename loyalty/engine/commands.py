"""What a command is: its kind, what it reads, and what it answers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loyalty.engine.session import MemberWork, Session
    from loyalty.programs.rules import PublishedProgram

MemberRef = tuple[str, str]
"""How a command names its member: ("id", uuid), (identifier type, value), ("order", scope/ref)."""


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """A statement of the load, asked once for all commands of a run.

    Attributes:
        name: Names it in messages.
        sql: Takes the program's id as $1 and one array per argument as $2, $3 …; its first two
            columns are the number of the question (from 1) and the rest what was found.
        types: SQL types of the arguments.
        rank: Reads run in this order; what many tills want (stock) is locked last.
    """

    name: str
    sql: str
    types: tuple[str, ...]
    rank: int = 5


@dataclass(frozen=True, slots=True)
class Ask:
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
        stays: Whether a decision is written even though nobody asked over HTTP.
    """

    name: str
    member: Callable[[Any], MemberRef | None]
    decide: "Callable[[Session, Decision], tuple[int, dict[str, Any]]]"
    asks: "Callable[[Any, PublishedProgram], Sequence[Ask]]" = lambda payload, program: ()


@dataclass(slots=True)
class Command:
    """One thing that somebody wants done.

    Attributes:
        payload: The validated request, as the kind expects it.
        key: Idempotency-Key; None for a preview and for the engine's own jobs.
        request_hash: SHA-256 of method, path and body: the same key must come with the same.
    """

    kind: Kind
    payload: Any
    key: str | None = None
    request_hash: bytes = b""
    request_id: str = ""


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
