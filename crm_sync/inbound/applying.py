"""Do what a message says, by the same commands that the API runs; nothing else changes a member."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID, uuid4

import orjson
from pydantic import ValidationError

from crm_sync.adapters.fields import Field
from crm_sync.inbound.contract import (
    AsksPerson,
    NotForUs,
    OrderSaid,
    PersonSaid,
    PurchaseSaid,
    RefundSaid,
    Said,
)
from crm_sync.inbound.matching import Found, find_person, find_proven
from crm_sync.inbound.models import InboxMessage, Source
from crm_sync.inbound.orders import forget_order, order_of, remember, settle
from crm_sync.inbound.people import Heard, Origin, gives, take_in, take_withdrawals
from crm_sync.inbound.verifying import verify_email
from crm_sync.services.profiles import fields_of
from loyalty.engine.commands import Command
from loyalty.engine.run import run
from loyalty.http.problems import from_validation
from loyalty.orders.desired import PUT_ORDER
from loyalty.orders.schemas import PutOrder, PutOrderRequest

State = InboxMessage.State


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a message.

    Attributes:
        note: A sentence for the person who looks at it, without personal data.
    """

    state: InboxMessage.State
    note: str
    member_id: UUID | None = None
    candidates: tuple[UUID, ...] = ()


NOBODY = Result(State.IGNORED, "Nobody of this program is meant.")
_GONE: Final = "Nobody of those who may have been meant can be found by it any more."


def doubt_left(source: Source, said: Said, candidates: Sequence[str]) -> Result | None:
    """Say why a message that waits for it to be clear who is meant still waits; None if it is.

    Whom nothing leads to any more may be somebody else in a moment: that is for a person, too.

    Args:
        candidates: Who might be meant until now.
    """
    found = find_meant(source, said)
    if found.member_id is not None:
        return None
    members = found.candidates or tuple(UUID(one) for one in candidates)
    return Result(State.PARKED, found.doubt or _GONE, candidates=members)


def find_meant(source: Source, said: Said, *, chosen: UUID | None = None) -> Found:
    """Say whom a message means; strictly where they would gain or agree by it."""
    if isinstance(said, NotForUs):
        return Found()
    find = find_proven if _needs_proof(source, said) else find_person
    return find(source, said.who, chosen=chosen)


def _needs_proof(source: Source, said: Said) -> bool:
    if isinstance(said, PersonSaid):
        return gives(said, _mapping_of(source))
    return isinstance(said, OrderSaid | PurchaseSaid | RefundSaid)


def apply(source: Source, said: Said, *, heard: Heard, chosen: UUID | None = None) -> Result:
    """Do what a message says.

    Args:
        chosen: Whom a person has said it is about.
    """
    if isinstance(said, NotForUs):
        return Result(State.IGNORED, said.reason)
    if isinstance(said, PurchaseSaid | RefundSaid):
        known = remember(source, said)
        waits = isinstance(said, RefundSaid) and known.member_id is None
        if known.order is None or waits:
            return Result(State.DONE, f"The refund waits for the order {known.ref}.")
        order = order_of(known, said.who)
        result = _apply(source, order, heard, chosen or known.member_id)
        if result.state is State.DONE and result.member_id is not None:
            settle(known, result.member_id)
        elif result.state is State.IGNORED:
            forget_order(known)
        return result
    return _apply(source, said, heard, chosen)


def _apply(
    source: Source,
    said: OrderSaid | PersonSaid | AsksPerson,
    heard: Heard,
    chosen: UUID | None,
) -> Result:
    found = find_meant(source, said, chosen=chosen)
    if isinstance(said, AsksPerson):
        return Result(State.PARKED, said.reason, found.member_id, found.candidates)
    if found.candidates:
        if isinstance(said, PersonSaid):
            take_withdrawals(origin_of(source), said, found.candidates, heard=heard)
        return Result(State.PARKED, found.doubt, candidates=found.candidates)
    result = _do(source, said, found, heard)
    if result.state is not State.DONE or result.member_id is None:
        return result
    principal = origin_of(source).principal()
    more = verify_email(source, said.who, result.member_id, principal)
    return replace(result, note=f"{result.note} {more}".rstrip())


def _do(source: Source, said: OrderSaid | PersonSaid, found: Found, heard: Heard) -> Result:
    if isinstance(said, OrderSaid):
        return _put_order(source, said, found)
    if found.member_id is None:
        return NOBODY
    note = take_in(origin_of(source), said, found.member_id, heard=heard)
    return Result(State.DONE, note, found.member_id)


def origin_of(source: Source) -> Origin:
    """Say for histories and the ledger who speaks."""
    return Origin(source.program_id, source.name, f"source:{source.name}", _mapping_of(source))


def _mapping_of(source: Source) -> Sequence[Field]:
    return fields_of(source.connection) if source.connection is not None else ()


def _put_order(source: Source, said: OrderSaid, found: Found) -> Result:
    """Bring the order to its state; a program may enrol whom it does not know by an external id."""
    member = str(found.member_id or "")
    if not member and said.who.external_ids:
        member = f"external:{said.who.external_ids[0]}"
    if not member:
        return NOBODY
    body = {"member": member, "revision": said.revision, "order": {**said.order, "ref": said.ref}}
    try:
        request = PutOrderRequest.model_validate_json(orjson.dumps(body))
    except ValidationError as error:
        return Result(State.DEAD, _first_error(error), found.member_id)
    command = Command(PUT_ORDER, PutOrder(said.ref, request), request_id=uuid4().hex)
    return _run(source, command, found.member_id, _order_note)


def _order_note(answer: Mapping[str, Any]) -> str:
    return f"The order {answer['ref']} is {answer['state']} and counts {answer['points']} points."


def _run(
    source: Source,
    command: Command,
    member_id: UUID | None,
    note: Callable[[Mapping[str, Any]], str],
) -> Result:
    answer = run([command], principal=origin_of(source).principal())[0]
    body = orjson.loads(answer.body)
    if answer.status < 300:
        return Result(State.DONE, note(body), UUID(body.get("member") or body.get("id")))
    if body["code"] == "member_not_found":
        return NOBODY
    return Result(State.DEAD, f"{body['code']}: {body['detail']}", member_id)


def _first_error(error: ValidationError) -> str:
    refused = from_validation(error)
    first = refused.errors[0] if refused.errors else {"pointer": "", "message": refused.detail}
    return f"{first['pointer']}: {first['message']}"
