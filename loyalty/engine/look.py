"""Read a member without locking them: the same load, the same upkeep, and nothing written.

What is due is done in memory, so that a read leaves out what has expired even before the nightly
job has come by.
"""

from collections.abc import Sequence

import psycopg

from loyalty.database.exchange import Statement, exchange
from loyalty.engine.commands import Ask, MemberRef
from loyalty.engine.load import Loaded, build_session, by_read, gather, members_of, reads_for
from loyalty.engine.run import connect, errors_named, known_program, learn_version
from loyalty.engine.session import MemberWork, Session
from loyalty.engine.upkeep import settle_due
from loyalty.errors import MemberNotFound
from loyalty.http.auth import Principal
from loyalty.http.reads import reconnect


def look(
    principal: Principal, ref: MemberRef, asks: Sequence[Ask] = ()
) -> tuple[Session, MemberWork]:
    """Read a member and answers to questions about them, in one round trip.

    Raises:
        MemberNotFound: This program has no such member.
    """
    for _ in range(3):
        with errors_named():
            session = _look_once(principal, ref, asks)
        if session is not None:
            break
    else:
        raise MemberNotFound()
    work = session.members.get(ref)
    if work is None:
        raise MemberNotFound()
    settle_due(work)
    return session, work


def _look_once(principal: Principal, ref: MemberRef, asks: Sequence[Ask]) -> Session | None:
    program = known_program(principal.program_id)
    questions = by_read(asks)
    members, reads = members_of(program, [ref]), reads_for(program.id, questions)
    _read([members, *reads])
    loaded = Loaded()
    loaded.members = members.rows
    loaded.asks = gather(questions.values(), reads)
    now, version = loaded.members[0][:2]
    if version != program.version:
        learn_version(program.id, version)
        return None
    return build_session(loaded, program=program, principal=principal, now=now)


def _read(statements: Sequence[Statement]) -> None:
    """Carry them out; once more where the connection had died while nobody used it."""
    connection = connect()
    try:
        exchange(connection, statements)
    except psycopg.OperationalError:
        if not connection.closed:
            raise
        reconnect()
        exchange(connect(), statements)
