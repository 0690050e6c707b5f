"""Many commands in one request, each with its own key and its own outcome."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import orjson
from django.http import HttpRequest, HttpResponse
from django.utils.encoding import escape_uri_path
from pydantic import ValidationError

from loyalty.batch.answers import BatchAnswer
from loyalty.batch.schemas import (
    MAX_BATCH_BYTES,
    MAX_COMMANDS,
    BatchAssign,
    BatchRequest,
    BatchReturn,
)
from loyalty.engine.commands import Answer, Command, Kind
from loyalty.engine.run import run
from loyalty.errors import (
    IdempotencyKeyMissing,
    LoyaltyError,
    RequestInProgress,
    ValidationFailed,
)
from loyalty.http.auth import Principal, require_scope
from loyalty.http.bodies import canonical_of, load_json, read_body
from loyalty.http.fields import Body
from loyalty.http.idempotency import read_key, request_hash
from loyalty.http.problems import from_validation, problem_bytes
from loyalty.http.schema import operation
from loyalty.http.views import Endpoint
from loyalty.members import adjustments
from loyalty.members import services as members
from loyalty.members.schemas import AdjustRequest, EnrolRequest
from loyalty.orders import activities, returns
from loyalty.orders.api import earn_payload, return_payload
from loyalty.orders.schemas import EarnRequest
from loyalty.rewards import services as rewards
from loyalty.rewards.api import redeem_payload
from loyalty.rewards.schemas import RedeemRequest
from loyalty.rewards.sealing import open_answer
from loyalty.standing import services as standing
from loyalty.standing.schemas import AssignLevel


@dataclass(frozen=True, slots=True)
class BatchKind:
    """How one kind of command is read from a batch.

    Attributes:
        path: Where it would have been posted by itself. Its hash is the one of that request, so
            a till may send again in a batch what it once sent alone, and the other way round.
        beside: Fields of the command that would stand in the path and not in the body.
    """

    kind: Kind
    model: type[Body]
    scopes: tuple[str, ...]
    payload: Callable[[Principal, Any], Any]
    path: Callable[[Any], str]
    beside: tuple[str, ...] = ()


def _same(_: Principal, body: Any) -> Any:
    return body


def _return_payload(principal: Principal, body: BatchReturn) -> Any:
    return return_payload(principal, body.order_ref, body.store, body)


def _return_path(body: BatchReturn) -> str:
    query = f"?store={body.store}" if body.store else ""
    return f"/v1/orders/{body.order_ref}/returns{query}"


def _assign_payload(_: Principal, body: BatchAssign) -> Any:
    return AssignLevel(body.member, body)


def _assign_path(body: BatchAssign) -> str:
    return escape_uri_path(f"/v1/members/{body.member}/tier")


BATCH_KINDS: Final[dict[str, BatchKind]] = {
    "enrol": BatchKind(
        members.ENROL, EnrolRequest, ("members:write",), _same, lambda body: "/v1/members"
    ),
    "earn": BatchKind(
        activities.EARN, EarnRequest, ("earn",), earn_payload, lambda body: "/v1/earn"
    ),
    "redeem": BatchKind(
        rewards.REDEEM, RedeemRequest, ("redeem",), redeem_payload, lambda body: "/v1/redeem"
    ),
    "return": BatchKind(
        returns.RETURN,
        BatchReturn,
        ("earn",),
        _return_payload,
        _return_path,
        beside=("order_ref", "store"),
    ),
    "adjust": BatchKind(
        adjustments.ADJUST, AdjustRequest, ("adjust",), _same, lambda body: "/v1/adjustments"
    ),
    "assign": BatchKind(
        standing.ASSIGN,
        BatchAssign,
        ("members:write",),
        _assign_payload,
        _assign_path,
        beside=("member",),
    ),
}


class BatchView(Endpoint):
    """POST /v1/batch. Scopes are those of the single calls, command by command."""

    scopes = {"POST": ("earn", "redeem", "members:write", "adjust")}

    @operation(
        "batch",
        "Run up to 1,000 commands",
        tag="Batch",
        request=BatchRequest,
        example={
            "commands": [
                {
                    "idempotency_key": "6f1c-1",
                    "adjust": {"member": "card:2261", "points": 50, "reason": "goodwill"},
                }
            ]
        },
        answers={200: BatchAnswer},
        errors=[RequestInProgress],
    )
    def post(self, request: HttpRequest) -> HttpResponse:
        raw = read_body(request, most=MAX_BATCH_BYTES)
        with _nothing_collected():
            document = load_json(raw)
            canonical_of(document, raw)
            results = self._results(_commands_of(document))
        body = open_answer(_results_body(results))
        return HttpResponse(body, content_type="application/json")

    def _results(self, items: list[Any]) -> list[Answer]:
        prepared = [self._prepare(item, number) for number, item in enumerate(items)]
        items.clear()  # each was read into its command: the memory serves what is decided now
        commands = [item for item in prepared if isinstance(item, Command)]
        answers = iter(run(commands, principal=self.principal) if commands else [])
        return [next(answers) if isinstance(item, Command) else item for item in prepared]

    def _prepare(self, item: Any, number: int) -> Command | Answer:
        """Make a command of one item, or the answer that refuses it; others run all the same."""
        try:
            return self._command(item, f"/commands/{number}")
        except LoyaltyError as error:
            return Answer(error.status, problem_bytes(error, self.request_id))

    def _command(self, item: Any, pointer: str) -> Command:
        name, content, key = _split(item, pointer)
        of = BATCH_KINDS[name]
        require_scope(self.principal, of.scopes)
        canonical = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
        body = _validated(of.model, canonical, f"{pointer}/{name}")
        if of.beside:
            posted = {field: content[field] for field in content if field not in of.beside}
            canonical = orjson.dumps(posted, option=orjson.OPT_SORT_KEYS)
        return Command(
            kind=of.kind,
            payload=of.payload(self.principal, body),
            key=key,
            request_hash=request_hash("POST", of.path(body), canonical),
            request_id=self.request_id,
            is_bulk=True,
        )


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Spare the garbage collector a batch's 100,000 objects, which are all in use until its end.

    Looking through them again and again was a fifth of the process's time. Another batch that
    ends meanwhile turns it on again, which costs that time and nothing else.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _commands_of(document: Any) -> list[Any]:
    """Give the commands of a batch that has the right outer shape."""
    commands = document.get("commands") if isinstance(document, dict) else None
    if not isinstance(commands, list) or set(document) != {"commands"}:
        raise _invalid("", 'A batch is {"commands": [...]} and nothing else.')
    if not 1 <= len(commands) <= MAX_COMMANDS:
        raise _invalid("/commands", f"A batch has 1 to {MAX_COMMANDS} commands.")
    return commands


def _split(item: Any, pointer: str) -> tuple[str, dict[str, Any], str]:
    """Take a batch's item apart: which command, its content, its key."""
    if not isinstance(item, dict):
        raise _invalid(pointer, "A command is an object.")
    names = [name for name in item if name != "idempotency_key"]
    if len(names) != 1 or names[0] not in BATCH_KINDS:
        raise _invalid(pointer, f"A command has a key and one of {', '.join(BATCH_KINDS)}.")
    key, content = item.get("idempotency_key"), item[names[0]]
    if not isinstance(key, str):
        raise IdempotencyKeyMissing("Each command of a batch has an idempotency_key of its own.")
    if not isinstance(content, dict):
        raise _invalid(f"{pointer}/{names[0]}", "This is an object.")
    return names[0], content, read_key(key)


def _validated(model: type[Body], written: bytes, pointer: str) -> Body:
    try:
        return model.model_validate_json(written)
    except ValidationError as error:
        refused = from_validation(error)
        for found in refused.errors:
            found["pointer"] = pointer + found["pointer"]
        raise refused from None


def _invalid(pointer: str, message: str) -> ValidationFailed:
    return ValidationFailed(message, errors=[{"pointer": pointer, "message": message}])


def _results_body(results: list[Answer]) -> bytes:
    """Put the stored answers side by side without reading them again."""
    parts = [
        b'{"status":%d,%b"body":%b}'
        % (result.status, b'"replayed":true,' if result.replayed else b"", result.body)
        for result in results
    ]
    return b'{"results":[' + b",".join(parts) + b"]}"
