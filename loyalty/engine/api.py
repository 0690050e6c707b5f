"""What all endpoints that change something share: one command in, its answer out."""

from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponse

from loyalty.engine.commands import Answer, Command, Kind
from loyalty.engine.run import run
from loyalty.http.idempotency import HEADER, read_key, request_hash
from loyalty.http.problems import PROBLEM_JSON
from loyalty.http.views import Endpoint


class CommandEndpoint(Endpoint):
    """Base of the endpoints that run a command.

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

    def run(
        self, request: HttpRequest, kind: Kind, payload: Any, *, canonical_body: bytes
    ) -> HttpResponse:
        """Run one command under the request's idempotency key."""
        command = Command(
            kind=kind,
            payload=payload,
            key=self.key,
            request_hash=request_hash(
                request.method or "", request.get_full_path(), canonical_body
            ),
            request_id=self.request_id,
        )
        return answer_response(run([command], principal=self.principal)[0])

    def preview(self, kind: Kind, payload: Any) -> HttpResponse:
        """Decide a command and write nothing; what would be created is only shown: 200."""
        command = Command(kind=kind, payload=payload, request_id=self.request_id)
        answer = run([command], principal=self.principal, preview=True)[0]
        if answer.status == 201:
            answer.status = 200
        return answer_response(answer)


def answer_response(answer: Answer) -> HttpResponse:
    """Send exactly the bytes that are stored."""
    response = HttpResponse(
        answer.body,
        status=answer.status,
        content_type=PROBLEM_JSON if answer.status >= 400 else "application/json",
    )
    if answer.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return response
