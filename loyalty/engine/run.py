"""Run commands: load, decide, write, and do it again where somebody was faster.

The whole way of every change, from one earn at a till to a thousand in a batch: one pipeline that
begins, locks, and reads what the decisions need and which keys have answers; pure decisions; one
statement that writes everything, and the commit (docs/decisions/0001).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import orjson
import psycopg
import structlog
from django.db import DEFAULT_DB_ALIAS, connections
from django.db import connection as django_connection
from django.db import utils as django_errors
from psycopg import errors as pg

from loyalty.database.exchange import Statement, exchange
from loyalty.engine.commands import Answer, Ask, Command, Decision, ReadAgain, fill_questions
from loyalty.engine.load import (
    KEY,
    KEY_LOCK,
    STORED,
    Loaded,
    Stored,
    build_session,
    by_read,
    collect_asks,
    gather,
    lock_of,
    member_refs,
    members_of,
    parameters_of,
    reads_for,
    take_found,
)
from loyalty.engine.session import Session
from loyalty.engine.tables import KEY_ANSWER
from loyalty.engine.upkeep import settle_due
from loyalty.engine.writing import Rows, write_statement
from loyalty.errors import (
    DatabaseUnavailable,
    IdempotencyKeyReused,
    LoyaltyError,
    Overloaded,
    RequestInProgress,
)
from loyalty.http.auth import Principal
from loyalty.http.problems import problem_bytes
from loyalty.http.reads import reconnect
from loyalty.ledger.rules import LotsMissing
from loyalty.programs.rules import PublishedProgram
from loyalty.programs.selectors import published_program

log = structlog.get_logger(__name__)

TRIES = 4
BUDGET = "budget_not_exceeded"  # a number may follow where the table is distributed
RETRIED = (
    pg.SerializationFailure,
    pg.DeadlockDetected,
    pg.LockNotAvailable,
    pg.UniqueViolation,
)

_known_versions: dict[int, int] = {}


class _Again(Exception):
    """What was read shows a newer program or another member: roll back and do it again."""


class _ConnectionStale(Exception):
    """The connection was dead before anything was sent on it that could have been committed."""


def run(
    commands: Sequence[Command],
    *,
    principal: Principal,
    preview: bool = False,
    under: PublishedProgram | None = None,
) -> list[Answer]:
    """Run commands of one program in their order and give their answers in that order.

    Commands of one member take effect one after another, each seeing the earlier ones. All
    effects are committed together, each under its idempotency key, or none is.

    Args:
        preview: Decide, and write nothing.
        under: Decide under this program instead of the live one; only in a preview.

    Raises:
        RequestInProgress: Another request holds one of the keys for more than 2 seconds.
        Overloaded: Others were faster too often, or no connection is free.
        DatabaseUnavailable: The connection broke; with the same key it can be tried again.
    """
    all_lots = locked = False
    reconnects = 1
    tries = TRIES
    while tries:
        tries -= 1
        try:
            with errors_named():
                attempt = _Run(commands, principal, preview=preview, under=under)
                attempt.all_lots, attempt.locked = all_lots, locked
                return attempt.go()
        except LotsMissing:
            all_lots = True
        except (_Again, ReadAgain):
            pass
        except pg.CheckViolation as short:
            # Taken optimistically, and others were faster: once more, with the row held.
            if locked or not (short.diag.constraint_name or "").startswith(BUDGET):
                raise
            locked = True
        except _ConnectionStale as stale:
            reconnect()
            if not reconnects:
                raise DatabaseUnavailable() from stale
            reconnects -= 1
        except RETRIED as conflict:
            log.info("command_retried", sqlstate=conflict.sqlstate, tries_left=tries)
    raise Overloaded("Other requests were faster too often; try again with the same key.")


@contextmanager
def errors_named() -> Iterator[None]:
    """Turn what a broken or missing connection raises into our own errors."""
    try:
        yield
    except RETRIED:
        raise
    except (psycopg.OperationalError, django_errors.OperationalError) as broken:
        django_connection.close()
        if "PoolTimeout" in (type(broken).__name__, type(broken.__cause__).__name__):
            raise Overloaded() from broken
        raise DatabaseUnavailable() from broken


def known_program(program_id: int) -> PublishedProgram:
    """Give the program at the newest version that this process has seen; asks nobody."""
    version = _known_versions.get(program_id)
    program = published_program(program_id, version=version)
    _known_versions[program_id] = program.version
    return program


def learn_version(program_id: int, version: int) -> None:
    """Remember the newest version of a program, as a load has seen it."""
    _known_versions[program_id] = version


def connect() -> psycopg.Connection[Any]:
    """Give Django's connection for pipelines of our own.

    Raises:
        RuntimeError: A transaction is open already; a command must begin and commit its own.
    """
    ours = connections[DEFAULT_DB_ALIAS]
    if ours.in_atomic_block:
        raise RuntimeError("A command cannot run inside a transaction.atomic() block.")
    ours.ensure_connection()
    raw: psycopg.Connection[Any] = ours.connection
    return raw


class _Run:
    """One attempt at running some commands."""

    def __init__(
        self,
        commands: Sequence[Command],
        principal: Principal,
        *,
        preview: bool,
        under: PublishedProgram | None,
    ) -> None:
        if under is not None and not preview:
            raise RuntimeError("Only a preview may be decided under another program.")
        self.commands = commands
        self.principal = principal
        self.preview = preview
        self.all_lots = self.locked = False
        self.under = under
        self.program = under or known_program(principal.program_id)
        self.connection = connect()
        self.answers: dict[str, Stored] = {}
        self.keys: dict[str, bytes] = {}
        self.rows = Rows()
        self.personal: dict[str, str] = {}

    def go(self) -> list[Answer]:
        """Load, decide and write; leave no transaction open, whatever happens."""
        try:
            loaded = self.load()
            session = self.session(loaded)
            answers = [self.answer(session, loaded, command) for command in self.commands]
            self.write(session)
            session.end()
        except BaseException:
            self.rollback()
            raise
        return answers

    def rollback(self) -> None:
        """End the transaction without a trace, unless the connection is gone anyway."""
        if self.connection.closed:
            return
        if self.connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            self.connection.execute("ROLLBACK")

    def load(self) -> Loaded:
        """Send the load pipeline and fetch what it found: one round trip."""
        refs = member_refs(self.commands)
        key_locks, stored = self._about_keys()
        locks = [lock_of(self.program, refs)] if refs else []
        members = members_of(self.program, refs)
        asks = collect_asks(self.commands, self.program, all_lots=self.all_lots)
        reads = reads_for(self.program.id, asks, locked=self.locked)
        statements = [Statement("BEGIN"), *key_locks, *locks, *stored, members, *reads]
        try:
            exchange(self.connection, statements)
        except pg.LockNotAvailable:
            if key_locks and not key_locks[0].done:
                raise RequestInProgress() from None
            raise
        except psycopg.OperationalError as broken:
            if self.connection.closed:
                raise _ConnectionStale from broken
            raise
        loaded = Loaded()
        for key, request_hash, status, body in (row for read in stored for row in read.rows):
            loaded.stored[key] = (bytes(request_hash), status, body.encode())
        loaded.members = members.rows
        loaded.asks = gather(asks.values(), reads)
        self._check_members(loaded, {row[0] for lock in locks for row in lock.rows})
        return loaded

    def _about_keys(self) -> tuple[list[Statement], list[Statement]]:
        """Make the statement that waits for the same request, and the one that reads its answer."""
        keys = self.keys = self._keys()
        if not keys:
            return [], []
        client = self.principal.key_id
        stored = fill_questions(STORED, tuple(KEY.items()), single=len(keys) == 1)
        parameters = parameters_of(KEY, [(key,) for key in keys])
        return (
            [Statement(KEY_LOCK, [client, min(keys)])],
            [Statement(stored, [client, *parameters])],
        )

    def _keys(self) -> dict[str, bytes]:
        """Give the keys; where one is used twice, its first use counts."""
        keys: dict[str, bytes] = {}
        for command in () if self.preview else self.commands:
            if command.key is not None:
                keys.setdefault(command.key, command.request_hash)
        return keys

    def _check_members(self, loaded: Loaded, locked: set[Any]) -> None:
        if any(row[4] is not None and row[4] not in locked for row in loaded.members):
            raise _Again

    def session(self, loaded: Loaded) -> Session:
        """Make a session of what was loaded, under the version of the program that is live.

        Raises:
            _Again: This process is behind; it has the newer version now.
        """
        now, version = loaded.members[0][:2]
        if self.under is None and version != self.program.version:
            self.rollback()
            learn_version(self.program.id, version)
            raise _Again
        session = build_session(loaded, program=self.program, principal=self.principal, now=now)
        session.request_id = self.commands[0].request_id
        session.is_preview, session.reader = self.preview, self.fetch
        session.is_bulk = self.commands[0].is_bulk
        for work in session.works.values():
            settle_due(work)
        return session

    def fetch(self, session: Session, asks: Sequence[Ask]) -> None:
        """Read what a decision turns out to need: one more round trip in the same transaction."""
        sorted_asks = by_read(asks)
        reads = reads_for(self.program.id, sorted_asks, locked=self.locked)
        exchange(self.connection, reads)
        take_found(session, gather(sorted_asks.values(), reads))

    def answer(self, session: Session, loaded: Loaded, command: Command) -> Answer:
        """Give the answer that the key already has, or decide."""
        key = command.key
        if key is None or self.preview:
            return self._decide(session, command)[0]
        earlier = self.answers.get(key) or loaded.stored.get(key)
        if earlier is not None:
            return self._replay(earlier, command)
        if command.request_hash != self.keys[key]:
            return self._replay((self.keys[key], 500, b""), command)
        answer, stored = self._decide(session, command)
        if stored:
            self._keep(key, command.request_hash, answer, session)
            self.answers[key] = (command.request_hash, answer.status, answer.body)
        return answer

    def _replay(self, earlier: Stored, command: Command) -> Answer:
        request_hash, status, body = earlier
        if request_hash != command.request_hash:
            error = IdempotencyKeyReused()
            return Answer(error.status, problem_bytes(error, command.request_id))
        return Answer(status, body, replayed=True)

    def _keep(self, key: str, request_hash: bytes, answer: Answer, session: Session) -> None:
        self.rows.put(
            KEY_ANSWER,
            {
                "client": self.principal.key_id,
                "key": key,
                "request_hash": request_hash,
                "status": answer.status,
                "body": answer.body,
                "personal_of": self.personal.get(key),
                "created_at": session.now,
            },
        )

    def _decide(self, session: Session, command: Command) -> tuple[Answer, bool]:
        ref = command.kind.member(command.payload)
        work = session.members.get(ref) if ref else None
        session.request_id = command.request_id
        session.is_bulk = command.is_bulk
        try:
            status, body = command.kind.decide(session, Decision(command, work))
        except LoyaltyError as error:
            return Answer(error.status, problem_bytes(error, command.request_id)), error.stored
        if work is not None:
            work.touched = True
        if command.kind.personal and command.key is not None:
            self.personal[command.key] = body["id"]
        return Answer(status, orjson.dumps(body)), True

    def write(self, session: Session) -> None:
        """Write all rows in one statement and commit: the second round trip."""
        rows = self.rows
        for work in session.works.values():
            if work.touched:
                rows.extend(work.flush())
        tables = rows.items()
        if self.preview or not tables:
            self.connection.execute("ROLLBACK")
            return
        shapes = tuple((table, table.shape(found)) for table, found in tables)
        parameters = [value for table, found in tables for value in table.parameters(found)]
        statement = write_statement(shapes)
        exchange(self.connection, [Statement(statement, parameters), Statement("COMMIT")])
