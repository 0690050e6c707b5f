"""Do something once under its idempotency key, where no member is locked for it.

Commands about members claim their key in the engine's own round trip. The few calls that change
configuration do it here, by the same rules and in the same table.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import orjson
from django.db import DatabaseError, connection, transaction
from django.http import HttpRequest, HttpResponse
from psycopg.errors import LockNotAvailable

from loyalty.errors import IdempotencyKeyReused, LoyaltyError, RequestInProgress
from loyalty.http.idempotency import HEADER, read_key, request_hash
from loyalty.http.problems import PROBLEM_JSON, problem_bytes
from loyalty.http.views import Endpoint

Work = Callable[[], tuple[int, Any]]

_CLAIM = """
INSERT INTO loyalty_idempotencykey (client, key, request_hash, created_at)
VALUES (%s, %s, %s, clock_timestamp()) ON CONFLICT DO NOTHING
"""
_READ = (
    "SELECT request_hash, status, body FROM loyalty_idempotencykey WHERE client = %s AND key = %s"
)
_KEEP = "UPDATE loyalty_idempotencykey SET status = %s, body = %s WHERE client = %s AND key = %s"


class OnceEndpoint(Endpoint):
    """Base of endpoints that change something other than a member.

    Attributes:
        keyed: Methods that need an idempotency key; a PATCH or DELETE sent twice does no harm.
        key: The request's idempotency key.
    """

    keyed: ClassVar[tuple[str, ...]] = ("POST", "PUT")
    key: str | None

    def begin(self, request: HttpRequest) -> None:
        """Read the idempotency key before all else: without one, nothing is looked at."""
        sent = request.META.get(HEADER)
        self.key = read_key(sent) if sent or request.method in self.keyed else None

    def once(self, request: HttpRequest, canonical_body: bytes, work: Work) -> HttpResponse:
        """Do the work and keep its answer under the key, both or neither.

        Args:
            work: Gives a status and a JSON value; it runs in the transaction that keeps them.

        Raises:
            IdempotencyKeyReused: The key belongs to another request.
            RequestInProgress: The first request with this key is still running.
        """
        assert self.key is not None
        told = request_hash(request.method or "", request.get_full_path(), canonical_body)
        place: list[Any] = [self.principal.key_id, self.key]
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(_CLAIM, [*place, told])
                if not cursor.rowcount:
                    cursor.execute(_READ, place)
                    return _answer_again(cursor.fetchone(), told)
                status, body = self._do(work)
                cursor.execute(_KEEP, [status, body.decode(), *place])
                return _answer(status, body)
        except DatabaseError as error:
            if isinstance(error.__cause__, LockNotAvailable):
                raise RequestInProgress() from None
            raise

    def _do(self, work: Work) -> tuple[int, bytes]:
        try:
            with transaction.atomic():
                status, document = work()
        except LoyaltyError as refused:
            if not refused.stored:
                raise
            return refused.status, problem_bytes(refused, self.request_id)
        return status, orjson.dumps(document)


def _answer_again(row: tuple[Any, ...] | None, told: bytes) -> HttpResponse:
    if row is None:  # deleted between the two statements: as old as that, it is another request
        raise RequestInProgress()
    kept, status, body = row
    if bytes(kept) != told:
        raise IdempotencyKeyReused()
    response = _answer(status, body.encode())
    response.headers["Idempotent-Replayed"] = "true"
    return response


def _answer(status: int, body: bytes) -> HttpResponse:
    kind = PROBLEM_JSON if status >= 400 else "application/json"
    return HttpResponse(body, status=status, content_type=kind)
